//! Time to the first bytes: of a file just opened, and of places all over a file.

use crate::bed::{Bed, Mounted, Spec, numbered};
use crate::reader::{Job, Place, read};
use crate::report::{Goal, Report, Row, median, percentile};
use crate::simulator::{MID, Shape};
use crate::{Options, Result};

/// Bytes of a read.
const READ: usize = 128 << 10;
/// Size of each file: that of a film.
const FILE: u64 = 8 << 30;
/// Files opened cold.
const OPENED: u64 = 8;
/// Places read.
const SEEKS: u64 = 50;
/// Bytes the server may send for an open and a read of 128 KiB, MiB.
const OPEN_BYTES: f64 = 1.2;

fn away(first_byte: u32, name: &'static str) -> Shape {
    Shape {
        name,
        first_byte,
        rate: 0,
    }
}

fn cold_open(bed: &Bed, mounted: &Mounted) -> Result<(f64, f64)> {
    let sent = bed.simulator.bytes_sent()?;
    let mut times = Vec::new();
    for n in 0..OPENED {
        // What one open leaves to be done is not part of the next.
        bed.simulator.settled()?;
        let place = Place {
            path: mounted.file(&numbered("open", n)),
            offset: 0,
            length: READ,
        };
        let seen = read(
            &Job::Places {
                places: vec![place],
            },
            60,
        )?;
        times.extend(seen.places);
    }
    let fetched = (bed.simulator.settled()? - sent) as f64 / f64::from(1 << 20);
    Ok((1e3 * median(times), fetched / OPENED as f64))
}

/// Times of each seek in milliseconds, and the amplification.
fn seek(bed: &Bed, mounted: &Mounted) -> Result<(Vec<f64>, f64)> {
    let path = mounted.file("seek-0.mkv");
    let place = |offset| Place {
        path: path.clone(),
        offset,
        length: READ,
    };
    // The open and its first read are another row's.
    let mut places = vec![place(0)];
    places.extend((0..SEEKS).map(|n| {
        // The golden ratio's multiples are spread evenly and never near each other; on a boundary of pages, as players read.
        let share = (n as f64 * 0.618_033_988_75).fract();
        place((FILE as f64 * (0.01 + 0.97 * share)) as u64 & !0xfff)
    }));
    let sent = bed.simulator.bytes_sent()?;
    let seen = read(&Job::Places { places }, 120)?;
    let fetched = (bed.simulator.settled()? - sent) as f64;
    let times = seen.places.iter().skip(1).map(|time| 1e3 * time).collect();
    Ok((times, fetched / seen.total() as f64))
}

/// All distances.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let files = Spec::several("open", OPENED, FILE).chain(Spec::several("seek", 1, FILE));
    let bed = Bed::start(&options.program, files)?;
    let shapes = [
        away(20, "20 ms"),
        away(50, "50 ms"),
        MID,
        away(100, "100 ms"),
    ];
    for shape in shapes {
        if options.quick && shape.first_byte != MID.first_byte {
            continue;
        }
        report.section(format!(
            "first bytes, {} ms to the server's first byte{}",
            shape.first_byte,
            if shape == MID {
                ", 20 MB/s a connection"
            } else {
                ""
            }
        ));
        bed.simulator.shape(shape)?;
        let first_byte = bed.first_byte_ms("seek-0.mkv")?;
        let baseline = "time to first byte of curl";
        // Flags make the difference they make at any distance.
        let peers = if shape == MID { 5 } else { 1 };
        for subject in options.at_most(peers) {
            let ours = subject.is_ours();
            let at = format!("{} ms", shape.first_byte);
            let row = |what: &str, value, unit| {
                Row::new(format!("{what}, {at}"), subject.name(), value, unit)
            };
            let mounted = match bed.mount(subject, shape) {
                Ok(mounted) => mounted,
                Err(error) => {
                    report.measured(&at, subject.name(), Err(error))?;
                    continue;
                }
            };
            let rows = cold_open(&bed, &mounted).map(|(time, fetched)| {
                vec![
                    row("cold open + 128 KiB", time, "ms")
                        .beside(baseline, first_byte)
                        .goal_if(ours, Goal::RatioPlus(1.05, 3.0)),
                    row("cold open + 128 KiB, fetched", fetched, "MiB")
                        .goal_if(ours, Goal::AtMost(OPEN_BYTES)),
                ]
            });
            report.measured(&format!("cold open, {at}"), subject.name(), rows)?;
            let rows = seek(&bed, &mounted).map(|(times, amplification)| {
                let figure = |share| percentile(times.clone(), share);
                vec![
                    row("50 seeks of 128 KiB, median", figure(0.5), "ms")
                        .beside(baseline, first_byte),
                    row("50 seeks of 128 KiB, p95", figure(0.95), "ms")
                        .beside(baseline, first_byte)
                        .goal_if(ours, Goal::RatioAtMost(1.1)),
                    row("50 seeks of 128 KiB, slowest", figure(1.0), "ms")
                        .beside(baseline, first_byte),
                    row("50 seeks of 128 KiB, amplification", amplification, "x")
                        .goal_if(ours, Goal::AtMost(1.2)),
                ]
            });
            report.measured(&format!("seeks, {at}"), subject.name(), rows)?;
        }
    }
    Ok(())
}
