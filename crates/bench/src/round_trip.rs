//! The cost of one question and one answer: `statx` that the kernel may not answer from its cache.

use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::mounts::{Library, Running, Simulator, until};
use crate::report::{Report, median};
use crate::{Result, pin, stop};

const CALLS: u32 = 20_000;
const ROUNDS: usize = 7;

/// Microseconds of a forced `statx`.
fn stat_micros(path: &Path) -> Result<f64> {
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
    for (name, server, client, threads, goal) in [
        (
            "stat, all on one core, one thread each",
            pin::CLIENT,
            pin::CLIENT,
            Some(1),
            Some("<= 1.2"),
        ),
        (
            "stat, all on one core, threads by default",
            pin::CLIENT,
            pin::CLIENT,
            None,
            Some("<= 1.2"),
        ),
        (
            "stat, server and client on two cores",
            pin::SERVER,
            pin::CLIENT,
            None,
            Some("<= 1.2"),
        ),
        ("stat, not pinned", pin::ANY, pin::ANY, None, None),
    ] {
        let bare = tempfile::Builder::new()
            .prefix("debridfs-bench-")
            .tempdir()?;
        let mut command = pin::command(std::env::current_exe()?, server);
        command.arg("bare-loop").arg(bare.path());
        let _bare_loop = Running::start(command, Some(bare.path()))?;
        let floor = bare.path().join("file");
        until("the bare loop mounts", 10, || floor.exists())?;

        let library = Library::start(program, &simulator, server, threads)?;
        library.wait_synced()?;
        pin_this(client)?;
        let measured = in_turns(&library.mount().join("version.txt"), &floor);
        pin_this(pin::ANY)?;
        let (ours, floor) = measured?;
        report.row(
            name,
            ours,
            "a bare FUSE loop of one thread",
            floor,
            "us",
            goal,
        );
    }
    Ok(())
}
