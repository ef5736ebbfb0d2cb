//! Bytes of files: the life of a link, ranged fetches, read-ahead, one byte budget, and the deadline of every read.
//!
//! A read goes `content` (which reader?) → `reader` (is it in memory, or who fetches it?) → `cursor` (how far ahead, in which ranges) →
//! `window` (bytes in order) ← `pump` (fetches one range after the other) ← `fetch` (one checked ranged GET) ← `links` (where the bytes
//! are). `crew` finds how many connections (`lanes`) a cursor needs, `pace` measures a host, `hosts` decides when it may be asked
//! again, `trouble` what is tried after a failure, and `budget` how much may be held.
#![forbid(unsafe_code)]

mod answer;
mod budget;
mod check;
mod config;
mod content;
mod crew;
mod cursor;
mod error;
mod events;
mod fetch;
mod file;
mod handles;
mod hosts;
mod lanes;
mod links;
mod opening;
mod pace;
mod pattern;
mod probe;
mod pump;
mod reader;
mod stats;
mod supply;
mod trace;
mod transfer;
mod trouble;
mod watch;
mod window;

pub use check::Checkup;
pub use config::ContentConfig;
pub use content::Content;
pub use debridfs_base::{ByteSize, InvalidByteSize};
pub use error::{Cause, ContentError, ErrorKind};
pub use events::{Event, EventKind};
pub use file::{FileRef, MAX_READ, ReadOut, ReadRequest};
pub use handles::HandleOwner;
pub use pattern::{Class as ReaderClass, Pattern};
pub use probe::ProbeConfig;
pub use stats::ContentStats;
pub use trace::{RecordError, TRACE_VERSION, TraceError, TraceLine, parse_trace};
