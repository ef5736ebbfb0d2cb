//! The product in containers: the keeper in a privileged one, the engine in one without any privilege, and an account of which nobody
//! has heard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use debridfs_cri::{Container, Propagation, Seccomp, Volume};
use debridfs_sim::{FileSpec, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, serve};
use serde_json::Value;

use super::image;
use super::node::{Node, PROGRAM, Running, until};

/// The only release, and its film.
pub const RELEASE: &str = "Film.2024.1080p";

/// Who the engine is.
const USER: i64 = 1000;

/// How long a keeper has to unmount: more than it takes on a busy machine.
const GRACE: Duration = Duration::from_secs(60);

/// An account with one film.
pub struct Account {
    pub served: Served,
    /// Dropped last: it drives the simulator.
    _tokio: tokio::runtime::Runtime,
}

impl Account {
    pub fn of_one_film() -> Self {
        let film = FileSpec::generated(format!("/{RELEASE}.mkv"), 8 << 30);
        let library = LibrarySpec {
            releases: vec![ReleaseSpec::new(RELEASE, vec![film])],
            ..LibrarySpec::default()
        };
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let sim = Sim::new(&library).expect("a library");
        let served = tokio.block_on(serve(sim, ServeOptions::default()));
        Self {
            served: served.expect("a free port"),
            _tokio: tokio,
        }
    }
}

/// Keeper and engine on a node.
pub struct Library<'a> {
    node: &'a Node,
    account: Account,
    keeper: Option<Running>,
    engine: Option<Running>,
    /// Every container has a name of its own, and a log.
    round: u32,
}

impl<'a> Library<'a> {
    /// Makes the account, and the directories of an instance.
    pub fn prepare(node: &'a Node) -> Self {
        let account = Account::of_one_film();
        let served = &account.served;
        let (share, mount) = (node.share(), node.media().join("dfs"));
        let (root, mount) = (share.display(), mount.display());
        let text = format!(
            "state_dir = \"{root}/state\"\ncache_dir = \"{root}/cache\"\nruntime_dir = \"{root}/run\"\n\
             [content.cache]\nenabled = false\n\
             [mount]\npath = \"{mount}\"\n\
             [keeper]\nmode = \"attached\"\nengine_uid = {USER}\nengine_gid = {USER}\n\
             [library]\nrefresh_interval = \"500ms\"\n\
             [server]\nlisten = \"127.0.0.1:0\"\n\
             [provider.rd]\nkind = \"real-debrid\"\ntoken = \"{}\"\napi_url = \"{}\"\n",
            served.token(),
            served.api_url(),
        );
        fs::write(share.join("debridfs.toml"), text).expect("file");
        Self {
            node,
            account,
            keeper: None,
            engine: None,
            round: 0,
        }
    }

    /// Path of the film below the mount point, and the key of its bytes.
    pub fn film(&self) -> (PathBuf, u64) {
        let torrents = self.account.served.sim().torrents(0).expect("account 0");
        let mut files = torrents.iter().flat_map(|torrent| &torrent.files);
        let key = files.find_map(|file| file.key).expect("generated");
        (
            Path::new("__all__")
                .join(RELEASE)
                .join(format!("{RELEASE}.mkv")),
            key,
        )
    }

    fn container(&mut self, name: &str, media: Option<Propagation>) -> Container {
        self.round += 1;
        let config = self.node.share().join("debridfs.toml");
        let volume = |path: PathBuf, propagation| Volume {
            source: path.clone(),
            target: path,
            read_only: false,
            propagation,
        };
        let mut volumes = vec![volume(self.node.share(), Propagation::None)];
        volumes.extend(media.map(|propagation| volume(self.node.media(), propagation)));
        Container {
            name: format!("{name}-{}", self.round),
            image: image::NAME.into(),
            command: [PROGRAM, "--config", config.to_str().expect("text"), name]
                .map(str::to_owned)
                .into(),
            volumes,
            ..Container::default()
        }
    }

    /// Starts a keeper, as a DaemonSet does: privileged, as nothing less may propagate there.
    pub fn start_keeper(&mut self) {
        let container = Container {
            privileged: true,
            ..self.container("keeper", Some(Propagation::Bidirectional))
        };
        self.keeper = Some(self.node.container(container));
    }

    /// Starts an engine, of the level `restricted`.
    pub fn start_engine(&mut self) {
        let container = Container {
            user: Some(USER),
            drop_capabilities: vec!["ALL".into()],
            no_new_privileges: true,
            seccomp: Seccomp::RuntimeDefault,
            ..self.container("engine", None)
        };
        self.engine = Some(self.node.container(container));
    }

    /// Both, and waits until the library can be listed.
    pub fn start(&mut self) {
        self.start_keeper();
        self.start_engine();
        self.wait_listed();
    }

    fn status(&self) -> Option<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .args(["status", "--json", "--socket"])
            .arg(self.node.share().join("run/control.sock"))
            .output();
        serde_json::from_slice(&output.expect("debridfs runs").stdout).ok()
    }

    pub fn wait_listed(&self) {
        until("the library is listed", || {
            self.status().is_some_and(|status| {
                status["library"]["listed"] == true && status["library"]["unknown"] == 0
            })
        });
    }

    /// Waits until the keeper that was started last has said this.
    pub fn keeper_says(&self, text: &str) {
        let keeper = self.keeper.as_ref().expect("started");
        self.node.says(keeper, text);
    }

    /// The keeper's container.
    pub fn keeper(&self) -> &Running {
        self.keeper.as_ref().expect("started")
    }

    /// The engine's container.
    pub fn engine(&self) -> &Running {
        self.engine.as_ref().expect("started")
    }

    /// SIGKILL for everything in the engine's container.
    pub fn kill_engine(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.node.end(&engine, Duration::ZERO);
        }
    }

    /// SIGKILL for everything in the keeper's container.
    pub fn kill_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            self.node.end(&keeper, Duration::ZERO);
        }
    }

    /// SIGTERM, as at the end of a pod.
    pub fn stop(&mut self) {
        for part in [self.keeper.take(), self.engine.take()]
            .into_iter()
            .flatten()
        {
            self.node.end(&part, GRACE);
        }
    }
}
