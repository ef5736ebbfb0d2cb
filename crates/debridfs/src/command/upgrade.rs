//! `debridfs upgrade`.

use std::path::Path;
use std::time::Duration;

use debridfs_base::terminal::escaped;
use debridfs_base::with_causes;
use debridfs_handover::{self as handover, HandoverError, Upgrade};

use super::{runtime, say};
use crate::failure::{Failure, NOBODY, START};
use crate::instance::{Instance, InstanceArgs};

/// For one answer of the keeper.
const LIMIT: Duration = Duration::from_secs(5);
/// How often it is asked.
const EVERY: Duration = Duration::from_millis(100);

/// Asks the keeper for a new engine, and waits until that one serves or the old one does again.
pub fn run(args: &InstanceArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(args, file)?;
    let socket = instance.keeper();
    let before = handover::upgrade(socket, LIMIT).map_err(|error| match error {
        HandoverError::Refused(reason) => Failure::new(escaped(&reason), None),
        error => {
            let words = format!("no instance answers: {}", with_causes(&error));
            Failure::new(words, Some(START)).with_code(NOBODY)
        }
    })?;
    let old = before.engine_version.unwrap_or_else(|| "none".into());
    let old = escaped(&old);
    say(&format!("the new engine loads; {old} serves meanwhile"));
    let runtime = runtime()?;
    loop {
        // The keeper itself gives a new engine up that does not get ready.
        let status = handover::status(socket, LIMIT)
            .map_err(|error| Failure::new(with_causes(&error), None).with_code(NOBODY))?;
        match status.upgrade {
            Upgrade::Running | Upgrade::None => {}
            Upgrade::Done { version } => {
                let version = escaped(&version);
                say(&format!("{version} serves now (before: {old})"));
                return Ok(());
            }
            Upgrade::Failed { reason } => {
                let help = "the old program serves on; `debridfs serve` logs what the new one said";
                return Err(Failure::new(escaped(&reason), Some(help)));
            }
        }
        runtime.block_on(async { tokio::time::sleep(EVERY).await });
    }
}
