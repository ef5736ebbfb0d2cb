//! A read-only server of the Model Context Protocol: JSON-RPC 2.0 over HTTP (`/mcp`, "streamable HTTP" without sessions) and, for
//! `debridfs mcp`, over standard input and output.

mod stdio;
mod tools;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{MethodRouter, post};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::{Home, House};

pub use stdio::serve_stdio;

/// Versions of the protocol that are spoken, the newest first: what a client wants that is none of them is answered with the
/// first.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// Requests that a batch may hold (version 2025-03-26).
const MOST_REQUESTS: usize = 32;

// Codes of JSON-RPC 2.0.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
/// What the engine's silence is answered with: of the range that is left to servers.
const SILENT: i32 = -32000;

/// Why a request has no result.
#[derive(Debug)]
struct RpcError {
    code: i32,
    message: String,
}

impl RpcError {
    fn new(code: i32, message: impl std::fmt::Display) -> Self {
        let message = message.to_string();
        Self { code, message }
    }

    fn answer(self, id: Value) -> Value {
        let error = json!({ "code": self.code, "message": self.message });
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

/// `POST /mcp`. There is no stream of the server's own, and no session to end.
pub(crate) fn route() -> MethodRouter<Home> {
    post(receive)
}

async fn receive(State(house): State<Home>, headers: HeaderMap, body: Bytes) -> Response {
    let version = headers.get("mcp-protocol-version");
    if let Some(version) = version.map(|version| version.to_str().unwrap_or_default())
        && !VERSIONS.contains(&version)
    {
        let words = format!(
            "the protocol's version {version:?} is not spoken here: {}",
            VERSIONS.join(", ")
        );
        return Problem::invalid(words).into_response();
    }
    let kind = headers.get(header::CONTENT_TYPE);
    let is_json = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        let words = "the body has to be application/json";
        let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Problem::new(code, "media-type", words).into_response();
    }
    match answer(&house, &body).await {
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// The answer to one message, or to a batch of them; none to notifications and answers.
async fn answer(house: &House, message: &[u8]) -> Option<Value> {
    match serde_json::from_slice(message) {
        Ok(Value::Array(batch)) if batch.is_empty() || batch.len() > MOST_REQUESTS => {
            let words = format!("a batch holds 1 to {MOST_REQUESTS} requests");
            Some(RpcError::new(INVALID_REQUEST, words).answer(Value::Null))
        }
        Ok(Value::Array(batch)) => {
            let mut answers = Vec::new();
            for one in &batch {
                answers.extend(answer_one(house, one).await);
            }
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        Ok(one) => answer_one(house, &one).await,
        Err(error) => Some(RpcError::new(PARSE_ERROR, error).answer(Value::Null)),
    }
}

async fn answer_one(house: &House, request: &Value) -> Option<Value> {
    let id = request.get("id").cloned();
    let method = request.get("method").and_then(Value::as_str);
    let is_rpc = request.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
    match (is_rpc, method, id) {
        // An answer to a request of ours, of which there are none.
        (true, None, Some(_)) if request.get("result").or(request.get("error")).is_some() => None,
        (true, Some(_), None) => None,
        (true, Some(method), Some(id @ (Value::String(_) | Value::Number(_)))) => {
            let params = request.get("params").unwrap_or(&Value::Null);
            Some(match call(house, method, params).await {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                Err(error) => error.answer(id),
            })
        }
        _ => {
            let words = "not a request of JSON-RPC 2.0";
            Some(RpcError::new(INVALID_REQUEST, words).answer(Value::Null))
        }
    }
}

async fn call(house: &House, method: &str, params: &Value) -> Result<Value, RpcError> {
    match method {
        "initialize" => {
            let wanted = params.get("protocolVersion").and_then(Value::as_str);
            let wanted = wanted
                .ok_or_else(|| RpcError::new(INVALID_PARAMS, "`protocolVersion` is missing"))?;
            Ok(json!({
                "protocolVersion": negotiated(wanted),
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "debridfs", "version": env!("CARGO_PKG_VERSION") },
                "instructions": "A debrid account as a file system. All tools only read. Begin with `status`; \
                                 `why` tells what is wrong with a film and what to do.",
            }))
        }
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools::list() })),
        "tools/call" => tools::call(house, params).await,
        _ => {
            let words = format!("there is no method {method:?}");
            Err(RpcError::new(METHOD_NOT_FOUND, words))
        }
    }
}

/// The version that is spoken with a client that wants `wanted`.
fn negotiated(wanted: &str) -> &'static str {
    let known = VERSIONS.iter().find(|version| **version == wanted);
    known.unwrap_or(&VERSIONS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_known_is_answered_with_the_newest() {
        assert_eq!(negotiated("2025-03-26"), "2025-03-26");
        assert_eq!(negotiated("1999-01-01"), VERSIONS[0]);
    }
}
