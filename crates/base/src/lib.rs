//! What every part shares. It knows nothing of the others.
//!
//! | question | where |
//! |---|---|
//! | how is a number of bytes read and shown | `byte_size.rs` |
//! | how is a length of time read and shown | `duration.rs` |
//! | how many operations took how long | `latency.rs` |
//! | how long is the wait after the n-th failure | `backoff.rs` |
//! | how is a small file replaced as a whole | `replace_file.rs` |
//! | what becomes of a state file that cannot be read | `state_file.rs` |
//! | how is a long task watched, and what becomes of a part that cannot start | `supervisor.rs` (feature `tasks`), `late.rs` |
//! | what has somebody to look at | `board.rs` (feature `tasks`) |
//! | which names are films, music, subtitles; what is read of a film | `media.rs` |
//! | what is a program that is started not told | `children.rs` |
//! | when does a process end with the one that started it | `parent.rs` |
//! | is a disk missing where a folder is to be made | `parent_dir.rs` |
//! | how are words of others shown on a terminal | `terminal.rs` |
//! | who asks for bytes | `client.rs` |
//! | what is mounted where | `mountinfo.rs` |
//! | what touches a volume that may hang | `volume.rs` (feature `tokio`) |
//! | who has a directory to itself | `instance_lock.rs` |
//! | how does root reach a directory on whose way others may plant links | `walk.rs` |
//! | how is an HTTP client built, how is one request sent | `http/` (feature `http`) |
#![forbid(unsafe_code)]

mod backoff;
#[cfg(feature = "tasks")]
mod board;
mod byte_size;
mod causes;
mod children;
mod client;
mod clock;
mod duration;
#[cfg(feature = "http")]
pub mod http;
pub mod instance_lock;
mod late;
mod latency;
pub mod list;
pub mod media;
pub mod mountinfo;
mod node_id;
pub mod parent;
mod parent_dir;
mod replace_file;
mod secret;
pub mod state_file;
#[cfg(feature = "tasks")]
mod supervisor;
pub mod terminal;
#[cfg(feature = "tokio")]
pub mod volume;
pub mod walk;

pub use backoff::Backoff;
#[cfg(feature = "tasks")]
pub use board::{Attention, AttentionKind, Board};
pub use byte_size::{ByteSize, InvalidByteSize, total};
pub use causes::with_causes;
pub use children::private_variables;
pub use client::Client;
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{SystemClock, WallClock};
pub use duration::{HumanDuration, human_duration};
pub use late::Late;
pub use latency::{Latencies, LatencyCounts};
pub use node_id::NodeId;
pub use parent_dir::require_parent;
pub use replace_file::replace_file;
pub use secret::{ProxyUrl, Secret};
#[cfg(feature = "tasks")]
pub use supervisor::{Down, Supervisor, Trouble};
