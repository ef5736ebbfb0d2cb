//! `debridfs demo`: a simulated account, mounted, and gone without a trace at the end.
//!
//! The simulator and `serve` run as processes of their own, as they would for a user; this one only starts, watches and ends them.

mod children;
mod guide;
mod place;
mod simulated;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use debridfs_base::AttentionKind;
use debridfs_base::terminal::escaped;
use debridfs_control::{EngineState, Status};
use debridfs_web::MountProbe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::doctor::require_fuse;
use super::runtime;
use crate::failure::{Doing, Failure};
use crate::instance::Instance;
use crate::logging;
use debridfs_config::{Environment, LogConfig};

use children::{Account, Children};
use place::Place;
use simulated::Simulated;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to mount; a directory of its own when absent. Made, and removed again, if it is missing.
    #[arg(long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Address of health, metrics and pages.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// About how many files the simulated account holds.
    #[arg(long, value_name = "N")]
    pub files: Option<u64>,
    /// A vendor to simulate an account of, as in `[provider.NAME] kind`; several are one library.
    #[arg(long, value_name = "VENDOR", num_args = 1..)]
    pub provider: Vec<Simulated>,
    /// Another seed makes another library.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// How often the instance is asked how it does.
const TICK: Duration = Duration::from_millis(250);
/// An account that fails for so long is given up; a single failure passes.
const PATIENCE: Duration = Duration::from_secs(2);
/// A look through the mount may take so long before another try.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Runs until SIGINT, SIGTERM or SIGHUP, or until something fails.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    logging::start(&LogConfig::default())?;
    require_fuse()?;
    runtime()?.block_on(demo(args))
}

async fn demo(args: &DemoArgs) -> Result<(), Failure> {
    // From here on a signal ends the demo in order, however often it comes.
    let mut signals = Signals::new()?;
    let mut children = Children::adopt()?;
    let place = Place::make(args.mount.as_deref())?;
    let outcome = tokio::select! {
        ended = play(args, &place, &mut children) => ended,
        () = signals.any() => Ok(()),
    };
    if std::io::stderr().is_terminal() {
        eprintln!("\r\x1b[Kending …");
    }
    children.stop().await;
    let removed = place.remove();
    outcome.and(removed)
}

/// Starts everything and watches it; ends only when something is wrong.
async fn play(args: &DemoArgs, place: &Place, children: &mut Children) -> Result<(), Failure> {
    let real = Environment::of_process().keys.iter().any(|key| {
        key.path
            .first()
            .is_some_and(|section| section == "provider")
    });
    let accounts = if real && args.provider.is_empty() {
        eprintln!("mounting the account of your environment …");
        Vec::new()
    } else {
        simulators(args, place, children).await?
    };
    place.write_config(free_port(args.listen)?, &accounts)?;
    children.start_service(place)?;
    tokio::select! {
        ended = children.first_death(place) => Err(ended),
        shown = show(place, &accounts) => shown,
    }
}

async fn simulators(
    args: &DemoArgs,
    place: &Place,
    children: &mut Children,
) -> Result<Vec<Account>, Failure> {
    let one = [Simulated::default()];
    let wanted = match &args.provider[..] {
        [] => &one[..],
        several => several,
    };
    let mut accounts = Vec::new();
    for (vendor, name) in wanted.iter().zip(simulated::names(wanted)) {
        eprintln!("starting a simulated account, {name} …");
        accounts.push(
            children
                .start_simulator(place, args, *vendor, &name)
                .await?,
        );
    }
    Ok(accounts)
}

