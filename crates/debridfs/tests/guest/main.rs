//! The whole program in a guest with Debian's kernel (6.1, which has no `FUSE_NOTIFY_RESEND`), beside the simulator: what other kernels than the one
//! that runs the tests make of the mount.
//!
//! Numbers in the environment make loops longer: `make test-guest`.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod killed;
mod knfsd;
mod library;
