//! The other end of the control socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// No answer of a control socket is longer.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why a control socket gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// Somebody is there but silent.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer broke off or is not HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
}

/// One call to the control socket at `socket`: status code and body.
pub async fn call(
    socket: &Path,
    method: Method,
    path: &str,
    limit: Duration,
) -> Result<(StatusCode, Bytes), CallError> {
    tokio::time::timeout(limit, exchange(socket, method, path))
        .await
        .unwrap_or(Err(CallError::TimedOut(limit)))
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), CallError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(CallError::Connect)?;
    let broken = |error: &dyn std::fmt::Display| CallError::Broken(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "debridfs")
        .body(Empty::<Bytes>::new())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Accepting, Instance, Status, WhyReport, control_router};

    struct Held;

    impl Instance for Held {
        fn status(&self) -> Status {
            crate::status::sample().judged()
        }
        fn why(&self, path: &str) -> Result<WhyReport, String> {
            match path {
                "a b/é" => Ok(WhyReport {
                    path: path.to_owned(),
                    ..WhyReport::default()
                }),
                _ => Err("no such path".to_owned()),
            }
        }
        fn accept_loss(&self) -> Accepting {
            Box::pin(async { Ok(40) })
        }
    }

    #[tokio::test]
    async fn what_is_served_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let server =
            tokio::spawn(axum::serve(listener, control_router(Arc::new(Held))).into_future());
        let limit = Duration::from_secs(60);
        let (code, body) = call(&socket, Method::GET, "/status", limit).await.unwrap();
        assert_eq!(code, StatusCode::OK);
        let read: Status = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, Held.status());
        let accept = call(&socket, Method::POST, "/library/accept", limit).await;
        assert_eq!(accept.unwrap().1, r#"{"accepted":40}"#);
        let why = async |path: &str| {
            let path = format!("/why?path={path}");
            call(&socket, Method::GET, &path, limit).await.unwrap()
        };
        let (code, body) = why("a+b%2F%C3%A9").await;
        assert_eq!(code, StatusCode::OK);
        let read: WhyReport = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.path, "a b/é");
        assert_eq!(why("x").await.0, StatusCode::NOT_FOUND);
        server.abort();
    }

    #[tokio::test]
    async fn silence_ends() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let none = call(&socket, Method::GET, "/status", Duration::from_secs(60)).await;
        assert!(matches!(none, Err(CallError::Connect(_))));
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let silent = call(&socket, Method::GET, "/status", Duration::from_millis(50)).await;
        assert!(matches!(silent, Err(CallError::TimedOut(_))));
    }
}
