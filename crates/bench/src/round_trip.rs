//! The cost of one question and one answer: `statx` that the kernel may not answer from its cache.

use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::mounts::{Library, Running, Simulator, until};
use crate::report::{Report, median};
use crate::{Result, pin, stop};

const CALLS: u32 = 20_000;
const ROUNDS: usize = 5;

/// Microseconds of a forced `statx`, the middle of several rounds.
fn stat_micros(path: &Path) -> Result<f64> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        stop::check()?;
        let started = Instant::now();
        for _ in 0..CALLS {
            // AT_STATX_FORCE_SYNC: the server is asked although the attributes are cached.
            statx(
                CWD,
                path,
                AtFlags::STATX_FORCE_SYNC,
                StatxFlags::BASIC_STATS,
            )?;
        }
        rounds.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    Ok(median(rounds))
}

fn pin_this(core: &str) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    match core {
        pin::ANY => (0..rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu)),
        core => set.set(core.parse()?),
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

pub(crate) fn measure(program: &Path, report: &mut Report) -> Result<()> {
    println!("round trip: {ROUNDS} x {CALLS} forced statx calls");
    let simulator = Simulator::start(program, "1")?;
    for (name, server, client) in [
        (
            "stat, server and client on one core",
            pin::CLIENT,
            pin::CLIENT,
        ),
        ("stat, on two cores", pin::SERVER, pin::CLIENT),
        ("stat, not pinned", pin::ANY, pin::ANY),
    ] {
        let bare = tempfile::Builder::new()
            .prefix("debridfs-bench-")
            .tempdir()?;
        let mut command = pin::command(std::env::current_exe()?, server);
        command.arg("bare-loop").arg(bare.path());
        let running = Running::start(command, Some(bare.path()))?;
        let file = bare.path().join("file");
        until("the bare loop mounts", 10, || file.exists())?;
        pin_this(client)?;
        let floor = stat_micros(&file);
        pin_this(pin::ANY)?;
        let floor = floor?;
        drop(running);

        let library = Library::start(program, &simulator, server)?;
        library.wait_synced()?;
        let file = library.mount().join("version.txt");
        pin_this(client)?;
        let ours = stat_micros(&file);
        pin_this(pin::ANY)?;
        report.row(name, ours?, "a bare FUSE loop", floor, "us", Some("<= 1.2"));
    }
    Ok(())
}
