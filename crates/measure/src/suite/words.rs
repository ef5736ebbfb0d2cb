//! A run as a table for people.

use std::fmt::Write as _;

use super::arguments::{Cache, Pin};
use super::operation::Operation;
use super::record::{Measured, OperationRecord, Outcome, Record};
use crate::short;

/// What is done to the caches, in words.
fn caches(record: &Record) -> &'static str {
    match record.cache {
        Cache::Keep => {
            "The kernel's caches are kept: reads, stat and readdir are answered by them where they can be (--cache drop: by the file system)"
        }
        Cache::Drop => {
            "The kernel's pages are dropped before reads, attributes asked for anew; the server's own caches stay as they are"
        }
        Cache::Direct => {
            "Files are opened with O_DIRECT, attributes asked for anew; the server's own caches stay as they are"
        }
    }
}

/// Where and how it was measured.
pub(super) fn about(record: &Record) -> Vec<String> {
    let pinned = match record.pin {
        Pin::None => "not pinned",
        Pin::SameCore => "client and server on one core",
        Pin::CrossCores => "client and server on two cores",
    };
    vec![
        format!(
            "{}, Linux {}, {} cores of {}, {pinned}",
            record.when.strftime("%Y-%m-%d %H:%M UTC"),
            record.kernel,
            record.cores,
            record.processor
        ),
        caches(record).to_owned(),
    ]
}

/// All operations of a run, in order.
pub(super) fn operations(record: &Record) -> Vec<Operation> {
    let all = record.targets.iter().flat_map(|target| &target.operations);
    let mut all: Vec<Operation> = all.map(|one| one.operation).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Names of the columns.
pub(super) const COLUMNS: [&str; 9] = [
    "p50 us",
    "p95 us",
    "p99 us",
    "MB/s",
    "IOPS",
    "count",
    "client CPU us",
    "server CPU us",
    "server MiB",
];

/// The cells of figures; CPU time is that of one operation.
pub(super) fn cells(measured: &Measured) -> [String; 9] {
    let each = |cpu: f64| short(cpu * 1e6 / measured.count() as f64);
    let or_none = |figure: Option<String>| figure.unwrap_or_else(|| "-".into());
    [
        short(measured.micros(0.5)),
        short(measured.micros(0.95)),
        short(measured.micros(0.99)),
        or_none(measured.rate().map(short)),
        short(measured.per_second()),
        measured.count().to_string(),
        each(measured.client_cpu),
        or_none(measured.server_cpu.map(each)),
        or_none(measured.server_memory.map(short)),
    ]
}

/// The whole run.
pub(super) fn run(record: &Record) -> String {
    let mut out = about(record).join("\n");
    let names = record
        .targets
        .iter()
        .map(|target| target.name.chars().count());
    let width = names.max().unwrap_or_default().max(8);
    for target in &record.targets {
        let server = match target.servers.as_slice() {
            [] => String::new(),
            pids => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                format!(", served by {}", pids.join(", "))
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n{}: {} ({}{server})",
            target.name,
            target.dir.display(),
            target.file_system
        );
    }
    for operation in operations(record) {
        let of_it = |one: &&OperationRecord| one.operation == operation;
        let outcomes = record.targets.iter().filter_map(|target| {
            let found = target.operations.iter().find(of_it)?;
            Some((target.name.as_str(), &found.outcome))
        });
        let outcomes: Vec<(&str, &Outcome)> = outcomes.collect();
        let about = operation.about(record.cache, record.fsync);
        let _ = write!(out, "\n\n{} ({about})", operation.name());
        let measured = |(_, outcome): &(&str, &Outcome)| matches!(outcome, Outcome::Measured(_));
        if outcomes.iter().any(measured) {
            let _ = write!(out, "\n{:width$}", "");
            for column in COLUMNS {
                let _ = write!(out, " {column:>13}");
            }
        }
        for (name, outcome) in outcomes {
            let _ = write!(out, "\n{name:width$}");
            match outcome {
                Outcome::Measured(measured) => {
                    for cell in cells(measured) {
                        let _ = write!(out, " {cell:>13}");
                    }
                }
                Outcome::NotApplicable(why) => {
                    let _ = write!(out, " not applicable: {why}");
                }
                Outcome::Failed(why) => {
                    let _ = write!(out, " FAILED: {why}");
                }
            }
        }
    }
    out
}
