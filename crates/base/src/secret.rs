//! Values that must never be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What is shown in place of a secret.
const HIDDEN: &str = "<hidden>";

/// A token. `Debug` and serialisation hide it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the request alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// The URL of a proxy, which may hold a password. `Debug` and serialisation hide user and password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProxyUrl(String);

impl ProxyUrl {
    /// A proxy's URL: `http://`, `https://`, `socks5://` (names resolved here) or `socks5h://` (names resolved by the proxy).
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password, for the connection alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL without user and password.
    pub fn redacted(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        match authority.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{path}"),
            None => self.0.clone(),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.redacted())
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let token = Secret::new("TOPSECRET");
        assert_eq!(format!("{token:?}"), "<hidden>");
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"<hidden>\"");
        let proxy = ProxyUrl::new("socks5h://user:p@ss@proxy.example:1080");
        assert_eq!(
            format!("{proxy:?}"),
            "socks5h://<hidden>@proxy.example:1080"
        );
        let open = ProxyUrl::new("http://proxy.example:3128/");
        assert_eq!(open.redacted(), "http://proxy.example:3128/");
    }
}
