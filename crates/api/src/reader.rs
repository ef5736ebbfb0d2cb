//! A page that shows the OpenAPI document to people. It is made here, and needs no script.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::Home;
use crate::document::operations;
use crate::problem::Problem;
use crate::right::needed;

/// A parameter of an operation.
struct Parameter {
    name: String,
    place: String,
    required: bool,
    words: String,
}

/// An operation.
struct Line {
    method: String,
    path: String,
    summary: String,
    words: String,
    right: String,
    parameters: Vec<Parameter>,
    /// The name of the body's form.
    body: String,
    /// Codes of answers, with what each means and the name of its form.
    answers: Vec<(String, String, String)>,
}

/// Operations about one thing.
struct Group {
    name: String,
    words: String,
    lines: Vec<Line>,
}

/// A field of a form.
struct Field {
    name: String,
    kind: String,
    words: String,
}

/// A form of a body.
struct Form {
    name: String,
    words: String,
    fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "reader.html")]
struct Page<'a> {
    title: &'a str,
    version: &'a str,
    groups: Vec<Group>,
    forms: Vec<Form>,
}

/// The page of `document`.
///
/// # Errors
/// The document has no form in JSON, or the template failed.
pub(crate) fn page(document: &OpenApi) -> Result<String, String> {
    let whole = serde_json::to_value(document).map_err(|error| error.to_string())?;
    let mut by_tag: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            let name = method.as_str().to_lowercase();
            let said = &whole["paths"][path][&name];
            let right = needed(&method, path);
            let tag = operation.tags.iter().flatten().next();
            let lines = by_tag.entry(tag.cloned().unwrap_or_default());
            lines
                .or_default()
                .push(line(method.as_str(), path, right.word(), said));
        }
    }
    let tags = whole["tags"].as_array().into_iter().flatten();
    let groups = tags.filter_map(|tag| {
        let name = text(&tag["name"]);
        let lines = by_tag.remove(&name)?;
        let words = text(&tag["description"]);
        Some(Group { name, words, lines })
    });
    let page = Page {
        title: &document.info.title,
        version: &document.info.version,
        groups: groups.collect(),
        forms: forms(&whole["components"]["schemas"]),
    };
    page.render().map_err(|error| error.to_string())
}

fn line(method: &str, path: &str, right: &str, said: &Value) -> Line {
    let parameters = said["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|one| Parameter {
        name: text(&one["name"]),
        place: text(&one["in"]),
        required: one["required"] == true,
        words: text(&one["description"]),
    });
    let answers = said["responses"].as_object().into_iter().flatten();
    let answers = answers.map(|(code, one)| {
        let form = form_of(&one["content"]);
        (code.clone(), text(&one["description"]), form)
    });
    Line {
        method: method.to_owned(),
        path: path.to_owned(),
        summary: text(&said["summary"]),
        words: text(&said["description"]),
        right: right.to_owned(),
        parameters: parameters.collect(),
        body: form_of(&said["requestBody"]["content"]),
        answers: answers.filter(|(code, ..)| code.starts_with('2')).collect(),
    }
}

/// The name of the form of a body, or its media type.
fn form_of(content: &Value) -> String {
    let Some((media, one)) = content.as_object().and_then(|all| all.iter().next()) else {
        return String::new();
    };
    let kind = kind(&one["schema"]);
    match media.as_str() {
        "application/json" => kind,
        media => media.to_owned(),
    }
}

fn forms(schemas: &Value) -> Vec<Form> {
    let all = schemas.as_object().into_iter().flatten();
    let forms = all.map(|(name, schema)| {
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let of = |schema: &Value| -> Vec<Field> {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(name, field)| Field {
                name: name.clone(),
                kind: kind(field),
                words: text(&field["description"]),
            });
            fields.collect()
        };
        let mut fields = of(schema);
        fields.extend(parts.flat_map(of));
        Form {
            name: name.clone(),
            words: text(&schema["description"]),
            fields,
        }
    });
    forms.collect()
}

/// What a value is, in short.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let several = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(several) = several {
        let kinds: Vec<String> = several.iter().map(kind).collect();
        return kinds.join(" | ");
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(text).collect();
            kinds.join(" | ")
        }
        Value::String(name) if name == "array" => format!("[{}]", kind(&schema["items"])),
        Value::String(name) => name.clone(),
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `GET /api/v1`.
pub(crate) async fn show(State(house): State<Home>) -> Response {
    match &house.reader {
        Ok(page) => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (kind, page.clone()).into_response()
        }
        Err(words) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", words).into_response()
        }
    }
}
