//! One reader, one whole file, nothing cached: the rate, and what it costs the provider and this machine.

use std::time::Instant;

use debridfs_measure::{Running, pin, stop};

use crate::bed::{Bed, Mounted, Spec, Subject, numbered};
use crate::memory_files::InMemory;
use crate::reader::{Job, read};
use crate::report::{Goal, Report, Row, median};
use crate::simulator::{FAR, MID, PLAIN, Shape};
use crate::{Options, Result};

/// Connections that a goal at a distance is measured by.
const CONNECTIONS: u64 = 4;

/// How much is read at a distance, and how often.
struct Plan {
    shape: Shape,
    bytes: u64,
    rounds: u64,
}

impl Plan {
    fn stem(&self) -> &'static str {
        self.shape.name
    }

    /// MB/s of the ranges of one file, fetched by so many curls at once on the reader's core.
    fn curls(&self, bed: &Bed, connections: u64) -> Result<f64> {
        let link = bed.link(&numbered(self.stem(), 0))?;
        let started = Instant::now();
        let part = self.bytes / connections;
        let mut running = (0..connections)
            .map(|n| {
                let mut command = pin::command("curl", pin::CLIENT);
                let range = format!("{}-{}", n * part, (n + 1) * part - 1);
                command.args(["-fsS", "-o", "/dev/null", "-r", &range, &link]);
                Ok(Running::start(command, None)?)
            })
            .collect::<Result<Vec<_>>>()?;
        for curl in &mut running {
            if !curl.wait(std::time::Duration::from_secs(120))?.success() {
                return Err("curl failed".into());
            }
        }
        Ok(self.bytes as f64 / 1e6 / started.elapsed().as_secs_f64())
    }
}

/// What `subject` did.
struct Measured {
    /// MB/s, the middle one of all rounds.
    rate: f64,
    /// Bytes sent by bytes read.
    amplification: f64,
    /// MiB.
    peak: f64,
    /// Seconds.
    cpu_per_gib: f64,
}

fn one(bed: &Bed, mounted: &Mounted, plan: &Plan) -> Result<Measured> {
    let (before, sent) = (mounted.usage(), bed.simulator.bytes_sent()?);
    mounted.forget_peaks();
    let rates = (0..plan.rounds)
        .map(|round| {
            stop::check()?;
            let job = Job::whole(mounted.file(&numbered(plan.stem(), round)));
            let seen = read(&job, 180)?;
            Ok(seen.total() as f64 / 1e6 / seen.seconds)
        })
        .collect::<Result<Vec<_>>>()?;
    let after = mounted.usage();
    let read = (plan.rounds * plan.bytes) as f64;
    Ok(Measured {
        rate: median(rates),
        amplification: (bed.simulator.settled()? - sent) as f64 / read,
        peak: after.peak,
        cpu_per_gib: (after.cpu - before.cpu) / (read / f64::from(1 << 30)),
    })
}

/// All distances.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let plain = options.mebibytes << 20;
    let plans = [
        Plan {
            shape: PLAIN,
            bytes: plain,
            rounds: if options.quick { 1 } else { 3 },
        },
        Plan {
            shape: MID,
            bytes: if options.quick { 256 << 20 } else { 384 << 20 },
            rounds: 1,
        },
        Plan {
            shape: FAR,
            bytes: 192 << 20,
            rounds: 1,
        },
    ];
    let files = plans
        .iter()
        .flat_map(|plan| Spec::several(plan.stem(), plan.rounds, plan.bytes));
    let bed = Bed::start(&options.program, files)?;
    for plan in &plans {
        report.section(format!(
            "cold sequential, {}: {} x {} MiB, {} ms to the first byte, {}",
            plan.shape.name,
            plan.rounds,
            plan.bytes >> 20,
            plan.shape.first_byte,
            match plan.shape.rate {
                0 => "no limit of rate".to_owned(),
                rate => format!("{} MB/s a connection", rate / 1_000_000),
            }
        ));
        measure_one(options, &bed, plan, report)?;
    }
    Ok(())
}

