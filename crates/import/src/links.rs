//! Whether symlinks that others made lead somewhere in our tree.
//!
//! The running engine is asked, never the mount: a walk over a large farm then costs nothing and
//! cannot hang.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::common::VIEWS;
use crate::error::{Doing, Error};

/// What the running engine knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The path relative to the root of the mount.
    pub path: PathBuf,
    /// It is a release, or in one.
    pub in_release: bool,
    /// The provider has told the release's files.
    pub files_known: bool,
}

/// What became of the links of a farm.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    /// Lead to something in the library.
    pub resolve: u64,
    /// Lead into a release whose files are not known yet.
    pub not_known_yet: u64,
    /// Lead into the mount, to nothing: each with its target.
    pub dangling: Vec<(PathBuf, PathBuf)>,
    /// Would lead into the library if it were mounted there; by that place.
    pub mounted_elsewhere: BTreeMap<PathBuf, u64>,
    /// Lead to other places.
    pub others: u64,
}

/// Looks at every symlink at and below `farm`, not through them, and asks `why` what the library has
/// at its target. The library is mounted at `mount`.
///
/// # Errors
/// A directory cannot be read, or an error of `why`.
pub async fn check<E: From<Error>>(
    farm: &Path,
    mount: &Path,
    why: impl AsyncFn(&Path) -> Result<Option<Known>, E>,
) -> Result<Checked, E> {
    let mut checked = Checked::default();
    for (path, target) in links_of(farm, Some(mount))? {
        link(&why, mount, path, target, &mut checked).await?;
    }
    checked.dangling.sort();
    Ok(checked)
}

/// Every symlink at and below `farm`, with its target; what lies below `mount` is not looked at.
fn links_of(farm: &Path, mount: Option<&Path>) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let mut found = Vec::new();
    let mut directories = vec![farm.to_owned()];
    while let Some(directory) = directories.pop() {
        let doing = || directory.display().to_string();
        let mut entries = fs::read_dir(&directory)
            .doing(doing)?
            .collect::<Result<Vec<_>, _>>()
            .doing(doing)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().doing(doing)?;
            let path = entry.path();
            // The mount itself may lie below.
            if kind.is_dir() && Some(&*path) != mount {
                directories.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).doing(doing)?;
                found.push((path, target));
            }
        }
    }
    Ok(found)
}

/// Where a link leads, by its text.
fn whole(link: &Path, target: &Path) -> PathBuf {
    let above = link.parent().unwrap_or(Path::new("/"));
    // Joining an absolute path gives that path.
    plain(&above.join(target))
}

/// Symlinks that others made, before there is an instance that could be asked.
pub struct Farm {
    pub dir: PathBuf,
    links: Vec<(PathBuf, PathBuf)>,
}

impl Farm {
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let dir = std::path::absolute(dir).doing(|| "current directory".into())?;
        let links = links_of(&dir, None)?;
        Ok(Self { dir, links })
    }

    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Where the library was mounted for most of them: what is before a view, which is one of those that all programs have, or a
    /// folder of these `names`, with a release and a file behind it.
    pub fn root(&self, names: &[String]) -> Option<PathBuf> {
        let mut roots: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (link, target) in &self.links {
            let whole = whole(link, target);
            for view in whole.ancestors().skip(2) {
                let name = view.file_name().unwrap_or_default();
                let is_view = VIEWS.iter().any(|view| name == *view)
                    || names.iter().any(|view| name == view.as_str());
                if let Some(root) = view
                    .parent()
                    .filter(|root| is_view && root.parent().is_some())
                {
                    *roots.entry(root.to_owned()).or_default() += 1;
                }
            }
        }
        // A folder may be called as a directory above the mount is.
        let most = roots
            .into_iter()
            .max_by_key(|(root, links)| (*links, root.components().count()));
        most.map(|(root, _)| root)
    }

    /// How many lead through a view of ours at `mount`, and one that does not. `names` are those of folders and accounts.
    pub fn inside(&self, mount: &Path, names: &[String]) -> (usize, Option<&(PathBuf, PathBuf)>) {
        let is_inside = |(link, target): &&(PathBuf, PathBuf)| {
            let whole = whole(link, target);
            let mut below = whole
                .strip_prefix(mount)
                .into_iter()
                .flat_map(Path::components);
            let view = below.next().map(|view| view.as_os_str().to_owned());
            let is_ours = view.is_some_and(|view| {
                view == "__all__"
                    || view == "__bad__"
                    || names.iter().any(|name| view == name.as_str())
            });
            is_ours && below.next().is_some()
        };
        let inside = self.links.iter().filter(is_inside).count();
        let mut links = self.links.iter();
        (inside, links.find(|link| !is_inside(link)))
    }
}

