//! Requests over HTTP are counted by who answered, and by nothing that a caller chooses.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::routing::get;
use debridfs_listen::{FrontName, HttpReport, Limits, Listeners};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn answers_are_counted_by_front_and_code() {
    let listeners = Listeners::new(Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let named = Router::new()
        .route("/named", get(|| async { "0123456789" }))
        .route("/gone", get(|| async { StatusCode::GONE }))
        .route_layer(map_response(async |answer| FrontName("named").mark(answer)));
    tokio::spawn(listeners.front("listener").serve(listener, named));

    for path in ["/named", "/named", "/gone", "/a%22%0Ahostile", "/b"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    let counted = |name: &str| -> HttpReport {
        let mut reports = listeners.http().into_iter();
        reports.find(|report| report.front == name).unwrap()
    };
    let named = counted("named");
    assert_eq!(named.codes, [(200, 2), (410, 1)]);
    assert_eq!((named.bytes, named.latencies.count()), (20, 3));
    assert_eq!(counted("listener").codes, [(404, 2)]);
    assert_eq!(listeners.http().len(), 2);
}
