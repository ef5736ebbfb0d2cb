//! One checked ranged read of a file that debrid accounts hold: from which copy, with which link, over which connection, and what
//! follows when it fails. Nothing here knows who reads, or why.
//!
//! | question | where |
//! |---|---|
//! | what is shared, what may be called | `cdn.rs` |
//! | which source is next, and after what pause | `fetch.rs`, `choice.rs`, `trouble.rs` |
//! | which copies have the same bytes | `copies.rs` |
//! | when does a request leave the queue for another copy | `others.rs` |
//! | is a provider left alone, and when is it looked for | `standing.rs` |
//! | where is a file's direct link, when is it made anew | `links.rs` |
//! | which request gets the next connection, when may a host be asked | `hosts.rs` and `hosts/` |
//! | how quick is a host, what is late or slow | `pace.rs` |
//! | how does one request go, with redirects and a second one | `request.rs` |
//! | how do its bytes come, when are they asked for once more | `body.rs` |
//! | what gives bytes for an address | `source.rs`; by HTTP: `http.rs` |
//! | is an answer the asked part of the known file | `answer.rs` |
//! | what did a failure mean | `error.rs` |
//! | what happened to a file | `events.rs` |
//! | can a file be read at all | `check.rs` |
//! | which numbers decide, and whence they are | `tuning.rs` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod answer;
mod body;
mod cdn;
mod check;
mod choice;
mod copies;
mod error;
mod events;
mod fetch;
mod hosts;
mod http;
mod links;
mod others;
mod pace;
mod request;
mod source;
mod standing;
mod stats;
mod trouble;
mod tuning;

pub use body::Body;
pub use cdn::{Cdn, CdnConfig};
pub use check::{Checkup, Ends};
pub use copies::{CopyId, Proven};
pub use error::Cause;
pub use events::{Event, EventKind, EventLog};
pub use fetch::{Ask, Fetch};
pub use hosts::{Host, Hosts, Lead, Need, Sequential, Urgency};
pub use pace::Pace;
pub use stats::CdnStats;
