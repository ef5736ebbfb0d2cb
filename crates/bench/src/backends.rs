//! What each backend costs, what it costs to compare them, and what readers notice of a switch.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use debridfs_measure::{pin, stop, wait};
use rustix::fs::{Advice, fadvise};

use crate::bed::{Bed, Spec, numbered};
use crate::library::Library;
use crate::reader::{Job, PAUSE, Pause, Reader, now, read};
use crate::report::{Goal, Report, Row, median, percentile};
use crate::round_trip::{BareLoop, force_stat, stat_micros};
use crate::simulator::Simulator;
use crate::turns::{ROUNDS, in_turns};
use crate::{Options, Result};

/// Bytes of the file that is read with and without a shadow.
const FILE: u64 = 512 << 20;
/// Readers while backends are switched, and bytes of each one's file, which is in the engine's cache.
const READERS: u64 = 4;
const SMALL: u64 = 16 << 20;
/// Milliseconds between two switches.
const APART: u64 = 100;

/// `[fuse]` with these lines.
fn fuse(lines: &str) -> String {
    format!("[fuse]\n{lines}\n")
}

/// All of it.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    round_trips(options, report)?;
    shadow(options, report)?;
    switches(options, report)
}

/// Medians of these figures, which take turns.
fn of_each(figures: &[&dyn Fn() -> Result<f64>]) -> Result<Vec<f64>> {
    in_turns(figures, |figure| figure())
}

