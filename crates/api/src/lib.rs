//! All that the pages and the commands can do, for programs: REST with an OpenAPI document, events, and a read-only server of the
//! Model Context Protocol. Nothing is decided here: a [`RunningEngine`](debridfs_control::RunningEngine) does it all.
//!
//! | question | where |
//! |---|---|
//! | what is it made of, and which routes are there | `house` |
//! | what may a caller do | `right` |
//! | what does a call bring along | `ask` |
//! | how is a failure told | [`Problem`] |
//! | status, library, addresses | `library` |
//! | downloads | `queue` |
//! | the cache | `cache` |
//! | backends, and rollouts of them | `backend` |
//! | accounts and moves | `accounts` |
//! | repair, tokens, recordings | `upkeep` |
//! | what happens | [`Events`] |
//! | what does the OpenAPI document say | `document`; how it is shown to people, `reader` |
//! | what does a language model get | `mcp` |
#![forbid(unsafe_code)]

mod accounts;
mod ask;
mod backend;
mod cache;
mod document;
mod events;
mod house;
mod library;
mod mcp;
mod problem;
mod queue;
mod reader;
mod right;
mod upkeep;

pub use events::{
    AttentionEvent, Event, Events, GrabEvent, LibraryEvent, LostEvent, RepairEvent, RolloutEvent,
};
pub use house::{Api, PREFIX, api_router, openapi, owner_router};
pub(crate) use house::{Home, House};
pub use mcp::serve_stdio;
pub use problem::Problem;
