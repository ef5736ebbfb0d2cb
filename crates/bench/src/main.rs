//! Measures debridfs beside what it is compared with, in one run, and prints ratios.
//!
//! Every row names its baseline, measured in the same run on the same cores: a bare FUSE loop for round trips, `curl` and a file in memory
//! on the same backend for sequential reads, `rclone mount` for both reads and large libraries. Absolute times of a shared machine mean
//! little; the ratios are the result. Needs root, `/dev/fuse`, `curl`, and for its rows `rclone`.
#![forbid(unsafe_code)]

mod bare_loop;
mod index;
mod large;
mod memory_file;
mod mounts;
mod pin;
mod report;
mod round_trip;
mod sequential;
mod stop;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What failed, for people.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures debridfs beside curl, rclone, a bare FUSE loop and a file in memory.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Only these sections; all when none is named.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Where the JSON report is written.
    #[arg(long, default_value = "bench-results/report.json")]
    json: PathBuf,
    /// The program to measure; beside this one when absent.
    #[arg(long)]
    debridfs: Option<PathBuf>,
    /// Bytes of the sequential read, in MiB.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    /// Files of the large library.
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// stat, against a bare FUSE loop.
    RoundTrip,
    /// A cold sequential read, against curl, a file in memory, and rclone.
    Sequential,
    /// A large library: find, start from the store, memory; against rclone.
    Large,
}

/// Processes that this program starts of itself.
#[derive(Subcommand)]
enum Part {
    /// A FUSE file system of one file, answered by a loop without anything around it.
    #[command(hide = true)]
    BareLoop { mount: PathBuf },
    /// An engine that serves one file from memory.
    #[command(hide = true)]
    MemoryEngine { socket: PathBuf, size: u64 },
}

fn run(cli: &Cli) -> Result<()> {
    match &cli.part {
        Some(Part::BareLoop { mount }) => return bare_loop::serve(mount),
        Some(Part::MemoryEngine { socket, size }) => return memory_file::serve(socket, *size),
        None => {}
    }
    let program = match &cli.debridfs {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("debridfs"),
    };
    stop::on_signals()?;
    let wanted = |section| cli.sections.is_empty() || cli.sections.contains(&section);
    let mut report = report::Report::new();
    if wanted(Section::RoundTrip) {
        round_trip::measure(&program, &mut report)?;
    }
    if wanted(Section::Sequential) {
        sequential::measure(&program, cli.mebibytes << 20, &mut report)?;
    }
    if wanted(Section::Large) {
        large::measure(&program, cli.files, &mut report)?;
    }
    report.print();
    report.write(&cli.json)
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("debridfs-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