/// Microseconds of the middle one of many forced `statx`: what others do on this core in between does not count.
fn stat_median(path: &Path) -> Result<f64> {
    const CALLS: usize = 20_000;
    stop::check()?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        force_stat(path)?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

fn round_trips(options: &Options, report: &mut Report) -> Result<()> {
    report.section(format!(
        "backends: forced statx, one core, one thread each, medians of {ROUNDS} rounds in turn"
    ));
    let simulator = Simulator::start(&options.program, "1")?;
    let bare = BareLoop::start(pin::CLIENT)?;
    let library = |name: &str| -> Result<Library> {
        let lines = fuse(&format!("backend = \"{name}\""));
        let threads = Some(1);
        let program = &options.program;
        let library = Library::start_with(program, &simulator, pin::CLIENT, threads, true, &lines)?;
        library.wait_synced()?;
        Ok(library)
    };
    let (native, fbrs) = (library("native")?, library("fbrs")?);
    let file = |library: &Library| library.mount().join("version.txt");
    pin::pin_this(pin::CLIENT)?;
    let figures = of_each(&[
        &|| stat_median(&bare.file()),
        &|| stat_median(&file(&native)),
        &|| stat_median(&file(&fbrs)),
    ]);
    pin::pin_this(pin::ANY)?;
    let figures = figures?;
    for (name, figure, goal) in [("native", figures[1], 1.1), ("fbrs", figures[2], 2.5)] {
        report.add(
            Row::new("stat", name, figure, "us")
                .beside("a bare FUSE loop of one thread", figures[0])
                .goal(Goal::RatioAtMost(goal)),
        );
    }
    Ok(())
}

/// MB/s of a whole file that is in the engine's cache, read three times.
fn rate(file: &Path) -> Result<f64> {
    const TIMES: usize = 3;
    let mut rates = Vec::new();
    for _ in 0..TIMES {
        stop::check()?;
        fadvise(&std::fs::File::open(file)?, 0, None, Advice::DontNeed)?;
        rates.push(read(&Job::whole(file.to_owned()), 120)?.rate());
    }
    Ok(median(rates))
}

fn shadow(options: &Options, report: &mut Report) -> Result<()> {
    report.section(format!(
        "backends: 1 % of the requests compared, medians of {ROUNDS} rounds in turn"
    ));
    let name = "film.mkv";
    let bed = Bed::start(&options.program, [Spec::generated(name, FILE)])?;
    let (alone, alone_root) = bed.library(true, "")?;
    let (compared, compared_root) = bed.library(true, &fuse("shadow_percent = 1.0"))?;
    let rates = of_each(&[&|| rate(&alone_root.join(name)), &|| {
        rate(&compared_root.join(name))
    }])?;
    report.add(
        Row::new("a file in the cache", "1 % compared", rates[1], "MB/s")
            .beside("none compared", rates[0])
            .goal(Goal::RatioAtLeast(0.98)),
    );
    let file = |library: &Library| library.mount().join("version.txt");
    pin::pin_this(pin::CLIENT)?;
    let times = of_each(&[&|| stat_micros(&file(&alone)), &|| {
        stat_micros(&file(&compared))
    }]);
    pin::pin_this(pin::ANY)?;
    let times = times?;
    report.add(
        Row::new("stat", "1 % compared", 1e6 / times[1], "a second")
            .beside("none compared", 1e6 / times[0])
            .goal(Goal::RatioAtLeast(0.98)),
    );
    Ok(())
}

/// From when to when on the readers' clock.
type Span = (f64, f64);

/// The longest pause that overlaps each span, in milliseconds; what is noted of a read at the least where none took as long.
fn stalls(pauses: &[Pause], spans: &[Span]) -> Vec<f64> {
    let longest = |(begin, end): &Span| {
        let within = pauses
            .iter()
            .filter(|pause| pause.until >= *begin && pause.until - pause.seconds <= *end);
        within
            .map(|pause| 1e3 * pause.seconds)
            .fold(1e3 * PAUSE, f64::max)
    };
    spans.iter().map(longest).collect()
}

fn switches(options: &Options, report: &mut Report) -> Result<()> {
    let count: u32 = if options.quick { 40 } else { 200 };
    report.section(format!(
        "backends: {count} switches under {READERS} readers of files in the engine's cache, past the page cache"
    ));
    let bed = Bed::start(&options.program, Spec::several("film", READERS, SMALL))?;
    let (library, root) = bed.library(true, "")?;
    let paths = (0..READERS).map(|n| root.join(numbered("film", n)));
    let paths: Vec<PathBuf> = paths.collect();
    for path in &paths {
        read(&Job::whole(path.clone()), 60)?;
    }
    let job = Job::Direct {
        paths,
        // The switches are over sooner, even on a busy machine; the rest of the time is not used.
        seconds: 1.0 + 0.3 * f64::from(count),
    };
    let reader = Reader::start(&job, Duration::from_secs(60 + u64::from(count)))?;
    wait(900);
    let (mut switched, mut quiet) = (Vec::new(), Vec::new());
    for n in 0..count {
        let began = now();
        wait(APART);
        quiet.push((began, now()));
        let began = now();
        library.switch_backend(if n % 2 == 0 { "fbrs" } else { "native" })?;
        switched.push((began, now()));
    }
    let seen = reader.finish()?;
    let row = |what: &str, value, unit| Row::new(what.to_owned(), "debridfs", value, unit);
    let p99 = |spans: &[Span]| percentile(stalls(&seen.pauses, spans), 0.99);
    let errors = seen.errors.len() as f64;
    report.add(row("switches, errors", errors, "").goal(Goal::AtMost(0.0)));
    report.add(
        row(
            "switches, longest read at each (20 ms or more), p99",
            p99(&switched),
            "ms",
        )
        .beside("the same without a switch", p99(&quiet))
        .goal(Goal::AtMost(50.0)),
    );
    let took = switched.iter().map(|(begin, end)| 1e3 * (end - begin));
    report.add(row(
        "`backend switch`, median",
        median(took.collect()),
        "ms",
    ));
    report.add(row("read meanwhile", seen.rate(), "MB/s"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_belongs_to_the_spans_that_it_overlaps() {
        let pause = |from: f64, until: f64| Pause {
            until,
            seconds: until - from,
            offset: 0,
            error: None,
        };
        let pauses = [pause(1.0, 1.5), pause(1.25, 1.5), pause(4.0, 4.25)];
        let spans = [(0.0, 0.5), (0.5, 1.0), (1.25, 2.0), (4.25, 5.0), (6.0, 7.0)];
        assert_eq!(stalls(&pauses, &spans), [20.0, 500.0, 500.0, 250.0, 20.0]);
    }
}
