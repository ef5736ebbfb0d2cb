//! A transport that gives prepared answers and remembers what was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::Secret;
use debridfs_base::TokioClock;
use debridfs_base::http::{Transport, TransportError};
use debridfs_provider::vendors::{Kind, real_debrid};
use debridfs_provider::{AccountConfig, DebridAccount};
use jiff::Timestamp;
use tokio::time::Instant;

/// What comes back for a request.
pub type Reply = Result<http::Response<Bytes>, TransportError>;

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub body: String,
    pub token: String,
}

/// Gives the prepared answers in order, the last one for ever.
#[derive(Default)]
pub struct Scripted {
    replies: Mutex<VecDeque<Reply>>,
    sent: Mutex<Vec<Sent>>,
}

impl Scripted {
    /// Answers with `replies`.
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Arc::new(Self {
            replies: Mutex::new(replies.into_iter().collect()),
            sent: Mutex::default(),
        })
    }

    /// Replaces what is answered from now on.
    pub fn set(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.replies.lock().unwrap() = replies.into_iter().collect();
    }

    /// The requests so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: http::Request<Bytes>, _max_body: usize) -> Reply {
        let token = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        self.sent.lock().unwrap().push(Sent {
            at: Instant::now(),
            method: request.method().to_string(),
            path: request.uri().path_and_query().unwrap().to_string(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            token,
        });
        let mut replies = self.replies.lock().unwrap();
        match replies.len() {
            0 => panic!("nothing prepared for {}", request.uri()),
            1 => replies[0].clone(),
            _ => replies.pop_front().unwrap(),
        }
    }
}

/// An answer.
pub fn reply(status: u16, body: &str) -> Reply {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Ok(http::Response::builder().status(status).body(body).unwrap())
}

/// An answer with a header.
pub fn reply_with(status: u16, header: (&str, &str), body: &str) -> Reply {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let builder = http::Response::builder().status(status);
    Ok(builder.header(header.0, header.1).body(body).unwrap())
}

/// An account named `rd` behind `transport`, with tokio's clock.
pub fn account(transport: Arc<Scripted>) -> DebridAccount {
    account_with(config(), transport)
}

/// The settings of [`account`].
pub fn config() -> AccountConfig {
    config_of("rd", &real_debrid::KIND)
}

/// The settings of an account of another kind.
pub fn config_of(name: &str, kind: &'static Kind) -> AccountConfig {
    AccountConfig {
        name: name.to_owned(),
        token: Some(Secret::new("SECRETTOKEN")),
        ..AccountConfig::of(kind)
    }
}

/// An account with these settings.
pub fn account_with(config: AccountConfig, transport: Arc<dyn Transport>) -> DebridAccount {
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    DebridAccount::with_transport(config, transport, Arc::new(TokioClock::starting_at(start)))
        .unwrap()
}
