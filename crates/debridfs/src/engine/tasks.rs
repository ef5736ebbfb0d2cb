//! Everything that runs beside the mount. One supervisor watches it all: what ends or panics is
//! started again, and what cannot start is tried again and shows in `debridfs status` meanwhile.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_acquire::{Acquire, MountNews};
use debridfs_api::{Api, Events, api_router, owner_router};
use debridfs_base::instance_lock::IN_OWN;
use debridfs_base::volume::Volume;
use debridfs_base::{Board, Late, Supervisor, Trouble, parent};
use debridfs_control::{DOWNLOADS, HttpTokens, RunningEngine, control_router, decisions};
use debridfs_fuse::Backends;
use debridfs_listen::{Listeners, Logins, Place};
use debridfs_nfs::NfsServer;
use debridfs_preflight::Alone;
use debridfs_provider::{Provider, compare_traffic, read_facts};
use debridfs_repair::{Moves, Repair};
use debridfs_services::{Hook, Notice, run_hooks};
use debridfs_tree::follow_newcomers;
use debridfs_web::{EngineSource, Login, MountProbe, Pages};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::downloads::Downloads;
use super::moves::Moving;
use super::parts::Parts;
use super::repair::Repairing;
use super::trouble::{of_setting, of_state};
use super::{http_files, looks, nfs, sockets};
use crate::logging;
use debridfs_config::{Config, TlsSetting};

/// A look through the mount by `/readyz` has to be over by then.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// How often it is looked whether the cache can be used, and how long it may take at the start: the
/// engine before lets go of it, and its side files are read.
const CACHE_EVERY: Duration = Duration::from_secs(10);

/// The setting that names the directory of the cache.
const CACHE: &str = "cache_dir";

/// What the tasks are made of.
pub struct Tasks {
    /// Watches them.
    pub supervisor: Supervisor,
    /// Settings.
    pub config: Arc<Config>,
    /// What somebody has to look at.
    pub board: Board,
    /// From the provider up to the tree.
    pub parts: Arc<Parts>,
    /// Downloads, once they are open.
    pub queue: Late<Acquire>,
    /// Repair, once it is open.
    pub repair: Late<Repair>,
    /// Files over NFS, once there is a key.
    pub nfs: Late<NfsServer>,
    /// Moves between accounts, once they are open.
    pub moves: Late<Moves>,
    /// For files over HTTP.
    pub tokens: HttpTokens,
    /// Who may read over HTTP and use the API.
    pub logins: Logins,
    /// What all servers share.
    pub listeners: Arc<Listeners>,
    /// The mount point, and why nothing is mounted there.
    pub mount: (PathBuf, MountNews),
    /// Keeps other instances out.
    pub alone: Alone,
    /// The end of all.
    pub shutdown: CancellationToken,
}

impl Tasks {
    /// The tasks of an engine that serves the library at `mount`, until `shutdown`.
    pub fn new(
        config: &Config,
        parts: Arc<Parts>,
        listeners: Arc<Listeners>,
        mount: (PathBuf, MountNews),
        alone: Alone,
        shutdown: CancellationToken,
    ) -> Self {
        let tokens = http_files::tokens(config, parts.tree.clone());
        Self {
            supervisor: Supervisor::new(shutdown.clone()),
            board: Board::default(),
            config: Arc::new(config.clone()),
            parts,
            queue: expected_if(config.acquire.downloads.is_some()),
            repair: expected_if(config.repair.rules().is_some()),
            nfs: expected_if(config.nfs.listen.is_some()),
            moves: Late::expected(),
            logins: Logins::new(tokens.tokens.clone(), listeners.attempts().clone()),
            tokens,
            listeners,
            mount,
            alone,
            shutdown,
        }
    }

    /// Starts what is not about telling of it. Gives those that have something to write at the end.
    pub fn start(&self, backends: &Arc<Backends>) -> Vec<JoinHandle<()>> {
        self.start_sync_helpers();
        let mut ending = Vec::from_iter(self.start_parts());
        ending.extend(self.start_nfs());
        // Before the sync, as they are told what changes from then on.
        self.start_hooks(backends);
        ending.extend(self.start_update_program());
        ending.push(self.start_sync());
        ending
    }