fn measure_one(options: &Options, bed: &Bed, plan: &Plan, report: &mut Report) -> Result<()> {
    let name = format!("cold sequential, {}", plan.shape.name);
    bed.simulator.shape(plan.shape)?;
    let plain = plan.shape == PLAIN;
    let connections = if plain { 1 } else { CONNECTIONS };
    let curls = (0..plan.rounds)
        .map(|_| plan.curls(bed, connections))
        .collect::<Result<Vec<_>>>()?;
    let curls = median(curls);
    let (baseline, ceiling, both) = if plain {
        report.add(Row::new(&name, "direct curl", curls, "MB/s"));
        let memory = in_memory(options, plan.bytes, plan.rounds)?;
        report.add(Row::new(
            &name,
            "a file in memory, same backend",
            memory,
            "MB/s",
        ));
        let both = 1.0 / (1.0 / curls + 1.0 / memory);
        (
            "the smaller of curl and memory",
            curls.min(memory),
            Some(both),
        )
    } else {
        ("4 curls at once", curls, None)
    };
    for subject in options.with_and_without_disk(5) {
        let ours = subject.is_ours();
        let measured = bed
            .mount(subject, plan.shape)
            .and_then(|mounted| one(bed, &mounted, plan));
        let rows = measured.map(|measured| {
            let share = if plain { 0.7 } else { 0.9 };
            // Without a limit of rate, writing what is read to a disk takes more of the one core than reading it.
            let at_full_speed = if plain {
                subject.is_ours_without_disk()
            } else {
                ours
            };
            let row = |what: &str, value, unit| {
                Row::new(format!("{name}{what}"), subject.name(), value, unit)
            };
            let mut rows = vec![
                row("", measured.rate, "MB/s")
                    .beside(baseline, ceiling)
                    .goal_if(at_full_speed, Goal::RatioAtLeast(share)),
                row(", amplification", measured.amplification, "x")
                    .goal_if(ours, Goal::AtMost(1.05)),
                row(", peak memory", measured.peak, "MiB").goal_if(ours, Goal::AtMost(150.0)),
                row(", CPU per GiB", measured.cpu_per_gib, "s")
                    .goal_if(at_full_speed && plain, Goal::AtMost(0.8)),
            ];
            rows.extend(
                both.map(|both| row(", rate", measured.rate, "MB/s").beside(ON_ONE_CORE, both)),
            );
            rows
        });
        report.measured(&name, subject.name(), rows)?;
    }
    Ok(())
}

/// The rate of one core that does all of curl's work and then all of the mount's for each byte: what a reader comes to that adds nothing.
pub(crate) const ON_ONE_CORE: &str = "curl's work and the mount's on one core";

/// MB/s of a file in memory behind the same keeper and backend.
fn in_memory(options: &Options, bytes: u64, rounds: u64) -> Result<f64> {
    let memory = InMemory::start(options, bytes)?;
    let rates = (0..rounds).map(|_| memory.rate());
    rates.collect::<Result<Vec<_>>>().map(median)
}

/// The subjects a section compares.
impl Options {
    /// Ours as it is installed, and so many sets of rclone's flags; no more than two in the quick run.
    pub(crate) fn at_most(&self, peers: usize) -> Vec<Subject> {
        std::iter::once(Subject::Debridfs { disk: true })
            .chain(Subject::peers(if self.quick {
                peers.min(2)
            } else {
                peers
            }))
            .collect()
    }

    /// The same, and ours without its cache on disk before them.
    pub(crate) fn with_and_without_disk(&self, peers: usize) -> Vec<Subject> {
        std::iter::once(Subject::Debridfs { disk: false })
            .chain(self.at_most(peers))
            .collect()
    }

    /// Ours as it is installed, and all five sets of rclone's flags.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        self.at_most(5)
    }
}
