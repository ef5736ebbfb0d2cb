//! The library over NFS, beside servers of the same files from a local directory.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use debridfs_measure::{Running, pin, stop};

use crate::bed::{Bed, RELEASE, Spec, numbered};
use crate::library::temporary_dir;
use crate::nfs_clients::{Work, ask};
use crate::nfs_servers::Server;
use crate::report::{Goal, Report, Row};
use crate::turns::in_turns;
use crate::{Options, Result};

const FILM: &str = "film.mkv";
const BYTES: u64 = 512 << 20;
const STEM: &str = "small";
const SMALL: u64 = 1000;
const CLIENTS: u8 = 64;

/// The files of which the account is made, in a directory of this machine.
fn local_files(dir: &Path) -> Result<()> {
    let mut film = File::create(dir.join(FILM))?;
    // Not zeros, which some file systems do not store.
    let block: Vec<u8> = (0..1u32 << 20).map(|n| (n ^ (n >> 8)) as u8).collect();
    for _ in 0..BYTES >> 20 {
        film.write_all(&block)?;
    }
    for number in 0..SMALL {
        std::fs::write(dir.join(numbered(STEM, number)), [7; 4096])?;
    }
    Ok(())
}

/// MB/s of `nfs-cat` on the client's core.
fn cat(server: &Server) -> Result<f64> {
    stop::check()?;
    let mut command = pin::command("nfs-cat", pin::CLIENT);
    command.arg(server.url(FILM)).stdout(Stdio::null());
    let started = Instant::now();
    let status = Running::start(command, None)?.wait(Duration::from_secs(120))?;
    let seconds = started.elapsed().as_secs_f64();
    match status.success() {
        true => Ok(BYTES as f64 / 1e6 / seconds),
        false => Err(format!("nfs-cat of {}: {status}", server.name).into()),
    }
}

/// Milliseconds of a thousand names and attributes.
fn stats(server: &Server) -> Result<f64> {
    stop::check()?;
    let work = Work::Stat {
        stem: STEM.into(),
        count: SMALL,
    };
    Ok(1e3 * ask(&server.export, work)?.seconds)
}

/// Files, attributes and 64 clients.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    report.section("NFS: what is in the cache, by a client on one core and a server on the other");
    let files = temporary_dir()?;
    local_files(files.path())?;
    let local = |name: &str| Spec::local(name, &files.path().join(name));
    let small = (0..SMALL).map(|number| local(&numbered(STEM, number)));
    let bed = Bed::start(&options.program, small.chain([local(FILM)]))?;
    let mut servers = vec![Server::ours(&options.program, &bed.simulator, RELEASE)?];
    for (name, peer) in [
        ("NFS-Ganesha", Server::ganesha(files.path())),
        ("rclone serve nfs", Server::rclone(files.path())),
    ] {
        match peer {
            Ok(peer) => servers.push(peer),
            Err(error) => report.add(Row::failed("NFS", name, &error)),
        }
    }
    let (ours, peers) = (&servers[0], &servers[1..]);
    rows(
        report,
        "one nfs-cat",
        "MB/s",
        &servers,
        &in_turns(&servers, cat)?,
        |peer| match peer {
            "NFS-Ganesha" => Goal::RatioAtLeast(0.8),
            _ => Goal::RatioAtLeast(1.0),
        },
    );
    let ganesha = peers.iter().filter(|peer| peer.name == "NFS-Ganesha");
    if ganesha.count() > 0 {
        let two = &servers[..2];
        rows(
            report,
            "1000 LOOKUP and GETATTR",
            "ms",
            two,
            &in_turns(two, stats)?,
            |_| Goal::RatioAtMost(1.2),
        );
    }
    crowd(options, report, ours)
}

/// Each peer's figure, and ours beside it.
fn rows(
    report: &mut Report,
    name: &str,
    unit: &'static str,
    servers: &[Server],
    figures: &[f64],
    goal: impl Fn(&str) -> Goal,
) {
    if let [only] = servers {
        report.add(Row::new(name, only.name, figures[0], unit));
    }
    for (peer, figure) in servers.iter().zip(figures).skip(1) {
        let ours = Row::new(name, servers[0].name, figures[0], unit);
        report.add(ours.beside(peer.name, *figure).goal(goal(peer.name)));
    }
}

fn crowd(options: &Options, report: &mut Report, ours: &Server) -> Result<()> {
    ours.forget_peaks();
    let work = Work::Crowd {
        file: FILM.into(),
        clients: CLIENTS,
        seconds: if options.quick { 6.0 } else { 12.0 },
    };
    let seen = ask(&ours.export, work)?;
    let sum: u64 = seen.bytes.iter().sum();
    let least = seen.bytes.iter().min().copied().unwrap_or_default();
    let most = seen.bytes.iter().max().copied().unwrap_or_default();
    let row = |what: &str, value, unit| {
        Row::new(format!("{CLIENTS} clients, {what}"), ours.name, value, unit)
    };
    report.add(row("rate of all", sum as f64 / 1e6 / seen.seconds, "MB/s"));
    report.add(row("fairness", least as f64 / most as f64, "").goal(Goal::AtLeast(0.9)));
    let peak = ours.usage().peak;
    report.add(row("peak memory", peak, "MiB").goal(Goal::AtMost(384.0)));
    Ok(())
}
