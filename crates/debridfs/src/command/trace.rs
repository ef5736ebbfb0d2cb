//! `debridfs trace record` and `debridfs trace show`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use debridfs_base::terminal::escaped;
use debridfs_content::{ReaderClass, TRACE_VERSION, TraceLine, parse_trace};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::{runtime, say};
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs};
use crate::library_path;

/// `trace …`.
#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// Record the reads of a running instance.
    #[command(
        long_about = "\
Record the reads of a running instance until the time is over or SIGINT: offsets, lengths, times, \
and each reader's class. The file holds no names and no contents, so it can be sent to others as it is.",
        after_long_help = "\
Examples:
  debridfs trace record -o scan.jsonl            # while Plex or Jellyfin scans
  debridfs trace record --path /mnt/dfs/__all__/Film --seconds 60 -o film.jsonl"
    )]
    Record(RecordArgs),
    /// Summarise a trace.
    Show(ShowArgs),
}

/// Arguments of `trace record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Only files at and below this path in the mount, or relative to its root.
    #[arg(long, value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// End after this many seconds.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `trace show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A file that `trace record` wrote.
    pub file: PathBuf,
}

/// How often lines are taken; an engine holds those of tens of thousands of reads.
const TAKE_EVERY: Duration = Duration::from_millis(500);
/// Without `--seconds`, which is as good as for ever.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs one of them.
pub fn run(command: &TraceCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        TraceCommand::Record(args) => record(args, file),
        TraceCommand::Show(args) => show(args),
    }
}

/// Records until the time is over or a signal comes.
fn record(args: &RecordArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    runtime()?.block_on(record_from(&instance, args))
}

async fn record_from(instance: &Instance, args: &RecordArgs) -> Result<(), Failure> {
    let place = match &args.path {
        Some(path) => Some(library_path::resolve(instance, path).await?),
        None => None,
    };
    let recording = instance.client.begin_trace(place).await?;
    let written = write_to(&args.output, instance, recording, args.seconds).await;
    if written.is_err() {
        // There is one recording at a time: the next one need not wait until this one is given up. It may have ended, too.
        let _ = instance.client.end_trace(recording).await;
    }
    eprintln!("{} reads", written?);
    Ok(())
}

/// Writes what the recording brings until it is over; how many reads that were. The file is made only here, where the engine has agreed: a
/// command that is refused leaves an earlier trace alone.
async fn write_to(
    path: &Path,
    instance: &Instance,
    recording: u64,
    seconds: Option<u64>,
) -> Result<usize, Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).doing(|| "signals".into())?;
    let mut terminate = signal(SignalKind::terminate()).doing(|| "signals".into())?;
    let output = || path.display().to_string();
    let mut out = BufWriter::new(File::create(path).doing(output)?);
    let first = TraceLine::Trace {
        version: TRACE_VERSION,
        program: concat!("debridfs ", env!("CARGO_PKG_VERSION")).into(),
    };
    let first = serde_json::to_string(&first).doing(output)?;
    writeln!(out, "{first}").doing(output)?;
    eprintln!("recording to {}; Ctrl-C ends it", escaped(&output()));
    let end = Instant::now() + seconds.map_or(FOR_EVER, Duration::from_secs);
    let mut reads = 0;
    let mut ended = false;
    while !ended {
        tokio::select! {
            () = sleep(TAKE_EVERY) => {}
            () = sleep_until(end) => ended = true,
            _ = interrupt.recv() => ended = true,
            _ = terminate.recv() => ended = true,
        }
        let taken = match ended {
            true => instance.client.end_trace(recording).await,
            false => instance.client.take_trace(recording).await,
        };
        for line in taken.as_deref().unwrap_or_default() {
            reads += usize::from(matches!(line, TraceLine::Read { .. }));
            let line = serde_json::to_string(line).doing(output)?;
            writeln!(out, "{line}").doing(output)?;
        }
        out.flush().doing(output)?;
        taken?;
    }
    Ok(reads)
}

