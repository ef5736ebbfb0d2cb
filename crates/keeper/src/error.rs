use std::io;
use std::path::PathBuf;

/// Why a keeper can't start.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// `/dev/fuse` can't be opened.
    #[error(
        "cannot open /dev/fuse: load the module (modprobe fuse), or give the container the device \
         (--device /dev/fuse)"
    )]
    NoDevice(#[source] io::Error),
    /// The mount point is in use by another file system.
    #[error("{path} already holds a mount of type {fstype}: unmount it or choose another place")]
    Foreign {
        /// The mount point.
        path: PathBuf,
        /// What is mounted there.
        fstype: String,
    },
    /// Another debridfs serves the mount point, and it answers.
    #[error("{0} is already served by another debridfs")]
    AlreadyMounted(PathBuf),
    /// Another keeper listens on the socket.
    #[error("another keeper already listens on {0}")]
    AlreadyListening(PathBuf),
    /// The first engine ended with [`crate::KeeperOptions::refused`], having said why.
    #[error("another instance uses a directory of this one")]
    Refused,
    /// The mount point can't be used.
    #[error("mount point {path}: {reason}")]
    MountPoint {
        /// The mount point.
        path: PathBuf,
        /// For people.
        reason: String,
    },
    /// The set-uid program that mounts for users failed, or there is none.
    #[error("{program} could not mount {path}: {reason}")]
    Fusermount {
        /// `fusermount3`, or `fusermount` of FUSE 2.
        program: &'static str,
        /// The mount point.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The kernel speaks a FUSE version that is too old or too new.
    #[error("the kernel speaks FUSE {major}.{minor}; 7.31 or later is needed (Linux 5.4)")]
    Version {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// The kernel sent no usable INIT.
    #[error("no FUSE_INIT from the kernel: {0}")]
    Init(&'static str),
    /// What an engine brought back is not the connection of this mount.
    #[error("not the connection of this mount: {0}")]
    Returned(&'static str),
    /// The journal can't be made.
    #[error(transparent)]
    Journal(#[from] debridfs_handover::journal::JournalError),
    /// A system call failed.
    #[error("{doing}")]
    Os {
        /// What was tried.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl KeeperError {
    /// Whether mounting itself is impossible now: by what this machine, its kernel or the container
    /// lacks, rather than by what is configured or somebody else has. It may become possible while
    /// the keeper runs.
    pub(crate) fn is_of_mounting(&self) -> bool {
        use KeeperError::{Fusermount, Init, NoDevice, Os, Version};
        matches!(
            self,
            NoDevice(_) | Fusermount { .. } | Version { .. } | Init(_) | Os { .. }
        )
    }

    /// What to do where [`Self::is_of_mounting`].
    pub(crate) fn help(&self) -> &'static str {
        use io::ErrorKind::PermissionDenied;
        match self {
            KeeperError::Os { source, .. } if source.kind() == PermissionDenied => {
                "it takes CAP_SYS_ADMIN (`--cap-add SYS_ADMIN`), and AppArmor or SELinux have to allow it: \
                 `debridfs doctor` names who refuses"
            }
            _ => "`debridfs doctor` names what this machine lacks",
        }
    }

    pub(crate) fn os<E: Into<io::Error>>(
        doing: impl Into<String>,
    ) -> impl FnOnce(E) -> KeeperError {
        let doing = doing.into();
        move |source| KeeperError::Os {
            doing,
            source: source.into(),
        }
    }
}
