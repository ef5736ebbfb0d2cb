//! Tells media servers, chats and scripts what changed in the library: only what changed, gathered, and only while what is shown can be believed.
//!
//! A media server that scans while a provider is away takes films for deleted; so nothing is told meanwhile, and what was to be told is told afterwards.

mod follow;
mod kept;
mod notices;
mod plex;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::http::Transport;
use debridfs_base::{AttentionKind, Backoff, Board, Secret, Trouble};
use http::{HeaderName, Method};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{CallError, Caller};

pub use follow::run_hooks;
pub(crate) use follow::until_complete;
pub use notices::Notice;

/// Changes are told once nothing more came for so long…
const QUIET: Duration = Duration::from_secs(5);
/// …or after this time at the latest.
const LATEST: Duration = Duration::from_secs(60);
/// How often it is asked whether what is shown can be believed again.
const HELD_LOOKS: Duration = Duration::from_secs(5);
/// Pauses after failures in a row.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
/// How often a media server is asked whether it answers.
const PINGS: Duration = Duration::from_secs(60);
/// Changes in one call at most: what media servers take at once.
const BATCH: usize = 500;
/// Changes that wait for one hook at most; the oldest by name are left out.
const MOST: usize = 50_000;
/// Discord refuses longer messages, in characters.
const DISCORD_LONGEST: usize = 2000;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// Plex: the part of a library that holds the path is scanned.
    Plex,
    /// Jellyfin: `POST /Library/Media/Updated`.
    Jellyfin,
    /// Emby: the same call.
    Emby,
    /// Any server: a POST with JSON.
    Webhook,
    /// A Discord webhook: a message.
    Discord,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It came, or what is in it changed.
    Updated,
    /// It went.
    Deleted,
}

/// One hook.
#[derive(Debug)]
pub struct Hook {
    name: String,
    kind: HookKind,
    caller: Caller,
    views: Vec<String>,
    board: Board,
    changes: Mutex<Changes>,
    news: Notify,
    notices: notices::Notices,
}

#[derive(Debug, Default)]
struct Changes {
    waiting: BTreeMap<PathBuf, ChangeKind>,
    /// On their way: the answer is not there yet.
    leaving: BTreeMap<PathBuf, ChangeKind>,
}

impl Hook {
    /// A hook called `name` in the configuration. `token` is Plex's or Jellyfin's; a webhook gets it as `Authorization: Bearer`.
    pub fn new(
        name: &str,
        kind: HookKind,
        url: &Secret,
        token: Option<Secret>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let mut caller = Caller::new(url.expose(), transport);
        if let Some(token) = token {
            let (header, value) = match kind {
                HookKind::Plex => ("x-plex-token", token),
                HookKind::Jellyfin => (
                    "authorization",
                    Secret::new(format!("MediaBrowser Token=\"{}\"", token.expose())),
                ),
                HookKind::Emby => ("x-emby-token", token),
                HookKind::Webhook | HookKind::Discord => (
                    "authorization",
                    Secret::new(format!("Bearer {}", token.expose())),
                ),
            };
            caller = caller.with_login(HeaderName::from_static(header), value);
        }
        Self {
            name: name.to_owned(),
            kind,
            caller,
            views: Vec::new(),
            board: Board::default(),
            changes: Mutex::default(),
            news: Notify::new(),
            notices: notices::Notices::default(),
        }
    }

    /// Told of `views` only; of all when there are none.
    pub fn with_views(mut self, views: Vec<String>) -> Self {
        self.views = views;
        self
    }

    /// It says on `board` when it cannot be told.
    pub fn with_board(mut self, board: Board) -> Self {
        self.board = board;
        self
    }

    /// Whether it is told of `path` below the mount.
    fn wants(&self, path: &str) -> bool {
        let view = path.split('/').next().unwrap_or_default();
        self.views.is_empty() || self.views.iter().any(|one| one == view)
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock()
    }

    /// All that was not told yet, to be handed to [`Self::changed`] of the next process: told twice is harmless, not told is not.
    pub fn waiting(&self) -> BTreeMap<PathBuf, ChangeKind> {
        let changes = self.changes();
        let mut all = changes.leaving.clone();
        all.extend(
            changes
                .waiting
                .iter()
                .map(|(path, kind)| (path.clone(), *kind)),
        );
        all
    }

    /// These absolute paths changed; a later word about a path replaces an earlier one. Never waits.
    pub fn changed(&self, changes: impl IntoIterator<Item = (PathBuf, ChangeKind)>) {
        let mut all = self.changes();
        let waiting = &mut all.waiting;
        let before = waiting.len();
        waiting.extend(changes);
        let mut left_out = 0;
        while waiting.len() > MOST {
            waiting.pop_first();
            left_out += 1;
        }
        let some = !waiting.is_empty() && (before == 0 || waiting.len() != before);
        drop(all);
        if left_out > 0 {
            tracing::warn!(
                hook = self.name,
                left_out,
                "too many changes at once: scan the library by hand"
            );
        }
        if some {
            self.news.notify_one();
        }
    }

