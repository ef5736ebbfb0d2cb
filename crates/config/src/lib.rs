//! Configuration: one TOML file, `DEBRIDFS__SECTION__KEY` variables over it, and secrets in files of their own.
//!
//! The structs here are the schema; every key and its default can be read off them. Where values come from is decided in
//! [`fn@load`], how they are put together in `merge`, which variables are ours in `environment`.
#![forbid(unsafe_code)]

mod acquire;
mod environment;
mod fuse;
mod hook;
mod human;
mod load;
mod merge;
mod nfs;
mod places;
mod problem;
mod repair;
mod services;
mod strm;
#[cfg(test)]
mod testing;
mod tls;
mod user;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use debridfs_base::{ByteSize, HumanDuration};
use debridfs_catalogue::{FolderConfig, FolderNaming, Layout};
use debridfs_content::ContentConfig;
use debridfs_dav::Redirect;
use debridfs_fuse::BackendKind;
use debridfs_handover::Recovery;
use debridfs_listen::Limits;
use debridfs_provider::AccountConfig;
use serde::{Deserialize, Serialize};

pub use acquire::{AcquireSection, ArrSection, QbittorrentSection, SabnzbdSection};
pub use environment::Environment;
pub use fuse::FuseSection;
pub use hook::HookSection;
pub use human::{CommandLine, Umask};
pub use load::{Loaded, load};
pub use nfs::{ExportSection, NfsSection};
pub use problem::{ConfigError, Origin, Problem, Unusable};
pub use repair::RepairSection;
pub use tls::TlsSetting;
pub use user::UserSection;
pub use web::WebSection;

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The catalogue and what else has to outlive a restart.
    pub state_dir: PathBuf,
    /// Bytes of files that were fetched; may be removed at any time while nothing runs.
    pub cache_dir: PathBuf,
    /// Sockets; a directory that only the service's user may enter.
    pub runtime_dir: PathBuf,
    /// The mount.
    pub mount: MountConfig,
    /// Who decodes the kernel's requests.
    pub fuse: FuseSection,
    /// The process that holds the mount.
    pub keeper: KeeperConfig,
    /// What is shown, and how it is kept true.
    pub library: LibraryConfig,
    /// Bytes of files.
    pub content: ContentConfig,
    /// Downloads for arrs.
    pub acquire: AcquireSection,
    /// The shape they are asked for in.
    pub qbittorrent: QbittorrentSection,
    /// Another shape of the same.
    pub sabnzbd: SabnzbdSection,
    /// Arrs that are known.
    pub arr: BTreeMap<String, ArrSection>,
    /// Files over HTTP.
    pub http: HttpConfig,
    /// Files over NFS.
    pub nfs: NfsSection,
    /// Who is told what changed in the library.
    pub hook: BTreeMap<String, HookSection>,
    /// What is done about releases that cannot be read any more.
    pub repair: RepairSection,
    /// Health, metrics and pages over TCP.
    pub server: ServerConfig,
    /// Who may see the pages.
    pub web: WebSection,
    /// Who may read over HTTP and WebDAV and use the API, by name.
    pub user: BTreeMap<String, UserSection>,
    /// Logs.
    pub log: LogConfig,
    /// Accounts, by the name of their view. Read apart, as their keys depend on their kind.
    #[serde(skip_deserializing)]
    pub provider: BTreeMap<String, AccountConfig>,
    /// Custom folders in the root, by name. Shown as they were written.
    #[serde(skip_serializing)]
    pub folders: BTreeMap<String, FolderConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: default_state_dir(is_root()),
            cache_dir: default_cache_dir(is_root()),
            runtime_dir: default_runtime_dir(is_root()),
            mount: MountConfig::default(),
            fuse: FuseSection::default(),
            keeper: KeeperConfig::default(),
            library: LibraryConfig::default(),
            content: ContentConfig::default(),
            acquire: AcquireSection::default(),
            qbittorrent: QbittorrentSection::default(),
            sabnzbd: SabnzbdSection::default(),
            arr: BTreeMap::new(),
            http: HttpConfig::default(),
            nfs: NfsSection::default(),
            hook: BTreeMap::new(),
            repair: RepairSection::default(),
            server: ServerConfig::default(),
            web: WebSection::default(),
            user: BTreeMap::new(),
            log: LogConfig::default(),
            provider: BTreeMap::new(),
            folders: BTreeMap::new(),
        }
    }
}

