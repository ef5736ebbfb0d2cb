//! The FUSE front: codec, backends, transport threads, adoption of a live connection.
//!
//! ```text
//! kernel ─ read ─▶ slot of the journal ─▶ backend (decode, ask the Vfs) ─ now ──▶ writev on the same fd
//!                                              └─ later: pending entry, future on the runtime ──▶ writev on the same fd
//! ```
//!
//! - [`wire`] is the protocol, pure.
//! - [`errno`] decides what every failure becomes.

mod backend;
pub mod errno;
mod native;
pub mod wire;

pub use backend::{Backend, Call, Outcome};
pub use native::Native;
