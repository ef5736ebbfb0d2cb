//! Reading again what was read before, when the kernel does not have it any more.

use std::io::Write;

use crate::bed::{Bed, Spec, numbered};
use crate::library::temporary_dir;
use crate::process::drop_caches;
use crate::reader::{Job, read};
use crate::report::{Goal, Report, Row, median};
use crate::simulator::PLAIN;
use crate::{Options, Result, sequential, stop};

/// MB/s of a whole file.
fn rate(path: std::path::PathBuf) -> Result<f64> {
    let seen = read(&Job::whole(path), 120)?;
    Ok(seen.total() as f64 / 1e6 / seen.seconds)
}

/// MB/s of a file on the disk that holds temporary files, its pages dropped before each round.
fn native(bytes: u64, rounds: u64) -> Result<f64> {
    let dir = temporary_dir()?;
    let path = dir.path().join("native");
    let mut file = std::fs::File::create(&path)?;
    // Not zeros, which some file systems do not store.
    let block: Vec<u8> = (0..1u32 << 20).map(|n| (n ^ (n >> 8)) as u8).collect();
    for _ in 0..bytes >> 20 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let rates = (0..rounds)
        .map(|_| {
            stop::check()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            rate(path.clone())
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(median(rates))
}

/// The second read of a file: from what the program keeps in memory, and from its disk.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    // No less in the quick run: a round takes a quarter of a second, and of less than that chance has a part.
    let (bytes, rounds) = (512 << 20, 5);
    report.section(format!("{} MiB read again, {}", bytes >> 20, PLAIN.name));
    let memory = sequential::in_memory(options, bytes, rounds)?;
    let native = native(bytes, rounds)?;
    report.add(Row::new(
        "read again from disk",
        "the native file",
        native,
        "MB/s",
    ));
    let bed = Bed::start(&options.program, Spec::several("again", 1, bytes))?;
    let name = numbered("again", 0);
    for subject in options.subjects() {
        let ours = subject.is_ours();
        let measured = bed.mount(subject, PLAIN).and_then(|mounted| {
            rate(mounted.file(&name))?;
            let again = |forget: &dyn Fn() -> Result<()>| -> Result<(f64, f64)> {
                let sent = bed.simulator.settled()?;
                let rates = (0..rounds)
                    .map(|_| {
                        stop::check()?;
                        forget()?;
                        rate(mounted.file(&name))
                    })
                    .collect::<Result<Vec<_>>>()?;
                let sent = (bed.simulator.settled()? - sent) as f64;
                Ok((median(rates), sent / (rounds * bytes) as f64))
            };
            let warm = again(&|| mounted.forget_pages(&name))?;
            let cold = again(&drop_caches)?;
            Ok((warm, cold))
        });
        let rows = measured.map(|((warm, warm_sent), (cold, cold_sent))| {
            let row =
                |what: &str, value, unit| Row::new(what.to_owned(), subject.name(), value, unit);
            vec![
                row("read again, the mount's pages dropped", warm, "MB/s")
                    .beside("a file in memory, same backend", memory)
                    .goal_if(ours, Goal::RatioAtLeast(0.9)),
                row("read again, fetched", warm_sent, "x").goal_if(ours, Goal::AtMost(0.0)),
                row("read again from disk", cold, "MB/s").beside("the native file", native),
                row("read again from disk, fetched", cold_sent, "x")
                    .goal_if(ours, Goal::AtMost(0.0)),
            ]
        });
        report.measured("read again", subject.name(), rows)?;
    }
    Ok(())
}