/// `[mount]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MountConfig {
    /// Where the library is shown.
    pub path: PathBuf,
    /// Whether other users may look into it.
    pub allow_other: bool,
    /// Owner of all nodes; the user the engine runs as when absent.
    pub uid: Option<u32>,
    /// Group of all nodes; the group the engine runs as when absent.
    pub gid: Option<u32>,
    /// Permission bits taken away.
    pub umask: Umask,
    /// Whether the empty mount point is made immutable, so that nothing is written there while the mount is away.
    pub immutable: bool,
    /// The older name of `fuse.backend`.
    pub backend: Option<BackendKind>,
    /// After this time a request that could not be answered ends with EIO, whether there is an engine or not.
    pub read_deadline: HumanDuration,
}

impl Default for MountConfig {
    fn default() -> Self {
        Self {
            path: "/mnt/dfs".into(),
            allow_other: true,
            uid: None,
            gid: None,
            umask: Umask::DEFAULT,
            immutable: true,
            backend: None,
            read_deadline: HumanDuration::from_secs(30),
        }
    }
}

/// `[keeper]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeeperConfig {
    /// Whether `serve` starts the engine itself.
    pub mode: KeeperMode,
    /// The socket engines take their lease from; `keeper.sock` in `runtime_dir` when absent.
    pub socket: Option<PathBuf>,
    /// Transport threads; 2 to 8 by the number of processors when absent.
    pub threads: Option<u32>,
    /// How a new engine comes by the requests of a dead one.
    pub recovery: Recovery,
    /// An engine that gives no sign of life for longer than this is killed.
    pub hang_limit: HumanDuration,
    /// How long an attached keeper that is told to stop waits for its engine to end as well, before it leaves the mount to it.
    pub linger: HumanDuration,
    /// User the engine runs as when the keeper is root: `PUID`.
    pub engine_uid: Option<u32>,
    /// Group the engine runs as when the keeper is root: `PGID`.
    pub engine_gid: Option<u32>,
}

impl Default for KeeperConfig {
    fn default() -> Self {
        Self {
            mode: KeeperMode::Child,
            socket: None,
            threads: None,
            recovery: Recovery::Journal,
            hang_limit: HumanDuration::from_secs(10),
            linger: HumanDuration::from_secs(0),
            engine_uid: None,
            engine_gid: None,
        }
    }
}

/// Who starts the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeeperMode {
    /// The keeper does, and restarts it.
    Child,
    /// Somebody else does (another container); the keeper waits for it.
    Attached,
}

/// `[library]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LibraryConfig {
    /// Sub-directories as in the torrent, or all files of a release in one directory.
    pub layout: Layout,
    /// Where the name of a release's directory comes from.
    pub folder_naming: FolderNaming,
    /// Providers whose copies of a file are read first; the others follow in the order of their names.
    pub order: Vec<String>,
    /// How often the account is asked for changes.
    pub refresh_interval: HumanDuration,
    /// How often the complete list is compared.
    pub full_interval: HumanDuration,
    /// A loss of more than this share, in percent, and of more than `shrink_releases`, is held until confirmed.
    pub shrink_percent: u8,
    /// See `shrink_percent`.
    pub shrink_releases: u32,
    /// Time between the full lists that confirm a held loss.
    pub confirm_interval: HumanDuration,
    /// A program and its first arguments; the changed paths follow them.
    pub on_library_update: CommandLine,
}

impl Config {
    /// The names of the providers, those first whose copies are preferred.
    pub fn providers_in_order(&self) -> Vec<String> {
        let order = &self.library.order;
        let mut names: Vec<String> = self.provider.keys().cloned().collect();
        let place = |name: &String| order.iter().position(|first| first == name);
        names.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
        names
    }
}