    /// Tells changes as they come, while `believed` says so, and calls `told` after each call that left less to be told. Ends when it is dropped.
    pub async fn run(&self, believed: impl Fn() -> bool + Send, told: impl Fn() + Send) {
        loop {
            if self.changes().waiting.is_empty() {
                self.news.notified().await;
            }
            let latest = Instant::now() + LATEST;
            while timeout_at(latest.min(Instant::now() + QUIET), self.news.notified())
                .await
                .is_ok()
            {}
            let mut failures = 0u32;
            loop {
                while !believed() {
                    sleep(HELD_LOOKS).await;
                }
                let batch = self.take();
                if batch.is_empty() {
                    break;
                }
                match self.tell(&batch).await {
                    Ok(()) => {
                        tracing::info!(hook = self.name, changes = batch.len(), "told");
                        failures = 0;
                        self.board.settle(AttentionKind::Hook, &self.name);
                        self.board.settle(AttentionKind::Hook, &self.left_out());
                        self.has_left();
                        told();
                    }
                    Err(error) if error.is_passing() => {
                        failures = failures.saturating_add(1);
                        let pause = PAUSES.after(failures);
                        tracing::warn!(hook = self.name, %error, ?pause, "cannot be told of changes yet");
                        self.raise(&self.name, error.trouble(&self.section()));
                        self.put_back();
                        sleep(pause).await;
                    }
                    Err(error) => {
                        tracing::error!(hook = self.name, %error, changes = batch.len(), "cannot be told of changes: left out");
                        let mut trouble = error.trouble(&self.section());
                        trouble.words += &format!(
                            " ({} changes were left out: scan its library by hand)",
                            batch.len()
                        );
                        self.raise(&self.left_out(), trouble);
                        self.has_left();
                        told();
                    }
                }
            }
        }
    }

    /// Asks a media server now and then whether it answers and takes the token, while nothing waits to
    /// be told. A webhook cannot be asked. Ends when it is dropped.
    pub(crate) async fn watch(&self) {
        loop {
            if self.waiting().is_empty() {
                match self.ping().await {
                    Ok(true) => drop(self.board.settle(AttentionKind::Hook, &self.name)),
                    Ok(false) => return std::future::pending().await,
                    Err(error) => self.raise(&self.name, error.trouble(&self.section())),
                }
            }
            sleep(PINGS).await;
        }
    }

    /// Whether it can be asked; then it answered.
    async fn ping(&self) -> Result<bool, CallError> {
        let path = match self.kind {
            HookKind::Plex => "/library/sections",
            HookKind::Jellyfin | HookKind::Emby => "/System/Info",
            HookKind::Webhook | HookKind::Discord => return Ok(false),
        };
        self.caller.call(Method::GET, path, None).await?;
        Ok(true)
    }

    fn raise(&self, subject: &str, trouble: Trouble) {
        let Trouble { words, help } = trouble.clone();
        if self.board.raise(AttentionKind::Hook, subject, trouble) {
            tracing::warn!(help, "{words}");
        }
    }

    fn section(&self) -> String {
        format!("hook.{}", self.name)
    }

    fn left_out(&self) -> String {
        format!("{}: left out", self.name)
    }

    fn take(&self) -> BTreeMap<PathBuf, ChangeKind> {
        let mut changes = self.changes();
        let rest = match changes.waiting.keys().nth(BATCH).cloned() {
            Some(first) => changes.waiting.split_off(&first),
            None => BTreeMap::new(),
        };
        changes.leaving = std::mem::replace(&mut changes.waiting, rest);
        changes.leaving.clone()
    }

    fn has_left(&self) {
        self.changes().leaving.clear();
    }

    /// What could not be told, unless something newer is known of the path.
    fn put_back(&self) {
        let mut changes = self.changes();
        for (path, kind) in std::mem::take(&mut changes.leaving) {
            changes.waiting.entry(path).or_insert(kind);
        }
    }

    async fn tell(&self, changes: &BTreeMap<PathBuf, ChangeKind>) -> Result<(), CallError> {
        let post = |path: &'static str, body: Value| async move {
            let said = self.caller.call(Method::POST, path, Some(&body)).await;
            said.map(drop)
        };
        match self.kind {
            HookKind::Plex => plex::scan(&self.caller, changes.keys()).await,
            HookKind::Jellyfin | HookKind::Emby => {
                post("/Library/Media/Updated", updates(changes)).await
            }
            HookKind::Webhook => {
                let changes = changes
                    .iter()
                    .map(|(path, kind)| json!({ "path": path.to_string_lossy(), "kind": kind }));
                let changes: Vec<Value> = changes.collect();
                post("", json!({ "event": "library", "changes": changes })).await
            }
            HookKind::Discord => post("", message(changes)).await,
        }
    }
}

/// As Jellyfin and Emby want it.
fn updates(changes: &BTreeMap<PathBuf, ChangeKind>) -> Value {
    let updates = changes.iter().map(|(path, kind)| {
        let kind = match kind {
            // "Created" and "Modified" do the same there.
            ChangeKind::Updated => "Modified",
            ChangeKind::Deleted => "Deleted",
        };
        json!({ "Path": path.to_string_lossy(), "UpdateType": kind })
    });
    json!({ "Updates": updates.collect::<Vec<_>>() })
}

/// A message for people; names of releases mention nobody.
fn message(changes: &BTreeMap<PathBuf, ChangeKind>) -> Value {
    let mut text = String::new();
    let mut told = 0;
    for (path, kind) in changes {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let word = match kind {
            ChangeKind::Updated => "new or changed",
            ChangeKind::Deleted => "gone",
        };
        let line = format!("{word}: {}\n", name.to_string_lossy());
        // The last line has to fit as well.
        if text.chars().count() + line.chars().count() > DISCORD_LONGEST - 40 {
            break;
        }
        text += &line;
        told += 1;
    }
    if told < changes.len() {
        text += &format!("and {} more\n", changes.len() - told);
    }
    json!({ "content": text, "allowed_mentions": { "parse": [] } })
}
