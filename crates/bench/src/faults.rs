//! Trouble in the middle of a read: how long until the next byte. Printed here; the tests of `content` assert it.

use std::time::Duration;

use debridfs_measure::{stop, wait};
use serde_json::json;

use crate::bed::{Bed, Mounted, Spec, Subject, numbered};
use crate::reader::{Job, Pause, Place, Reader, Seen, hash, now, read};
use crate::report::{Goal, Report, Row};
use crate::simulator::MID;
use crate::{Options, Result};

/// Bytes of each file: more than any reader reads here.
const FILE: u64 = 8 << 30;
/// When the trouble begins, how long an outage lasts, and how long the reader goes on afterwards at least; seconds.
const BEGIN: f64 = 1.5;
const OUTAGE: f64 = 10.0;
const REST: f64 = 8.0;
/// A reader that got an error tries the same place again after so long.
const RETRY_MS: u64 = 200;
/// Seconds after which a reader is given up.
const LIMIT: u64 = 45;

/// What goes wrong.
struct Trouble {
    name: &'static str,
    /// How what is being sent ends.
    end: &'static str,
    /// What answers every request for [`OUTAGE`] from then on; only the end when absent.
    status: Option<u16>,
    /// Goal for the time in seconds: to the next byte after the outage, or of the longest pause.
    goal: f64,
}

/// Round trips that a reader may stand still for a new link and a new connection.
const TRIPS: f64 = 3.0;
/// Seconds after which a silent connection is replaced.
const SILENCE: f64 = 5.0;
const TRIP: f64 = MID.first_byte as f64 / 1e3;

const TROUBLES: [Trouble; 4] = [
    Trouble {
        name: "503 for 10 s in mid-read",
        end: "reset",
        status: Some(503),
        goal: 1.0,
    },
    Trouble {
        name: "429 for 10 s in mid-read",
        end: "reset",
        status: Some(429),
        goal: 1.0,
    },
    Trouble {
        name: "link expired in mid-read",
        end: "expire",
        status: None,
        goal: TRIPS * TRIP,
    },
    Trouble {
        name: "no more data in mid-read",
        end: "stall",
        status: None,
        goal: SILENCE + TRIPS * TRIP,
    },
];

fn suffer(bed: &Bed, mounted: &Mounted, file: u64, trouble: &Trouble) -> Result<(f64, Seen)> {
    let outage = if trouble.status.is_some() {
        OUTAGE
    } else {
        0.0
    };
    let job = Job::Stream {
        path: mounted.file(&numbered("trouble", file)),
        bytes: 0,
        retry_ms: RETRY_MS,
        seconds: BEGIN + outage + REST,
    };
    let reader = Reader::start(&job, Duration::from_secs(LIMIT))?;
    pass(BEGIN)?;
    if let Some(status) = trouble.status {
        bed.simulator
            .fault(&json!({"kind": "status", "status": status}))?;
    }
    bed.simulator
        .control("POST", "transfers/end", Some(&json!({"how": trouble.end})))?;
    if trouble.end == "expire" {
        // As a mounter that knows its provider would do for rclone; debridfs asks by itself.
        bed.renew_links()?;
    }
    pass(outage)?;
    bed.simulator.well()?;
    let recovery = now();
    let seen = reader.finish()?;
    let time = if trouble.status.is_some() {
        after(&seen.pauses, recovery).ok_or("the outage did not reach the reader")?
    } else {
        longest(&seen.pauses)
    };
    Ok((time, seen))
}

/// Seconds from `recovery` until a reader that stood still then had bytes again, retries after errors included. `None` when it did not
/// stand still.
fn after(pauses: &[Pause], recovery: f64) -> Option<f64> {
    let (mut failing, mut end) = (false, None);
    for pause in pauses {
        if failing || pause.until - pause.seconds < recovery {
            failing = pause.error.is_some();
            end = (failing || pause.until > recovery).then_some(pause.until);
        }
    }
    // A read that was too short to be noted ended what a failure before the recovery began.
    end.map(|until| (until - recovery).max(0.0))
}

fn longest(pauses: &[Pause]) -> f64 {
    pauses.iter().map(|pause| pause.seconds).fold(0.0, f64::max)
}

