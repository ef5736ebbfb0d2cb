//! One request to a program of the household, and what became of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::http::{ClientOptions, IpChoice, Network, Transport, TransportError};
use debridfs_base::{Secret, Trouble};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::Value;

/// No answer is larger: the queue of an arr with some thousand downloads is about 10 MiB.
const LONGEST_ANSWER: usize = 32 << 20;
/// An arr that searches answers late, but answers.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// A whole answer.
const WHOLE: Duration = Duration::from_secs(60);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// Of a refusal's body, characters that are told.
const LONGEST_WORDS: usize = 200;

/// Why a call came to nothing. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody answered.
    #[error(transparent)]
    NoAnswer(#[from] TransportError),
    /// The answer was a refusal.
    #[error("answered {status}{}{words}", if words.is_empty() { "" } else { ": " })]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of the body, on one line.
        words: String,
    },
    /// The answer is not what was asked for.
    #[error("an answer that is not understood: {0}")]
    Odd(String),
    /// The request cannot be made of what was configured.
    #[error("{0}")]
    Unusable(String),
}

impl CallError {
    /// Whether the same call may succeed later though nobody changes anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Odd(_) | Self::Unusable(_) => false,
        }
    }

    /// What it means of the program in `section` of the configuration, such as `arr.sonarr`, and what
    /// to do about it.
    pub fn trouble(&self, section: &str) -> Trouble {
        let (words, help) = match self {
            Self::NoAnswer(error) => (
                format!("does not answer: {error}"),
                format!("start it, or correct `{section}.url`"),
            ),
            Self::Refused {
                status: 401 | 403, ..
            } => {
                let key = match section.starts_with("arr.") {
                    true => "api_key",
                    false => "token",
                };
                let help =
                    format!("put the one that it shows in its settings into `{section}.{key}`");
                (
                    format!("refuses the {}: {self}", key.replace('_', " ")),
                    help,
                )
            }
            Self::Refused { .. } | Self::Odd(_) => (
                self.to_string(),
                format!("its log may say why; correct `{section}.url` if another program is there"),
            ),
            Self::Unusable(_) => (self.to_string(), format!("correct `{section}`")),
        };
        Trouble::new(format!("{section} {words}"), help)
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// Looks whether `url` can be called at all.
///
/// # Errors
/// A text for people: what is wrong with it.
pub fn check_address(url: &str) -> Result<(), String> {
    let read = url
        .trim()
        .parse::<Uri>()
        .map_err(|error| error.to_string())?;
    match (read.scheme_str(), read.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(()),
        _ => Err("it has to begin with http:// or https://, and a host has to follow".to_owned()),
    }
}

/// The way to programs of the household: TLS as everywhere, no proxy (they are near), no redirects (a key goes to whom it was given).
///
/// # Errors
/// A text for people: `ca_file` cannot be used.
pub fn network(ca_file: Option<&Path>) -> Result<Arc<dyn Transport>, String> {
    let options = ClientOptions {
        // Each request has a header of its own.
        user_agent: "",
        ca_file,
        proxy: None,
        ip: IpChoice::Any,
        connect_timeout: CONNECT,
        idle_per_host: None,
    };
    let client = options.build().map_err(|error| error.to_string())?;
    Ok(Arc::new(Network::new(client, FIRST_BYTE, WHOLE)))
}

/// Calls one program.
#[derive(Clone)]
pub struct Caller {
    base: String,
    /// A header that says who calls.
    login: Option<(HeaderName, Secret)>,
    transport: Arc<dyn Transport>,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL of a webhook is a secret itself.
        out.debug_struct("Caller").finish_non_exhaustive()
    }
}

impl Caller {
    /// Calls below `base`, a URL with or without a path.
    pub fn new(base: &str, transport: Arc<dyn Transport>) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            login: None,
            transport,
        }
    }

    /// Sends `secret` in this header with each call.
    pub fn with_login(mut self, header: HeaderName, secret: Secret) -> Self {
        self.login = Some((header, secret));
        self
    }

    /// One call: `path` begins with `/` or is empty, and may have a query; the body is JSON.
    ///
    /// # Errors
    /// [`CallError`], also for every status that is no success.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, CallError> {
        let request = self.request(method, path, body)?;
        let answer = self.transport.send(request, LONGEST_ANSWER).await?;
        let (head, body) = answer.into_parts();
        match head.status.is_success() {
            true => Ok(body),
            false => Err(refusal(head.status, &body)),
        }
    }

    /// As [`Self::call`], with an answer in JSON.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let answer = self.call(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|error| CallError::Odd(error.to_string()))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Bytes>, CallError> {
        let unusable = |why: &dyn std::fmt::Display| CallError::Unusable(why.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(USER_AGENT, concat!("debridfs/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some((name, secret)) = &self.login {
            let mut value = HeaderValue::from_str(secret.expose())
                .map_err(|_| unusable(&"the key cannot be sent in a header"))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let body = match body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
        };
        // The error of a URL does not hold the URL.
        request.body(body).map_err(|error| unusable(&error))
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> CallError {
    let text = String::from_utf8_lossy(body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    CallError::Refused {
        status: status.as_u16(),
        words: words.chars().take(LONGEST_WORDS).collect(),
    }
}
