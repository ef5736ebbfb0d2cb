//! An arr that answers by a script, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::Secret;
use debridfs_base::http::{Transport, TransportError};
use debridfs_services::Arr;
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The key that every call has to show.
pub const KEY: &str = "arr-key";

/// Answers by method and address (path and query); 404 to everything else.
#[derive(Default)]
pub struct Script {
    answers: HashMap<String, (u16, String)>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    /// An arr that calls itself `name` and has its API at `path`.
    pub fn of(name: &str, path: &str) -> Self {
        let status = json!({ "appName": name, "version": "1.2.3" });
        Self::default().says(&format!("GET {path}/system/status"), &status)
    }

    /// It says this, with 200.
    pub fn says(self, call: &str, answer: &Value) -> Self {
        self.answers(call, 200, &answer.to_string())
    }

    /// It answers this.
    pub fn answers(mut self, call: &str, status: u16, body: &str) -> Self {
        let answer = (status, body.to_owned());
        self.answers.insert(call.to_owned(), answer);
        self
    }

    /// The arr at this script's other end.
    pub fn arr(self) -> (Arc<Self>, Arr) {
        let script = Arc::new(self);
        let key = Secret::new(KEY);
        let arr = Arr::new("tv", "http://arr:8989/base/", key, script.clone());
        (script, arr)
    }

    /// What it was asked since the last time, but for which program it is.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock());
        asked.retain(|call| !call.ends_with("/system/status"));
        asked
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let uri = request.uri();
        assert_eq!(uri.host(), Some("arr"));
        assert_eq!(request.headers()["x-api-key"], KEY);
        let address = uri.path_and_query().unwrap().as_str();
        let address = address.strip_prefix("/base").unwrap();
        let call = format!("{} {address}", request.method());
        let (status, body) = match self.answers.get(&call) {
            Some((status, body)) => (*status, body.clone()),
            None => (404, r#"{"message":"NotFound"}"#.to_owned()),
        };
        self.asked.lock().push(call);
        let answer = Response::builder().status(status).body(body.into());
        Ok(answer.unwrap())
    }
}