async fn link<E>(
    why: &impl AsyncFn(&Path) -> Result<Option<Known>, E>,
    mount: &Path,
    link: PathBuf,
    target: PathBuf,
    checked: &mut Checked,
) -> Result<(), E> {
    let whole = whole(&link, &target);
    let known = why(&whole).await?;
    if let Ok(inside) = whole.strip_prefix(mount) {
        if known.is_some_and(|known| known.path == inside && known.files_known) {
            checked.resolve += 1;
        } else if is_unknown(why, mount, inside).await? {
            checked.not_known_yet += 1;
        } else {
            checked.dangling.push((link, target));
        }
        return Ok(());
    }
    // Whatever the mount is called here: the engine finds the view in the path.
    match known {
        Some(known) if whole.ends_with(&known.path) && known.in_release => {
            let depth = known.path.components().count();
            let place = whole.ancestors().nth(depth).unwrap_or(Path::new("/"));
            let links = checked.mounted_elsewhere.entry(place.to_owned());
            *links.or_insert(0) += 1;
        }
        _ => checked.others += 1,
    }
    Ok(())
}

/// Whether it lies in a release whose files the provider has not told.
async fn is_unknown<E>(
    why: &impl AsyncFn(&Path) -> Result<Option<Known>, E>,
    mount: &Path,
    inside: &Path,
) -> Result<bool, E> {
    let release: PathBuf = inside.components().take(2).collect();
    let known = why(&mount.join(release)).await?;
    Ok(known.is_some_and(|known| !known.files_known))
}

/// A path without `.` and `..`, as far as that can be told by its text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A library with a film and a release whose files are not known yet.
    async fn why(path: &Path) -> Result<Option<Known>, Error> {
        let known = |path: &str, files_known| Known {
            path: path.into(),
            in_release: true,
            files_known,
        };
        let text = path.to_string_lossy();
        Ok(if text.ends_with("__all__/Film/film.mkv") {
            Some(known("__all__/Film/film.mkv", true))
        } else if text.contains("__all__/New") {
            Some(known("__all__/New", false))
        } else {
            None
        })
    }

    #[tokio::test]
    async fn links_are_told_apart_by_where_they_lead() {
        let farm = tempfile::tempdir().unwrap();
        let at = |name: &str| farm.path().join(name);
        fs::create_dir(at("films")).unwrap();
        for (name, target) in [
            ("films/good", "/mnt/dfs/./__all__/x/../Film/film.mkv"),
            ("films/new", "/mnt/dfs/__all__/New/a.mkv"),
            ("gone", "/mnt/dfs/__all__/Gone/a.mkv"),
            ("old", "/mnt/zurg/__all__/Film/film.mkv"),
            ("else", "films"),
        ] {
            symlink(target, at(name)).unwrap();
        }
        let checked = check(farm.path(), Path::new("/mnt/dfs"), why)
            .await
            .unwrap();
        assert_eq!(
            (checked.resolve, checked.not_known_yet, checked.others),
            (1, 1, 1)
        );
        let gone = (at("gone"), PathBuf::from("/mnt/dfs/__all__/Gone/a.mkv"));
        assert_eq!(checked.dangling, [gone]);
        let elsewhere = BTreeMap::from([(PathBuf::from("/mnt/zurg"), 1)]);
        assert_eq!(checked.mounted_elsewhere, elsewhere);
    }

    #[tokio::test]
    async fn a_farm_that_cannot_be_read_is_named() {
        let missing = Path::new("/nonexistent/farm");
        let error = check(missing, Path::new("/mnt/dfs"), why)
            .await
            .unwrap_err();
        assert!(
            error.to_string().starts_with("/nonexistent/farm: "),
            "{error}"
        );
    }
}
