//! The library over HTTP and WebDAV, beside servers of the same files from a directory in memory.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use debridfs_measure::stop;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::bed::{Bed, Spec, numbered};
use crate::http_clients::{Crowd, ask};
use crate::http_servers::{Server, USERS, authorization};
use crate::library::temporary_dir;
use crate::report::{Goal, Report, Row};
use crate::turns::in_turns;
use crate::{Options, Result};

const FILM: &str = "film.mkv";
const STEM: &str = "small";
const ENTRIES: u64 = 5000;
const READERS: usize = 500;
/// What 500 readers may take beside the engine's 200 MiB: for each the kernel's and our buffers.
const MOST_MEMORY: f64 = 384.0;

/// The files of which the account is made, in memory.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new(mebibytes: u64) -> Result<Self> {
        let dir = temporary_dir()?;
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), None)?;
        let files = Self { dir };
        let mut film = File::create(files.path(FILM))?;
        let block: Vec<u8> = (0..1u32 << 20).map(|n| (n ^ (n >> 8)) as u8).collect();
        for _ in 0..mebibytes {
            film.write_all(&block)?;
        }
        for number in 0..ENTRIES {
            std::fs::write(files.path(&numbered(STEM, number)), [7; 512])?;
        }
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn local(&self, name: &str) -> Spec {
        Spec::local(name, &self.path(name))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The directory below it goes then.
        let _ = unmount(self.dir.path(), UnmountFlags::DETACH);
    }
}

/// Seconds of a request by curl on the client's core, from its beginning to its last byte.
fn seconds(server: &Server, more: &[&str], file: &str) -> Result<f64> {
    stop::check()?;
    let mut command = server.curl(more);
    let output = command
        .args(["--write-out", "%{stderr}%{time_total}"])
        .arg(server.url(file))
        .stderr(Stdio::piped())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(said.trim().parse()?),
        false => Err(format!("{}: {said}", server.name).into()),
    }
}

/// A film, a directory and a crowd.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    report.section("HTTP: what is in memory, by a client on one core and a server on the other");
    let mebibytes = options.mebibytes.min(1024);
    let files = Files::new(mebibytes)?;
    let small = (0..ENTRIES).map(|number| files.local(&numbered(STEM, number)));
    let bed = Bed::start(&options.program, small.chain([files.local(FILM)]))?;
    let ours = Server::ours(&options.program, &bed.simulator)?;
    let mut peers = Vec::new();
    for (name, peer) in [
        ("nginx", Server::nginx(files.dir.path())),
        ("rclone serve webdav", Server::rclone(files.dir.path())),
    ] {
        match peer {
            Ok(peer) => peers.push(peer),
            Err(error) => report.add(Row::failed("HTTP", name, &error)),
        }
    }
    let all: Vec<_> = [&ours].into_iter().chain(&peers).collect();
    let bytes = (mebibytes << 20) as f64;
    let rates = in_turns(&all, |server| Ok(bytes / 1e6 / seconds(server, &[], FILM)?))?;
    rows(
        report,
        "GET of a film by one curl",
        "MB/s",
        &all,
        &rates,
        |peer| match peer {
            "nginx" => Goal::RatioAtLeast(0.8),
            _ => Goal::RatioAtLeast(2.0),
        },
    );
    let webdav: Vec<_> = all.into_iter().filter(|one| one.name != "nginx").collect();
    let propfind = ["--request", "PROPFIND", "--header", "Depth: 1"];
    let times = in_turns(&webdav, |server| Ok(1e3 * seconds(server, &propfind, "")?))?;
    let name = format!("PROPFIND of {ENTRIES} entries");
    rows(report, &name, "ms", &webdav, &times, |_| {
        Goal::RatioAtMost(0.5)
    });
    crowd(options, report, &ours)
}

/// Our figure beside that of each peer.
fn rows(
    report: &mut Report,
    name: &str,
    unit: &'static str,
    servers: &[&Server],
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
    let seen = ask(&Crowd {
        address: ours.address,
        path: format!("{}{FILM}", ours.path),
        logins: (0..READERS)
            .map(|number| authorization(number % USERS))
            .collect(),
        seconds: if options.quick { 6.0 } else { 20.0 },
    })?;
    let sum: u64 = seen.bytes.iter().sum();
    let least = seen.bytes.iter().min().copied().unwrap_or_default();
    let most = seen.bytes.iter().max().copied().unwrap_or_default();
    let row = |what: &str, value, unit| {
        Row::new(format!("{READERS} readers, {what}"), ours.name, value, unit)
    };
    report.add(row("rate of all", sum as f64 / 1e6 / seen.seconds, "MB/s"));
    report.add(row("fairness", least as f64 / most as f64, "").goal(Goal::AtLeast(0.9)));
    let peak = ours.usage().peak;
    report.add(row("peak memory", peak, "MiB").goal(Goal::AtMost(MOST_MEMORY)));
    Ok(())
}
