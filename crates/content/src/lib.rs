//! Bytes of files: the life of a link, ranged fetches, read-ahead, one byte budget, and the deadline of every read.
//!
//! A read goes `content` (which reader?) → `reader` (is it in memory, or who fetches it?) → `window` (bytes in order) ← `pump`
//! (fetches until the window is full) ← `fetch` (one checked ranged GET) ← `links` (where the bytes are), with `hosts` deciding
//! when a CDN host may be asked again and `budget` how much may be held.
#![forbid(unsafe_code)]

mod answer;
mod budget;
mod config;
mod content;
mod cursor;
mod error;
mod fetch;
mod file;
mod hosts;
mod links;
mod pump;
mod reader;
mod stats;
mod window;

pub use config::ContentConfig;
pub use content::Content;
pub use debridfs_provider::{ByteSize, InvalidByteSize};
pub use error::{Cause, ContentError, ErrorKind};
pub use file::{FileRef, MAX_READ, ReadOut, ReadRequest};
pub use stats::ContentStats;
