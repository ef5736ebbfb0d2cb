//! `debridfs provider move`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use debridfs_control::{CallError, Client, Moving, words};
use debridfs_repair::{Move, MoveStep};
use tokio::time::{Instant, sleep};

use crate::command::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, ReportArgs};

/// Between looks at the progress.
const LOOKS_APART: Duration = Duration::from_millis(500);
/// An engine that restarts is waited for.
const RESTART: Duration = Duration::from_secs(60);

/// Arguments of `provider move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Paths, names, parts of names, or info-hashes; lists the moves when absent.
    pub releases: Vec<String>,
    /// The NAME of the account that gets them.
    #[arg(long, value_name = "NAME", requires = "releases")]
    pub to: Option<String>,
    /// The NAME of the source account; all that hold them when absent.
    #[arg(long, value_name = "NAME", requires = "to")]
    pub from: Option<String>,
    /// Delete them at the source once the target has all of them and every file was compared.
    #[arg(long, requires = "to")]
    pub remove_source: bool,
    /// Only add them if the target has them in its cache: nothing is downloaded there.
    #[arg(long, requires = "to")]
    pub cached: bool,
    /// Begin the move, but do not wait for its end.
    #[arg(long, requires = "to")]
    pub no_wait: bool,
    /// End the moves of these releases where they are; what was added stays.
    #[arg(long, conflicts_with = "to", requires = "releases")]
    pub stop: bool,
    /// The form of the answer, and whom to ask.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Runs it.
pub fn run(args: &MoveArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.report.instance, file)?;
    let moves = runtime()?.block_on(moves(args, &instance.client))?;
    if args.report.json {
        print_json(&moves, "moves")?;
    }
    match moves.iter().any(|one| one.step == MoveStep::Failed) {
        true if !args.releases.is_empty() => Err(Failure::silent(1)),
        _ => Ok(()),
    }
}

async fn moves(args: &MoveArgs, client: &Client) -> Result<Vec<Move>, Failure> {
    let shows = !args.report.json;
    if args.stop {
        let mut stopped = Vec::new();
        for release in &args.releases {
            stopped.push(client.stop_move(release).await?);
        }
        tell(shows, &stopped, "stopped ")?;
        return Ok(stopped);
    }
    let Some(to) = &args.to else {
        let listed = client.moves().await?;
        tell(shows, &listed, "")?;
        if shows && listed.is_empty() {
            say("nothing is being moved");
        }
        return Ok(listed);
    };
    let mut begun = Vec::new();
    for release in &args.releases {
        let moving = Moving {
            release: release.clone(),
            to: to.clone(),
            from: args.from.clone(),
            remove_source: args.remove_source,
            cached: args.cached,
        };
        begun.push(client.move_release(&moving).await?);
    }
    if args.no_wait {
        tell(shows, &begun, "")?;
        return Ok(begun);
    }
    follow(client, begun, shows).await
}

/// Shows how it goes on until all are over.
async fn follow(client: &Client, begun: Vec<Move>, shows: bool) -> Result<Vec<Move>, Failure> {
    let mut told: BTreeMap<_, String> = BTreeMap::new();
    let mut silent: Option<Instant> = None;
    loop {
        let listed = match client.moves().await {
            Ok(listed) => listed,
            // It may be on its way down or up; the move goes on with the next engine.
            Err(error) if is_absence(&error) && within(&mut silent) => {
                sleep(LOOKS_APART).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        silent = None;
        let mut ours = begun.clone();
        for one in &mut ours {
            let known = listed.iter().find(|known| known.hash == one.hash);
            match known {
                Some(known) => one.clone_from(known),
                None => return Err(Failure::new(format!("{} was stopped", one.name), None)),
            }
        }
        let lines: Vec<String> = ours.iter().map(words::moved).collect();
        for (one, line) in plain(&ours)?.iter().zip(lines) {
            if shows && told.get(&one.hash) != Some(&line) {
                tell(shows, std::slice::from_ref(one), "")?;
                told.insert(one.hash, line);
            }
        }
        if ours.iter().all(|one| one.step.is_over()) {
            return Ok(ours);
        }
        sleep(LOOKS_APART).await;
    }
}

fn is_absence(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Silent { .. } | CallError::Refused(_) | CallError::Code(_)
    )
}

fn within(silent: &mut Option<Instant>) -> bool {
    silent.get_or_insert_with(Instant::now).elapsed() < RESTART
}

fn tell(shows: bool, moves: &[Move], before: &str) -> Result<(), Failure> {
    if !shows {
        return Ok(());
    }
    let moves: Vec<Move> = moves.to_vec();
    for one in plain(&moves)? {
        say(&format!("{before}{}", words::moved(&one)));
    }
    Ok(())
}
