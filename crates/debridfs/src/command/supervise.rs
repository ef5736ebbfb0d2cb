//! `debridfs supervise`: process 1 of a container, which starts its program again at once whenever that crashes.
//!
//! A container that ends is started again by kubelet, Docker or Podman, after a pause that grows with each time (kubelet: 10 s, 20 s,
//! up to 5 min). Readers wait for `mount.read_deadline`, 30 s, so the third crash would be an error for each of them.

mod replaced;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use debridfs_base::{Backoff, HumanDuration};
use futures_util::future::select_all;
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, kill_process, set_dumpable_behavior,
    wait,
};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::runtime;
use crate::failure::{AGAIN, Doing, Failure, REPLACED, USAGE};

/// A program that lived for less crashes while it starts.
const STARTED: Duration = Duration::from_secs(1);

/// Pauses before such a program is started again. The longest is far below the readers' 30 s.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// A program that does nothing but crash while it starts is given up after this, and the container with it: then its runtime shows it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Signals that are handed on. With those of [`ENDS`] the program is to end.
const HANDED_ON: [Signal; 6] = [
    Signal::TERM,
    Signal::INT,
    Signal::USR2,
    Signal::HUP,
    Signal::USR1,
    Signal::QUIT,
];
const ENDS: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::USR2, Signal::QUIT];

/// Arguments of `supervise`.
#[derive(Debug, Args)]
pub struct SuperviseArgs {
    /// What to run: `keeper`, `engine` or another command, with its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// Runs the command until it is told to end, or is given up. The code to end with is the command's, 128 and the signal's number if one
/// killed it.
pub fn run(args: &SuperviseArgs, file: Option<&Path>) -> Result<(), Failure> {
    // Its environment may hold a token. Where it cannot be closed to others, nothing else is lost.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let mut arguments = args.command.clone();
    if let Some(file) = file {
        arguments.splice(0..0, ["--config".into(), file.into()]);
    }
    if args.command[0] == "engine" {
        arguments.push("--supervised".into());
    }
    runtime()?.block_on(async { Supervisor::new(arguments)?.run().await })
}

struct Supervisor {
    arguments: Vec<OsString>,
    signals: Vec<(Signal, Stream)>,
    children: Stream,
    /// It was told to end.
    ending: bool,
    restarts: Restarts,
}

/// What ended a program.
enum Ended {
    Code(u8),
    Killed(i32),
}

impl Supervisor {
    fn new(arguments: Vec<OsString>) -> Result<Self, Failure> {
        let stream = |number: i32| signal(SignalKind::from_raw(number)).doing(|| "signals".into());
        let signals = HANDED_ON
            .into_iter()
            .map(|number| Ok((number, stream(number.as_raw())?)))
            .collect::<Result<_, Failure>>()?;
        Ok(Self {
            arguments,
            signals,
            children: stream(Signal::CHILD.as_raw())?,
            ending: false,
            restarts: Restarts::default(),
        })
    }

    async fn run(mut self) -> Result<(), Failure> {
        loop {
            let begun = Instant::now();
            let pid = self.start()?;
            let ended = self.until_ended(pid).await;
            match ended {
                Ended::Code(0) if self.ending => return Ok(()),
                Ended::Code(code) if self.ending || code == USAGE => {
                    return Err(Failure::silent(code));
                }
                Ended::Killed(signal) if self.ending => {
                    return Err(Failure::silent(killed(signal)));
                }
                // It asked for it: that is no crash.
                Ended::Code(AGAIN) => continue,
                Ended::Code(REPLACED) => {
                    if self.stopped_as_replaced().await {
                        return Ok(());
                    }
                    // From now on the newer one goes first, whenever it comes.
                    self.arguments.retain(|one| one != "--replace");
                    continue;
                }
                _ => {}
            }
            let how = match ended {
                Ended::Code(code) => format!("ended with code {code}"),
                Ended::Killed(signal) => format!("was killed by signal {signal}"),
            };
            let lived = begun.elapsed();
            let what = self.arguments_shown();
            let how = format!("{what} {how} after {:.1} s", lived.as_secs_f64());
            let Some(pause) = self.restarts.next(begun, lived) else {
                say(&format!(
                    "{how}, as it has for {}: given up",
                    HumanDuration(PATIENCE)
                ));
                return Err(Failure::silent(1));
            };
            let count = self.restarts.count;
            say(&format!("{how}: started again, for the {count}. time"));
            if self.told_to_end(Some(pause)).await {
                return Ok(());
            }
        }
    }