impl Default for LibraryConfig {
    fn default() -> Self {
        Self {
            layout: Layout::Tree,
            folder_naming: FolderNaming::FilenameNoExt,
            order: Vec::new(),
            refresh_interval: HumanDuration::from_secs(10),
            full_interval: HumanDuration::from_secs(6 * 3600),
            shrink_percent: 10,
            shrink_releases: 20,
            confirm_interval: HumanDuration::from_secs(600),
            on_library_update: CommandLine::default(),
        }
    }
}

/// `[http]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address of `/files/TOKEN/PATH`; not served when absent.
    pub listen: Option<SocketAddr>,
    /// How players reach that address, without a slash at the end: what `.strm` files begin with.
    pub url: String,
    /// When callers are sent to a provider's own link.
    pub redirect: Redirect,
    /// File of the certificate that TLS is served with, in PEM; plain HTTP when absent.
    pub tls_cert: Option<PathBuf>,
    /// File of its key.
    pub tls_key: Option<PathBuf>,
}

/// `[server]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address of `/livez`, `/readyz`, `/metrics` and the pages.
    pub listen: SocketAddr,
    /// Connections to one listener, of this section and of any other.
    pub connections: usize,
    /// Of them from one address, or one /64 of IPv6; this machine's own are not limited apart.
    pub connections_per_address: usize,
    /// Bytes of requests' bodies in memory, of all listeners together.
    pub bodies: ByteSize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8282)),
            connections: limits.connections,
            connections_per_address: limits.per_address,
            bodies: ByteSize(limits.bodies),
        }
    }
}

impl ServerConfig {
    /// What is allowed to callers.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.connections,
            per_address: self.connections_per_address,
            bodies: self.bodies.0,
            ..Limits::default()
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,debridfs_fuse=debug`.
    pub level: String,
    /// Lines for people or JSON for machines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The socket engines take their lease from.
    pub fn keeper_socket(&self) -> PathBuf {
        self.keeper
            .socket
            .clone()
            .unwrap_or_else(|| keeper_socket_in(&self.runtime_dir))
    }

    /// The socket of `status` and `library accept`.
    pub fn control_socket(&self) -> PathBuf {
        control_socket_in(&self.runtime_dir)
    }
}

/// The control socket in a runtime directory.
pub fn control_socket_in(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("control.sock")
}

/// The keeper's socket beside a control socket or in a runtime directory.
pub fn keeper_socket_in(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("keeper.sock")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Config {
    /// The service's own directories where the settings name none: for an engine that is not root any more.
    fn use_places_of_root(&mut self, is_set: impl Fn(&str) -> bool) {
        let choose = |key: &str, place: &mut PathBuf, default: fn(bool) -> PathBuf| {
            if !is_set(key) {
                *place = default(true);
            }
        };
        choose("state_dir", &mut self.state_dir, default_state_dir);
        choose("cache_dir", &mut self.cache_dir, default_cache_dir);
        choose("runtime_dir", &mut self.runtime_dir, default_runtime_dir);
    }
}

fn default_state_dir(root: bool) -> PathBuf {
    if root {
        return "/var/lib/debridfs".into();
    }
    let home = |rest: &str| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(rest));
    xdg("XDG_STATE_HOME")
        .or_else(|| home(".local/state"))
        .unwrap_or_else(std::env::temp_dir)
        .join("debridfs")
}

fn default_cache_dir(root: bool) -> PathBuf {
    if root {
        return "/var/cache/debridfs".into();
    }
    xdg("XDG_CACHE_HOME")
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("debridfs")
}

/// Where the sockets are unless the settings say otherwise: of an instance that root starts, or of this user's.
pub fn default_runtime_dir(root: bool) -> PathBuf {
    if root {
        return "/run/debridfs".into();
    }
    xdg("XDG_RUNTIME_DIR").map_or_else(
        || {
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("debridfs-{user}"))
        },
        |dir| dir.join("debridfs"),
    )
}

/// An XDG base directory; relative values are invalid by its specification.
fn xdg(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// The file read when none is named: the service's as root, the user's otherwise.
pub fn default_file() -> Option<PathBuf> {
    let path = if is_root() {
        PathBuf::from("/etc/debridfs/config.toml")
    } else {
        xdg("XDG_CONFIG_HOME")
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?
            .join("debridfs/config.toml")
    };
    path.is_file().then_some(path)
}
