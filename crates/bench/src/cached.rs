//! Reading again what was read before, when the kernel does not have it any more.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use debridfs_measure::{drop_caches, stop};
use rustix::fs::{Advice, fadvise};
use tempfile::TempDir;

use crate::bed::{Bed, Spec, numbered};
use crate::library::temporary_dir;
use crate::memory_files::InMemory;
use crate::reader::{Job, read};
use crate::report::{Goal, Report, Row, median};
use crate::simulator::PLAIN;
use crate::{Options, Result};

/// MB/s of a whole file.
fn rate(path: PathBuf) -> Result<f64> {
    Ok(read(&Job::whole(path), 120)?.rate())
}

/// What reading again came to.
struct Again {
    /// MB/s.
    rate: f64,
    /// The same of what it is compared with.
    beside: f64,
    /// Bytes that the server sent by bytes read.
    fetched: f64,
}

/// A file on the disk that holds temporary files.
struct Native {
    path: PathBuf,
    _dir: TempDir,
}

impl Native {
    fn create(bytes: u64) -> Result<Self> {
        let dir = temporary_dir()?;
        let path = dir.path().join("native");
        let mut file = File::create(&path)?;
        // Not zeros, which some file systems do not store.
        let block: Vec<u8> = (0..1u32 << 20).map(|n| (n ^ (n >> 8)) as u8).collect();
        for _ in 0..bytes >> 20 {
            file.write_all(&block)?;
        }
        file.sync_all()?;
        Ok(Self { path, _dir: dir })
    }

    /// MB/s of its reader; its pages are dropped before.
    fn rate(&self) -> Result<f64> {
        fadvise(&File::open(&self.path)?, 0, None, Advice::DontNeed)?;
        rate(self.path.clone())
    }
}

/// The second read of a file: from what the program keeps in memory, and from its disk.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    // No less in the quick run: a round takes a quarter of a second, and of less than that chance has a part.
    let (bytes, rounds) = (512 << 20, 5);
    report.section(format!("{} MiB read again, {}", bytes >> 20, PLAIN.name));
    let memory = InMemory::start(options, bytes)?;
    let native = Native::create(bytes)?;
    let bed = Bed::start(&options.program, Spec::several("again", 1, bytes))?;
    let name = numbered("again", 0);
    for subject in options.subjects() {
        let ours = subject.is_ours();
        let measured = bed.mount(subject, PLAIN).and_then(|mounted| {
            rate(mounted.file(&name))?;
            // The two take turns: how fast the machine is may change within the minute.
            let again = |forget: &dyn Fn() -> Result<()>,
                         other: &dyn Fn() -> Result<f64>|
             -> Result<Again> {
                let sent = bed.simulator.settled()?;
                let (mut own, mut others) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    stop::check()?;
                    forget()?;
                    own.push(rate(mounted.file(&name))?);
                    others.push(other()?);
                }
                let sent = (bed.simulator.settled()? - sent) as f64;
                Ok(Again {
                    rate: median(own),
                    beside: median(others),
                    fetched: sent / (rounds * bytes) as f64,
                })
            };
            let warm = again(&|| mounted.forget_pages(&name), &|| memory.rate())?;
            let cold = again(&|| Ok(drop_caches()?), &|| native.rate())?;
            Ok((warm, cold))
        });
        let rows = measured.map(|(warm, cold)| {
            let row =
                |what: &str, value, unit| Row::new(what.to_owned(), subject.name(), value, unit);
            vec![
                row("read again, the mount's pages dropped", warm.rate, "MB/s")
                    .beside("a file in memory, same backend", warm.beside)
                    .goal_if(ours, Goal::RatioAtLeast(0.9)),
                row("read again, fetched", warm.fetched, "x").goal_if(ours, Goal::AtMost(0.0)),
                row("read again from disk", cold.rate, "MB/s")
                    .beside("the native file", cold.beside),
                row("read again from disk, fetched", cold.fetched, "x")
                    .goal_if(ours, Goal::AtMost(0.0)),
            ]
        });
        report.measured("read again", subject.name(), rows)?;
    }
    Ok(())
}
