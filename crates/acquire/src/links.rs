//! The action `symlink`: a directory of absolute symlinks into the mount.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use debridfs_provider::InfoHash;
use rustix::fs::FileType;

use crate::folder::{Dir, Spot, hidden, is};

/// What a link that was not in its place yet was called, whoever made it, by versions before this one.
const OLD_FRESH: &str = ".debridfs-link.part";

/// A link to be: its path below the directory, and where it leads.
pub(crate) type Link = (String, PathBuf);

/// Makes `directory` hold `links` of the job `owner`. A new directory is made beside and then moved, so that it is whole when it
/// shows; in one that is there, each missing or wrong link is put right. What is no symlink is left alone.
pub(crate) fn place(directory: &Spot, owner: InfoHash, links: &[Link]) -> io::Result<()> {
    if links.iter().any(|(path, _)| !is_below(path)) {
        return Err(io::Error::other("a path that leads out of its directory"));
    }
    let (above, name) = directory.make_above()?;
    if let Some(there) = above.enter(name)? {
        return links
            .iter()
            .try_for_each(|(path, target)| place_one(&there, owner, Path::new(path), target));
    }
    let building = above.building(owner)?;
    // What an engine that was killed left half made.
    building.clear()?;
    for (path, target) in links {
        let (dir, name) = building.make_above(Path::new(path))?;
        dir.symlink(target, name)?;
    }
    above.publish(&building, owner, name)
}

fn place_one(directory: &Dir, owner: InfoHash, path: &Path, target: &Path) -> io::Result<()> {
    if let Some((dir, name)) = directory.find_above(path)?
        && let Some(found) = dir.look(name)?
    {
        if !is(&found, FileType::Symlink) {
            return Err(dir.in_the_way(name, "it is no symlink"));
        }
        if dir.read_link(name)? == target {
            return Ok(());
        }
    }
    let (dir, name) = directory.make_above(path)?;
    dir.require_ours(owner)?;
    let fresh = hidden(owner, ".link");
    for left in [OLD_FRESH, &fresh] {
        dir.remove_file(OsStr::new(left))?;
    }
    dir.symlink(target, OsStr::new(&fresh))?;
    dir.rename(OsStr::new(&fresh), &dir, name)
}

/// Takes back those of `links` that are there as they were made.
pub(crate) fn withdraw(directory: &Spot, links: &[Link]) -> io::Result<()> {
    let Some(there) = directory.open()? else {
        return Ok(());
    };
    for (path, target) in links.iter().filter(|(path, _)| is_below(path)) {
        if let Some((dir, name)) = there.find_above(Path::new(path))?
            && dir.read_link(name).is_ok_and(|found| found == *target)
        {
            dir.remove_file(name)?;
        }
    }
    Ok(())
}

/// Removes the symlinks in `directory` and what is empty then. Files of others stay, and so do their directories; so does whatever
/// else has its name.
pub(crate) fn remove(directory: &Spot) -> io::Result<()> {
    match directory.find_above()? {
        Some((above, name)) => remove_in(&above, name),
        None => Ok(()),
    }
}

/// As [`remove`], of the directory `name` in `above`.
pub(crate) fn remove_in(above: &Dir, name: &OsStr) -> io::Result<()> {
    let found = above.look(name)?;
    if !found.is_some_and(|found| is(&found, FileType::Directory)) {
        return Ok(());
    }
    let Some(dir) = above.enter(name)? else {
        return Ok(());
    };
    for (name, kind) in dir.entries()? {
        match kind {
            FileType::Symlink => dir.remove_file(&name)?,
            FileType::Directory => remove_in(&dir, &name)?,
            _ => {}
        }
    }
    above.remove_dir(name).map(drop)
}

