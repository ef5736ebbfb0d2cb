//! How an instance does and why a path cannot be read; and accepting a loss of its library.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::{CallError, Client, Measures, Status, WhyReport};

/// What [`Instance::accept_loss`] comes to.
pub type Accepting = Pin<Box<dyn Future<Output = u64> + Send>>;

/// A running engine, as commands, metrics and pages see it.
pub trait Instance: Send + Sync + 'static {
    /// How it does; never blocks.
    fn status(&self) -> Status;
    /// Figures for metrics that the status leaves out; none where there is no engine. Never blocks.
    fn measures(&self) -> Measures {
        Measures::default()
    }
    /// What is known of a path as people write it: how it stands, why, and what to do; never blocks.
    ///
    /// # Errors
    /// There is no such path, in words for people.
    fn why(&self, path: &str) -> Result<WhyReport, String>;
    /// As [`Self::why`], of an info-hash, a part of a name, a download, or an absolute path in the
    /// downloads folder; never blocks.
    ///
    /// # Errors
    /// Nothing or too much is meant: the nearest names, in words for people.
    fn why_like(&self, text: &str) -> Result<WhyReport, String> {
        self.why(text)
    }
    /// Accepts the losses the shrink guard holds; the number of releases let go, 0 when none is held.
    fn accept_loss(&self) -> Accepting;
}

#[derive(Debug, Serialize, Deserialize)]
struct What {
    path: String,
    /// Whether `path` may be less than a path.
    #[serde(default)]
    like: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Accepted {
    accepted: u64,
}

impl Client {
    /// How the instance does.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.get("/status").await
    }

    /// What is known of `path`; refused when there is no such path.
    pub async fn why(&self, path: &str) -> Result<WhyReport, CallError> {
        self.ask_why(path, false).await
    }

    /// What is known of an info-hash, a part of a name, a download, or an absolute path in the downloads
    /// folder; refused with the nearest names.
    pub async fn why_like(&self, text: &str) -> Result<WhyReport, CallError> {
        self.ask_why(text, true).await
    }

    async fn ask_why(&self, path: &str, like: bool) -> Result<WhyReport, CallError> {
        let path = path.to_owned();
        self.get(&with_arguments("/why", &What { path, like }))
            .await
    }

    /// Accepts the losses the shrink guard holds; the number of releases let go; refused when none is held.
    pub async fn accept_loss(&self) -> Result<u64, CallError> {
        let answer: Accepted = self.post("/library/accept").await?;
        Ok(answer.accepted)
    }
}

/// `GET /status`, `GET /why?path=…` and `POST /library/accept`.
pub(crate) fn routes(instance: Arc<dyn Instance>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/library/accept", post(accept))
        .route("/why", get(why))
        .with_state(instance)
}

type Asked = State<Arc<dyn Instance>>;

async fn status(State(instance): Asked) -> Json<Status> {
    Json(instance.status())
}

async fn why(State(instance): Asked, Query(what): Query<What>) -> Answer<WhyReport> {
    let report = match what.like {
        true => instance.why_like(&what.path),
        false => instance.why(&what.path),
    };
    report
        .map(Json)
        .map_err(|words| Refused::new(RefusalKind::NotFound, words))
}

async fn accept(State(instance): Asked) -> Answer<Accepted> {
    match instance.accept_loss().await {
        0 => Err(Refused::new(RefusalKind::Conflict, "no loss is held")),
        accepted => Ok(Json(Accepted { accepted })),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::Silence;

    struct Held;

    impl Instance for Held {
        fn status(&self) -> Status {
            Status::sample().judged()
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
            Box::pin(async { 40 })
        }
    }

    #[tokio::test]
    async fn what_is_served_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(axum::serve(listener, routes(Arc::new(Held))).into_future());
        let client = Client::new(&socket);
        assert_eq!(client.status().await.unwrap(), Held.status());
        let accepted: Value = client.post("/library/accept").await.unwrap();
        assert_eq!(accepted, json!({ "accepted": 40 }));
        assert_eq!(client.accept_loss().await.unwrap(), 40);
        assert_eq!(client.why("a b/é").await.unwrap().path, "a b/é");
        let read: WhyReport = client.get("/why?path=a+b%2F%C3%A9").await.unwrap();
        assert_eq!(read.path, "a b/é");
        match client.why("x").await {
            Err(CallError::Refused(words)) => assert_eq!(words, "no such path"),
            other => panic!("{other:?}"),
        }
        server.abort();
    }

    #[tokio::test]
    async fn silence_ends() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let client = Client::new(&socket);
        let why = |called: Result<Value, CallError>| match called {
            Err(CallError::Silent { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        let none = client.call(Method::GET, "/status", Duration::from_secs(60));
        assert!(matches!(why(none.await), Silence::Connect(_)));
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let silent = client.call(Method::GET, "/status", Duration::from_millis(50));
        assert!(matches!(why(silent.await), Silence::TimedOut(_)));
    }
}
