//! The cost of one question and one answer: `statx` that the kernel may not answer from its cache.

use std::path::{Path, PathBuf};
use std::time::Instant;

use debridfs_measure::{Running, pin, stop, until};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::library::{Library, temporary_dir};
use crate::report::{Goal, Report, Row, median};
use crate::simulator::Simulator;
use crate::{Options, Result};

const CALLS: u32 = 20_000;
const ROUNDS: usize = 7;

/// AT_STATX_FORCE_SYNC: the server is asked although the attributes are cached.
pub(crate) fn force_stat(path: &Path) -> Result<()> {
    let flags = AtFlags::STATX_FORCE_SYNC;
    statx(CWD, path, flags, StatxFlags::BASIC_STATS)?;
    Ok(())
}

/// Microseconds of a forced `statx`.
pub(crate) fn stat_micros(path: &Path) -> Result<f64> {
    stop::check()?;
    let started = Instant::now();
    for _ in 0..CALLS {
        force_stat(path)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS))
}

/// The middle one of several rounds for each of both files, which take turns: what disturbs the machine disturbs both.
fn in_turns(ours: &Path, floor: &Path) -> Result<(f64, f64)> {
    let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_floor.push(stat_micros(floor)?);
        of_ours.push(stat_micros(ours)?);
    }
    Ok((median(of_ours), median(of_floor)))
}

/// A mounted bare loop.
pub(crate) struct BareLoop {
    // Unmounted before its directory goes.
    _running: Running,
    dir: tempfile::TempDir,
}

impl BareLoop {
    /// Mounts one that runs on these cores.
    pub(crate) fn start(cores: &str) -> Result<Self> {
        let dir = temporary_dir()?;
        let mut command = pin::command(std::env::current_exe()?, cores);
        command.arg("bare-loop").arg(dir.path());
        let running = Running::start(command, Some(dir.path()))?;
        let bare = Self {
            _running: running,
            dir,
        };
        until("the bare loop mounts", 10, || bare.file().exists())?;
        Ok(bare)
    }

    /// Its only file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("file")
    }
}

pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    report.section(format!("round trip: {ROUNDS} x {CALLS} forced statx calls"));
    let program = &options.program;
    let simulator = Simulator::start(program, "1")?;
    for (name, server, client, threads, goal) in [
        (
            "stat, all on one core, one thread each",
            pin::CLIENT,
            pin::CLIENT,
            Some(1),
            true,
        ),
        (
            "stat, all on one core, threads by default",
            pin::CLIENT,
            pin::CLIENT,
            None,
            true,
        ),
        (
            "stat, server and client on two cores",
            pin::SERVER,
            pin::CLIENT,
            None,
            true,
        ),
        ("stat, not pinned", pin::ANY, pin::ANY, None, false),
    ] {
        let bare = BareLoop::start(server)?;
        let floor = bare.file();

        let library = Library::start(program, &simulator, server, threads, true)?;
        library.wait_synced()?;
        pin::pin_this(client)?;
        let measured = in_turns(&library.mount().join("version.txt"), &floor);
        pin::pin_this(pin::ANY)?;
        let (ours, floor) = measured?;
        report.add(
            Row::new(name, "debridfs", ours, "us")
                .beside("a bare FUSE loop of one thread", floor)
                .goal_if(goal, Goal::RatioAtMost(1.2)),
        );
    }
    Ok(())
}
