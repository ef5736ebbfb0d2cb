//! One call: what is sent, and what its failure says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::Secret;
use debridfs_base::http::{Transport, TransportError};
use debridfs_services::{CallError, Caller};
use http::{HeaderName, Method, Request, Response};
use parking_lot::Mutex;
use serde_json::json;

/// Answers the same to everything, and keeps the last request.
struct Always {
    answer: Result<(u16, String), TransportError>,
    asked: Mutex<Option<Request<Bytes>>>,
}

impl Always {
    fn new(answer: Result<(u16, &str), TransportError>) -> Arc<Self> {
        Arc::new(Self {
            answer: answer.map(|(status, body)| (status, body.to_owned())),
            asked: Mutex::default(),
        })
    }
}

#[async_trait]
impl Transport for Always {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        *self.asked.lock() = Some(request);
        let (status, body) = self.answer.clone()?;
        let answer = Response::builder().status(status).body(body.into());
        Ok(answer.unwrap())
    }
}

async fn failure(answer: Result<(u16, &str), TransportError>) -> CallError {
    let caller = Caller::new("http://arr", Always::new(answer));
    caller.ask(Method::GET, "/x", None).await.unwrap_err()
}

#[tokio::test]
async fn a_call_says_who_calls_and_what_it_sends() {
    let line = Always::new(Ok((200, r#"{"a":1}"#)));
    let header = HeaderName::from_static("x-api-key");
    let caller = Caller::new("http://arr:1/base/", line.clone());
    let caller = caller.with_login(header.clone(), Secret::new("hush"));
    let body = json!({ "name": "Refresh" });
    let said = caller.ask(Method::POST, "/command?x=1", Some(&body)).await;
    assert_eq!(said.unwrap(), json!({ "a": 1 }));

    let asked = line.asked.lock().take().unwrap();
    assert_eq!(asked.uri(), "http://arr:1/base/command?x=1");
    assert_eq!(asked.method(), Method::POST);
    assert_eq!(asked.body(), r#"{"name":"Refresh"}"#);
    assert_eq!(asked.headers()["content-type"], "application/json");
    let agent = asked.headers()["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("debridfs/"), "{agent}");
    assert_eq!(asked.headers()[&header], "hush");
    assert!(asked.headers()[&header].is_sensitive());
    assert!(!format!("{caller:?}{asked:?}").contains("hush"));

    caller.call(Method::GET, "", None).await.unwrap();
    let asked = line.asked.lock().take().unwrap();
    assert_eq!(asked.uri(), "http://arr:1/base");
    assert!(!asked.headers().contains_key("content-type"));
}

#[tokio::test]
async fn a_refusal_is_told_on_one_line_and_not_at_length() {
    let error = failure(Ok((401, "\n Unauthorized:\r\n\twrong   key \n"))).await;
    assert_eq!(error.to_string(), "answered 401: Unauthorized: wrong key");
    assert_eq!(failure(Ok((502, " \n"))).await.to_string(), "answered 502");
    let page = "é".repeat(5000);
    let CallError::Refused { words, .. } = failure(Ok((500, &page))).await else {
        panic!("a refusal");
    };
    assert_eq!(words, "é".repeat(200));
    let error = failure(Ok((200, "<html>"))).await;
    let words = error.to_string();
    assert!(
        words.starts_with("an answer that is not understood: "),
        "{words}"
    );
}

#[tokio::test]
async fn some_failures_pass_by_themselves() {
    for status in [408, 429, 500, 502, 503, 599] {
        assert!(failure(Ok((status, ""))).await.is_passing(), "{status}");
    }
    for status in [301, 400, 401, 403, 404, 410] {
        let error = failure(Ok((status, ""))).await;
        assert!(!error.is_passing(), "{status}");
        assert_eq!(error.is_not_found(), status == 404);
    }
    let silent = TransportError::NoAnswer(Duration::from_secs(30));
    assert!(failure(Err(silent)).await.is_passing());
    assert!(!failure(Ok((200, "odd"))).await.is_passing());
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_sent_and_not_repeated() {
    let line = Always::new(Ok((200, "{}")));
    let header = HeaderName::from_static("x-api-key");
    let key = Secret::new("two\nlines");
    let caller = Caller::new("http://arr", line.clone()).with_login(header, key);
    let error = caller.call(Method::GET, "/x", None).await.unwrap_err();
    assert_eq!(error.to_string(), "the key cannot be sent in a header");

    let caller = Caller::new("http://[secret-host", line.clone());
    let error = caller.call(Method::GET, "/x", None).await.unwrap_err();
    assert!(matches!(error, CallError::Unusable(_)));
    assert!(!format!("{error} {error:?}").contains("secret-host"));
    assert!(line.asked.lock().is_none());
}