    fn start_sync(&self) -> JoinHandle<()> {
        let (parts, shutdown) = (self.parts.clone(), self.shutdown.clone());
        self.supervisor.keep("the sync", move || {
            parts.catalogue.clone().run(shutdown.clone())
        })
    }

    fn start_hooks(&self, backends: &Arc<Backends>) {
        let (config, parts, mount) = (self.config.clone(), self.parts.clone(), self.mount.clone());
        let (board, backends) = (self.board.clone(), backends.clone());
        self.supervisor.start("hooks", move || {
            let (mount, board) = (mount.clone(), board.clone());
            hooks(
                config.clone(),
                parts.clone(),
                mount,
                board,
                backends.clone(),
            )
        });
    }

    fn start_update_program(&self) -> Option<JoinHandle<()>> {
        let program = self.config.library.update_program()?;
        let (parts, shutdown) = (self.parts.clone(), self.shutdown.clone());
        let task = move || {
            let program = program.clone();
            program.follow(parts.catalogue.clone(), shutdown.clone())
        };
        Some(self.supervisor.keep("library.on_library_update", task))
    }

    /// What keeps library, content and their figures up to date.
    fn start_sync_helpers(&self) {
        let supervisor = &self.supervisor;
        let parts = self.parts.clone();
        supervisor.keep("the count of traffic", move || {
            compare_traffic(parts.providers.clone())
        });
        let parts = self.parts.clone();
        supervisor.keep("plans and slots", move || {
            read_facts(parts.providers.clone())
        });
        let (parts, shutdown) = (self.parts.clone(), self.shutdown.clone());
        supervisor.keep("the look into archives", move || {
            parts.examiner().run(shutdown.clone())
        });
        let parts = self.parts.clone();
        supervisor.keep("the heads and tails of new files", move || {
            let content = parts.content.clone();
            let unfilled = content.unfilled();
            let newcomers = move |files| content.newcomers(files);
            follow_newcomers(parts.catalogue.library(), unfilled, newcomers)
        });
    }

    /// What is opened from files of its own. Gives the downloads, which say at the end that nobody
    /// is to blame.
    fn start_parts(&self) -> Option<JoinHandle<()>> {
        self.start_side_files();
        self.start_cache();
        http_files::start(
            &self.supervisor,
            &self.config,
            &self.tokens,
            &self.logins,
            &self.parts.tree,
            &self.listeners,
            &self.board,
        );
        self.start_users();
        let downloads = self.start_downloads();
        self.start_repair();
        self.start_moves();
        downloads
    }

    fn start_side_files(&self) {
        for account in &self.parts.accounts {
            let (account, config) = (account.clone(), self.config.clone());
            let name = format!("the files of calls and traffic of {}", account.name());
            self.supervisor.start(name, move || {
                let (account, config) = (account.clone(), config.clone());
                async move {
                    let open = move || account.open_side_files();
                    let opened = Volume::state().run(&config.state_dir, open).await;
                    let opened = opened.unwrap_or_else(|silent| Err(silent.into()));
                    opened.map_err(|error| of_state(&config, error))
                }
            });
        }
    }

    fn start_downloads(&self) -> Option<JoinHandle<()>> {
        self.queue.is_expected().then(|| {
            let downloads = Downloads {
                config: self.config.clone(),
                parts: self.parts.clone(),
                addresses: self.tokens.addresses.clone(),
                listeners: self.listeners.clone(),
                board: self.board.clone(),
                alone: self.alone.clone(),
                mount_news: self.mount.1.clone(),
                queue: self.queue.clone(),
            };
            let shutdown = self.shutdown.clone();
            self.supervisor
                .start(DOWNLOADS, move || downloads.clone().run(shutdown.clone()))
        })
    }

