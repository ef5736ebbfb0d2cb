//! A running engine: all that commands, metrics and pages see of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use debridfs_acquire::Acquire;
use debridfs_base::volume::Volume;
use debridfs_base::{Attention, Board, Late, Supervisor, state_file};
use debridfs_catalogue::Catalogue;
use debridfs_content::Content;
use debridfs_fuse::{Backends, Serving};
use debridfs_handover as handover;
use debridfs_listen::Listeners;
use debridfs_nfs::NfsServer;
use debridfs_provider::Provider;
use debridfs_repair::{Moves, Patient, Repair};
use debridfs_tree::Tree;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::find::{Meant, find};
use crate::keeper::{keeper_part, moment, of_mount};
use crate::{
    Accepting, CallersStatus, EngineState, EngineStatus, HttpTokens, Instance, KeeperStatus,
    Measures, MountStatus, NfsStatus, Status, WhyReport, figures, verdict,
};

/// How often the keeper is asked how it does.
const KEEPER_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked for state files that were moved aside, which also shows whether their volume answers.
const STATE_EVERY: Duration = Duration::from_secs(5);
/// How often the progress of the first sync is told in the log.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What is known of an engine and its mount from the start.
pub struct EngineInfo {
    /// When the engine started.
    pub started: Timestamp,
    /// The mount point.
    pub mount: PathBuf,
    /// The keeper's process id, if it is in a namespace we can see.
    pub keeper: Option<u32>,
    /// Engines before this one.
    pub restarts: u64,
    /// Where the keeper can be asked.
    pub keeper_socket: PathBuf,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// Where bytes are kept.
    pub cache_dir: PathBuf,
}

/// What an engine is made of.
pub struct EngineParts {
    /// Accounts.
    pub providers: Vec<Arc<dyn Provider>>,
    /// The library.
    pub catalogue: Arc<Catalogue>,
    /// Bytes.
    pub content: Arc<Content>,
    /// What is shown.
    pub tree: Arc<Tree>,
    /// Downloads, if any are configured.
    pub queue: Late<Acquire>,
    /// Repair, unless it is turned off.
    pub repair: Late<Repair>,
    /// Releases that are moved to another account.
    pub moves: Late<Moves>,
    /// Watches the tasks, and knows what does not run.
    pub supervisor: Supervisor,
    /// What somebody has to look at.
    pub board: Board,
    /// The mount, once there is one.
    pub serving: Late<Serving>,
    /// Why there is none.
    pub mount_news: watch::Sender<Option<Attention>>,
    /// Who decodes the kernel's requests.
    pub backends: Arc<Backends>,
    /// Tokens for files over HTTP.
    pub tokens: HttpTokens,
    /// Who is connected.
    pub listeners: Arc<Listeners>,
    /// Files over NFS, if they are configured, once there is a key.
    pub nfs: Late<NfsServer>,
}

/// A running engine.
pub struct RunningEngine {
    pub(crate) parts: EngineParts,
    pub(crate) info: EngineInfo,
    keeper: Mutex<KeeperStatus>,
    moved_aside: Mutex<Vec<PathBuf>>,
    listen: OnceLock<SocketAddr>,
}

impl RunningEngine {
    /// An engine made of `parts`.
    pub fn new(parts: EngineParts, info: EngineInfo) -> Self {
        let keeper = KeeperStatus {
            pid: info.keeper,
            restarts: info.restarts,
            last_death: None,
        };
        Self {
            parts,
            info,
            keeper: Mutex::new(keeper),
            moved_aside: Mutex::default(),
            listen: OnceLock::new(),
        }
    }

    /// Its library.
    pub fn catalogue(&self) -> &Catalogue {
        &self.parts.catalogue
    }

    /// Its downloads, if any are configured, once they are open.
    pub fn queue(&self) -> &Late<Acquire> {
        &self.parts.queue
    }

    /// Its repair, unless it is turned off, once it is open.
    pub fn repair(&self) -> &Late<Repair> {
        &self.parts.repair
    }

    /// Health and metrics are at `address`.
    pub fn listening(&self, address: SocketAddr) {
        // Told once, by the only server.
        let _ = self.listen.set(address);
    }

    /// Asks the keeper now and then, so that a status never waits for it.
    pub async fn follow_keeper(self: Arc<Self>) {
        loop {
            let socket = self.info.keeper_socket.clone();
            let asked =
                tokio::task::spawn_blocking(move || handover::status(&socket, KEEPER_EVERY)).await;
            if let Ok(Ok(said)) = asked {
                let (keeper, ..) = keeper_part(&said);
                *self.keeper.lock() = keeper;
                // The reason may be another by now.
                let trouble = said.mount_trouble.map(|one| of_mount(&said.mount, &one));
                self.parts.mount_news.send_if_modified(|known| {
                    let news = known.is_some() && trouble.is_some() && *known != trouble;
                    if news {
                        known.clone_from(&trouble);
                    }
                    news
                });
            }
            tokio::time::sleep(KEEPER_EVERY).await;
        }
    }

