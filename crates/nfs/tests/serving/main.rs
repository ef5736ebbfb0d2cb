//! The server over real sockets: with `nfs3_client`, which others wrote, and by bytes that no client would send.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod fail_over;
mod greedy;
mod hostile;
mod patience;
mod procedures;
mod rpcbind;
mod support;
