//! Readers of files: what each of them does, how far it is fetched ahead of, one byte budget, and the deadline of every read.
//!
//! | question | where |
//! |---|---|
//! | what may be called | `content.rs` |
//! | which settings are there | `config.rs` |
//! | is a read in memory, or who brings it | `reader.rs` |
//! | where does somebody read, what waits there | `cursor.rs` |
//! | how far ahead is fetched | `cursor/reach.rs`, `budget.rs` |
//! | in which parts, over how many connections | `cursor/parts.rs`, `lanes.rs`, `crew.rs` |
//! | which bytes are held | `window.rs` |
//! | what does a lane fetch, what becomes of its bytes | `place.rs` |
//! | how does a lane work | `pump.rs`, from the cache: `supply.rs`, from the network: `transfer.rs` |
//! | what is a reader taken for | `watch.rs`, `pattern.rs`; recorded: `trace.rs` |
//! | how do heads and tails come into the cache | `probe.rs` |
//! | which numbers decide, and whence they are | `tuning.rs` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod budget;
mod config;
mod content;
mod context;
mod crew;
mod cursor;
mod error;
mod file;
mod handles;
mod lanes;
mod pattern;
mod place;
mod probe;
mod pump;
mod reader;
mod stats;
mod supply;
mod trace;
mod transfer;
mod tuning;
mod watch;
mod window;

pub use config::{ContentConfig, ProbeConfig};
pub use content::Content;
pub use debridfs_base::{ByteSize, InvalidByteSize};
pub use debridfs_cache::FileId;
pub use debridfs_cdn::{Cause, CdnStats, Checkup, CopyId, Ends, Event, EventKind, Proven};
pub use error::{ContentError, ErrorKind};
pub use file::{FileRef, MAX_READ, ReadOut, ReadRequest};
pub use handles::HandleOwner;
pub use pattern::{Class as ReaderClass, Pattern};
pub use stats::ContentStats;
pub use trace::{RecordError, TRACE_VERSION, TraceError, TraceLine, parse_trace};
pub use watch::Reading;
