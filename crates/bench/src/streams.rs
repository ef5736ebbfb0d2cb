//! Players of 25 Mbit/s: whether any of them ever stands still.

use serde_json::json;

use crate::bed::{Bed, Mounted, Spec, numbered};
use crate::reader::{Job, Seen, read};
use crate::report::{Goal, Report, Row};
use crate::simulator::{MID, PLAIN};
use crate::{Options, Result};

/// Bytes a second of a good film.
const RATE: f64 = 25e6 / 8.0;
/// Seconds that a player reads ahead of what it shows, and that it wants before it begins: mpv's and Kodi's order of magnitude.
const BUFFER: f64 = 4.0;
const BEGIN: f64 = 1.0;
/// A film of two hours at this rate.
const FILE: u64 = 22 << 30;
const MOST: u64 = 100;

struct Played {
    seen: Seen,
    sent: f64,
    peak: f64,
    cpu: f64,
}

fn play(bed: &Bed, mounted: &Mounted, players: u64, seconds: f64) -> Result<Played> {
    let (before, sent) = (mounted.usage(), bed.simulator.bytes_sent()?);
    mounted.forget_peaks();
    let job = Job::Players {
        paths: (0..players)
            .map(|n| mounted.file(&numbered("stream", n)))
            .collect(),
        rate: RATE,
        seconds,
        buffer: BUFFER,
        begin: BEGIN,
    };
    let seen = read(&job, 60 + seconds as u64)?;
    let after = mounted.usage();
    Ok(Played {
        sent: (bed.simulator.settled()? - sent) as f64,
        peak: after.peak,
        cpu: after.cpu - before.cpu,
        seen,
    })
}

/// One player, ten, a hundred.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let bed = Bed::start(&options.program, Spec::several("stream", MOST, FILE))?;
    // A hundred transfers are more than one account's; how many are allowed is another row's question.
    bed.simulator.settings(&json!({"max_parallel": 0}))?;
    let seconds = if options.quick { 8.0 } else { 20.0 };
    for (players, shape) in [(1, MID), (10, MID), (MOST, MID), (MOST, PLAIN)] {
        let name = format!("{players} streams, {}", shape.name);
        report.section(format!(
            "{name}: 25 Mbit/s each for {seconds} s, players with a buffer of {BUFFER} s"
        ));
        for subject in options.with_and_without_disk(1) {
            let ours = subject.is_ours();
            let played = bed
                .mount(subject, shape)
                .and_then(|mounted| play(&bed, &mounted, players, seconds));
            let rows = played.map(|played| {
                let row = |what: &str, value, unit| {
                    Row::new(format!("{name}, {what}"), subject.name(), value, unit)
                };
                let read = played.seen.total() as f64;
                vec![
                    row("under-runs", played.seen.underruns as f64, "")
                        .goal_if(ours, Goal::AtMost(0.0)),
                    row("time stood still", played.seen.underrun_seconds, "s"),
                    row("errors", played.seen.errors.len() as f64, "")
                        .goal_if(ours, Goal::AtMost(0.0)),
                    row(
                        "read",
                        read / (players as f64 * RATE * seconds),
                        "of what is shown",
                    ),
                    row("amplification", played.sent / read.max(1.0), "x"),
                    row("peak memory", played.peak, "MiB").goal_if(ours, Goal::AtMost(512.0)),
                    row("CPU per GiB", played.cpu / (read / f64::from(1 << 30)), "s"),
                ]
            });
            report.measured(&name, subject.name(), rows)?;
        }
    }
    Ok(())
}
