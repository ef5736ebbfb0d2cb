//! A simulated account, mounted, and gone without a trace at the end.
//!
//! The simulator and `serve` run as processes of their own, as they would for a user; this one only starts, watches and ends them.
//!
//! | question | where |
//! |---|---|
//! | what is put into the file system, and how is it removed | `place.rs` |
//! | which processes run | `children.rs` |
//! | which accounts are simulated | `simulated.rs` |
//! | what is there to try | `guide.rs` |
//! | how does it do | `status_line.rs` |
#![forbid(unsafe_code)]

mod children;
mod error;
mod guide;
mod place;
mod signals;
mod simulated;
mod status_line;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use debridfs_base::{AttentionKind, Trouble, parent};
use debridfs_config::{Environment, control_socket_in};
use debridfs_control::{Client, EngineState, Status};
use debridfs_keeper::Owner;
use debridfs_web::MountProbe;
use tokio::time::Instant;

use children::{Account, Children};
use error::Doing;
use place::Place;
use signals::Signals;
use status_line::StatusLine;

pub use error::DemoError;
pub use simulated::Simulated;

/// What is to be shown.
#[derive(Debug)]
pub struct Demo {
    /// The file of this program, which runs again as the simulators and the service.
    pub program: PathBuf,
    /// Whom the engine runs as, where this process is root.
    pub owner: Owner,
    /// Where to mount; a directory of its own when absent. Made, and removed again, if it is missing.
    pub mount: Option<PathBuf>,
    /// Address of health, metrics and pages; port 0 is any that is free.
    pub listen: SocketAddr,
    /// About how many files a simulated account holds; the simulator's own number when absent.
    pub files: Option<u64>,
    /// The simulated accounts; none is the environment's account, or else one of the first vendor.
    pub providers: Vec<Simulated>,
    /// Another seed makes another library.
    pub seed: u64,
}

/// How often the instance is asked how it does.
const TICK: Duration = Duration::from_millis(250);
/// An account that fails for so long is given up; a single failure passes.
const PATIENCE: Duration = Duration::from_secs(2);
/// A look through the mount may take so long before another try.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

impl Demo {
    /// Runs until SIGINT, SIGTERM or SIGHUP, or until something fails. Whatever it made is removed then.
    ///
    /// # Errors
    /// Something did not start, ended by itself or could not be removed.
    pub async fn run(&self) -> Result<(), DemoError> {
        // From here on a signal ends the demo in order, however often it comes.
        let mut signals = Signals::new()?;
        let mut children = Children::adopt(self.program.clone())?;
        let place = Place::make(self.mount.as_deref(), self.owner)?;
        let outcome = tokio::select! {
            ended = play(self, &place, &mut children) => ended,
            () = signals.any() => Ok(()),
        };
        if std::io::stderr().is_terminal() {
            eprintln!("\r\x1b[Kending …");
        }
        children.stop().await;
        let removed = place.remove();
        outcome.and(removed)
    }
}

/// Starts everything and watches it; ends only when something is wrong.
async fn play(demo: &Demo, place: &Place, children: &mut Children) -> Result<(), DemoError> {
    let real = Environment::of_process().keys.iter().any(|key| {
        key.path
            .first()
            .is_some_and(|section| section == "provider")
    });
    let accounts = if real && demo.providers.is_empty() {
        eprintln!("mounting the account of your environment …");
        Vec::new()
    } else {
        simulators(demo, place, children).await?
    };
    place.write_config(free_port(demo.listen)?, &accounts)?;
    children.start_service(place)?;
    tokio::select! {
        ended = children.first_death(place) => Err(ended),
        shown = show(demo, place, &accounts) => shown,
    }
}

async fn simulators(
    demo: &Demo,
    place: &Place,
    children: &mut Children,
) -> Result<Vec<Account>, DemoError> {
    let one = [Simulated::default()];
    let wanted = match &demo.providers[..] {
        [] => &one[..],
        several => several,
    };
    let mut accounts = Vec::new();
    for (vendor, name) in wanted.iter().zip(simulated::names(wanted)) {
        eprintln!("starting a simulated account, {name} …");
        accounts.push(
            children
                .start_simulator(place, demo, *vendor, &name)
                .await?,
        );
    }
    Ok(accounts)
}

/// Waits for the library, says so, and shows how it does from then on.
async fn show(demo: &Demo, place: &Place, accounts: &[Account]) -> Result<(), DemoError> {
    let client = Client::new(control_socket_in(&place.runtime_dir()));
    let probe: [OsString; 4] = [
        demo.program.clone().into(),
        "mount-probe".into(),
        parent::argument().into(),
        place.mount().into(),
    ];
    let probe = MountProbe::new(probe.to_vec(), LOOK_LIMIT);
    let mut line = StatusLine::default();
    let mut failing = None;
    let status = loop {
        tokio::time::sleep(TICK).await;
        match client.status().await {
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
    let released = client.why_like("Test.Pictures").await.ok();
    let hash = released.and_then(|report| Some(report.release?.hash));
    let _ = guide::print(place, &status, accounts, hash.as_deref());
    loop {
        tokio::time::sleep(4 * TICK).await;
        match client.status().await {
            Ok(status) => line.show(&status),
            Err(_) => line.note("no engine answers; readers wait for the next one"),
        }
    }
}

/// The address with a port that is free now. Left open, each engine would choose another one, and
/// the browser's address would end with the engine.
fn free_port(address: SocketAddr) -> Result<SocketAddr, DemoError> {
    if address.port() != 0 {
        return Ok(address);
    }
    let listener = std::net::TcpListener::bind(address).doing(|| address.to_string())?;
    listener.local_addr().doing(|| address.to_string())
}

/// Why the account cannot be shown, once it has failed for [`PATIENCE`] without an answer between;
/// `failing` is since when.
fn refusal(status: &Status, failing: &mut Option<Instant>) -> Option<DemoError> {
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
    (since.elapsed() >= PATIENCE).then(|| DemoError::Account(Trouble::new(&line.words, help)))
}

fn can_be_browsed(status: &Status) -> bool {
    let listed = status
        .library
        .as_ref()
        .is_some_and(|library| library.listed);
    status.engine.state == EngineState::Serving && listed
}
