//! A state directory whose volume does not answer: the library is served without what is stored there, from the accounts' lists.

#![allow(clippy::disallowed_methods, reason = "on threads of the volume")]

use std::path::Path;
use std::time::Duration;

use debridfs_base::instance_lock::IN_OWN;
use debridfs_base::volume::Volume;
use debridfs_preflight::{Alone, InUse};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the volume answers again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether the volume takes a write, or refuses one: both are answers. Waits for that no longer than a volume may be silent.
pub async fn answers(dir: &Path) -> bool {
    let trial = dir.join("trial");
    let tried = Volume::state().run(dir, move || {
        let written = std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial));
        if let Err(error) = written {
            tracing::debug!(%error, "the state directory refuses to be written");
        }
    });
    match tried.await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!("{error}: what is stored is not used until then");
            false
        }
    }
}

/// Keeps every other instance out of the state directory for as long as this process lives.
///
/// # Errors
/// Another instance has it.
pub async fn keep_alone(alone: &Alone, dir: &Path) -> Result<(), InUse> {
    // Whatever goes on in this process after the last clone is dropped may write there.
    std::mem::forget(alone.clone());
    let (alone, path) = (alone.clone(), dir.to_owned());
    let keep = move || alone.keep("state_dir", &path, IN_OWN);
    // What does not answer is not used.
    Volume::state().run(dir, keep).await.unwrap_or(Ok(()))
}

/// Ends this engine in order once the volume answers: the next one goes on with what is stored there.
pub async fn end_once_it_answers(shutdown: CancellationToken) {
    while Volume::state().silence().is_some() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tracing::info!(
        "the state directory answers again: another engine takes over, with what is stored"
    );
    shutdown.cancel();
}
