//! Drives a container runtime (containerd, CRI-O) by its CRI socket, as kubelet does.
//!
//! Only what the propagation test, the doctor and the tests of containers need: sandboxes, containers
//! with volumes, and commands in them.
//!
//! | module | decides |
//! |---|---|
//! | `runtime` | the calls |
//! | `spec` | what a container is made from, in Kubernetes' words |
//! | `wire` | the messages |
#![forbid(unsafe_code)]

mod runtime;
mod spec;
mod wire;

pub use runtime::{CriError, Listed, Output, Runtime, Sandbox, State, Version};
pub use spec::{Container, Pod, Propagation, Seccomp, Volume};
