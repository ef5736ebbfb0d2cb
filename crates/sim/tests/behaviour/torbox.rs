//! TorBox, as its documentation and those who measured it describe it.

mod adding;
mod client;
mod downloads;
mod limits;
mod lists;
mod queue;
mod services;
mod support;

pub use support::torbox;
