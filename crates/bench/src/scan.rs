//! What a media server does with a library: a look at the beginning, the end and the middle of each file.

use std::fs::File;

use rustix::fs::{Advice, fadvise};

use crate::bed::{Bed, Mounted, Spec, Subject, numbered};
use crate::reader::{Job, Place, read};
use crate::report::{Goal, Report, Row};
use crate::simulator::{MID, PLAIN, Shape};
use crate::{Options, Result};

/// Size of each file: that of an episode.
const FILE: u64 = 2 << 30;
const MIB: u64 = 1 << 20;

/// The first and the last MiB and three times 64 KiB between them.
fn places(mounted: &Mounted, stem: &str, files: u64) -> Vec<Place> {
    let middle = [1, 2, 3].map(|quarter| (quarter * FILE / 4, 64 << 10));
    (0..files)
        .flat_map(|n| {
            let path = mounted.file(&numbered(stem, n));
            [(0, MIB), (FILE - MIB, MIB)]
                .into_iter()
                .chain(middle)
                .map(move |(offset, length)| Place {
                    path: path.clone(),
                    offset,
                    length: length as usize,
                })
        })
        .collect()
}

/// One pass.
struct Pass {
    seconds: f64,
    /// Bytes that the server sent.
    sent: f64,
    /// Bytes that were asked for.
    asked: f64,
}

fn pass(bed: &Bed, mounted: &Mounted, stem: &str, files: u64) -> Result<Pass> {
    let before = bed.simulator.bytes_sent()?;
    let places = places(mounted, stem, files);
    let seen = read(&Job::Places { places }, 300)?;
    Ok(Pass {
        seconds: seen.seconds,
        sent: (bed.simulator.settled()? - before) as f64,
        asked: seen.total() as f64,
    })
}

/// Has the kernel forget what the first scan read, as it has by the time of the next one in real life. What it kept of it by chance would not be asked
/// for again, but what lies behind the gaps would be, by its read-ahead, which nobody asked for before.
fn forget(mounted: &Mounted, stem: &str, files: u64) -> Result<()> {
    for n in 0..files {
        let file = File::open(mounted.file(&numbered(stem, n)))?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Both scans.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let few = if options.quick { 5 } else { 20 };
    let many = if options.quick { 100 } else { 1000 };
    let bed = Bed::start(
        &options.program,
        Spec::several("few", few, FILE).chain(Spec::several("many", many, FILE)),
    )?;
    report.section(format!(
        "scan of {few} files twice, {}: the first and last MiB and 3 x 64 KiB of each",
        MID.name
    ));
    scan(&bed, ("few", few, MID), &options.at_most(3), report)?;
    report.section(format!("scan of {many} files twice, {}", PLAIN.name));
    // Whose scan costs what is known from the few; the many show whether anything grows.
    scan(&bed, ("many", many, PLAIN), &options.at_most(1), report)
}

fn scan(
    bed: &Bed,
    (stem, files, shape): (&str, u64, Shape),
    subjects: &[Subject],
    report: &mut Report,
) -> Result<()> {
    let name = format!("scan of {files} files, {}", shape.name);
    // Each of the five reads waits for the one before it, then for its bytes.
    let trips = 5.0 * files as f64 * f64::from(shape.first_byte) / 1e3;
    let bytes = files as f64 * (2 * MIB + 3 * (64 << 10)) as f64;
    let floor = trips + bytes / shape.rate.max(1) as f64;
    for subject in subjects {
        let ours = subject.is_ours();
        let measured = bed.mount(*subject, shape).and_then(|mounted| {
            mounted.forget_peaks();
            let first = pass(bed, &mounted, stem, files)?;
            forget(&mounted, stem, files)?;
            let second = pass(bed, &mounted, stem, files)?;
            Ok(([first, second], mounted.usage().peak))
        });
        let rows = measured.map(|([first, second], peak)| {
            let row = |what: &str, value, unit| {
                Row::new(format!("{name}, {what}"), subject.name(), value, unit)
            };
            let time = row("time", first.seconds, "s");
            vec![
                match shape.rate {
                    0 => time,
                    // A tenth for what the machine itself needs.
                    _ => time
                        .beside("the dependent round trips and the bytes", floor)
                        .goal_if(ours, Goal::RatioAtMost(1.1)),
                },
                row("amplification", first.sent / first.asked, "x")
                    .goal_if(ours, Goal::AtMost(1.25)),
                row("second time", second.seconds, "s"),
                row("fetched by the second", second.sent / MIB as f64, "MiB")
                    .goal_if(ours, Goal::AtMost(0.0)),
                row("peak memory", peak, "MiB").goal_if(ours, Goal::AtMost(150.0)),
            ]
        });
        report.measured(&name, subject.name(), rows)?;
    }
    Ok(())
}
