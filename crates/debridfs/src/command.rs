//! One file for each command: its arguments, and what it does.

pub mod backend;
pub mod cache;
pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod import;
pub mod library;
pub mod mcp;
pub mod mount_probe;
pub mod mounts;
pub mod propagation_test;
pub mod provider;
pub mod queue;
pub mod repair;
pub mod serve;
pub mod sim;
pub mod status;
pub mod supervise;
pub mod token;
pub mod trace;
pub mod uninstall;
pub mod upgrade;
pub mod why;

use std::borrow::Cow;

use debridfs_base::terminal::{escaped, escaped_json, escaped_lines};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Doing, Failure, USAGE};

/// The helper that tells the kernel what changed. It holds the connection, so it is closed to others as the engine is.
pub fn notify_helper() -> Result<(), Failure> {
    debridfs_confine::close_to_others().doing(|| "notify".into())?;
    debridfs_fuse::notify_helper_main().doing(|| "notify".into())
}

/// Measures directories, or compares two runs.
pub fn bench(command: &debridfs_measure::BenchCommand) -> Result<(), Failure> {
    let ended = debridfs_measure::bench(command).doing(|| "bench".into());
    let ended = ended.map_err(|failure| failure.with_code(USAGE))?;
    say(&ended.text);
    match ended.code {
        0 => Ok(()),
        code => Err(Failure::silent(code)),
    }
}

/// Ends this process, in order, when `parent`, which started it, ends.
fn end_with(parent: i32) -> Result<(), Failure> {
    debridfs_base::parent::end_with(parent, rustix::process::Signal::TERM)
        .doing(|| "parent death signal".into())
}

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
    say(&escaped_json(&text));
    Ok(())
}

/// Prints lines for people or programs. Whatever a terminal would obey in them is escaped; what else is said by others, and could
/// begin a line of its own, goes through [`plain`] or [`escaped`] before.
#[expect(clippy::print_stdout, reason = "where all commands print")]
pub fn say(text: &str) {
    println!("{}", escaped_lines(text.strip_suffix('\n').unwrap_or(text)));
}

/// `report` with every text in it as one line that no terminal obeys: names, reasons and answers are the words of others.
pub fn plain<T: Serialize + DeserializeOwned>(report: &T) -> Result<T, Failure> {
    let mut value = serde_json::to_value(report).doing(|| "report".into())?;
    escape_all(&mut value);
    serde_json::from_value(value).doing(|| "report".into())
}

fn escape_all(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(escaped) = escaped(text) {
                *text = escaped;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(escape_all),
        Value::Object(fields) => {
            let escaped_fields = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                escape_all(&mut value);
                (escaped(&name).into_owned(), value)
            });
            *fields = escaped_fields.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
