//! A caller whose body was not read is told that the connection ends; any other one keeps it.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use debridfs_listen::{Limits, Listeners};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The head of the answer to `asked`, in lower case.
async fn head(address: SocketAddr, asked: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.windows(4).any(|window| window == b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        said.push(byte);
    }
    String::from_utf8(said).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn who_sent_what_nobody_read_is_told_that_the_connection_ends() {
    let listeners = Listeners::new(Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/refused", post(|| async { StatusCode::UNAUTHORIZED }))
        .route("/read", post(|body: String| async move { body }))
        .route("/got", get(|| async { "x" }));
    tokio::spawn(listeners.front("listener").serve(listener, router));

    let closes = |head: &str| head.contains("\r\nconnection: close\r\n");
    let sized = "HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let chunked = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [sized, chunked] {
        let refused = head(address, &format!("POST /refused {body}")).await;
        assert!(
            refused.starts_with("http/1.1 401") && closes(&refused),
            "{refused}"
        );
    }
    for body in [
        format!("{sized}12345"),
        format!("{chunked}5\r\n12345\r\n0\r\n\r\n"),
    ] {
        let read = head(address, &format!("POST /read {body}")).await;
        assert!(read.starts_with("http/1.1 200") && !closes(&read), "{read}");
    }
    for bodiless in [
        "GET /got HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /refused HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let said = head(address, bodiless).await;
        assert!(!closes(&said), "{said}");
    }
}
