//! Answers to our types: what every vendor's decoders begin with. Pure functions, so that any bytes
//! can be thrown at them.
//!
//! In lists one bad entry is named and left out.

use reqwest::Url;
use serde_json::{Map, Value};

use super::json;

/// Why an answer could not be understood; for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// What a decoder gives.
pub(crate) type Decoded<T> = Result<T, DecodeError>;
/// The fields of an object.
pub(crate) type Fields = Map<String, Value>;

/// Web servers take no longer line of a request (8 KiB, the default of Apache and nginx), and thousands
/// of links are kept in memory.
const LONGEST_URL: usize = 8 << 10;
/// Bad entries named one by one, at most.
const MOST_UNREADABLE: usize = 100;

/// The whole body as one object.
pub(crate) fn whole(body: &[u8]) -> Decoded<Fields> {
    json::parse(body)
        .and_then(json::object)
        .map_err(DecodeError)
}

/// Reads each entry of a list; the second value names those that could not be read.
pub(crate) fn list<T>(
    body: &[u8],
    entry: impl Fn(&Fields) -> Decoded<T>,
) -> Decoded<(Vec<T>, Vec<String>)> {
    let values = json::parse_list(body).map_err(DecodeError)?;
    let mut items = Vec::with_capacity(values.len());
    let mut unreadable = Vec::new();
    for (at, value) in values.into_iter().enumerate() {
        let fields = value.and_then(|value| match value {
            Value::Object(fields) => Ok(fields),
            other => Err(format!(
                "{} where an object was promised",
                json::kind(&other)
            )),
        });
        let (id, item) = match &fields {
            Ok(fields) => (
                fields.get("id").and_then(json::text).unwrap_or_default(),
                entry(fields),
            ),
            Err(why) => (String::new(), Err(DecodeError(why.clone()))),
        };
        match item {
            Ok(item) => items.push(item),
            Err(_) if unreadable.len() >= MOST_UNREADABLE => {}
            Err(why) => unreadable.push(format!("entry {} ({}): {why}", at + 1, json::quote(&id))),
        }
    }
    Ok((items, unreadable))
}

/// The entries of the list at `key`, each of which has to be readable; none if there is no list.
pub(crate) fn entries<T>(
    fields: &Fields,
    key: &str,
    what: &str,
    entry: impl Fn(&Value) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            let entries = values.iter().enumerate().map(|(at, value)| {
                entry(value).map_err(|why| DecodeError(format!("{what} {}: {why}", at + 1)))
            });
            entries.collect()
        }
        Some(other) => Err(DecodeError(format!("{key} is {}", json::kind(other)))),
    }
}

/// The text at `key`; numbers are taken as their digits.
pub(crate) fn need_text(fields: &Fields, key: &str) -> Decoded<String> {
    fields
        .get(key)
        .and_then(json::text)
        .ok_or_else(|| missing(key))
}

/// `url` if it is an HTTP URL of a bearable length, with the last part of its path. `what` is for messages,
/// which do not have it.
pub(crate) fn http_url(what: &str, url: String) -> Decoded<(String, String)> {
    if url.len() > LONGEST_URL {
        let words = format!("{what} is a URL of {} bytes", url.len());
        return Err(DecodeError(words));
    }
    let parsed = Url::parse(&url).map_err(|_| DecodeError(format!("{what} is not a URL")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(DecodeError(format!("{what} is not an HTTP URL")));
    }
    let last = parsed.path().rsplit('/').next().unwrap_or("").to_owned();
    Ok((url, last))
}

/// The error for a field that has to be there.
pub(crate) fn missing(key: &str) -> DecodeError {
    DecodeError(format!("{key} is missing"))
}
