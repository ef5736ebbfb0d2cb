//! The tools: each is a call of the API, and reads only.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{INVALID_PARAMS, RpcError};
use crate::House;
use crate::ask::{Place, Root};
use crate::library::{self, Part};
use crate::problem::Problem;
use crate::queue;
use debridfs_control::Instance;

/// Descriptions of all tools.
pub(super) fn list() -> Value {
    let reads = json!({ "readOnlyHint": true, "openWorldHint": false });
    let text = |words: &str| json!({ "type": "string", "description": words });
    json!([
        {
            "name": "browse",
            "title": "Browse the library",
            "description": "Lists a directory of the library. The root holds views such as __all__; a view holds releases; a release holds files.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "path": text("Relative to the root; the root itself when it is absent."),
                    "cursor": text("`next` of the part before."),
                    "limit": { "type": "integer", "minimum": 1, "maximum": 1000 },
                },
                "additionalProperties": false,
            },
            "annotations": reads,
        },
        {
            "name": "why",
            "title": "Why a film does not play",
            "description": "What is known of a release or file: how it stands, what happened to it, and what to do.",
            "inputSchema": {
                "type": "object",
                "properties": { "path": text("A path, an info-hash, a name or a part of one.") },
                "required": ["path"],
                "additionalProperties": false,
            },
            "annotations": reads,
        },
        {
            "name": "status",
            "title": "How the instance does",
            "description": "Health, what has to be looked at, the accounts, the library, reads, downloads and repair.",
            "inputSchema": { "type": "object", "additionalProperties": false },
            "annotations": reads,
        },
        {
            "name": "queue",
            "title": "Downloads",
            "description": "The downloads for arrs, the newest first, with how far each is and what is in its way.",
            "inputSchema": {
                "type": "object",
                "properties": { "category": text("Those of this category alone.") },
                "additionalProperties": false,
            },
            "annotations": reads,
        },
    ])
}

#[derive(Debug, Deserialize)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Browse {
    path: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queue {
    category: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Calls a tool. What the tool cannot do is a result that says so: a model can do something about it.
pub(super) async fn call(house: &House, params: &Value) -> Result<Value, RpcError> {
    let call: Call = Call::deserialize(params).map_err(wrong)?;
    let arguments = call.arguments.unwrap_or_else(|| json!({}));
    match call.name.as_str() {
        "browse" => {
            let Browse {
                path,
                cursor,
                limit,
            } = Browse::deserialize(arguments).map_err(wrong)?;
            let (place, part) = (Place { path, id: None }, Part { cursor, limit });
            Ok(result(
                library::list(house, &Root::whole(), &place, &part).await,
            ))
        }
        "why" => {
            let why = Why::deserialize(arguments).map_err(wrong)?;
            Ok(result(library::why(house, &why.path)))
        }
        "status" => {
            Nothing::deserialize(arguments).map_err(wrong)?;
            Ok(result(Ok(house.engine.status())))
        }
        "queue" => {
            let which = Queue::deserialize(arguments).map_err(wrong)?;
            Ok(result(queue::queue(house, which.category.as_deref())))
        }
        name => {
            let words = format!("there is no tool {name:?}");
            Err(RpcError::new(INVALID_PARAMS, words))
        }
    }
}

fn wrong(error: serde_json::Error) -> RpcError {
    RpcError::new(INVALID_PARAMS, error)
}

fn result(said: Result<impl Serialize, Problem>) -> Value {
    match said.map(|said| json!(said)) {
        Ok(said) => {
            let text = said.to_string();
            json!({ "content": [{ "type": "text", "text": text }], "structuredContent": said, "isError": false })
        }
        Err(problem) => {
            json!({ "content": [{ "type": "text", "text": problem.detail }], "isError": true })
        }
    }
}
