//! One file for each command: its arguments, and what it does.

pub mod cache;
pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod import;
pub mod library;
pub mod mount_probe;
pub mod own_directories;
pub mod propagation_test;
pub mod queue;
pub mod repair;
pub mod serve;
pub mod sim;
pub mod status;
pub mod token;
pub mod trace;
pub mod upgrade;
pub mod why;

use serde::Serialize;

use crate::failure::{Doing, Failure};

/// One thread is enough for a command that asks, waits or starts others.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "runtime".into())
}

/// Prints `value` as JSON; `what` says what it is.
pub fn print_json(value: &impl Serialize, what: &str) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).doing(|| what.into())?;
    println!("{text}");
    Ok(())
}
