//! Everything that is looked at, in the order in which it is told.

use std::path::{Path, PathBuf};

use debridfs_provider::AccountConfig;

use crate::check::Check;
use crate::host::{self, Host};
use crate::propagation::Need;
use crate::{
    account, confinement, kernel, machine, nfs, node, propagation, runtimes, stale, storage,
};

/// What is configured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the library is shown.
    pub mount: PathBuf,
    /// Whether other users are to see it.
    pub allow_other: bool,
    /// Where the catalogue is kept.
    pub state_dir: PathBuf,
    /// The keeper's socket.
    pub keeper_socket: PathBuf,
    /// Whether files are served over NFS.
    pub serves_nfs: bool,
    /// `keeper.mode = "attached"`: whoever mounts is another process, in another container maybe.
    pub attached: bool,
    /// Whom root would start the engine as; `None` when it is not root who asks.
    pub engine_user: Option<u32>,
    /// Accounts that are asked how they are.
    pub accounts: Vec<AccountConfig>,
}

impl Settings {
    /// This process is one that a keeper lends the mount to. Root is not taken for it: that is who mounts.
    fn is_for_attached_engine(&self) -> bool {
        let lent = self.attached || self.keeper_socket.exists();
        lent && !rustix::process::geteuid().is_root()
    }
}

/// What is to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The configuration, where there is a valid one; without it the machine alone.
    pub settings: Option<Settings>,
    /// The directory that containers bind, if it was named: then it has to be shared. Otherwise the
    /// parent of the mount.
    pub path: Option<PathBuf>,
    /// What a Kubernetes node needs as well; by itself on a machine that is one.
    pub node: bool,
}

/// Looks at everything, and changes nothing. Needs a tokio runtime.
pub async fn examine(input: &Input) -> Vec<Check> {
    let settings = input.settings.as_ref();
    let mut checks = nfs_checks(settings);
    checks.extend(kernel::checks());
    let engine = settings.is_some_and(Settings::is_for_attached_engine);
    if !engine {
        checks.push(machine::fuse_device());
    }
    if let Some(settings) = settings {
        if engine {
            checks.push(machine::keeper(&settings.keeper_socket));
        } else {
            checks.extend(machine::mounting(settings.allow_other));
        }
        checks.extend(confinement::checks(&settings.mount, !engine));
        checks.push(storage::mount_point(&settings.mount, engine).await);
        checks.push(storage::state_dir(&settings.state_dir));
        checks.extend(storage::moved_aside(&settings.state_dir));
        checks.push(storage::socket_path(&settings.keeper_socket));
        checks.extend(settings.engine_user.map(machine::engine_user));
    }
    let mount = settings.map(|settings| settings.mount.as_path());
    if let Some(dir) = input.path.as_deref().or_else(|| mount.map(bound)) {
        let need = match (input.path.is_some(), engine) {
            (true, _) => Need::Asked,
            // On the machine itself it has the mounts of its keeper.
            (false, true) if host::in_container() => Need::Sees,
            (false, _) => Need::Gives,
        };
        checks.extend(propagation::of_directory(dir, need));
    }
    let host = Host::find();
    checks.extend(stale::mounts(mount));
    checks.extend(stale::holders(&host).await);
    checks.extend(runtimes::checks().await);
    if input.node || node::is_node(&host) {
        checks.extend(node::checks(&host));
    }
    for account in settings.into_iter().flat_map(|settings| &settings.accounts) {
        checks.extend(account::check(account).await);
    }
    checks
}

fn nfs_checks(settings: Option<&Settings>) -> Vec<Check> {
    let server = settings.filter(|settings| settings.serves_nfs);
    let key = server.and_then(|settings| nfs::key(&settings.state_dir));
    key.into_iter().chain(nfs::mounts()).collect()
}

/// The directory that containers are told to bind.
fn bound(mount: &Path) -> &Path {
    mount.parent().unwrap_or(mount)
}
