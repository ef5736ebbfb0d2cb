//! TorBox, as its documentation and those who measured it describe it.

mod adding;
mod downloads;
mod limits;
mod lists;
mod queue;
mod services;
mod support;
