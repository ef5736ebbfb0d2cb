//! A runtime that says what it was told to, and remembers what it was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::protobuf::Fields;

/// What it says to a call.
#[derive(Debug, Clone)]
pub enum Says {
    /// This message.
    Answer(Vec<u8>),
    /// These words, and no message.
    Refusal(&'static str),
    /// Nothing, ever.
    Nothing,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub message: Vec<u8>,
}

impl Call {
    /// The last part of its path.
    pub fn name(&self) -> String {
        self.path.rsplit('/').next().unwrap().to_owned()
    }
}

struct State {
    says: HashMap<&'static str, Says>,
    calls: Mutex<Vec<Call>>,
}

/// It serves until it is dropped.
pub struct Fake {
    _dir: tempfile::TempDir,
    socket: PathBuf,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

impl Fake {
    /// What it says, by the name of the call.
    pub fn new<const N: usize>(says: [(&'static str, Says); N]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("runtime.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State {
            says: HashMap::from(says),
            calls: Mutex::default(),
        });
        let serving = tokio::spawn(accept(listener, state.clone()));
        Self {
            _dir: dir,
            socket,
            state,
            serving,
        }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// All calls, in their order.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().clone()
    }

    /// The message of the only call of this name.
    pub fn only_call(&self, name: &str) -> Fields {
        let calls = self.calls();
        let named: Vec<_> = calls.iter().filter(|call| call.name() == name).collect();
        assert_eq!(named.len(), 1, "{name}: {calls:?}");
        Fields::of(&named[0].message)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: UnixListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        let answer = service_fn(move |request| answer(state.clone(), request));
        tokio::spawn(
            http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer),
        );
    }
}

/// gRPC: a message behind a flag and its length, and the outcome in the trailers.
async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let (head, body) = request.into_parts();
    assert_eq!(head.headers["content-type"], "application/grpc");
    let body = body.collect().await.unwrap().to_bytes();
    let (prefix, message) = body.split_at(5);
    assert_eq!(prefix[0], 0, "not compressed");
    let length = u32::from_be_bytes(prefix[1..].try_into().unwrap());
    assert_eq!(length as usize, message.len());
    let call = Call {
        path: head.uri.path().to_owned(),
        message: message.to_vec(),
    };
    let says = state.says.get(&*call.name()).cloned();
    let says = says.unwrap_or_else(|| panic!("{} was not expected", call.path));
    state.calls.lock().push(call);
    let mut trailers = HeaderMap::new();
    let mut frames = Vec::new();
    match says {
        Says::Nothing => std::future::pending().await,
        Says::Answer(message) => {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let whole = [&[0][..], &length, &message].concat();
            frames.push(Ok(Frame::data(whole.into())));
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Says::Refusal(words) => {
            trailers.insert("grpc-status", HeaderValue::from_static("2"));
            trailers.insert("grpc-message", HeaderValue::from_static(words));
        }
    }
    frames.push(Ok(Frame::trailers(trailers)));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let answer = Response::builder().header("content-type", "application/grpc");
    Ok(answer.body(body).unwrap())
}
