//! An instance with downloads, and arrs that know it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use debridfs_sim::arr::{Arr, ArrError, Dialect, Item, ItemStatus, Sab};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{ENGINE_USER, Instance, Settings, Simulator, run, until};

/// Key of the SABnzbd front.
const SAB_KEY: &str = "sabkey";

/// An instance with downloads and a Sonarr; stopped and removed when dropped.
pub struct Household {
    pub instance: Instance,
    pub arr: Arr,
    pub dir: TempDir,
    pub runtime: Runtime,
    pub crashes: PathBuf,
    qbittorrent: SocketAddr,
    sabnzbd: SocketAddr,
    pub http: SocketAddr,
}

pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

impl Household {
    pub fn new(simulator: &Simulator) -> Self {
        Self::with(simulator, "", Settings::default())
    }

    /// With more lines of TOML behind `[acquire]`, and other settings.
    pub fn with(simulator: &Simulator, acquire: &str, mut settings: Settings) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-arrs-")
            .tempdir()
            .expect("directory");
        let crashes = dir.path().join("crashes");
        fs::create_dir(&crashes).expect("directory");
        run(
            "chown",
            &["-R", ENGINE_USER, dir.path().to_str().expect("text")],
        );
        let [qbittorrent, sabnzbd, http] = [(); 3].map(|()| free_address());
        settings.toml += &format!(
            "[qbittorrent]\nlisten = \"{qbittorrent}\"\nuser = \"arr\"\npassword = \"secret\"\napi_key = \"key\"\n\
             [sabnzbd]\nlisten = \"{sabnzbd}\"\napi_key = \"{SAB_KEY}\"\n\
             [http]\nlisten = \"{http}\"\nurl = \"http://{http}\"\n\
             [acquire]\ndownloads = \"{}/downloads\"\ndelete = \"provider\"\n{acquire}\n",
            dir.path().display()
        );
        let variable = |name: &str, value: String| (name.to_owned(), value);
        settings.env.extend([
            variable("DEBRIDFS_ALLOW_TEST_HOOKS", "1".into()),
            variable("DEBRIDFS_TEST_CRASH_JOBS", crashes.display().to_string()),
        ]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let household = Self {
            instance: Instance::start(simulator, settings),
            arr: Arr::new(qbittorrent, "arr", "secret", "tv"),
            dir,
            runtime,
            crashes,
            qbittorrent,
            sabnzbd,
            http,
        };
        household.patiently("the test of the client", || household.arr.test());
        household
    }

    /// Another arr with a category of its own, tested.
    pub fn arr(&self, dialect: Dialect, category: &str) -> Arr {
        let arr = Arr::new(self.qbittorrent, "arr", "secret", category).speaking(dialect);
        let arr = match dialect.knows_keys() {
            true => arr.with_key("key"),
            false => arr,
        };
        self.patiently("the test of the client", || arr.test());
        arr
    }

    /// An arr with the SABnzbd front as its client.
    pub fn sab(&self, dialect: Dialect, category: &str) -> Sab {
        Sab::new(self.sabnzbd, SAB_KEY, category, dialect)
    }

    /// Calls until it works: an engine may be away for a moment.
    pub fn patiently<T, F: Future<Output = Result<T, ArrError>>>(
        &self,
        what: &str,
        call: impl Fn() -> F,
    ) -> T {
        let mut done = None;
        until(what, Duration::from_secs(120), || {
            done = self.runtime.block_on(call()).ok();
            done.is_some()
        });
        done.expect("just seen")
    }

    pub fn poll(&self) -> Vec<Item> {
        self.patiently("the queue", || self.arr.poll())
    }

    /// Waits until the only download of Sonarr is completed.
    pub fn completed(&self) -> Item {
        self.completed_of(&self.arr)
    }

    /// Waits until the only download of `arr` is completed.
    pub fn completed_of(&self, arr: &Arr) -> Item {
        let mut items = Vec::new();
        until(
            "the download is completed",
            Duration::from_secs(120),
            || {
                items = self.patiently("the queue", || arr.poll());
                assert!(items.len() <= 1, "doubled: {items:?}");
                items
                    .iter()
                    .any(|item| item.status == ItemStatus::Completed)
            },
        );
        items.remove(0)
    }

    pub fn library(&self) -> PathBuf {
        self.dir.path().join("library")
    }

    pub fn downloads(&self) -> PathBuf {
        self.dir.path().join("downloads")
    }
}
