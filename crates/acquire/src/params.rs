//! Arguments of a call, wherever the caller put them: query, form or multipart.

use std::collections::BTreeSet;

use axum::body::HttpBody;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;

use crate::Viewer;

/// A request that cannot be read: what to answer.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) StatusCode, pub(crate) String);

impl From<MultipartError> for Unreadable {
    fn from(error: MultipartError) -> Self {
        Self(error.status(), error.body_text())
    }
}

/// Arguments by name, and uploaded files.
#[derive(Debug, Default)]
pub(crate) struct Params {
    values: Vec<(String, String)>,
    /// Contents of uploaded files.
    pub(crate) files: Vec<Bytes>,
    /// Who gave them.
    pub(crate) viewer: Viewer,
}

impl Params {
    /// Reads what the address of a request holds.
    pub(crate) fn of_query(request: &Request) -> Self {
        let mut params = Self::default();
        params.add_form(request.uri().query().unwrap_or_default().as_bytes());
        params
    }

    /// Reads all of a request, whose body may have `most` bytes. A longer one is refused before it
    /// is read, if its length is told.
    pub(crate) async fn read(mut request: Request, most: usize) -> Result<Self, Unreadable> {
        let mut params = Self::of_query(&request);
        if request.body().size_hint().lower() > most as u64 {
            let words = format!("more than {most} bytes");
            return Err(Unreadable(StatusCode::PAYLOAD_TOO_LARGE, words));
        }
        DefaultBodyLimit::max(most).apply(&mut request);
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_multipart = content_type.is_some_and(|kind| {
            kind.as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"multipart/form-data")
        });
        if !is_multipart {
            let body = Bytes::from_request(request, &())
                .await
                .map_err(|error| Unreadable(error.status(), error.body_text()))?;
            params.add_form(&body);
            return Ok(params);
        }
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|error| Unreadable(error.status(), error.body_text()))?;
        while let Some(part) = parts.next_field().await? {
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some() || name == "torrents";
            let bytes = part.bytes().await?;
            if is_file {
                params.files.push(bytes);
            } else {
                let value = String::from_utf8_lossy(&bytes).into_owned();
                params.values.push((name, value));
            }
        }
        Ok(params)
    }

    fn add_form(&mut self, bytes: &[u8]) {
        self.values
            .extend(form_urlencoded::parse(bytes).into_owned());
    }

    /// The value of `name`, the first if there are several.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of `name` as a number of its type; nothing if it is none.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }

    /// Whether `name` says yes; nothing if it is not there or says neither.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// The words of a list with `separator` between them.
    pub(crate) fn words(&self, name: &str, separator: char) -> BTreeSet<String> {
        let list = self.get(name).unwrap_or_default();
        list.split(separator)
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }
}
