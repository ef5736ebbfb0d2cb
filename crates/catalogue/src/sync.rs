//! Keeps the library true to the accounts: polls lists, asks for the files of what is ready, and publishes what came of it.
//!
//! Three kinds of tasks share one [`State`]: one [`poll`] and one [`info`] per provider, and one [`publish`]. Every answer is
//! stored before it is published, so a kill loses nothing that was paid for with a call.

mod fingerprint;
pub(crate) mod first;
mod info;
mod listing;
mod pace;
mod poll;
mod publish;
mod queue;
mod shared;
pub(crate) mod state;
pub(crate) mod told;
mod waiters;
mod writer;

pub(crate) use publish::publish;
pub(crate) use shared::{Counts, Line, Settings, Shared};

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs all tasks until `shutdown`. May be called again after a panic.
///
/// # Panics
/// With the panic of one of the tasks, once the others have ended.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    // A panic ends the sync, and not the process.
    let end = shutdown.child_token();
    let mut tasks = JoinSet::new();
    for index in 0..shared.lines.len() {
        tasks.spawn(poll::run(shared.clone(), index, end.clone()));
        tasks.spawn(info::run(shared.clone(), index, end.clone()));
    }
    tasks.spawn(publish::run(shared.clone(), end.clone()));
    let mut panic = None;
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            end.cancel();
            panic = Some(error.into_panic());
        }
    }
    if let Some(panic) = panic {
        shared.writer.owe_everything().await;
        std::panic::resume_unwind(panic);
    }
    shared.stop().await;
}
