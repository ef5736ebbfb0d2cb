//! The volumes that jobs are put on, and the room there is. What touches one runs on its threads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::volume::Volume;
use parking_lot::Mutex;

use crate::AcquireConfig;

/// How often the room is measured.
const MEASURED_EVERY: Duration = Duration::from_secs(10);

/// Room of a volume, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Space {
    /// Of the volume that holds `path`, or will; nothing when that cannot be told.
    #[allow(clippy::disallowed_methods, reason = "on a thread of the volume")]
    fn of(path: &Path) -> Option<Self> {
        let found = path
            .ancestors()
            .find_map(|path| rustix::fs::statvfs(path).ok())?;
        Some(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

/// The volumes of the downloads folder, and of categories' folders that lie elsewhere.
#[derive(Debug)]
pub(crate) struct Disks {
    downloads: Disk,
    others: Vec<Disk>,
}

#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    volume: Volume,
    /// As last measured.
    space: Mutex<Option<Space>>,
}

impl Disk {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            volume: Volume::new("downloads"),
            space: Mutex::default(),
        }
    }

    /// Measures the room; the last figure stays when the volume is silent.
    async fn measure(&self) {
        let folder = self.folder.clone();
        // Silence shows in `status`.
        if let Ok(space) = self
            .volume
            .run(&self.folder, move || Space::of(&folder))
            .await
        {
            *self.space.lock() = space;
        }
    }
}

impl Disks {
    pub(crate) fn of(config: &AcquireConfig) -> Self {
        let folders = config.categories.values();
        let folders = folders.filter_map(|rule| rule.folder.as_deref());
        let mut elsewhere: Vec<&Path> = folders
            .filter(|folder| !folder.starts_with(&config.downloads))
            .collect();
        // A folder before those in it.
        elsewhere.sort_unstable();
        let mut others: Vec<Disk> = Vec::new();
        for folder in elsewhere {
            if !others.iter().any(|disk| folder.starts_with(&disk.folder)) {
                others.push(Disk::new(folder));
            }
        }
        Self {
            downloads: Disk::new(&config.downloads),
            others,
        }
    }

    fn holding(&self, path: &Path) -> &Disk {
        let mut others = self.others.iter();
        let other = others.find(|disk| path.starts_with(&disk.folder));
        other.unwrap_or(&self.downloads)
    }

    /// The volume that `path` lies on.
    pub(crate) fn volume(&self, path: &Path) -> &Volume {
        &self.holding(path).volume
    }

    /// Each folder with its volume, that of all downloads first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Path, &Volume)> {
        let all = std::iter::once(&self.downloads).chain(&self.others);
        all.map(|disk| (&*disk.folder, &disk.volume))
    }

    /// Room in the downloads folder, as last measured; none while it was never told.
    pub(crate) fn space(&self) -> Option<Space> {
        *self.downloads.space.lock()
    }

    /// Room where `path` lies, as it is now or was last told.
    pub(crate) async fn space_at(&self, path: &Path) -> Option<Space> {
        let disk = self.holding(path);
        disk.measure().await;
        *disk.space.lock()
    }

    /// Measures the room of all again and again.
    pub(crate) async fn measure(&self) {
        loop {
            let all = std::iter::once(&self.downloads).chain(&self.others);
            futures_util::future::join_all(all.map(Disk::measure)).await;
            tokio::time::sleep(MEASURED_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CategoryRule;

    #[test]
    fn a_folder_elsewhere_has_a_volume_of_its_own() {
        let mut config = AcquireConfig::new("/s/jobs.db", "/d");
        for (name, folder) in [
            ("tv", "/d/tv"),
            ("films", "/nas/films"),
            ("4k", "/nas/films/4k"),
        ] {
            let rule = CategoryRule {
                folder: Some(folder.into()),
                ..CategoryRule::default()
            };
            config.categories.insert(name.to_owned(), rule);
        }
        let disks = Disks::of(&config);
        let at = |path: &str| disks.holding(Path::new(path)).folder.clone();
        assert_eq!(at("/d/tv/x"), Path::new("/d"));
        assert_eq!(at("/nas/films/x"), at("/nas/films/4k/x"));
        assert_ne!(at("/nas/films/x"), at("/d/x"));
    }
}
