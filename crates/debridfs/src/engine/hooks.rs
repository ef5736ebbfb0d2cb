//! Follows the library, and hands what changed to the hooks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_catalogue::{Catalogue, changed_paths};
use debridfs_provider::Provider;
use debridfs_services::ChangeKind;

use super::parts::Parts;
use crate::config::ViewHook;

/// How often it is asked whether the first sync is over.
const FIRST_SYNC_LOOKS: Duration = Duration::from_secs(2);

/// Starts all hooks.
pub fn start(hooks: Vec<ViewHook>, parts: &Parts, mount: PathBuf) {
    if hooks.is_empty() {
        return;
    }
    let hooks: Arc<[ViewHook]> = hooks.into();
    for at in 0..hooks.len() {
        let hooks = hooks.clone();
        let (catalogue, providers) = (parts.catalogue.clone(), parts.providers.clone());
        tokio::spawn(async move {
            let believed = move || is_believed(&catalogue, &providers);
            hooks[at].hook.run(believed).await;
        });
    }
    tokio::spawn(follow(hooks, parts.catalogue.clone(), mount));
}

/// Whether what is shown now is what accounts hold: a scan at another time may take films for deleted.
fn is_believed(catalogue: &Catalogue, providers: &[Arc<dyn Provider>]) -> bool {
    let status = catalogue.status();
    let well = providers.iter().all(|provider| provider.health().healthy);
    let in_sync = status.providers.iter().all(|one| one.trouble.is_none());
    well && in_sync && status.held.is_empty()
}

async fn follow(hooks: Arc<[ViewHook]>, catalogue: Arc<Catalogue>, mount: PathBuf) {
    let mut library = catalogue.library();
    // Everything is new during a first sync, and scans would fight it for the provider's budget.
    while !catalogue.status().complete {
        tokio::time::sleep(FIRST_SYNC_LOOKS).await;
    }
    let mut before = library.borrow_and_update().clone();
    while library.changed().await.is_ok() {
        let after = library.borrow_and_update().clone();
        let changes = changed_paths(&before, &after);
        before = after;
        for hook in hooks.iter() {
            let wanted = changes.iter().filter(|change| {
                let view = change.path.split('/').next().unwrap_or_default();
                hook.views.is_empty() || hook.views.iter().any(|one| one == view)
            });
            hook.hook.changed(wanted.map(|change| {
                let kind = match change.gone {
                    true => ChangeKind::Deleted,
                    false => ChangeKind::Updated,
                };
                (below(&mount, &change.path), kind)
            }));
        }
    }
}

fn below(mount: &Path, path: &str) -> PathBuf {
    mount.join(path)
}
