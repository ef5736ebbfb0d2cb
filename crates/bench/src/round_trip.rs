//! The cost of one question and one answer: `statx` that the kernel may not answer from its cache.

use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::library::{Library, temporary_dir};
use crate::process::{Running, until};
use crate::report::{Goal, Report, Row, median};
use crate::simulator::Simulator;
use crate::{Options, Result, pin, stop};

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
        let bare = temporary_dir()?;
        let mut command = pin::command(std::env::current_exe()?, server);
        command.arg("bare-loop").arg(bare.path());
        let _bare_loop = Running::start(command, Some(bare.path()))?;
        let floor = bare.path().join("file");
        until("the bare loop mounts", 10, || floor.exists())?;

        let library = Library::start(program, &simulator, server, threads, true)?;
        library.wait_synced()?;
        pin_this(client)?;
        let measured = in_turns(&library.mount().join("version.txt"), &floor);
        pin_this(pin::ANY)?;
        let (ours, floor) = measured?;
        report.add(
            Row::new(name, "debridfs", ours, "us")
                .beside("a bare FUSE loop of one thread", floor)
                .goal_if(goal, Goal::RatioAtMost(1.2)),
        );
    }
    Ok(())
}
