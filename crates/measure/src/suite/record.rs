//! A run, as it is written to a file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::arguments::{Cache, Pin};
use super::operation::Operation;
use crate::percentile;

/// Counts up when a reader of the former version would misunderstand it.
pub(super) const FORMAT: u32 = 1;

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub format: u32,
    /// When it began.
    pub when: jiff::Timestamp,
    /// The kernel's release.
    pub kernel: String,
    /// What `/proc/cpuinfo` calls the processor.
    pub processor: String,
    /// Cores that this program may use.
    pub cores: usize,
    /// Version of the program that measured.
    pub version: String,
    /// What happened to the kernel's caches.
    pub cache: Cache,
    /// Who ran where.
    pub pin: Pin,
    /// Whether writes ended with fsync(2).
    pub fsync: bool,
    /// Threads of the concurrent operations.
    pub threads: u32,
    /// The directories.
    pub targets: Vec<TargetRecord>,
}

/// A directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetRecord {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub dir: PathBuf,
    /// Type of its file system, as the mount table has it.
    pub file_system: String,
    /// Processes that serve it, as far as known.
    pub servers: Vec<u32>,
    /// What was measured.
    pub operations: Vec<OperationRecord>,
}

/// What became of one operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Which.
    pub operation: Operation,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Figures.
    Measured(Measured),
    /// The directory does not have it or allow it, and why.
    NotApplicable(String),
    /// Why there are no figures.
    Failed(String),
}

/// Figures of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Times that it was done before the first one that counts.
    pub warm_ups: u32,
    /// From the start of the first until the end of the last one that counts.
    pub seconds: f64,
    /// Bytes read or written.
    pub bytes: u64,
    /// Seconds of processor time of the process that measures.
    pub client_cpu: f64,
    /// Of those that serve, in steps of 10 ms; absent when they are not known.
    pub server_cpu: Option<f64>,
    /// Most resident memory of the process that measures, MiB.
    pub client_memory: f64,
    /// Most resident memory of those that serve during the operation, the sum of all, MiB; absent when they are not known.
    pub server_memory: Option<f64>,
    /// How long each one took, in nanoseconds, in the order in which they ended.
    pub nanoseconds: Vec<u64>,
}

impl Measured {
    /// Times that it was measured.
    pub fn count(&self) -> usize {
        self.nanoseconds.len()
    }

    /// Microseconds within which a `share` (0 to 1) of all were done.
    pub fn micros(&self, share: f64) -> f64 {
        percentile(self.all_micros(), share)
    }

    pub(super) fn all_micros(&self) -> Vec<f64> {
        self.nanoseconds.iter().map(|n| *n as f64 / 1e3).collect()
    }

    /// Operations a second.
    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.seconds
    }

    /// MB/s; nothing where no bytes move.
    pub fn rate(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.bytes as f64 / 1e6 / self.seconds)
    }
}

impl Record {
    /// Figures of an operation of a directory.
    pub fn measured(&self, target: &str, operation: Operation) -> Option<&Measured> {
        let target = self.targets.iter().find(|one| one.name == target)?;
        target.measured(operation)
    }
}

impl TargetRecord {
    pub(super) fn measured(&self, operation: Operation) -> Option<&Measured> {
        let found = self
            .operations
            .iter()
            .find(|one| one.operation == operation);
        match &found?.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::NotApplicable(_) | Outcome::Failed(_) => None,
        }
    }
}
