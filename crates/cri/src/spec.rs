//! What a pod and its containers are made from, in the words that Kubernetes has for it.

use std::path::PathBuf;

/// A sandbox on the network of the node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Tells it from others of the same name.
    pub uid: String,
    /// The control group that everything of it is in, such as `/kubepods`; the runtime's own when empty.
    pub cgroup_parent: String,
    /// The directory for the containers' logs, on the node.
    pub log_directory: PathBuf,
    /// Whether privileged containers may be in it.
    pub privileged: bool,
    /// Its containers see the processes of the node (`hostPID`), rather than each its own.
    pub host_processes: bool,
}

/// Which mounts pass between a volume and the node (`mountPropagation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// None; what is mounted on the node later is not seen.
    None,
    /// `rslave`.
    HostToContainer,
    /// `rshared`.
    Bidirectional,
}

/// A directory or file of the node in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// On the node.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Cannot be written; says nothing about mounts below it.
    pub read_only: bool,
    /// Which mounts pass.
    pub propagation: Propagation,
}

/// The system calls that a container may make (`seccompProfile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// All of them: what Kubernetes gives who asks for nothing.
    #[default]
    Unconfined,
    /// Those of the runtime's own profile.
    RuntimeDefault,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its name; the log is called so too.
    pub name: String,
    /// The image, which has to be there.
    pub image: String,
    /// What runs in it.
    pub command: Vec<String>,
    /// Its environment, beside the image's.
    pub environment: Vec<(String, String)>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// Devices of the node that it may use, at the same path.
    pub devices: Vec<PathBuf>,
    /// `runAsUser` and `runAsGroup`; the image's own user when absent.
    pub user: Option<i64>,
    /// All capabilities, all devices.
    pub privileged: bool,
    /// Capabilities beside the runtime's own, without `CAP_`.
    pub add_capabilities: Vec<String>,
    /// Capabilities that are taken from it; `ALL` for all.
    pub drop_capabilities: Vec<String>,
    /// `allowPrivilegeEscalation: false`.
    pub no_new_privileges: bool,
    /// System calls.
    pub seccomp: Seccomp,
    /// `readOnlyRootFilesystem`.
    pub read_only_root: bool,
}
