//! Measures debridfs beside what it is compared with, in one run, and prints ratios.
//!
//! Every row names its baseline, measured in the same run on the same cores: a bare FUSE loop for round trips, `curl` and a file in memory
//! on the same backend for sequential reads, `rclone mount` for both reads and large libraries. Absolute times of a shared machine mean
//! little; the ratios are the result. Needs root, `/dev/fuse`, `curl`, `ip`, `unshare`, and for its rows `rclone`.
#![forbid(unsafe_code)]

mod backends;
mod bare_loop;
mod bed;
mod cached;
mod crowd;
mod faults;
mod frame;
mod fresh_memory;
mod html;
mod http;
mod http_clients;
mod http_servers;
mod index;
mod large;
mod library;
mod listening;
mod memory_files;
mod namespaces;
mod nfs;
mod nfs_clients;
mod nfs_servers;
mod reader;
mod report;
mod round_trip;
mod scan;
mod seeks;
mod sequential;
mod simulator;
mod streams;
mod suite;
mod turns;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use debridfs_measure::stop;

/// What failed, for people.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures debridfs beside curl, rclone, a bare FUSE loop and a file in memory.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Only these sections; all when none is named.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// A shorter run for developers: fewer rounds, distances and peers.
    #[arg(long)]
    quick: bool,
    /// Where the JSON report is written; a page with plots goes beside it.
    #[arg(long, default_value = "bench-results/report.json")]
    json: PathBuf,
    /// The program to measure; beside this one when absent.
    #[arg(long)]
    debridfs: Option<PathBuf>,
    /// Bytes of a sequential read without shaping, in MiB.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    /// Another build, of which `large` measures start and `ls -R` in turn with those of this one.
    #[arg(long)]
    before: Option<PathBuf>,
    /// Files of the only large library, in place of the usual ones; 10 000 in the quick run.
    #[arg(long)]
    files: Option<u64>,
    /// Files of each release of the large library, where that is not fixed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=99_999))]
    files_per_release: u64,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What all sections need to know.
pub(crate) struct Options {
    /// The program to measure.
    pub(crate) program: PathBuf,
    pub(crate) quick: bool,
    pub(crate) mebibytes: u64,
    /// See the option.
    pub(crate) before: Option<PathBuf>,
    pub(crate) files: Option<u64>,
    pub(crate) files_per_release: u64,
}

/// In the order in which they run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// stat, against a bare FUSE loop.
    RoundTrip,
    /// Both backends: stat against a bare FUSE loop, what a shadow costs, switches under load.
    Backends,
    /// The operations of `debridfs bench` on both backends, a native file and rclone.
    Suite,
    /// A cold sequential read near and far: rate, amplification, memory, CPU.
    Sequential,
    /// A cold open and random seeks at several distances.
    Seeks,
    /// The first picture of a film by ffprobe and ffmpeg.
    Frame,
    /// A media server's scan, twice.
    Scan,
    /// Eight readers at once, and where the server allows four.
    Crowd,
    /// 1, 10 and 100 players of 25 Mbit/s.
    Streams,
    /// Outages, expired links, silence and wrong answers in the middle of a read.
    Faults,
    /// Reading again what was read before.
    Cached,
    /// Files, attributes and a crowd over NFS; against NFS-Ganesha and rclone.
    Nfs,
    /// Films and a directory over HTTP and WebDAV, and a crowd; against nginx and rclone.
    Http,
    /// A large library: find, start from the store, memory; against rclone.
    Large,
}

type Measure = fn(&Options, &mut report::Report) -> Result<()>;

impl Section {
    /// Its name and what measures it.
    fn measure(self) -> (&'static str, Measure) {
        match self {
            Self::RoundTrip => ("round trip", round_trip::measure),
            Self::Backends => ("backends", backends::measure),
            Self::Suite => ("suite", suite::measure),
            Self::Sequential => ("sequential", sequential::measure),
            Self::Seeks => ("seeks", seeks::measure),
            Self::Frame => ("first picture", frame::measure),
            Self::Scan => ("scan", scan::measure),
            Self::Crowd => ("crowd", crowd::measure),
            Self::Streams => ("streams", streams::measure),
            Self::Faults => ("faults", faults::measure),
            Self::Cached => ("cached", cached::measure),
            Self::Nfs => ("NFS", nfs::measure),
            Self::Http => ("HTTP", http::measure),
            Self::Large => ("large library", large::measure),
        }
    }
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
    /// Asks a server for names and attributes of files, or reads from it as many clients, and prints what it saw.
    #[command(hide = true)]
    NfsClients { job: PathBuf },
    /// Does one operation of the suite.
    #[command(hide = true)]
    BenchWorker { job: PathBuf },
    /// Reads from a server of HTTP as many clients, and prints what it saw.
    #[command(hide = true)]
    HttpClients { job: PathBuf },
    /// Reads files as told and prints what it saw.
    #[command(hide = true)]
    Reader { job: PathBuf },
}

fn run(cli: &Cli) -> Result<()> {
    match &cli.part {
        Some(Part::BareLoop { mount }) => return bare_loop::serve(mount),
        Some(Part::MemoryEngine { socket, size }) => return memory_files::serve(socket, *size),
        Some(Part::BenchWorker { job }) => return Ok(debridfs_measure::work(job)?),
        Some(Part::Reader { job }) => return reader::run(job),
        Some(Part::NfsClients { job }) => return nfs_clients::run(job),
        Some(Part::HttpClients { job }) => return http_clients::run(job),
        None => namespaces::enter()?,
    }
    let options = Options {
        program: match &cli.debridfs {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("debridfs"),
        },
        quick: cli.quick,
        mebibytes: cli.mebibytes,
        before: cli.before.clone(),
        files: cli.files,
        files_per_release: cli.files_per_release,
    };
    stop::on_signals()?;
    let mut report = report::Report::new();
    if bed::rclone().is_none() {
        report.note("no rclone on this machine: its rows are missing");
    }
    report.note(
        "decypharr is not measured: `go install github.com/sirrobot01/decypharr@latest` gets \"403 Forbidden: This module version is not \
         available\" from the Go module proxy",
    );
    let started = Instant::now();
    fresh_memory::measure(&mut report)?;
    for section in Section::value_variants() {
        if !cli.sections.is_empty() && !cli.sections.contains(section) {
            continue;
        }
        let (name, measure) = section.measure();
        let result = measure(&options, &mut report);
        stop::check()?;
        if let Err(error) = result {
            report.section(name);
            report.add(report::Row::failed(name, "the whole section", &error));
        }
        println!(
            "-- {name} done, {:.0} s so far",
            started.elapsed().as_secs_f64()
        );
        // After each section, so that an interrupted run leaves what it has.
        report.write(&cli.json)?;
    }
    report.print();
    Ok(())
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
