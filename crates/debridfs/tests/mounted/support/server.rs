//! A server that the library calls, such as an arr or a media server, beside the test.

use std::net::SocketAddr;

use axum::Router;
use tokio::runtime::{Builder, Runtime};

/// Answers until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    /// It drives the server, and may drive clients.
    pub runtime: Runtime,
}

/// A thread for what goes on beside the test.
pub(super) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

impl Server {
    pub fn start(router: Router) -> Self {
        let runtime = runtime();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, runtime }
    }
}
