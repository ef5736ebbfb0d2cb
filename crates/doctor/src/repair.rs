//! What `doctor --fix` may do: only what is undone by a restart of the machine and harms nobody.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use debridfs_base::mountinfo;
use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};

/// A safe fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Makes the directory a shared mount.
    Share(PathBuf),
    /// Loads the kernel module.
    LoadFuse,
}

impl Repair {
    /// The commands that do the same.
    pub fn commands(&self) -> String {
        match self {
            Self::Share(dir) if is_mount(dir) => format!("mount --make-rshared {}", dir.display()),
            Self::Share(dir) => format!(
                "mount --rbind {0} {0} && mount --make-rshared {0}",
                dir.display()
            ),
            Self::LoadFuse => "modprobe fuse".into(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// The system refuses, or there is no `modprobe`.
    pub fn apply(&self) -> io::Result<()> {
        match self {
            Self::Share(dir) => {
                // With what is mounted in it: otherwise that would vanish from sight.
                if !is_mount(dir) {
                    mount_bind_recursive(dir, dir)?;
                }
                let flags = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
                Ok(mount_change(dir, flags)?)
            }
            Self::LoadFuse => {
                let status = Command::new("modprobe")
                    .arg("fuse")
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status()?;
                if status.success() {
                    Ok(())
                } else {
                    Err(io::Error::other(format!("modprobe: {status}")))
                }
            }
        }
    }
}

fn is_mount(dir: &std::path::Path) -> bool {
    matches!(mountinfo::find(dir), Ok(Some(_)))
}
