//! Follows the library, and hands what changed to the hooks.
//!
//! What they were told of is kept on disk with what still waits. A kill between a change and that file only means that the next engine finds the
//! change once more, as it does with all that changed while there was none.

mod kept;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_catalogue::{Catalogue, ChangedPath, Library, Outline, changed_paths};
use debridfs_provider::Provider;
use debridfs_services::ChangeKind;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::sleep;

use self::kept::Kept;
use super::parts::Parts;
use crate::config::ViewHook;

/// How often it is asked whether the first sync is over.
const FIRST_SYNC_LOOKS: Duration = Duration::from_secs(2);
/// The file is not written more often: what is not in it yet is found again.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// After a write that failed.
const KEEP_PAUSE: Duration = Duration::from_secs(60);

/// Starts all hooks; `kept` is the file that outlives the engine.
pub fn start(hooks: Vec<ViewHook>, parts: &Parts, mount: PathBuf, kept: PathBuf) {
    if hooks.is_empty() {
        // Whoever sets one up later is to hear of what changes from then on.
        let _ = std::fs::remove_file(kept);
        return;
    }
    let before = Kept::load(&kept);
    let watch = Arc::new(Watch {
        hooks,
        mount,
        path: kept,
        told: Mutex::new(None),
        news: Notify::new(),
    });
    for at in 0..watch.hooks.len() {
        let watch = watch.clone();
        let (catalogue, providers) = (parts.catalogue.clone(), parts.providers.clone());
        tokio::spawn(async move {
            let believed = move || is_believed(&catalogue, &providers);
            let hook = &watch.hooks[at].hook;
            hook.run(believed, || watch.news.notify_one()).await;
        });
    }
    tokio::spawn(watch.clone().keep());
    tokio::spawn(watch.follow(parts.catalogue.clone(), before));
}

/// Whether what is shown now is what accounts hold: a scan at another time may take films for deleted.
fn is_believed(catalogue: &Catalogue, providers: &[Arc<dyn Provider>]) -> bool {
    let status = catalogue.status();
    let well = providers.iter().all(|provider| provider.health().healthy);
    let in_sync = status.providers.iter().all(|one| one.trouble.is_none());
    well && in_sync && status.held.is_empty()
}

struct Watch {
    hooks: Vec<ViewHook>,
    mount: PathBuf,
    path: PathBuf,
    /// The library of which all changes were handed on; held while they are, so that what is kept fits together.
    told: Mutex<Option<Arc<Library>>>,
    /// Something is to be kept.
    news: Notify,
}

impl Watch {
    fn told(&self) -> MutexGuard<'_, Option<Arc<Library>>> {
        self.told.lock()
    }

    async fn follow(self: Arc<Self>, catalogue: Arc<Catalogue>, before: Option<Kept>) {
        let mut library = catalogue.library();
        // Everything is new during a first sync, and scans would fight it for the provider's budget.
        while !catalogue.status().complete {
            sleep(FIRST_SYNC_LOOKS).await;
        }
        let now = library.borrow_and_update().clone();
        let changes = match before {
            Some(kept) => {
                self.restore(kept.waiting);
                kept.library.changes_to(&now)
            }
            None => Vec::new(),
        };
        self.hand_on(&changes, now);
        self.news.notify_one();
        while library.changed().await.is_ok() {
            let after = library.borrow_and_update().clone();
            let before = self.told().clone();
            let changes = changed_paths(before.as_deref().unwrap_or(&Library::default()), &after);
            self.hand_on(&changes, after);
            if !changes.is_empty() {
                self.news.notify_one();
            }
        }
    }

    /// Gives the hooks what waited for them in another engine.
    fn restore(&self, mut waiting: BTreeMap<String, BTreeMap<String, ChangeKind>>) {
        for ViewHook { hook, .. } in &self.hooks {
            let changes = waiting.remove(hook.name()).unwrap_or_default();
            let changes = changes.into_iter();
            hook.changed(changes.map(|(path, kind)| (self.mount.join(path), kind)));
        }
    }

    fn hand_on(&self, changes: &[ChangedPath], after: Arc<Library>) {
        let mut told = self.told();
        for ViewHook { hook, views } in &self.hooks {
            let wanted = changes.iter().filter(|change| {
                let view = change.path.split('/').next().unwrap_or_default();
                views.is_empty() || views.iter().any(|one| one == view)
            });
            hook.changed(wanted.map(|change| {
                let kind = match change.gone {
                    true => ChangeKind::Deleted,
                    false => ChangeKind::Updated,
                };
                (self.mount.join(&change.path), kind)
            }));
        }
        *told = Some(after);
    }

    async fn keep(self: Arc<Self>) {
        loop {
            self.news.notified().await;
            let watch = self.clone();
            let saved = tokio::task::spawn_blocking(move || watch.save()).await;
            match saved {
                Ok(Ok(())) => sleep(KEEP_EVERY).await,
                Ok(Err(error)) => {
                    tracing::warn!(path = %self.path.display(), %error, "what hooks are to be told cannot be kept yet");
                    self.news.notify_one();
                    sleep(KEEP_PAUSE).await;
                }
                // The program is stopping.
                Err(_) => return,
            }
        }
    }

    fn save(&self) -> std::io::Result<()> {
        let (library, waiting) = {
            let told = self.told();
            let Some(library) = told.clone() else {
                return Ok(());
            };
            let waiting = self.hooks.iter().map(|ViewHook { hook, .. }| {
                let changes = hook.waiting().into_iter();
                let below = changes.filter_map(|(path, kind)| Some((self.below(&path)?, kind)));
                (hook.name().to_owned(), below.collect())
            });
            (library, waiting.collect())
        };
        Kept::new(Outline::of(&library), waiting).save(&self.path)
    }

    /// As the library names it: the next engine may mount elsewhere.
    fn below(&self, path: &Path) -> Option<String> {
        let path = path.strip_prefix(&self.mount).ok()?;
        path.to_str().map(str::to_owned)
    }
}
