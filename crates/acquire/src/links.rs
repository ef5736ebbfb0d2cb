//! The action `symlink`: a directory of absolute symlinks into the mount.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// A link to be: its path below the directory, and where it leads.
pub(crate) type Link = (String, PathBuf);

/// Makes `directory` hold `links`. A new directory is made beside and then moved, so that it is whole when it shows; in one that is
/// there, each missing or wrong link is put right. What is no symlink is left alone.
pub(crate) fn place(directory: &Path, links: &[Link]) -> io::Result<()> {
    if links.iter().any(|(path, _)| !is_below(path)) {
        return Err(io::Error::other("a path that leads out of its directory"));
    }
    let parent = directory
        .parent()
        .ok_or_else(|| io::Error::other("no directory above"))?;
    fs::create_dir_all(parent)?;
    if fs::symlink_metadata(directory).is_ok() {
        return links
            .iter()
            .try_for_each(|(path, target)| place_one(&directory.join(path), target));
    }
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    // Names have up to 255 bytes, so the marks cannot be added to a whole one.
    let short: String = name.chars().take(40).collect();
    let building = parent.join(format!(".debridfs-{short}.part"));
    remove(&building)?;
    fs::create_dir_all(&building)?;
    for (path, target) in links {
        let link = building.join(path);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        symlink(target, link)?;
    }
    fs::rename(&building, directory)
}

fn place_one(link: &Path, target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            let message = format!("{} is in the way and is no symlink", link.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(_) if fs::read_link(link)? == target => return Ok(()),
        _ => {}
    }
    let parent = link.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let fresh = parent.join(".debridfs-link.part");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, &fresh)?;
    fs::rename(&fresh, link)
}

/// Takes back those of `links` that are there as they were made.
pub(crate) fn withdraw(directory: &Path, links: &[Link]) -> io::Result<()> {
    for (path, target) in links.iter().filter(|(path, _)| is_below(path)) {
        let link = directory.join(path);
        if fs::read_link(&link).is_ok_and(|found| found == *target) {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

/// Removes the symlinks in `directory` and what is empty then. Files of others stay, and so do their directories.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    if fs::symlink_metadata(directory).is_ok_and(|found| found.is_symlink()) {
        return Ok(());
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // A file in its place is not ours.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            fs::remove_file(entry.path())?;
        } else if kind.is_dir() {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Whether `path` stays below the directory it is joined to.
pub(crate) fn is_below(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(of: &[&str]) -> Vec<Link> {
        of.iter()
            .map(|path| {
                (
                    (*path).to_owned(),
                    Path::new("/mnt/dfs/__all__/R").join(path),
                )
            })
            .collect()
    }

    #[test]
    fn links_are_made_mended_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let release = dir.path().join("tv/Release");
        let wanted = links(&["a.mkv", "Subs/a.srt"]);
        place(&release, &wanted).unwrap();
        let target = |path: &str| fs::read_link(release.join(path)).unwrap();
        assert_eq!(
            target("Subs/a.srt"),
            Path::new("/mnt/dfs/__all__/R/Subs/a.srt")
        );
        fs::remove_file(release.join("a.mkv")).unwrap();
        fs::remove_file(release.join("Subs/a.srt")).unwrap();
        symlink("/elsewhere", release.join("Subs/a.srt")).unwrap();
        place(&release, &wanted).unwrap();
        assert_eq!(target("a.mkv"), Path::new("/mnt/dfs/__all__/R/a.mkv"));
        assert_eq!(
            target("Subs/a.srt"),
            Path::new("/mnt/dfs/__all__/R/Subs/a.srt")
        );
        remove(&release).unwrap();
        remove(&release).unwrap();
        let left = fs::read_dir(dir.path().join("tv")).unwrap().count();
        assert_eq!(left, 0, "nothing, hidden or not");
    }

    #[test]
    fn only_links_of_ours_are_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let release = dir.path().join("Release");
        let both = links(&["a.mkv", "b.mkv"]);
        place(&release, &both).unwrap();
        fs::remove_file(release.join("b.mkv")).unwrap();
        symlink("/elsewhere", release.join("b.mkv")).unwrap();
        withdraw(&release, &both).unwrap();
        assert!(fs::symlink_metadata(release.join("a.mkv")).is_err());
        assert!(fs::symlink_metadata(release.join("b.mkv")).is_ok());
    }

    #[test]
    fn what_a_crash_left_half_made_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let building = dir.path().join(".debridfs-Release.part");
        fs::create_dir(&building).unwrap();
        symlink("/stale", building.join("stale.mkv")).unwrap();
        let release = dir.path().join("Release");
        place(&release, &links(&["a.mkv"])).unwrap();
        assert_eq!(fs::read_dir(&release).unwrap().count(), 1);
        assert!(!building.exists());
    }

    #[test]
    fn files_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let release = dir.path().join("Release");
        place(&release, &links(&["a.mkv"])).unwrap();
        fs::write(release.join("theirs.mkv"), "x").unwrap();
        let error = place(&release, &links(&["theirs.mkv"])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        remove(&release).unwrap();
        assert_eq!(fs::read_to_string(release.join("theirs.mkv")).unwrap(), "x");
    }

    #[test]
    fn no_link_is_made_outside() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../a", "/etc/a", "a/../../b", ""] {
            let link = vec![(path.to_owned(), PathBuf::from("/x"))];
            assert!(place(&dir.path().join("R"), &link).is_err(), "{path}");
        }
    }
}