fn pass(seconds: f64) -> Result<()> {
    let end = now() + seconds;
    while now() < end {
        stop::check()?;
        wait(10);
    }
    Ok(())
}

/// 1 when a read of a far place gives other bytes than the file's while the server ignores ranges, else 0.
fn ignored_range(bed: &Bed, mounted: &Mounted) -> Result<f64> {
    const LENGTH: usize = 256 << 10;
    let offset = FILE / 2;
    let name = numbered("trouble", TROUBLES.len() as u64);
    let truth = bed.simulator.bytes_of(&bed.link(&name)?, offset, LENGTH)?;
    bed.simulator
        .fault(&json!({"kind": "ignore-range", "file": name}))?;
    let place = Place {
        path: mounted.file(&name),
        offset,
        length: LENGTH,
    };
    let job = Job::Places {
        places: vec![place],
    };
    let wrong = match read(&job, LIMIT) {
        Ok(seen) => seen.hashes != [hash(&truth)],
        // An error, or none within the limit, is no wrong byte.
        Err(_) => false,
    };
    Ok(f64::from(u8::from(wrong)))
}

/// Every trouble, for us and for rclone without and with its cache.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let bed = Bed::start(
        &options.program,
        Spec::several("trouble", TROUBLES.len() as u64 + 1, FILE),
    )?;
    report.section(format!("trouble in the middle of a read, {}", MID.name));
    let subjects = options.subjects();
    let chosen = |subject: &&Subject| {
        subject.is_ours() || ["rclone off", "rclone full"].contains(&subject.name())
    };
    for subject in subjects.iter().filter(chosen) {
        let ours = subject.is_ours();
        for (file, trouble) in (0..).zip(&TROUBLES) {
            let measured = bed.mount(*subject, MID).and_then(|mounted| {
                let measured = suffer(&bed, &mounted, file, trouble);
                // Whatever became of it, the next one begins with a server that is well.
                bed.simulator.well()?;
                measured
            });
            let rows = measured.map(|(time, seen)| {
                let row = |what: &str, value, unit| {
                    let name = format!("{}, {what}", trouble.name);
                    Row::new(name, subject.name(), value, unit)
                };
                let what = if trouble.status.is_some() {
                    "recovery to next byte"
                } else {
                    "longest pause"
                };
                let errors = seen.pauses.iter().filter(|pause| pause.error.is_some());
                vec![
                    row(what, time, "s").goal_if(ours, Goal::AtMost(trouble.goal)),
                    row("errors", errors.count() as f64, "").goal_if(ours, Goal::AtMost(0.0)),
                ]
            });
            report.measured(trouble.name, subject.name(), rows)?;
        }
        let name = "server ignores the range, wrong reads";
        let rows = bed.mount(*subject, MID).and_then(|mounted| {
            let wrong = ignored_range(&bed, &mounted);
            bed.simulator.well()?;
            let row = Row::new(name, subject.name(), wrong?, "");
            Ok(vec![row.goal_if(ours, Goal::AtMost(0.0))])
        });
        report.measured(name, subject.name(), rows)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(from: f64, until: f64, failed: bool) -> Pause {
        Pause {
            until,
            seconds: until - from,
            offset: 0,
            error: failed.then(|| "no".to_owned()),
        }
    }

    #[test]
    fn the_time_after_an_outage_counts_failures_and_nothing_before_it() {
        // Blocked over the recovery; later pauses are the server's rate.
        let blocked = [
            pause(1.0, 1.1, false),
            pause(2.0, 10.5, false),
            pause(10.5, 10.6, false),
        ];
        assert_eq!(after(&blocked, 10.0), Some(0.5));
        // Errors on both sides of the recovery, then a slow success.
        let failing = [
            pause(8.0, 9.0, true),
            pause(9.5, 11.0, true),
            pause(11.5, 12.0, false),
            pause(20.0, 21.0, false),
        ];
        assert_eq!(after(&failing, 10.0), Some(2.0));
        // The last failure is over before it, and what follows is quick.
        assert_eq!(after(&[pause(8.0, 9.0, true)], 10.0), Some(0.0));
        assert_eq!(after(&[pause(1.0, 9.0, false)], 10.0), None);
    }
}
