//! `debridfs sim`: the simulated provider alone.

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use debridfs_sim::{Generated, Kind, LibrarySpec, ServeOptions, Sim, serve};
use tokio::signal::unix::{SignalKind, signal};

use super::end_with;
use crate::failure::{Doing, Failure, USAGE};
use crate::logging;
use debridfs_config::LogConfig;

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// The vendor to simulate: `realdebrid`, `torbox`, `alldebrid`, `debridlink` or `premiumize`.
    #[arg(long, value_name = "VENDOR", default_value = "realdebrid")]
    pub kind: Kind,
    /// Changes a setting from the start, such as `torbox.list_stale_s=0` (docs/simulator.md).
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Serve HTTPS with a certificate from a new CA.
    #[arg(long)]
    pub tls: bool,
    /// An additional name or address for the certificate, by which clients connect.
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub host: Vec<String>,
    /// What the account holds: `demo`, a number of torrents, or a file (docs/simulator.md).
    #[arg(long, value_name = "FILE|demo|N", default_value = "demo")]
    pub library: String,
    /// The seed that the library is generated from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// About how many files the account holds; instead of `--library`.
    #[arg(long, hide = true, conflicts_with = "library")]
    pub files: Option<u64>,
    /// Do not limit calls per minute.
    #[arg(long, hide = true)]
    pub unlimited: bool,
    /// The process that started this one: it ends with that.
    #[arg(long, hide = true, value_name = "PID")]
    pub parent: Option<i32>,
}

/// A library given by its number of files has at most so many releases, so that its first sync stays bearable.
const MOST_RELEASES: u64 = 1000;

/// Serves until SIGINT or SIGTERM.
pub fn run(args: &SimArgs) -> Result<(), Failure> {
    if let Some(pid) = args.parent {
        end_with(pid)?;
    }
    logging::start(&LogConfig::default())?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .doing(|| "runtime".into())?
        .block_on(simulate(args))
}

async fn simulate(args: &SimArgs) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).doing(|| "signals".into())?;
    let mut interrupt = signal(SignalKind::interrupt()).doing(|| "signals".into())?;
    let wrong = |error: &dyn std::fmt::Display| {
        let help = "`--library` takes `demo`, a number of torrents, or a file";
        Failure::new(format!("library: {error}"), Some(help)).with_code(USAGE)
    };
    let sim = library(args)
        .and_then(|library| Sim::of(args.kind, &library))
        .map_err(|error| wrong(&error))?;
    if args.unlimited {
        sim.configure(|settings| settings.calls_per_minute = 0);
    }
    for setting in &args.set {
        set(&sim, setting)?;
    }
    let options = ServeOptions {
        listen: args.listen,
        tls: args.tls,
        hosts: args.host.clone(),
        ..ServeOptions::default()
    };
    let served = serve(sim, options).await.doing(|| "sim".into())?;
    // Removed when it is dropped at the end.
    let ca = match served.ca_pem() {
        Some(pem) => Some(ca_file(pem).doing(|| "CA file".into())?),
        None => None,
    };
    let mut said = format!("url {}\ntoken {}\n", served.api_url(), served.token());
    if let Some(ca) = &ca {
        said += &format!("ca {}\n", ca.path().display());
    }
    said += &format!("control {}/control/\n", served.base_url());
    let mut out = std::io::stdout();
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .doing(|| "standard output".into())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Changes the setting of `NAME=VALUE`; a dot in the name leads to a setting within another.
fn set(sim: &Sim, setting: &str) -> Result<(), Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        let help = "`--set` takes `NAME=VALUE`; `GET control/settings` tells all names and values";
        Failure::new(format!("--set {setting}: {why}"), Some(help)).with_code(USAGE)
    };
    let (path, value) = setting
        .split_once('=')
        .ok_or_else(|| wrong(&"there is no `=`"))?;
    // Words need no quotes.
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let change = path
        .rsplit('.')
        .fold(value, |value, name| serde_json::json!({ name: value }));
    let changed = sim.patch_settings(change);
    changed.map(drop).map_err(|error| wrong(&error))
}

fn ca_file(pem: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("debridfs-sim-ca-")
        .suffix(".pem")
        .tempfile()?;
    file.write_all(pem.as_bytes())?;
    Ok(file)
}

fn library(args: &SimArgs) -> Result<LibrarySpec, debridfs_sim::LibraryError> {
    let generated = |releases: u32, files_per_release: u32| {
        LibrarySpec::generated(&Generated {
            releases,
            files_per_release,
            seed: args.seed,
        })
    };
    if let Some(files) = args.files {
        let releases = files.div_ceil(2).clamp(1, MOST_RELEASES);
        let whole = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        // What can be played comes with it.
        let mut library = LibrarySpec::demo().held_by(args.kind);
        let more = generated(whole(releases), whole(files.div_ceil(releases)));
        library.releases.extend(more.releases);
        return Ok(library);
    }
    match args.library.parse() {
        Ok(releases) => Ok(generated(releases, 1)),
        Err(_) if args.library == "demo" => Ok(LibrarySpec::demo().held_by(args.kind)),
        Err(_) => LibrarySpec::named(&args.library),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_are_set_by_their_names() {
        let sim = Sim::of(Kind::TorBox, &LibrarySpec::default()).unwrap();
        for good in [
            "torbox.plan=1",
            "torbox.full_slots=refuse",
            "calls_per_minute=7",
        ] {
            set(&sim, good).unwrap();
        }
        let settings = sim.settings();
        assert_eq!((settings.torbox.plan, settings.calls_per_minute), (1, 7));
        assert_eq!(settings.torbox.full_slots, debridfs_sim::FullSlots::Refuse);
        assert_eq!(settings.torbox.list_stale_s, 600);
        for bad in ["plan", "plan=1", "torbox.plan=none", "torbox=1", "=1"] {
            assert!(set(&sim, bad).is_err(), "{bad}");
        }
    }
}
