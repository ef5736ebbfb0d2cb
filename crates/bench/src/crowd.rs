//! Many readers at once: whether each has its share, and whether a limited server is respected.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use debridfs_measure::{Running, drop_caches, pin};
use serde_json::json;

use crate::bed::{Bed, Mounted, Spec, numbered};
use crate::memory_files::InMemory;
use crate::reader::{BLOCK, Job, Seen, read};
use crate::report::{Goal, Report, Row};
use crate::sequential::ON_ONE_CORE;
use crate::simulator::{MID, PLAIN, Shape};
use crate::{Options, Result};

const READERS: u64 = 8;
/// So large that no reader comes to the end.
const FILE: u64 = 32 << 30;
/// Transfers that the limited server allows.
const ALLOWED: u64 = 4;

struct Crowd {
    seen: Seen,
    amplification: f64,
    peak: f64,
}

fn crowd(bed: &Bed, mounted: &Mounted, stem: &str, seconds: f64, keep: bool) -> Result<Crowd> {
    let sent = bed.simulator.bytes_sent()?;
    mounted.forget_peaks();
    let paths = (0..READERS)
        .map(|n| mounted.file(&numbered(stem, n)))
        .collect();
    let seen = read(
        &Job::Crowd {
            paths,
            seconds,
            keep,
        },
        60,
    )?;
    let peak = mounted.usage().peak;
    let fetched = (bed.simulator.settled()? - sent) as f64;
    Ok(Crowd {
        amplification: fetched / (seen.total() + READERS * BLOCK as u64) as f64,
        peak,
        seen,
    })
}

