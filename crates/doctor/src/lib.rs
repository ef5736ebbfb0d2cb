//! What this machine lacks for mounting a library, and the exact fix. It looks, and mends only what
//! a restart of the machine undoes; what is configured comes in as plain [`Settings`].
//!
//! | question | where |
//! |---|---|
//! | what is looked at, in which order | `examine.rs` |
//! | what one check says | `check.rs` |
//! | what may be mended, and after which question | `repair.rs`, `mend.rs` |
//! | can this kernel and this user mount at all | `kernel.rs`, `machine.rs` |
//! | do AppArmor, SELinux or seccomp deny it | `confinement.rs`, `confinement/` |
//! | are the places for mount, state and sockets usable | `storage.rs` |
//! | do mounts reach containers | `propagation.rs`, `runtimes.rs` |
//! | what is left of dead mounts, and who holds it | `stale.rs` |
//! | are handles of NFS the same as before, and do mounts over NFS wait | `nfs.rs` |
//! | what a Kubernetes node needs besides | `node.rs` |
//! | where the machine is, seen from a container, and whose a container is | `host.rs`, `pods.rs` |
//! | can the account be used | `account.rs` |
#![forbid(unsafe_code)]

mod account;
mod check;
mod confinement;
mod examine;
mod host;
mod kernel;
mod machine;
mod mend;
mod nfs;
mod node;
mod pods;
mod propagation;
mod repair;
mod runtimes;
mod stale;
mod storage;

pub use check::{Check, Outcome};
pub use examine::{Input, Settings, examine};
pub use machine::fuse_device;
pub use mend::mend;
pub use nfs::missing_export;
pub use repair::Repair;
pub use storage::bare as bare_mount_point;