/// Whether something lies at `path`, if only a link that leads nowhere.
#[allow(clippy::disallowed_methods, reason = "on a thread of the volume")]
pub(crate) fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
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
    use std::fs;
    use std::os::unix::fs::symlink;

    use futures_util::future::join_all;
    use tempfile::TempDir;

    use super::*;

    const OWNER: InfoHash = InfoHash([7; 20]);

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

    fn spot(dir: &TempDir, path: &str) -> Spot {
        Spot::below(dir.path(), &dir.path().join(path)).unwrap()
    }

    #[test]
    fn links_are_made_mended_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (release, place_of) = (dir.path().join("tv/Release"), spot(&dir, "tv/Release"));
        let wanted = links(&["a.mkv", "Subs/a.srt"]);
        place(&place_of, OWNER, &wanted).unwrap();
        let target = |path: &str| fs::read_link(release.join(path)).unwrap();
        assert_eq!(
            target("Subs/a.srt"),
            Path::new("/mnt/dfs/__all__/R/Subs/a.srt")
        );
        fs::remove_file(release.join("a.mkv")).unwrap();
        fs::remove_file(release.join("Subs/a.srt")).unwrap();
        symlink("/elsewhere", release.join("Subs/a.srt")).unwrap();
        symlink("/stale", release.join(OLD_FRESH)).unwrap();
        place(&place_of, OWNER, &wanted).unwrap();
        assert_eq!(target("a.mkv"), Path::new("/mnt/dfs/__all__/R/a.mkv"));
        assert_eq!(
            target("Subs/a.srt"),
            Path::new("/mnt/dfs/__all__/R/Subs/a.srt")
        );
        assert_eq!(fs::read_dir(&release).unwrap().count(), 2, "and no more");
        remove(&place_of).unwrap();
        remove(&place_of).unwrap();
        let left = fs::read_dir(dir.path().join("tv")).unwrap().count();
        assert_eq!(left, 0, "nothing, hidden or not");
    }

    #[test]
    fn a_new_directory_has_the_mode_of_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("usual")).unwrap();
        place(&spot(&dir, "R"), OWNER, &links(&["a.mkv"])).unwrap();
        let mode = |name: &str| {
            let found = fs::metadata(dir.path().join(name)).unwrap();
            found.permissions().mode()
        };
        assert_eq!(mode("R"), mode("usual"));
    }

    #[test]
    fn only_links_of_ours_are_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let release = dir.path().join("Release");
        let both = links(&["a.mkv", "b.mkv"]);
        place(&spot(&dir, "Release"), OWNER, &both).unwrap();
        fs::remove_file(release.join("b.mkv")).unwrap();
        symlink("/elsewhere", release.join("b.mkv")).unwrap();
        withdraw(&spot(&dir, "Release"), &both).unwrap();
        assert!(fs::symlink_metadata(release.join("a.mkv")).is_err());
        assert!(fs::symlink_metadata(release.join("b.mkv")).is_ok());
    }

    #[test]
    fn what_a_crash_left_half_made_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let building = dir.path().join(hidden(OWNER, ".part"));
        fs::create_dir(&building).unwrap();
        symlink("/stale", building.join("stale.mkv")).unwrap();
        fs::write(building.join("half.mkv"), "x").unwrap();
        place(&spot(&dir, "Release"), OWNER, &links(&["a.mkv"])).unwrap();
        let release = dir.path().join("Release");
        assert_eq!(fs::read_dir(&release).unwrap().count(), 1);
        assert!(!building.exists());
    }

    /// The names have their first 40 characters in common.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn releases_with_names_that_begin_alike_never_mix() {
        let dir = tempfile::tempdir().unwrap();
        let name =
            |number: u8| format!("The.Lord.of.the.Rings.The.Rings.of.Power.S01E{number:02}.1080p");
        let files = |number: u8| -> Vec<String> {
            let file = |part| format!("E{number:02}.part{part:02}.srt");
            (0..20).map(file).collect()
        };
        for round in 0..5 {
            let made = (0..16).map(|number| {
                let place_of = spot(&dir, &format!("tv{round}/{}", name(number)));
                let paths = files(number);
                let wanted = links(&paths.iter().map(String::as_str).collect::<Vec<_>>());
                tokio::task::spawn_blocking(move || {
                    place(&place_of, InfoHash([number; 20]), &wanted)
                })
            });
            for made in join_all(made).await {
                made.unwrap().unwrap();
            }
            for number in 0..16 {
                let place = dir.path().join(format!("tv{round}")).join(name(number));
                let found = fs::read_dir(place).unwrap();
                let found = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
                let mut found: Vec<String> = found.collect();
                found.sort();
                assert_eq!(found, files(number), "round {round}");
            }
        }
    }

    /// Two jobs of releases that are called the same.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_jobs_may_mend_one_directory() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let release = dir.path().join(format!("R{round}"));
            fs::create_dir(&release).unwrap();
            let made = (0..4u8).map(|number| {
                let place_of = spot(&dir, &format!("R{round}"));
                let wanted = links(&[&format!("{number}.mkv")]);
                tokio::task::spawn_blocking(move || {
                    place(&place_of, InfoHash([number; 20]), &wanted)
                })
            });
            for made in join_all(made).await {
                made.unwrap().unwrap();
            }
            for number in 0..4 {
                let name = format!("{number}.mkv");
                let target = fs::read_link(release.join(&name)).unwrap();
                assert_eq!(target, Path::new("/mnt/dfs/__all__/R").join(name));
            }
        }
    }

    #[test]
    fn files_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let release = dir.path().join("Release");
        place(&spot(&dir, "Release"), OWNER, &links(&["a.mkv"])).unwrap();
        fs::write(release.join("theirs.mkv"), "x").unwrap();
        let error = place(&spot(&dir, "Release"), OWNER, &links(&["theirs.mkv"])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        remove(&spot(&dir, "Release")).unwrap();
        assert_eq!(fs::read_to_string(release.join("theirs.mkv")).unwrap(), "x");
    }

    #[test]
    fn no_link_is_made_outside() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../a", "/etc/a", "a/../../b", ""] {
            let link = vec![(path.to_owned(), PathBuf::from("/x"))];
            assert!(place(&spot(&dir, "R"), OWNER, &link).is_err(), "{path}");
        }
    }
}
