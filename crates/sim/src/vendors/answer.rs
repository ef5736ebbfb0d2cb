//! An answer of any vendor.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use crate::random::hash_parts;

/// An answer before it is sent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The vendor's code or word of an error.
    pub(crate) code: Option<Cow<'static, str>>,
    pub(crate) headers: HeaderMap,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Answer {
    /// No body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            code: None,
            headers: HeaderMap::new(),
            content_type: "application/json",
            body: Bytes::new(),
        }
    }

    pub(crate) fn text(text: String) -> Self {
        Self {
            content_type: "text/plain; charset=utf-8",
            body: text.into(),
            ..Self::empty(200)
        }
    }

    pub(crate) fn json<T: Serialize>(status: u16, value: &T) -> Self {
        // Nothing that is answered has map keys other than text, which is all that could fail here.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self {
            body: body.into(),
            ..Self::empty(status)
        }
    }

    /// Names the content, and answers 304 to whoever has it (`If-None-Match`).
    pub(crate) fn with_etag(mut self, request: &HeaderMap) -> Self {
        if self.status != 200 {
            return self;
        }
        let etag = format!("\"{:016x}\"", hash_parts(&[&self.body]));
        let known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*");
        if let Ok(value) = HeaderValue::from_str(&etag) {
            self.headers.insert(header::ETAG, value);
        }
        if known {
            self.status = 304;
            self.body = Bytes::new();
        }
        self
    }

    /// Leaves the first entries of a list, be it the whole body or the one in an envelope.
    pub(crate) fn keep_items(&mut self, keep: usize) {
        let Ok(mut whole) = serde_json::from_slice::<Value>(&self.body) else {
            return;
        };
        let items = match &mut whole {
            Value::Object(envelope) => {
                let lists = ["data", "value", "files", "transfers", "content"];
                let list = lists.into_iter().find(|list| envelope.contains_key(*list));
                list.and_then(|list| envelope.get_mut(list))
            }
            list => Some(list),
        };
        if let Some(Value::Array(items)) = items {
            items.truncate(keep);
            self.body = serde_json::to_vec(&whole).unwrap_or_default().into();
            self.headers.remove(header::ETAG);
        }
    }

    /// How counters call it.
    pub(crate) fn outcome(&self) -> String {
        match &self.code {
            Some(code) => format!("{}/{code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub(crate) fn respond(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let with_body = self.status != 204 && self.status != 304;
        *response.headers_mut() = self.headers;
        if with_body {
            let headers = response.headers_mut();
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(self.content_type));
        }
        response
    }
}
