//! The command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::operation::Operation;

/// `bench …`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure directories: ours, another program's, NFS, a disk.
    #[command(
        long_about = "\
Measure operations on directories, whoever serves them: small and large reads and writes, stat, \
readdir, four readers and four writers at once. Several directories are measured in turn, so that \
what disturbs the machine disturbs all.

Files that are there are only read. What is written goes into a directory of its own, \
.debridfs-bench-…, which is removed again; on a read-only mount writes are not applicable.",
        after_long_help = "\
NAME=DIR gives a directory a name for the report. Mount points are best measured as root: then the \
processes that serve a FUSE mount are found and their CPU time and memory shown. Ends with 1 when an
operation failed; one that is not applicable has not.

Examples:
  debridfs bench run /mnt/dfs
  debridfs bench run ours=/mnt/dfs rclone=/mnt/rclone --cache drop --json run.json --html run.html
  debridfs bench run /mnt/disk --prepare --operations read-small,write-small,stat
  debridfs bench run x=/mnt/x --mount 'x=rclone mount remote: /mnt/x' --operations mount,unmount"
    )]
    Run(RunArgs),
    /// Compare two runs, and mark what became slower.
    #[command(
        long_about = "\
Compare two runs of `bench run --json`, operation by operation. One is slower when a rank test \
(Mann-Whitney) of all samples says so and the median grew by more than the threshold.",
        after_long_help = "\
Ends with 0 when nothing became slower, with 1 when something did or is no longer measured, with 2 \
when the runs cannot be compared.

Example:
  debridfs bench compare before.json after.json --threshold 5"
    )]
    Compare(CompareArgs),
}

/// What happens to the kernel's caches before each operation that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// Nothing: after the warm-up most answers come from the kernel's caches.
    #[default]
    Keep,
    /// The pages of what is read are dropped (`posix_fadvise`), and stat asks the server (`AT_STATX_FORCE_SYNC`).
    Drop,
    /// Files are opened with `O_DIRECT`; otherwise as with `drop`.
    Direct,
}

/// Where the process that measures and those that serve run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// Wherever the kernel puts them.
    #[default]
    None,
    /// All on the last core.
    SameCore,
    /// The one that measures on the last core, those that serve on the one before it.
    CrossCores,
}

/// `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T>(pub(super) String, pub(super) T);

impl<T> Named<T> {
    /// What belongs to the directory of this name.
    pub fn new(name: impl Into<String>, value: T) -> Self {
        Self(name.into(), value)
    }
}

impl<T: FromStr> FromStr for Named<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write it as NAME=…")?;
        let value = value.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self(name.to_owned(), value))
    }
}

/// A directory, and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) name: String,
    pub(super) dir: PathBuf,
}

impl Target {
    /// A directory by this name.
    pub fn new(name: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            dir: dir.into(),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, dir) = match text.split_once('=') {
            // A path with this sign in it.
            Some((name, dir)) if !name.contains('/') => (name, dir),
            _ => (text, text),
        };
        if name.is_empty() || dir.is_empty() {
            return Err("write it as DIR or NAME=DIR".into());
        }
        let dir = std::path::absolute(Path::new(dir)).map_err(|error| error.to_string())?;
        Ok(Self::new(name, dir))
    }
}

/// Arguments of `bench run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What to measure.
    #[arg(required = true, value_name = "[NAME=]DIR")]
    pub targets: Vec<Target>,
    /// Only these operations; all when none is named.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub operations: Vec<Operation>,
    /// Times that each operation is measured.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000), value_name = "COUNT")]
    pub iterations: u32,
    /// Times that it is done before, without being measured.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub warm_up: u32,
    /// Seconds after which an operation is not done again; a tenth of them for the warm-up.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600), value_name = "SECONDS")]
    pub seconds: u32,
    /// Readers and writers at once in the concurrent operations.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64), value_name = "COUNT")]
    pub threads: u32,
    /// What happens to the kernel's caches before each operation.
    #[arg(long, value_enum, default_value_t)]
    pub cache: Cache,
    /// On which cores the process that measures and the server run. The server's are set back afterwards.
    #[arg(long, value_enum, default_value_t)]
    pub pin: Pin,
    /// Write the files that are read (257 MiB) instead of reading those that are there; they are removed again.
    #[arg(long)]
    pub prepare: bool,
    /// Let each write end with fsync(2).
    #[arg(long)]
    pub fsync: bool,
    /// A process that serves this directory, where it is not found.
    #[arg(long, value_name = "NAME=PID")]
    pub server: Vec<Named<u32>>,
    /// A command that mounts this directory, which is not mounted yet: mount and unmount are measured, too.
    #[arg(long, value_name = "NAME=COMMAND")]
    pub mount: Vec<Named<String>>,
    /// A command that unmounts it; SIGTERM to the first one while that runs, umount(2) otherwise.
    #[arg(long, value_name = "NAME=COMMAND")]
    pub unmount: Vec<Named<String>>,
    /// Where the report is written as JSON, with all samples; `-` prints it instead of the table.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where it is written as a page with plots.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Arguments of `bench compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The run before.
    #[arg(value_name = "A.json")]
    pub before: PathBuf,
    /// The run after.
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
    /// Per cent by which the median has to differ.
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT")]
    pub threshold: f64,
    /// Chance of a wrong alarm in the whole comparison (Bonferroni).
    #[arg(long, default_value_t = 0.01, value_name = "SHARE")]
    pub alpha: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_may_have_names() {
        let parsed = |text: &str| text.parse::<Target>();
        assert_eq!(parsed("a=/x"), Ok(Target::new("a", "/x")));
        assert_eq!(parsed("/x=y"), Ok(Target::new("/x=y", "/x=y")));
        assert!(parsed("=/x").is_err() && parsed("a=").is_err() && parsed("").is_err());
        assert_eq!("a=12".parse(), Ok(Named("a".to_owned(), 12u32)));
        assert!("a=b".parse::<Named<u32>>().is_err() && "12".parse::<Named<u32>>().is_err());
    }
}