/// Prints what a trace holds.
fn show(args: &ShowArgs) -> Result<(), Failure> {
    let name = || args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file).doing(name)?;
    let lines = parse_trace(&text).doing(name)?;
    say(&summary(&lines));
    Ok(())
}

/// One handle of one file.
#[derive(Default)]
struct Reader {
    first: u64,
    last: u64,
    reads: u64,
    bytes: u64,
    seeks: u64,
    end: u64,
    /// When it was first taken for what.
    classes: Vec<(u64, ReaderClass)>,
}

fn summary(lines: &[TraceLine]) -> String {
    let mut sizes = BTreeMap::new();
    let mut readers: BTreeMap<(u32, u32), Reader> = BTreeMap::new();
    let mut missing = 0;
    let mut out = String::new();
    for line in lines {
        match line {
            TraceLine::Trace { .. } => {}
            TraceLine::File { file, size } => {
                sizes.insert(*file, *size);
            }
            TraceLine::Dropped { lines } => missing += lines,
            TraceLine::Read {
                t,
                file,
                handle,
                offset,
                len,
                class,
            } => readers
                .entry((*file, *handle))
                .or_default()
                .note(*t, *offset, *len, *class),
        }
    }
    let mut tell = |line: String| {
        out += &line;
        out.push('\n');
    };
    for ((file, handle), reader) in &readers {
        let size = sizes.get(file).copied().unwrap_or(0);
        let share = 100.0 * reader.bytes as f64 / size.max(1) as f64;
        let classes = reader
            .classes
            .iter()
            .fold(String::new(), |mut all, (t, class)| {
                // Writing to a String cannot fail.
                let _ = write!(all, " {} at {:.1} s", class.as_str(), *t as f64 / 1000.0);
                all
            });
        tell(format!(
            "file {file} ({size} bytes) handle {handle}: {} reads, {} bytes ({share:.1} %), {} seeks, {:.1} s;{classes}",
            reader.reads,
            reader.bytes,
            reader.seeks,
            (reader.last - reader.first) as f64 / 1000.0,
        ));
    }
    let reads: u64 = readers.values().map(|reader| reader.reads).sum();
    let bytes: u64 = readers.values().map(|reader| reader.bytes).sum();
    tell(format!(
        "{} files, {} handles, {reads} reads, {bytes} bytes, {missing} lines missing",
        sizes.len(),
        readers.len()
    ));
    out
}

impl Reader {
    fn note(&mut self, t: u64, offset: u64, len: u64, class: ReaderClass) {
        if self.reads == 0 {
            self.first = t;
        } else if offset != self.end {
            self.seeks += 1;
        }
        self.last = self.last.max(t);
        self.reads += 1;
        self.bytes += len;
        self.end = offset + len;
        if self.classes.last().is_none_or(|(_, last)| *last != class) {
            self.classes.push((t, class));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_summed_up_by_handle() {
        let read = |t, handle, offset, class| TraceLine::Read {
            t,
            file: 1,
            handle,
            offset,
            len: 100,
            class,
        };
        let lines = [
            TraceLine::File {
                file: 1,
                size: 1000,
            },
            read(0, 1, 0, ReaderClass::Probe),
            read(500, 1, 100, ReaderClass::Probe),
            read(2500, 1, 900, ReaderClass::Scan),
            TraceLine::Dropped { lines: 3 },
            read(600, 2, 0, ReaderClass::Probe),
        ];
        assert_eq!(
            summary(&lines),
            "file 1 (1000 bytes) handle 1: 3 reads, 300 bytes (30.0 %), 1 seeks, 2.5 s; probe at 0.0 s scan at 2.5 s\n\
             file 1 (1000 bytes) handle 2: 1 reads, 100 bytes (10.0 %), 0 seeks, 0.0 s; probe at 0.6 s\n\
             1 files, 2 handles, 4 reads, 400 bytes, 3 lines missing\n"
        );
    }
}