    /// Another engine has taken over. Whether this one is told to end, rather than needed again.
    async fn stopped_as_replaced(&mut self) -> bool {
        say("another engine has taken over: waiting to be stopped");
        let config = match replaced::config_of(&self.arguments) {
            Ok(config) => config,
            Err(words) => {
                say(&format!("probes are not answered: {words}"));
                return self.told_to_end(None).await;
            }
        };
        let stopped = tokio::select! {
            told = self.told_to_end(None) => told,
            () = replaced::until_nobody_serves(&config) => false,
        };
        if !stopped {
            say("no engine has served since: started again, until another one takes over");
        }
        stopped
    }

    fn arguments_shown(&self) -> String {
        let command = self
            .arguments
            .iter()
            .find(|one| *one == "engine" || *one == "keeper");
        command
            .map_or("the program", |one| one.to_str().unwrap_or_default())
            .to_owned()
    }

    fn start(&self) -> Result<Pid, Failure> {
        let child = Command::new("/proc/self/exe")
            .arg0("debridfs")
            .args(&self.arguments)
            .spawn()
            .doing(|| "start".into())?;
        Ok(Pid::from_child(&child))
    }

    /// Waits until the program has ended. Hands signals on, and takes the exit status of others' orphans, as process 1 has to.
    async fn until_ended(&mut self, pid: Pid) -> Ended {
        loop {
            while let Ok(Some((ended, status))) = wait(WaitOptions::NOHANG) {
                if ended == pid {
                    return status.into();
                }
            }
            let children = self.children.recv();
            let next = tokio::select! {
                _ = children => None,
                number = received(&mut self.signals) => Some(number),
            };
            if let Some(number) = next {
                self.ending |= ENDS.contains(&number);
                if let Err(error) = kill_process(pid, number) {
                    // Root without CAP_KILL and a program of another user.
                    say(&format!(
                        "cannot hand a signal on ({error}): start both as one user, or allow CAP_KILL"
                    ));
                }
            }
        }
    }

    /// Whether it is told to end within `limit`.
    async fn told_to_end(&mut self, limit: Option<Duration>) -> bool {
        let told = async { while !ENDS.contains(&received(&mut self.signals).await) {} };
        match limit {
            Some(limit) => tokio::time::timeout(limit, told).await.is_ok(),
            None => {
                told.await;
                true
            }
        }
    }
}

impl From<WaitStatus> for Ended {
    fn from(status: WaitStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Self::Killed(signal),
            // Codes have 8 bits.
            None => Self::Code(status.exit_status().unwrap_or_default() as u8),
        }
    }
}

/// The code that shells give for a program that a signal killed.
fn killed(signal: i32) -> u8 {
    // Signals are below 65.
    128 + signal as u8
}

async fn received(signals: &mut [(Signal, Stream)]) -> Signal {
    let each = signals.iter_mut().map(|(number, stream)| {
        Box::pin(async {
            stream.recv().await;
            *number
        })
    });
    select_all(each).await.0
}

fn say(words: &str) {
    eprintln!("debridfs supervise: {words}");
}

/// When a program that crashed is started again. Has no clock: the time is told.
#[derive(Debug, Default)]
struct Restarts {
    count: u64,
    /// Crashes in a row while it started, and when the first of these programs was started.
    early: u32,
    first: Option<Instant>,
}

impl Restarts {
    /// The pause before the program is started again that was started at `begun` and lived so long; `None`: not any more.
    fn next(&mut self, begun: Instant, lived: Duration) -> Option<Duration> {
        self.count += 1;
        if lived >= STARTED {
            (self.early, self.first) = (0, None);
            return Some(Duration::ZERO);
        }
        self.early += 1;
        let first = *self.first.get_or_insert(begun);
        let failing = (begun + lived).duration_since(first);
        // Once may be chance.
        let pause = match self.early {
            1 => Duration::ZERO,
            early => PAUSES.after(early - 1),
        };
        (failing < PATIENCE).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_started_is_started_again_at_once_and_what_never_does_is_given_up() {
        let mut restarts = Restarts::default();
        let start = Instant::now();
        for second in 0..60 {
            let begun = start + Duration::from_secs(second * 6);
            assert_eq!(
                restarts.next(begun, Duration::from_secs(6)),
                Some(Duration::ZERO)
            );
        }
        let (mut now, mut pauses) = (start + Duration::from_secs(400), Vec::new());
        let lived = Duration::from_millis(50);
        while let Some(pause) = restarts.next(now, lived) {
            pauses.push(pause);
            now += lived + pause;
        }
        assert_eq!(pauses[0], Duration::ZERO);
        assert_eq!(pauses[1], Duration::from_millis(100));
        assert_eq!(pauses.iter().max(), Some(&Duration::from_secs(1)));
        assert!(pauses.iter().sum::<Duration>() >= PATIENCE - Duration::from_secs(30));
        // One that lived begins anew.
        assert_eq!(
            restarts.next(now, Duration::from_secs(2)),
            Some(Duration::ZERO)
        );
        assert_eq!(restarts.next(now, lived), Some(Duration::ZERO));
    }
}
