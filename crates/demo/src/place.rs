//! The demo's own directories, and their removal.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use debridfs_base::mountinfo::{self, FSTYPE};
use rustix::mount::{UnmountFlags, unmount};

use debridfs_keeper::Owner;

use crate::children::Account;
use crate::error::{DemoError, Doing};

/// Everything the demo puts into the file system.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
    mount: PathBuf,
    /// Whose `dir` is, where root starts the demo.
    owner: Owner,
    /// Directories made for `mount` outside `dir`, the deepest last.
    made: Vec<PathBuf>,
}

impl Place {
    /// Makes the directories; `mount` may exist, but nothing may be mounted there.
    pub fn make(mount: Option<&Path>, owner: Owner) -> Result<Self, DemoError> {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-demo-")
            .tempdir()
            .doing(|| "temporary directory".into())?
            .keep();
        let mut place = Self {
            mount: dir.join("dfs"),
            dir,
            owner,
            made: Vec::new(),
        };
        place.fill(mount).or_else(|failure| {
            place.remove()?;
            Err(failure)
        })?;
        if rustix::process::geteuid().is_root() {
            // The engine's, so that it comes in; root does anyway.
            let dir = &place.dir;
            chown(dir, Some(owner.uid), Some(owner.gid)).doing(|| dir.display().to_string())?;
        }
        Ok(place)
    }

    fn fill(&mut self, mount: Option<&Path>) -> Result<(), DemoError> {
        for part in ["run", "state"] {
            fs::create_dir(self.dir.join(part)).doing(|| self.dir.display().to_string())?;
        }
        if let Some(mount) = mount {
            let mount = std::path::absolute(mount).doing(|| mount.display().to_string())?;
            self.make_all(&mount)
                .doing(|| format!("cannot make {}", mount.display()))?;
            self.mount = mountinfo::resolved(&mount);
            let mounted = mountinfo::type_at(&self.mount).doing(|| "mount table".into())?;
            if let Some(kind) = mounted {
                // What others mounted is not taken away at the end.
                self.mount = self.dir.join("dfs");
                return Err(DemoError::Occupied { kind, mount });
            }
        } else {
            fs::create_dir(&self.mount).doing(|| self.mount.display().to_string())?;
        }
        Ok(())
    }

    /// As `create_dir_all`, remembering what was missing. Does not touch `dir` itself when something is mounted there.
    fn make_all(&mut self, dir: &Path) -> io::Result<()> {
        if mountinfo::type_at(dir)?.is_some() || dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent() {
            self.make_all(parent)?;
        }
        fs::create_dir(dir)?;
        self.made.push(dir.to_path_buf());
        Ok(())
    }

    /// The mount point.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Where the sockets are.
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Where downloads of the simulated account are put.
    pub fn downloads(&self) -> PathBuf {
        self.dir.join("downloads")
    }

    /// The configuration file of the service.
    pub fn config(&self) -> PathBuf {
        self.dir.join("debridfs.toml")
    }

    /// Where a child's log goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Writes the service's configuration.
    pub fn write_config(&self, listen: SocketAddr, accounts: &[Account]) -> Result<(), DemoError> {
        let mut config = toml::toml! {
            [fuse]
            [mount]
            [server]
            [library]
        };
        let mut set = |section: &str, key: &str, value: toml::Value| {
            if section.is_empty() {
                config.insert(key.into(), value);
            } else if let Some(toml::Value::Table(table)) = config.get_mut(section) {
                table.insert(key.into(), value);
            }
        };
        let text = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned());
        set("", "state_dir", text(&self.dir.join("state")));
        set("", "cache_dir", text(&self.dir.join("cache")));
        set("", "runtime_dir", text(&self.runtime_dir()));
        set("mount", "path", text(&self.mount));
        // The mount lies below a directory that only this user may enter.
        set(
            "mount",
            "allow_other",
            rustix::process::geteuid().is_root().into(),
        );
        // Whoever tries it came to see the mount.
        set("fuse", "required", true.into());
        // A directory of the user's is left as it was.
        set("mount", "immutable", false.into());
        set("server", "listen", listen.to_string().into());
        if !accounts.is_empty() {
            // For the queue; nobody else is to find its API, so any port will do.
            let mut acquire = toml::Table::new();
            acquire.insert("downloads".into(), text(&self.downloads()));
            set("", "acquire", acquire.into());
            let mut api = toml::Table::new();
            api.insert("listen".into(), "127.0.0.1:0".into());
            set("", "qbittorrent", api.into());
            let providers = accounts.iter().map(|one| (one.name.clone(), provider(one)));
            set("", "provider", toml::Table::from_iter(providers).into());
            let order: Vec<&str> = accounts.iter().map(|one| &*one.name).collect();
            set("library", "order", order.into());
        }
        let file = self.config();
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut out| {
                if rustix::process::geteuid().is_root() {
                    fchown(&out, Some(self.owner.uid), Some(self.owner.gid))?;
                }
                out.write_all(config.to_string().as_bytes())
            })
            .doing(|| file.display().to_string())
    }

    /// Removes everything. Whatever is still mounted is taken away first: nothing may be deleted through it.
    pub fn remove(&self) -> Result<(), DemoError> {
        self.unmount()?;
        for dir in self.made.iter().rev() {
            // Somebody else's file in it is a reason to leave the directory.
            let _ = fs::remove_dir(dir);
        }
        fs::remove_dir_all(&self.dir).doing(|| format!("cannot remove {}", self.dir.display()))
    }

    fn unmount(&self) -> Result<(), DemoError> {
        let mounted = || mountinfo::type_at(&self.mount).doing(|| "mount table".into());
        // A lost mount may have been stacked over.
        for _ in 0..8 {
            if mounted()?.as_deref() != Some(FSTYPE) {
                return Ok(());
            }
            if unmount(&self.mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_err() {
                // Without root its helper does it; the loop looks whether it did.
                let _ = std::process::Command::new("fusermount3")
                    .args(["-u", "-z", "--"])
                    .arg(&self.mount)
                    .status();
            }
        }
        Err(DemoError::StillMounted(self.mount.clone()))
    }
}

/// The table of an account.
fn provider(account: &Account) -> toml::Value {
    let mut keys = toml::Table::new();
    keys.insert("kind".into(), account.kind.into());
    keys.insert("token".into(), account.token.clone().into());
    keys.insert("api_url".into(), account.url.clone().into());
    if account.unlimited {
        keys.insert("calls_per_minute".into(), 100_000.into());
    }
    keys.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Owner = Owner {
        uid: 65_534,
        gid: 65_534,
    };

    #[test]
    fn what_was_made_is_removed_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        let mount = outside.path().join("a/b");
        let place = Place::make(Some(&mount), NOBODY).unwrap();
        assert!(mount.is_dir());
        place
            .write_config("127.0.0.1:0".parse().unwrap(), &[])
            .unwrap();
        let dir = place.dir.clone();
        place.remove().unwrap();
        assert!(!dir.exists());
        assert!(!outside.path().join("a").exists());
        assert!(outside.path().exists());
    }

    #[test]
    fn a_foreign_mount_is_left_alone() {
        let refused = Place::make(Some(Path::new("/proc")), NOBODY);
        assert!(refused.is_err());
        assert_eq!(
            mountinfo::type_at(Path::new("/proc")).unwrap().as_deref(),
            Some("proc")
        );
    }
}
