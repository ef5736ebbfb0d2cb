//! Real containers: Debian's containerd on a root, a socket and in namespaces of its own, driven by CRI as kubelet drives it.
#![allow(
    clippy::disallowed_methods,
    reason = "a test has no runtime to block; it looks again every few milliseconds"
)]

mod bundles;
mod doctor;
mod image;
mod kubelet;
mod library;
mod node;
mod readers;
mod roots;
mod runtime;
mod volumes;
