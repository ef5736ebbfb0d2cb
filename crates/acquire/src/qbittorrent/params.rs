//! Arguments of a call, wherever the caller put them: query, form or multipart.

use std::collections::BTreeSet;

use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use bytes::Bytes;
use debridfs_provider::InfoHash;

use super::Refused;
use crate::Selection;

impl From<MultipartError> for Refused {
    fn from(error: MultipartError) -> Self {
        Self::new(error.status(), error.body_text())
    }
}

/// Arguments by name, and uploaded files.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: Vec<(String, String)>,
    /// Contents of uploaded files.
    pub(super) files: Vec<Bytes>,
}

impl Params {
    /// Reads all of a request.
    pub(super) async fn read(request: Request) -> Result<Self, Refused> {
        let mut params = Self::default();
        params.add_form(request.uri().query().unwrap_or_default().as_bytes());
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_multipart = content_type.is_some_and(|kind| {
            kind.as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"multipart/form-data")
        });
        if !is_multipart {
            let body = Bytes::from_request(request, &())
                .await
                .map_err(|error| Refused::new(error.status(), error.body_text()))?;
            params.add_form(&body);
            return Ok(params);
        }
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|error| Refused::new(error.status(), error.body_text()))?;
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
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of `name`; without it the call is a bad request.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(Refused::bad_request)
    }

    /// The value of `name` as a number of its type; nothing if it is none.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }

    /// Whether `name` says yes; nothing if it is not there or says neither.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// The jobs that `hashes` names: `all`, or hashes with `|` between them.
    pub(super) fn selection(&self) -> Result<Selection, Refused> {
        let named = self.need("hashes")?;
        Ok(selection_of(named))
    }

    /// The one job that `hash` names.
    pub(super) fn hash(&self) -> Result<InfoHash, Refused> {
        let named = self.need("hash")?.trim();
        named.parse().map_err(|_| Refused::not_found())
    }

    /// The words of a list with `separator` between them.
    pub(super) fn words(&self, name: &str, separator: char) -> BTreeSet<String> {
        let list = self.get(name).unwrap_or_default();
        list.split(separator)
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// What `all` or `a|b` means; what is no hash means nothing.
pub(super) fn selection_of(named: &str) -> Selection {
    match named.trim() {
        "all" => Selection::All,
        some => Selection::Some(
            some.split('|')
                .filter_map(|hash| hash.trim().parse().ok())
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_in_any_case_and_number() {
        let a = "0123456789abcdef0123456789abcdef01234567";
        let b = "f".repeat(40);
        let hash = |text: &str| text.parse::<InfoHash>().unwrap();
        assert_eq!(selection_of("all"), Selection::All);
        let upper = a.to_uppercase();
        for named in [
            format!("{a}|{b}"),
            format!("{upper}| {b}|"),
            format!("x|{a}|{b}"),
        ] {
            let both = Selection::Some(vec![hash(a), hash(&b)]);
            assert_eq!(selection_of(&named), both, "{named}");
        }
        assert_eq!(selection_of(""), Selection::Some(Vec::new()));
        assert_eq!(selection_of("ALL OF THEM"), Selection::Some(Vec::new()));
    }
}
