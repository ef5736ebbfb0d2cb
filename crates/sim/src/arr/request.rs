//! One HTTP call of an arr, on a connection of its own.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::{ArrError, error};

/// Where the download client is.
#[derive(Debug)]
pub(super) enum Client {
    Tcp(SocketAddr),
    InProcess(Router),
}

impl Client {
    /// As whom it is called.
    fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::InProcess(_) => "127.0.0.1".to_owned(),
        }
    }
}

/// Sends a request, with a body and its type if there is one.
pub(super) async fn exchange(
    client: &Client,
    method: &str,
    path: &str,
    headers: Vec<(HeaderName, String)>,
    body: Option<(&'static str, Vec<u8>)>,
) -> Result<http::Response<Bytes>, ArrError> {
    let failed = |why: &dyn std::fmt::Display| error(format!("{path}: {why}"));
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, client.host());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = match body {
        Some((kind, body)) => {
            request = request.header(header::CONTENT_TYPE, kind);
            Bytes::from(body)
        }
        None => Bytes::new(),
    };
    let request = request.body(Full::new(body)).map_err(|why| failed(&why))?;
    match client {
        Client::Tcp(address) => over_tcp(*address, request).await,
        Client::InProcess(router) => {
            let answer = router.clone().oneshot(request.map(Body::new)).await;
            let answer = answer.unwrap_or_else(|never| match never {});
            whole(answer).await
        }
    }
    .map_err(|why| failed(&why))
}

async fn over_tcp(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<http::Response<Bytes>, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|why| why.to_string())?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|why| why.to_string())?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let whole = whole(answer.map_err(|why| why.to_string())?).await;
    driver.abort();
    whole
}

async fn whole<B>(answer: http::Response<B>) -> Result<http::Response<Bytes>, String>
where
    B: hyper::body::Body,
    B::Error: std::fmt::Display,
{
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|why| why.to_string())?;
    Ok(http::Response::from_parts(head, body.to_bytes()))
}