/// Waits for the library, says so, and shows how it does from then on.
async fn show(place: &Place, accounts: &[Account]) -> Result<(), Failure> {
    let instance = Instance::in_dir(&place.runtime_dir());
    let probe: [OsString; 4] = [
        program()?.into(),
        "mount-probe".into(),
        super::as_parent().into(),
        place.mount().into(),
    ];
    let probe = MountProbe::new(probe.to_vec(), LOOK_LIMIT);
    let mut line = StatusLine::default();
    let mut failing = None;
    let status = loop {
        tokio::time::sleep(TICK).await;
        match instance.client.status().await {
            Ok(status) => {
                line.show(&status);
                if let Some(failure) = refusal(&status, &mut failing) {
                    line.clear();
                    return Err(failure);
                }
                if can_be_browsed(&status) && probe.look().await.is_ok() {
                    break status;
                }
            }
            Err(_) => line.note("waiting for the engine"),
        }
    };
    line.clear();
    // A script may read the first line and close its end.
    let released = instance.client.why_like("Test.Pictures").await.ok();
    let hash = released.and_then(|report| Some(report.release?.hash));
    let _ = guide::print(place, &status, accounts, hash.as_deref());
    loop {
        tokio::time::sleep(4 * TICK).await;
        match instance.client.status().await {
            Ok(status) => line.show(&status),
            Err(_) => line.note("no engine answers; readers wait for the next one"),
        }
    }
}

/// The address with a port that is free now. Left open, each engine would choose another one, and
/// the browser's address would end with the engine.
fn free_port(address: SocketAddr) -> Result<SocketAddr, Failure> {
    if address.port() != 0 {
        return Ok(address);
    }
    let listener = std::net::TcpListener::bind(address).doing(|| address.to_string())?;
    listener.local_addr().doing(|| address.to_string())
}

/// Why the account cannot be shown, once it has failed for [`PATIENCE`] without an answer between;
/// `failing` is since when.
fn refusal(status: &Status, failing: &mut Option<Instant>) -> Option<Failure> {
    let mut lines = status.attention.iter();
    let Some(line) = lines.find(|line| line.kind == AttentionKind::Provider) else {
        *failing = None;
        return None;
    };
    let since = failing.get_or_insert_with(Instant::now);
    let help = match line.help.is_empty() {
        true => {
            "set the token of DEBRIDFS__PROVIDER__NAME__TOKEN right, and see that this machine reaches the provider; without the variable the demo shows a simulated account"
        }
        false => &line.help,
    };
    (since.elapsed() >= PATIENCE).then(|| Failure::new(&line.words, Some(help)))
}

fn can_be_browsed(status: &Status) -> bool {
    let listed = status
        .library
        .as_ref()
        .is_some_and(|library| library.listed);
    status.engine.state == EngineState::Serving && listed
}

/// This program's file, also after it was replaced.
fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().doing(|| "the program's own file".into())
}

/// One line on a terminal that says how the instance does; nothing elsewhere.
#[derive(Default)]
struct StatusLine {
    last: String,
}

impl StatusLine {
    fn show(&mut self, status: &Status) {
        let mut text = match status.engine.pid {
            Some(pid) => format!("engine {pid}"),
            None => "no engine".to_owned(),
        };
        if let Some(library) = &status.library {
            text += &format!(" · {} releases", library.releases);
            if library.unknown > 0 {
                text += &format!(" ({} still unknown)", library.unknown);
            }
        }
        for provider in &status.providers {
            text += &format!(" · {}: {} calls", provider.name, provider.calls);
        }
        if let Some(problem) = status.problems.first() {
            text += &format!(" · {problem}");
        }
        self.note(&text);
    }

    fn note(&mut self, text: &str) {
        if text != self.last && std::io::stderr().is_terminal() {
            let shown: String = escaped(text).chars().take(100).collect();
            eprint!("\r\x1b[K{shown}");
            // A terminal that is gone is none of our business.
            let _ = std::io::stderr().flush();
            text.clone_into(&mut self.last);
        }
    }

    fn clear(&mut self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        self.last.clear();
    }
}

/// The signals that end the demo.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, Failure> {
        let one = |kind| signal(kind).doing(|| "signals".into());
        Ok(Self([
            one(SignalKind::interrupt())?,
            one(SignalKind::terminate())?,
            one(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
