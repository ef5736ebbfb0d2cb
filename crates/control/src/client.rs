//! The client's end of the control socket. The calls themselves stand with their forms and routes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::answer::Wrong;

/// A healthy engine answers at once; a busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(5);
/// No answer of a control socket is longer.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No engine answers at this socket.
    #[error("{}: {why}", socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
        /// What happened instead of an answer.
        why: Silence,
    },
    /// The answer has another form.
    #[error("the engine's answer: {0}")]
    Form(serde_json::Error),
    /// The engine says no; in words for people.
    #[error("{0}")]
    Refused(String),
    /// The engine says no, without words.
    #[error("the engine answered {0}")]
    Code(StatusCode),
}

/// Why a control socket gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    /// Nothing listens there.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// Something listens and says nothing.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer broke off or is not HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
}

/// Calls an engine through its control socket. Every call may fail with a [`CallError`].
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the engine at `socket`; connects for each call.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::GET, path, LIMIT).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::POST, path, LIMIT).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::DELETE, path, LIMIT).await
    }

    /// One call, whose answer may take as long as `limit`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<T, CallError> {
        let (code, body) = self.exchange(method, path, Bytes::new(), limit).await?;
        if code.is_success() {
            return serde_json::from_slice(&body).map_err(CallError::Form);
        }
        Err(match serde_json::from_slice(&body) {
            Ok(Wrong { error }) => CallError::Refused(error),
            Err(_) => CallError::Code(code),
        })
    }

    /// Sends `body`, which is JSON, to `path` and hands its answer back as it is.
    ///
    /// # Errors
    /// As each call.
    pub async fn pass_on(&self, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let (code, answer) = self.exchange(Method::POST, path, body, LIMIT).await?;
        match code.is_success() {
            true => Ok(answer),
            false => Err(CallError::Code(code)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let answer = tokio::time::timeout(limit, self.send(method, path, body));
        let answer = answer.await.unwrap_or(Err(Silence::TimedOut(limit)));
        answer.map_err(|why| CallError::Silent {
            socket: self.socket.clone(),
            why,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Silence> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(Silence::Connect)?;
        let broken = |error: &dyn std::fmt::Display| Silence::Broken(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "debridfs")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| broken(&error))?;
        let driver = tokio::spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        let code = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| broken(&error))?
            .to_bytes();
        driver.abort();
        Ok((code, body))
    }
}

/// `path` with arguments behind it.
pub(crate) fn with_arguments(path: &str, arguments: &impl Serialize) -> String {
    // Arguments are flat structs of text and numbers, which always have this form.
    let query = serde_urlencoded::to_string(arguments).unwrap_or_default();
    format!("{path}?{query}")
}
