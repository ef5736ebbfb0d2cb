//! Categories and tags.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use debridfs_base::terminal::is_obeyed;
use debridfs_provider::InfoHash;

use crate::store::{CategoryRow, Change};
use crate::{Acquire, Error, Job, Result, Selection};

impl Acquire {
    /// Gives jobs a category and leaves them where they are.
    ///
    /// # Errors
    /// [`Error::NoCategory`], [`Error::Store`].
    pub async fn set_category(&self, selection: Selection, category: String) -> Result<()> {
        if !category.is_empty() && !self.shared.read().categories.contains_key(&category) {
            return Err(Error::NoCategory(category));
        }
        let now = self.shared.now();
        self.shared
            .transact(move |memory| {
                // Requests that become the same are one from then on.
                let mut moved: HashMap<(InfoHash, Option<String>), Job> = HashMap::new();
                let mut changes = Vec::new();
                for before in memory.meant(&selection) {
                    if before.category == category {
                        continue;
                    }
                    let key = (before.hash, before.owner.clone());
                    if let Some(first) = moved.get_mut(&key) {
                        inherit(first, before);
                        changes.push(Change::Gone(before.id()));
                        continue;
                    }
                    let mut job = Job::clone(before);
                    job.category.clone_from(&category);
                    job.changed = now;
                    let same = |other: &&Arc<Job>| {
                        (&other.category, &other.owner) == (&category, &before.owner)
                    };
                    for twin in memory.of(job.hash).filter(same) {
                        inherit(&mut job, twin);
                        changes.push(Change::Gone(twin.id()));
                    }
                    moved.insert(key, job);
                }
                let moved = moved.into_values().map(Box::new);
                changes.extend(moved.map(Change::Job));
                Ok((changes, ()))
            })
            .await
    }

    /// Makes a category. An empty `folder` means below the downloads folder; a relative one is below it as well.
    ///
    /// # Errors
    /// [`Error::CategoryExists`], [`Error::BadCategory`], [`Error::Store`].
    pub async fn create_category(&self, name: String, folder: String) -> Result<()> {
        check_category(&name)?;
        self.put_category(name, folder, false).await
    }

    /// Gives a category another folder, for jobs to come.
    ///
    /// # Errors
    /// [`Error::NoCategory`], [`Error::BadCategory`], [`Error::Store`].
    pub async fn edit_category(&self, name: String, folder: String) -> Result<()> {
        self.put_category(name, folder, true).await
    }

    async fn put_category(&self, name: String, folder: String, exists: bool) -> Result<()> {
        if !folder.is_empty() {
            self.inside(Path::new(&folder))?;
        }
        self.shared
            .transact(move |memory| match memory.categories.contains_key(&name) {
                true if !exists => Err(Error::CategoryExists(name)),
                false if exists => Err(Error::NoCategory(name)),
                _ => {
                    let row = CategoryRow {
                        name,
                        save_path: folder,
                    };
                    Ok((vec![Change::Category(row)], ()))
                }
            })
            .await
    }

    /// Removes categories; their jobs have none then. Those of the configuration stay.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn remove_categories(&self, names: BTreeSet<String>) -> Result<()> {
        let configured = self.shared.config.categories.clone();
        self.shared
            .transact(move |memory| {
                let mut changes = Vec::new();
                for name in names.iter().filter(|name| !configured.contains_key(*name)) {
                    if !memory.categories.contains_key(name) {
                        continue;
                    }
                    changes.push(Change::CategoryGone(name.clone()));
                    let jobs = memory.jobs.values().filter(|job| job.category == *name);
                    changes.extend(jobs.map(|job| {
                        let mut job = Job::clone(job);
                        job.category.clear();
                        Change::Job(Box::new(job))
                    }));
                }
                Ok((changes, ()))
            })
            .await
    }

    /// Makes tags.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn create_tags(&self, tags: BTreeSet<String>) -> Result<()> {
        self.shared
            .transact(move |memory| {
                let new = tags.into_iter().filter(|tag| !memory.tags.contains(tag));
                Ok((new.map(Change::Tag).collect(), ()))
            })
            .await
    }

    /// Removes tags, also from jobs.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn delete_tags(&self, tags: BTreeSet<String>) -> Result<()> {
        self.shared
            .transact(move |memory| {
                let known = tags.iter().filter(|tag| memory.tags.contains(*tag));
                let mut changes: Vec<Change> = known.cloned().map(Change::TagGone).collect();
                for job in memory
                    .jobs
                    .values()
                    .filter(|job| !job.tags.is_disjoint(&tags))
                {
                    let mut job = Job::clone(job);
                    job.tags.retain(|tag| !tags.contains(tag));
                    changes.push(Change::Job(Box::new(job)));
                }
                Ok((changes, ()))
            })
            .await
    }
}

/// Gives `job` the right to the torrent that `gone` added, if it is the same one or `job` has none.
fn inherit(job: &mut Job, gone: &Job) {
    let own = job.at.as_ref().map(|at| &at.torrent);
    let added = gone.at.as_ref().filter(|at| at.ours);
    if let Some(at) = added.filter(|at| own.is_none_or(|own| *own == at.torrent)) {
        job.at = Some(at.clone());
    }
}

/// The rules of qBittorrent, and no component that leads elsewhere: the name becomes a folder.
pub(crate) fn check_category(name: &str) -> Result<()> {
    let good = !name.is_empty()
        && name.len() <= 255
        && !name.contains(|c: char| c == '\\' || is_obeyed(c))
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.trim() == part);
    match good {
        true => Ok(()),
        false => Err(Error::BadCategory(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_categories() {
        for good in ["tv", "tv-sonarr", "a/b", "Фильмы", ".hidden", "a b"] {
            assert!(check_category(good).is_ok(), "{good}");
        }
        for bad in [
            "a\u{202e}b",
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "a\\b",
            "a\nb",
            " a",
            "a/ b",
        ] {
            assert!(check_category(bad).is_err(), "{bad}");
        }
    }
}
