//! The operations of `debridfs bench` on the same files: native, by both backends, and by rclone.

use std::path::{Path, PathBuf};

use debridfs_measure::{
    Cache, Measured, Named, Operation, Outcome, Pin, RunArgs, Target, TargetRecord,
};

use crate::bed::{Bed, Spec, Subject, numbered};
use crate::library::temporary_dir;
use crate::report::{Report, Row};
use crate::simulator::PLAIN;
use crate::{Options, Result};

/// Small files of 2000 bytes and films of 64 MiB.
const SMALL: u64 = 200;
const FILMS: u64 = 4;
const FILM: usize = 64 << 20;

fn files(dir: &Path) -> Result<Vec<Spec>> {
    let film: Vec<u8> = (0..FILM as u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let mut files = Vec::new();
    let mut add = |name: String, bytes: &[u8]| -> Result<()> {
        let path = dir.join(&name);
        std::fs::write(&path, bytes)?;
        files.push(Spec::local(&name, &path));
        Ok(())
    };
    for number in 0..SMALL {
        add(numbered("small", number), &film[..2000])?;
    }
    for number in 0..FILMS {
        add(numbered("film", number), &film)?;
    }
    // Pages that are not on the disk yet cannot be dropped.
    rustix::fs::sync();
    Ok(files)
}

/// Once with the kernel's caches and once without its pages.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let dir = temporary_dir()?;
    let bed = Bed::start(&options.program, files(dir.path())?)?;
    let fuse = |name: &str| format!("[fuse]\nbackend = \"{name}\"\n");
    let (_native, native) = bed.library(true, &fuse("native"))?;
    let (_fbrs, fbrs) = bed.library(true, &fuse("fbrs"))?;
    let peer = Subject::peers(3).find(|peer| peer.name() == "rclone full");
    let peer = peer.map(|peer| bed.mount(peer, PLAIN)).transpose()?;
    let mut targets: Vec<(&str, PathBuf)> = vec![
        ("native file", dir.path().to_owned()),
        ("debridfs, native", native),
        ("debridfs, fbrs", fbrs),
    ];
    let mut server = Vec::new();
    if let Some(peer) = &peer {
        targets.push(("rclone full", peer.root().to_owned()));
        server.push(Named::new("rclone full", peer.pid()));
    }
    for (cache, about) in [
        (Cache::Keep, "the kernel's caches kept"),
        (
            Cache::Drop,
            "the kernel's pages dropped, attributes asked for anew",
        ),
    ] {
        let args = RunArgs {
            targets: targets
                .iter()
                .map(|(name, dir)| Target::new(*name, dir))
                .collect(),
            operations: Vec::new(),
            iterations: if options.quick { 200 } else { 1000 },
            warm_up: 100,
            seconds: 60,
            threads: 4,
            cache,
            pin: Pin::SameCore,
            prepare: false,
            fsync: false,
            server: server.clone(),
            mount: Vec::new(),
            unmount: Vec::new(),
            json: None,
            html: None,
        };
        report.section(format!("suite, all on one core, {about}"));
        rows(report, &debridfs_measure::measure(&args)?.targets);
    }
    Ok(())
}

/// Each directory's figures beside the native file's: the rate of what moves many bytes, the median of what does not.
fn rows(report: &mut Report, targets: &[TargetRecord]) {
    let Some(native) = targets.first() else {
        return;
    };
    for operation in native.operations.iter().map(|one| one.operation) {
        let baseline = outcome(native, operation).and_then(measured);
        for target in targets {
            let subject = target.name.as_str();
            match outcome(target, operation) {
                Some(Outcome::Failed(why)) => {
                    report.add(Row::failed(operation.name(), subject, why));
                }
                Some(Outcome::Measured(measured)) => {
                    let (what, value, unit) = figure(operation, measured);
                    let name = format!("{}, {what}", operation.name());
                    let row = Row::new(name, subject, value, unit);
                    report.add(match baseline {
                        Some(beside) => row.beside("native file", figure(operation, beside).1),
                        None => row,
                    });
                }
                Some(Outcome::NotApplicable(_)) | None => {}
            }
        }
    }
}

fn outcome(target: &TargetRecord, operation: Operation) -> Option<&Outcome> {
    let found = target
        .operations
        .iter()
        .find(|one| one.operation == operation)?;
    Some(&found.outcome)
}

fn measured(outcome: &Outcome) -> Option<&Measured> {
    match outcome {
        Outcome::Measured(measured) => Some(measured),
        Outcome::NotApplicable(_) | Outcome::Failed(_) => None,
    }
}

fn figure(operation: Operation, measured: &Measured) -> (&'static str, f64, &'static str) {
    let rate = match operation {
        Operation::ReadSmall | Operation::WriteSmall => None,
        _ => measured.rate(),
    };
    match rate {
        Some(rate) => ("rate", rate, "MB/s"),
        None => ("median", measured.micros(0.5), "us"),
    }
}