/// Bytes that so many curls have after some seconds, all started at once on the reader's core: how fair the server itself is.
fn curls(bed: &Bed, stem: &str, seconds: f64) -> Result<Seen> {
    let started = (0..READERS)
        .map(|n| {
            let mut command = pin::command("curl", pin::CLIENT);
            command
                .args(["-s", "-o", "/dev/null", "-w", "%{size_download}"])
                .args(["--max-time", &seconds.to_string()])
                .arg(bed.link(&numbered(stem, n))?)
                .stdout(Stdio::piped());
            Ok(Running::start(command, None)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut bytes = Vec::new();
    for mut curl in started {
        // It ends with an error, as it is stopped in its middle.
        curl.wait(Duration::from_secs(60))?;
        let mut said = String::new();
        let output = curl.child.stdout.take().ok_or("no output of curl")?;
        BufReader::new(output).read_line(&mut said)?;
        bytes.push(said.trim().parse()?);
    }
    Ok(Seen {
        seconds,
        bytes,
        ..Seen::default()
    })
}

/// As many readers of as many files in memory behind the same backend.
fn in_memory(options: &Options, seconds: f64) -> Result<Seen> {
    let memory = InMemory::start(options, FILE)?;
    let paths = (0..READERS).map(|n| memory.file(n)).collect();
    let keep = false;
    read(
        &Job::Crowd {
            paths,
            seconds,
            keep,
        },
        60,
    )
}

/// Everything about many readers but players.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let files = ["plain", "mid", "limited"]
        .into_iter()
        .flat_map(|stem| Spec::several(stem, READERS, FILE));
    let bed = Bed::start(&options.program, files)?;
    // In less time the last read of each is a part of what it has that says something of luck alone.
    let seconds = if options.quick { 8.0 } else { 12.0 };
    for shape in [PLAIN, MID] {
        report.section(format!("{READERS} readers at once, {}", shape.name));
        together(options, &bed, shape, seconds, report)?;
    }
    report.section(format!(
        "{READERS} readers at once that keep their pages, {}",
        PLAIN.name
    ));
    keeping(options, &bed, seconds, report)?;
    report.section(format!(
        "{READERS} readers, {}, where the server allows {ALLOWED} transfers (429 above)",
        MID.name
    ));
    limited(options, &bed, 2.0 * seconds, report)
}

fn together(
    options: &Options,
    bed: &Bed,
    shape: Shape,
    seconds: f64,
    report: &mut Report,
) -> Result<()> {
    let name = format!("{READERS} readers, {}", shape.name);
    bed.simulator.shape(shape)?;
    let mut ceiling = f64::INFINITY;
    let mut in_turn = 0.0;
    let mut beside = |baseline: &'static str, seen: Result<Seen>| {
        let rows = seen.map(|seen| {
            let row = |what: &str, value, unit| {
                Row::new(format!("{name}, {what}"), baseline, value, unit)
            };
            let rate = seen.rate();
            ceiling = ceiling.min(rate);
            in_turn += 1.0 / rate;
            vec![
                row("rate of all", rate, "MB/s"),
                row("fairness", seen.fairness(), ""),
            ]
        });
        report.measured(&name, baseline, rows)
    };
    beside("8 curls at once", curls(bed, shape.name, seconds))?;
    if shape == PLAIN {
        beside(
            "8 files in memory, same backend",
            in_memory(options, seconds),
        )?;
    }
    for subject in options.with_and_without_disk(5) {
        let ours = subject.is_ours();
        let measured = bed
            .mount(subject, shape)
            .and_then(|mounted| crowd(bed, &mounted, shape.name, seconds, false));
        let rows = measured.map(|crowd| {
            let row = |what: &str, value, unit| {
                Row::new(format!("{name}, {what}"), subject.name(), value, unit)
            };
            let all = row("rate of all", crowd.seen.rate(), "MB/s");
            let mut rows = vec![
                if shape == PLAIN {
                    all.beside("the smaller of curls and memory", ceiling)
                        .goal_if(subject.is_ours_without_disk(), Goal::RatioAtLeast(0.7))
                } else {
                    all.beside("8 connections' rate", (READERS * shape.rate) as f64 / 1e6)
                },
                row("fairness", crowd.seen.fairness(), "").goal_if(ours, Goal::AtLeast(0.95)),
                row("amplification", crowd.amplification, "x").goal_if(ours, Goal::AtMost(1.05)),
                row("peak memory", crowd.peak, "MiB").goal_if(ours, Goal::AtMost(256.0)),
                row("errors", crowd.seen.errors.len() as f64, "").goal_if(ours, Goal::AtMost(0.0)),
                row("longest read", crowd.seen.longest_pause(), "s"),
            ];
            if shape == PLAIN {
                let rate = row("rate", crowd.seen.rate(), "MB/s");
                rows.push(rate.beside(ON_ONE_CORE, 1.0 / in_turn));
            }
            rows
        });
        report.measured(&name, subject.name(), rows)?;
    }
    Ok(())
}

/// Readers as most programs are: what they read stays in memory as long as the kernel likes, beside what the cache writes of it. There is no goal: it
/// is a question of the machine's memory and disk.
fn keeping(options: &Options, bed: &Bed, seconds: f64, report: &mut Report) -> Result<()> {
    let name = format!("{READERS} readers that keep their pages");
    for subject in options.with_and_without_disk(1) {
        let measured = bed
            .mount(subject, PLAIN)
            .and_then(|mounted| crowd(bed, &mounted, PLAIN.name, seconds, true));
        let rows = measured.map(|crowd| {
            let row = |what: &str, value, unit| {
                Row::new(format!("{name}, {what}"), subject.name(), value, unit)
            };
            vec![
                row("rate of all", crowd.seen.rate(), "MB/s"),
                row("longest read", crowd.seen.longest_pause(), "s"),
                row("errors", crowd.seen.errors.len() as f64, "")
                    .goal_if(subject.is_ours(), Goal::AtMost(0.0)),
            ]
        });
        report.measured(&name, subject.name(), rows)?;
        // What they kept must not serve the next ones.
        drop_caches()?;
    }
    Ok(())
}

fn limited(options: &Options, bed: &Bed, seconds: f64, report: &mut Report) -> Result<()> {
    let name = format!("{READERS} readers, {ALLOWED} transfers allowed");
    for subject in options.at_most(2) {
        let ours = subject.is_ours();
        let measured = bed.mount(subject, MID).and_then(|mounted| {
            let refused = || -> Result<f64> {
                let counters = bed.simulator.counters()?;
                Ok(counters["cdn"]["outcomes"]["429"].as_f64().unwrap_or(0.0))
            };
            bed.simulator.settings(&json!({"max_parallel": ALLOWED}))?;
            let before = refused()?;
            let crowd = crowd(bed, &mounted, "limited", seconds, false);
            // The vendor's limit again, for the next one.
            bed.simulator.settings(&json!({"max_parallel": 32}))?;
            Ok((crowd?, refused()? - before))
        });
        let rows = measured.map(|(crowd, refused)| {
            let row = |what: &str, value, unit| {
                Row::new(format!("{name}, {what}"), subject.name(), value, unit)
            };
            let progressing = crowd.seen.bytes.iter().filter(|bytes| **bytes > 0).count();
            let rate = crowd.seen.rate();
            vec![
                row("errors", crowd.seen.errors.len() as f64, "").goal_if(ours, Goal::AtMost(0.0)),
                row("readers with progress", progressing as f64, "")
                    .goal_if(ours, Goal::AtLeast(READERS as f64)),
                row("rate of all", rate, "MB/s")
                    .beside("4 connections' rate", (ALLOWED * MID.rate) as f64 / 1e6),
                row("fairness", crowd.seen.fairness(), ""),
                row("refusals", refused, ""),
            ]
        });
        report.measured(&name, subject.name(), rows)?;
    }
    Ok(())
}
