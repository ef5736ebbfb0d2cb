//! Follows the library, and hands what changed to the hooks.
//!
//! What they were told of is kept on disk with what still waits. A kill between a change and that file only means that the next engine finds the
//! change once more, as it does with all that changed while there was none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::volume::Volume;
use debridfs_catalogue::{Catalogue, ChangedPath, Library, Outline, changed_paths};
use debridfs_provider::Provider;
use futures_util::stream::{Stream, StreamExt};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::kept::Kept;
use super::{ChangeKind, Hook, Notice};

/// The file is not written more often: what is not in it yet is found again.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// After a write that failed.
const KEEP_PAUSE: Duration = Duration::from_secs(60);

/// Tells all hooks what changes, for ever, and those that want it what else happens (`notices`). `mount`
/// is where the library is shown, `kept` the file that outlives the engine.
///
/// # Errors
/// The file cannot be read now: nobody is told before it is.
pub async fn run_hooks(
    hooks: Vec<Hook>,
    catalogue: Arc<Catalogue>,
    providers: Vec<Arc<dyn Provider>>,
    mount: PathBuf,
    kept: PathBuf,
    notices: impl Stream<Item = Notice> + Send + 'static,
) -> io::Result<()> {
    if hooks.is_empty() {
        // A hook that is set up later is told what changes from then on.
        #[allow(clippy::disallowed_methods, reason = "on a thread of the volume")]
        let remove = |path: PathBuf| std::fs::remove_file(path);
        let path = kept.clone();
        let _ = Volume::state().io(&path, move || remove(kept)).await;
        return Ok(());
    }
    let path = kept.clone();
    let read = move || Kept::load(&path, Timestamp::now());
    let before = Volume::state().run(&kept, read).await??;
    let follower = Arc::new(Follower {
        hooks,
        mount,
        path: kept,
        told: Mutex::new(None),
        news: Notify::new(),
    });
    // They share what they know, so that one that ends is not started again without the others.
    let mut tasks = JoinSet::new();
    for at in 0..follower.hooks.len() {
        let watched = follower.clone();
        tasks.spawn(async move { watched.hooks[at].watch().await });
        let noticing = follower.clone();
        tasks.spawn(async move { noticing.hooks[at].tell_notices().await });
        let follower = follower.clone();
        let (catalogue, providers) = (catalogue.clone(), providers.clone());
        tasks.spawn(async move {
            let believed = move || is_believed(&catalogue, &providers);
            let hook = &follower.hooks[at];
            hook.run(believed, || follower.news.notify_one()).await;
        });
    }
    let noticing = follower.clone();
    tasks.spawn(async move {
        let tell = |notice: Notice| {
            let hooks = noticing.hooks.iter();
            hooks.for_each(|hook| hook.notice(notice.clone()));
            std::future::ready(())
        };
        notices.for_each(tell).await;
        // There are no more; what changes in the library is told all the same.
        std::future::pending::<()>().await;
    });
    tasks.spawn(follower.clone().keep());
    tasks.spawn(follower.follow(catalogue, before));
    match tasks.join_next().await {
        Some(Err(error)) => Err(io::Error::other(error)),
        _ => Ok(()),
    }
}

/// Whether what is shown now is what accounts hold: a scan at another time may take films for deleted.
fn is_believed(catalogue: &Catalogue, providers: &[Arc<dyn Provider>]) -> bool {
    let status = catalogue.status();
    let well = providers.iter().all(|provider| provider.health().healthy);
    let in_sync = status.providers.iter().all(|one| one.trouble.is_none());
    well && in_sync && status.held.is_empty()
}

/// Waits until the first sync is over: everything is new during it, and scans would fight it for
/// the provider's budget.
pub(crate) async fn until_complete(
    catalogue: &Catalogue,
    library: &mut watch::Receiver<Arc<Library>>,
) {
    // What is complete changes with the library only.
    while !catalogue.status().complete && library.changed().await.is_ok() {}
}

struct Follower {
    hooks: Vec<Hook>,
    mount: PathBuf,
    path: PathBuf,
    /// The library of which all changes were handed on; held while they are, so that what is kept fits together.
    told: Mutex<Option<Arc<Library>>>,
    /// Something is to be kept.
    news: Notify,
}

impl Follower {
    fn told(&self) -> MutexGuard<'_, Option<Arc<Library>>> {
        self.told.lock()
    }

    async fn follow(self: Arc<Self>, catalogue: Arc<Catalogue>, before: Option<Kept>) {
        let mut library = catalogue.library();
        until_complete(&catalogue, &mut library).await;
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
        for hook in &self.hooks {
            let changes = waiting.remove(hook.name()).unwrap_or_default();
            let changes = changes.into_iter();
            hook.changed(changes.map(|(path, kind)| (self.mount.join(path), kind)));
        }
    }

    fn hand_on(&self, changes: &[ChangedPath], after: Arc<Library>) {
        let mut told = self.told();
        for hook in &self.hooks {
            let wanted = changes.iter().filter(|change| hook.wants(&change.path));
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
            let follower = self.clone();
            let saved = Volume::state()
                .io(&self.path, move || follower.save())
                .await;
            match saved {
                Ok(()) => sleep(KEEP_EVERY).await,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "what hooks are to be told cannot be kept yet");
                    self.news.notify_one();
                    sleep(KEEP_PAUSE).await;
                }
            }
        }
    }

    fn save(&self) -> io::Result<()> {
        let (library, waiting) = {
            let told = self.told();
            let Some(library) = told.clone() else {
                return Ok(());
            };
            let waiting = self.hooks.iter().map(|hook| {
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