    fn start_repair(&self) {
        let Some(rules) = self.config.repair.rules() else {
            return;
        };
        let repairing = Repairing {
            config: self.config.clone(),
            parts: self.parts.clone(),
            queue: self.queue.clone(),
            repair: self.repair.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.supervisor.start("repair", move || {
            repairing.clone().run(rules.clone(), shutdown.clone())
        });
    }

    fn start_moves(&self) {
        let moving = Moving {
            config: self.config.clone(),
            parts: self.parts.clone(),
            moves: self.moves.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.supervisor
            .start("moves", move || moving.clone().run(shutdown.clone()));
    }

    /// Reads the users' passwords; none of them is let in before.
    fn start_users(&self) {
        if self.config.user.is_empty() {
            return;
        }
        let (config, logins) = (self.config.clone(), self.logins.clone());
        self.supervisor.start("users", move || {
            let (config, logins) = (config.clone(), logins.clone());
            async move {
                let read = tokio::task::spawn_blocking(move || {
                    let users = config.users().map_err(|error| of_setting(&error))?;
                    logins
                        .set_users(users)
                        .map_err(|error| of_setting(&error.to_string().into()))
                });
                read.await.unwrap_or_else(|_| Err(Trouble::of_end()))
            }
        });
    }

    /// Files over NFS. Gives what is to be said to rpcbind at the end.
    fn start_nfs(&self) -> Option<JoinHandle<()>> {
        let address = self.config.nfs.listen?;
        let serving = nfs::Serving {
            config: self.config.clone(),
            place: Place {
                what: "NFS",
                setting: "nfs.listen",
                address,
            },
            vfs: self.parts.tree.clone(),
            listeners: self.listeners.clone(),
            board: self.board.clone(),
            server: self.nfs.clone(),
            listens: watch::Sender::new(false),
        };
        let registered = serving.clone();
        self.supervisor.start("NFS", move || serving.clone().run());
        let shutdown = self.shutdown.clone();
        self.config.nfs.rpcbind.then(|| {
            self.supervisor.start("NFS at rpcbind", move || {
                registered.clone().keep_registered(shutdown.clone())
            })
        })
    }

    /// The cache looks after itself; here it is only seen.
    fn start_cache(&self) {
        if !self.config.content.cache.enabled {
            return;
        }
        let (content, dir) = (self.parts.content.clone(), self.config.cache_dir.clone());
        let (alone, from) = (self.alone.clone(), Instant::now() + CACHE_EVERY);
        self.supervisor.start("the cache", move || {
            let (content, dir, alone) = (content.clone(), dir.clone(), alone.clone());
            async move {
                if let Some(cache) = content.cache() {
                    looks::keep_alone(&alone, cache.volume(), CACHE, &dir, IN_OWN).await?;
                }
                sleep_until(from).await;
                while content.cache().is_some_and(|cache| cache.is_usable()) {
                    sleep(CACHE_EVERY).await;
                }
                let volume = content.cache().map(|cache| cache.volume().clone());
                Err(looks::at_cache(volume, &dir).await)
            }
        });
    }

    /// Starts what tells of `engine`: its log, the control socket, health, metrics and pages.
    pub fn start_telling(&self, engine: &Arc<RunningEngine>) {
        let supervisor = &self.supervisor;
        let told = engine.clone();
        supervisor.keep("news of the keeper", move || told.clone().follow_keeper());
        let told = engine.clone();
        supervisor.keep("news of the state directory", move || {
            told.clone().follow_state()
        });
        let told = engine.clone();
        supervisor.start("the progress of the first sync", move || {
            let told = told.clone().tell_progress();
            async move {
                told.await;
                Ok(())
            }
        });
        let driven = engine.clone();
        supervisor.keep("rollouts of backends", move || {
            driven.clone().drive_rollouts()
        });
        let api = self.start_api(engine);
        let (path, told) = (self.config.control_socket(), engine.clone());
        let front = self.listeners.front("control");
        let owned = api.clone();
        supervisor.start("the control socket", move || {
            let router = control_router(told.clone()).merge(owner_router(owned.clone()));
            let served = sockets::control(front.clone(), path.clone(), router);
            let path = path.clone();
            async move {
                served.await.map_err(|error| {
                    let words = format!("{}: {error}", path.display());
                    Trouble::new(words, "`debridfs status` and other commands need it")
                })?;
                Err(Trouble::of_end())
            }
        });
        let login = self.start_login();
        let mount = self.mount.0.clone().into();
        let probe: [OsString; 4] = [
            "/proc/self/exe".into(),
            "mount-probe".into(),
            parent::argument().into(),
            mount,
        ];
        let place = Place {
            what: "pages, health and metrics",
            setting: "server.listen",
            address: self.config.server.listen,
        };
        let tls = self.config.web_tls();
        let board = self.board.clone();
        let engine = engine.clone();
        let (listeners, logins) = (self.listeners.clone(), self.logins.clone());
        supervisor.keep("health, metrics and pages", move || {
            serve_public(
                (listeners.clone(), logins.clone()),
                place,
                tls.clone(),
                board.clone(),
                (engine.clone(), api.clone()),
                probe.to_vec(),
                login.clone(),
            )
        });
    }

    /// Looks for what the API tells of as events.
    fn start_api(&self, engine: &Arc<RunningEngine>) -> Api {
        let run = format!("{:x}", Timestamp::now().as_millisecond());
        let events = Events::new(run);
        let (seen, of) = (events.clone(), engine.clone());
        self.supervisor
            .keep("events for the API", move || seen.clone().watch(of.clone()));
        Api {
            engine: engine.clone(),
            events,
            log: logging::tail,
            provider_links: self.config.web.provider_links,
        }
    }

    /// Who may see the pages; none of them are served before that is known.
    fn start_login(&self) -> watch::Receiver<Option<Login>> {
        let (sender, receiver) = watch::channel(self.config.web.login().ok());
        if receiver.borrow().is_some() {
            return receiver;
        }
        let (config, sender) = (self.config.clone(), Arc::new(sender));
        self.supervisor.start("the pages", move || {
            let (config, sender) = (config.clone(), sender.clone());
            async move {
                let login = config.web.login().map_err(|error| of_setting(&error))?;
                sender.send_replace(Some(login));
                Ok(())
            }
        });
        receiver
    }
}

fn expected_if<T>(is_configured: bool) -> Late<T> {
    match is_configured {
        true => Late::expected(),
        false => Late::default(),
    }
}

async fn serve_public(
    (listeners, logins): (Arc<Listeners>, Logins),
    place: Place,
    tls: Option<TlsSetting>,
    board: Board,
    (engine, api): (Arc<RunningEngine>, Api),
    probe: Vec<OsString>,
    mut login: watch::Receiver<Option<Login>>,
) {
    loop {
        let known = login.borrow_and_update().clone();
        let pages = known.map(|login| Pages {
            instance: engine.clone(),
            source: Arc::new(EngineSource {
                engine: engine.clone(),
                log: logging::tail,
            }),
            login,
            loopback: place.address.ip().is_loopback(),
            attempts: listeners.attempts().clone(),
            api: api_router(api.clone()),
            logins: logins.clone(),
        });
        let probe = MountProbe::new(probe.clone(), LOOK_LIMIT);
        let front = listeners.front("pages");
        tokio::select! {
            () = sockets::public(front, place, tls.clone(), &board, engine.clone(), probe, pages) => return,
            Ok(()) = login.changed() => {}
        }
    }
}

async fn hooks(
    config: Arc<Config>,
    parts: Arc<Parts>,
    (mount, mut news): (PathBuf, MountNews),
    board: Board,
    backends: Arc<Backends>,
) -> Result<(), Trouble> {
    // A media server that is sent to an empty place takes its films for deleted. It is told of all afterwards.
    let _ = news.wait_for(Option::is_none).await;
    let hooks = config.hooks().map_err(|error| of_setting(&error))?;
    let hooks: Vec<Hook> = hooks
        .into_iter()
        .map(|hook| hook.with_board(board.clone()))
        .collect();
    let has_none = hooks.is_empty();
    let ran = run_hooks(
        hooks,
        parts.catalogue.clone(),
        parts.providers.clone(),
        mount,
        config.state_dir.join("hooks.json"),
        decisions(&backends).map(|decision| Notice {
            event: "rollout",
            words: decision.to_string(),
            detail: serde_json::to_value(&decision).unwrap_or_default(),
        }),
    );
    ran.await.map_err(|error| of_state(&config, error))?;
    match has_none {
        true => Ok(()),
        false => Err(Trouble::of_end()),
    }
}