    /// Looks at the state directory now and then, so that a status never waits for it.
    #[allow(clippy::disallowed_methods, reason = "on a thread of the volume")]
    pub async fn follow_state(self: Arc<Self>) {
        loop {
            let dir = self.info.state_dir.clone();
            let looked = Volume::state().run(&self.info.state_dir, move || {
                state_file::moved_aside_in(&dir)
            });
            // Silence shows by itself.
            if let Ok(found) = looked.await {
                *self.moved_aside.lock() = found;
            }
            tokio::time::sleep(STATE_EVERY).await;
        }
    }

    /// Tells the log how far the first sync is, until it is done.
    pub async fn tell_progress(self: Arc<Self>) {
        while let Some(progress) = self.parts.catalogue.status().progress {
            if progress.total == 0 {
                tracing::info!("first sync: waiting for the list of the account");
            } else {
                tracing::info!(
                    known = progress.done,
                    of = progress.total,
                    seconds_left = progress.seconds_left,
                    "first sync"
                );
            }
            tokio::time::sleep(PROGRESS_EVERY).await;
        }
        let status = self.parts.catalogue.status();
        tracing::info!(
            releases = status.releases,
            files = status.files,
            "the library is complete"
        );
    }
}

/// How far repair is with a release, in words.
fn words_of(patient: &Patient) -> String {
    let checks = match patient.confirmations {
        0 => "no check has confirmed it yet".to_owned(),
        one_or_more => format!("{one_or_more} checks confirmed it"),
    };
    let last = patient.evidence.back().map_or("", |last| &last.words);
    format!("{}: {checks}; last: {last}", patient.stage.label())
}

impl Instance for RunningEngine {
    fn status(&self) -> Status {
        let mut attention = self.parts.board.lines();
        let EngineParts {
            catalogue,
            tree,
            providers,
            ..
        } = &self.parts;
        let (library, errors) = figures::library(catalogue, tree, providers, &mut attention);
        let queue = self.parts.queue.get();
        attention.extend(queue.iter().flat_map(|queue| figures::downloads(queue)));
        let keeper = self.keeper.lock().clone();
        let serving = self.parts.serving.get();
        let unmounted = self.parts.mount_news.borrow().clone();
        attention.extend(unmounted.clone());
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            healthy: false,
            problems: Vec::new(),
            attention,
            keeper,
            engine: EngineStatus {
                pid: Some(std::process::id()),
                state: match serving {
                    Some(_) => EngineState::Serving,
                    None => EngineState::Unmounted,
                },
                started: Some(self.info.started),
                listen: self.listen.get().copied(),
                resident: figures::resident(),
            },
            mount: MountStatus {
                path: self.info.mount.clone(),
                since: serving.and_then(|serving| moment(serving.mounted_at())),
                trouble: unmounted.as_ref().map(Attention::to_string),
            },
            backend: self.parts.backends.active().to_string(),
            library: Some(library),
            providers: self
                .parts
                .providers
                .iter()
                .map(|one| figures::provider(&**one))
                .collect(),
            content: Some(figures::content(&self.parts.content, tree)),
            queue: queue.map(|queue| figures::queue(queue)),
            repair: self
                .parts
                .repair
                .get()
                .map(|repair| figures::repair(repair)),
            fuse: serving.map(|serving| figures::fuse(serving, &self.parts.backends)),
            callers: Some(CallersStatus::of(&self.parts.listeners)),
            nfs: self.parts.nfs.get().map(|server| NfsStatus::of(server)),
            down: self.parts.supervisor.down(),
            moved_aside: self.moved_aside.lock().clone(),
            volumes: figures::volumes(&self.parts, &self.info),
            last_error: errors.into_iter().max_by_key(|error| error.at),
        }
        .judged()
    }

    fn measures(&self) -> Measures {
        Measures::of(self)
    }

    fn why(&self, path: &str) -> Result<WhyReport, String> {
        let EngineParts {
            catalogue,
            providers,
            content,
            tree,
            ..
        } = &self.parts;
        let found = tree.explain(&self.info.mount, path);
        let mut found = found.map_err(|error| error.to_string())?;
        let release = found.release.as_mut();
        let copies = release.map_or(Vec::new(), |release| std::mem::take(&mut release.copies));
        let mut report = verdict::report(found, content);
        if let Some(release) = &mut report.release {
            let copies = copies.iter().map(|copy| catalogue.report_of(copy));
            release.copies = copies.map(|one| figures::copy(one, providers)).collect();
            let hash = release.hash.parse().ok();
            let patient = hash.and_then(|hash| self.parts.repair.get()?.patient(hash));
            release.repair = patient.as_ref().map(words_of);
        }
        Ok(report)
    }

    fn why_like(&self, text: &str) -> Result<WhyReport, String> {
        if let Ok(report) = self.why(text) {
            return Ok(report);
        }
        let library = self.parts.catalogue.library().borrow().clone();
        let queue = self.parts.queue.get();
        match find(text, &library, queue.map(|queue| &**queue))? {
            Meant::Path(path) => self.why(&path),
            Meant::Job(report) => Ok(*report),
        }
    }

    fn accept_loss(&self) -> Accepting {
        let catalogue = self.parts.catalogue.clone();
        Box::pin(async move { catalogue.accept().await as u64 })
    }
}
