//! Real files of a release: where they are made, how they come to their place, and how they are taken away.
//!
//! They are made in a hidden directory beside their place, named after the info-hash, and moved when all of them are whole.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the downloads' volume"
)]

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use debridfs_provider::InfoHash;
use rustix::fs::{FileType, OFlags};

use crate::Job;
use crate::folder::{BUILDING, Dir, PREFIX, Spot, building_name, is};
use crate::links::{is_below, remove_in};

/// A file to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path below the release's directory.
    pub(crate) path: String,
    pub(crate) content: What,
}

/// What is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// So many bytes of the library's file of that path.
    Fetched(u64),
    /// This text.
    Text(String),
}

impl Entry {
    fn bytes(&self) -> u64 {
        match &self.content {
            What::Fetched(bytes) => *bytes,
            What::Text(text) => text.len() as u64,
        }
    }

    /// Whether what lies in `place` is this entry already.
    fn lies_in(&self, place: Option<&Dir>) -> io::Result<bool> {
        let above = place.map(|place| place.find_above(Path::new(&self.path)));
        let Some((dir, name)) = above.transpose()?.flatten() else {
            return Ok(false);
        };
        let found = dir
            .look(name)?
            .filter(|found| is(found, FileType::RegularFile));
        if found.is_none_or(|found| size(found.st_size) != self.bytes()) {
            return Ok(false);
        }
        match &self.content {
            What::Fetched(_) => Ok(true),
            What::Text(text) => Ok(dir.read(name, self.bytes() + 1)? == text.as_bytes()),
        }
    }
}

/// Where the files of `job` are made.
pub(crate) fn building(job: &Job) -> PathBuf {
    job.save_path.join(building_name(job.hash))
}

/// How much of an entry is there before anything is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Have {
    /// It lies in its place.
    Placed,
    /// So many bytes of it lie in the building.
    Part(u64),
}

/// Makes the building of `owner` beside `place` ready, and tells for each entry what there is of it. Of a part that was begun only
/// what is known to be on the disk (`stored`) counts; what lies behind is cut off. `earlier` is the directory where the same job put
/// its files before: they are taken from there when they can be linked.
pub(crate) fn survey(
    owner: InfoHash,
    place: &Spot,
    earlier: Option<&Spot>,
    entries: &[Entry],
    stored: impl Fn(&str) -> u64,
) -> io::Result<Vec<Have>> {
    if entries.iter().any(|entry| !is_below(&entry.path)) {
        return Err(io::Error::other("a path that leads out of its directory"));
    }
    let building = place.make_above()?.0.building(owner)?;
    let place = place.open()?;
    // Without it everything is fetched.
    let earlier = earlier.and_then(|earlier| earlier.open().ok()?);
    let have = |entry: &Entry| -> io::Result<Have> {
        if entry.lies_in(place.as_ref())? {
            return Ok(Have::Placed);
        }
        let (dir, name) = building.make_above(Path::new(&entry.path))?;
        if let What::Text(text) = &entry.content {
            dir.write_anew(name, text)?;
            return Ok(Have::Part(entry.bytes()));
        }
        let begun = begun(&dir, name)?;
        if begun.is_none()
            && let Some(earlier) = &earlier
            && link_from(earlier, entry, &dir, name)
        {
            return Ok(Have::Part(entry.bytes()));
        }
        let file = begun.map_or_else(|| dir.create(name), Ok)?;
        let known = stored(&entry.path)
            .min(file.metadata()?.len())
            .min(entry.bytes());
        file.set_len(known)?;
        Ok(Have::Part(known))
    };
    entries.iter().map(have).collect()
}

/// The part `name` that an earlier run began. One that has a second name elsewhere is let go of: what is cut here would be cut
/// there as well.
fn begun(dir: &Dir, name: &OsStr) -> io::Result<Option<File>> {
    if dir.look(name)?.is_none() {
        return Ok(None);
    }
    let file = dir.open_file(name, OFlags::RDWR)?;
    if file.metadata()?.nlink() == 1 {
        return Ok(Some(file));
    }
    dir.remove_file(name)?;
    Ok(None)
}

/// Whether `entry` could be linked from where it was put before.
fn link_from(earlier: &Dir, entry: &Entry, to: &Dir, name: &OsStr) -> bool {
    let link = || {
        let above = earlier.find_above(Path::new(&entry.path))?;
        match above.filter(|_| entry.lies_in(Some(earlier)).unwrap_or(false)) {
            Some((from, there)) => from.hard_link(there, to, name).map(|()| true),
            None => Ok::<bool, io::Error>(false),
        }
    };
    link().unwrap_or(false)
}

/// Opens a part of `owner` beside `place` that [`survey`] made.
pub(crate) fn open_part(owner: InfoHash, place: &Spot, path: &str) -> io::Result<File> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let (above, _) = place.find_above()?.ok_or_else(gone)?;
    let building = above.enter(OsStr::new(&building_name(owner)))?;
    let part = building.ok_or_else(gone)?.find_above(Path::new(path))?;
    let (dir, name) = part.ok_or_else(gone)?;
    begun(&dir, name)?.ok_or_else(gone)
}

/// Writes `pieces` from `at` on.
pub(crate) fn write(file: &File, mut at: u64, pieces: &[bytes::Bytes]) -> io::Result<()> {
    for piece in pieces {
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Moves the entries from the building of `owner` to `place`, all at once when there is nothing yet, and looks at their sizes before.
/// Files that are called as one of `unwanted` and have its size go. What is in the way and is not ours stays, as an error.
pub(crate) fn put(
    owner: InfoHash,
    place: &Spot,
    entries: &[Entry],
    unwanted: &[Entry],
) -> io::Result<()> {
    let (above, name) = place.make_above()?;
    let building = above.building(owner)?;
    let there = above.enter(name)?;
    let mut missing = Vec::new();
    for entry in entries {
        if entry.lies_in(there.as_ref())? {
            continue;
        }
        let path = Path::new(&entry.path);
        let part = building.find_above(path)?;
        let found = part.map(|(dir, name)| dir.look(name)).transpose()?;
        let found = found
            .flatten()
            .filter(|found| is(found, FileType::RegularFile));
        let found = found.map_or(0, |found| size(found.st_size));
        if found != entry.bytes() {
            let part = building.path().join(path);
            let words = format!(
                "{} has {found} bytes in place of {}",
                part.display(),
                entry.bytes()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        missing.push(entry);
    }
    let Some(there) = there else {
        let wanted = entries.iter().map(|entry| Path::new(&entry.path)).collect();
        keep_only(&building, Path::new(""), &wanted)?;
        above.publish(&building, owner, name)?;
        return above.sync();
    };
    for entry in unwanted.iter().filter(|entry| is_below(&entry.path)) {
        if entry.lies_in(Some(&there))?
            && let Some((dir, name)) = there.find_above(Path::new(&entry.path))?
        {
            dir.remove_file(name)?;
        }
    }
    for entry in missing {
        move_one(owner, &building, &there, entry)?;
    }
    above.remove_all(OsStr::new(&building_name(owner)))
}

/// Moves one entry to a release that is there.
fn move_one(owner: InfoHash, building: &Dir, place: &Dir, entry: &Entry) -> io::Result<()> {
    let path = Path::new(&entry.path);
    let (dir, name) = place.make_above(path)?;
    dir.require_ours(owner)?;
    let replaced = match entry.content {
        What::Text(_) => FileType::RegularFile,
        What::Fetched(_) => FileType::Unknown,
    };
    if let Some(found) = dir.look(name)?
        && !is(&found, replaced)
    {
        return Err(dir.in_the_way(name, "debridfs did not put it there"));
    }
    let (from, part) = building.make_above(path)?;
    from.rename(part, &dir, name)?;
    dir.sync()
}

/// Removes everything from `dir`, which is `at` in the building, that is not in `wanted`: parts of files that nobody wants any more.
fn keep_only(dir: &Dir, at: &Path, wanted: &HashSet<&Path>) -> io::Result<()> {
    for (name, kind) in dir.entries()? {
        let path = at.join(&name);
        if kind == FileType::Directory {
            if let Some(inner) = dir.enter(&name)? {
                keep_only(&inner, &path, wanted)?;
            }
            // Not empty when something in it is wanted.
            dir.remove_dir(&name)?;
        } else if !wanted.contains(&*path) {
            dir.remove_file(&name)?;
        }
    }
    Ok(())
}

/// Removes a building with all that is in it.
pub(crate) fn discard(building: &Spot) -> io::Result<()> {
    match building.find_above()? {
        Some((above, name)) => above.remove_all(name),
        None => Ok(()),
    }
}

/// Removes files called `paths` from `place`, and directories that are empty then. Whatever else lies there stays, and so does what a
/// link leads to.
pub(crate) fn remove(place: &Spot, paths: &[String]) -> io::Result<()> {
    let Some((above, name)) = place.find_above()? else {
        return Ok(());
    };
    let found = above.look(name)?;
    if !found.is_some_and(|found| is(&found, FileType::Directory)) {
        return Ok(());
    }
    let Some(there) = above.enter(name)? else {
        return Ok(());
    };
    for path in paths.iter().filter(|path| is_below(path)) {
        // Behind a link nothing is ours.
        let Ok(Some((dir, file))) = there.find_above(Path::new(path)) else {
            continue;
        };
        match dir.look(file)? {
            Some(found) if is(&found, FileType::RegularFile) => dir.remove_file(file)?,
            _ => continue,
        }
        let above = Path::new(path).ancestors().skip(1);
        for path in above.take_while(|path| !path.as_os_str().is_empty()) {
            let emptied = match there.find_above(path)? {
                Some((dir, name)) => dir.remove_dir(name),
                None => Ok(false),
            };
            if !emptied.unwrap_or(false) {
                break;
            }
        }
    }
    // Kept while somebody has something in it.
    let _ = above.remove_dir(name);
    Ok(())
}

/// Removes hidden directories in `folder` that no job continues: an engine was killed while it made or removed them.
pub(crate) fn sweep(folder: &Spot, is_wanted: impl Fn(InfoHash) -> bool) {
    let dir = match folder.open() {
        Ok(Some(dir)) => dir,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, "a folder of downloads cannot be swept");
            return;
        }
    };
    for (name, _) in dir.entries().unwrap_or_default() {
        let middle = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(middle) = middle.and_then(|name| name.strip_suffix(BUILDING)) else {
            continue;
        };
        let removed = match middle.parse::<InfoHash>() {
            Ok(hash) if is_wanted(hash) => continue,
            Ok(_) => dir.remove_all(&name),
            // Versions before this one made links in a directory named after the release.
            Err(_) => remove_in(&dir, &name),
        };
        let path = dir.path().join(&name);
        match removed {
            Ok(()) => tracing::info!(path = %path.display(), "removed what a download left"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what a download left cannot be removed");
            }
        }
    }
}

/// The kernel tells sizes as signed numbers; none is negative.
fn size(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const OWNER: InfoHash = InfoHash([7; 20]);

    fn fetched(path: &str, bytes: u64) -> Entry {
        Entry {
            path: path.to_owned(),
            content: What::Fetched(bytes),
        }
    }

    fn spot(dir: &TempDir, path: &str) -> Spot {
        Spot::below(dir.path(), &dir.path().join(path)).unwrap()
    }

    /// A folder, where `OWNER` builds in it, and where its release comes to lie.
    fn folder() -> (TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let building = dir.path().join(building_name(OWNER));
        let place = dir.path().join("p");
        (dir, building, place)
    }

    #[test]
    fn only_what_is_known_to_be_on_the_disk_counts() {
        let (dir, building, place) = folder();
        let entries = [fetched("a/x.mkv", 10), fetched("y.mkv", 4)];
        fs::create_dir_all(building.join("a")).unwrap();
        fs::write(building.join("a/x.mkv"), b"0123456789").unwrap();
        let stored = |path: &str| if path == "a/x.mkv" { 6 } else { 3 };
        let to = spot(&dir, "p");
        let have = survey(OWNER, &to, None, &entries, stored).unwrap();
        assert_eq!(have, [Have::Part(6), Have::Part(0)]);
        assert_eq!(fs::read(building.join("a/x.mkv")).unwrap(), b"012345");
        let error = put(OWNER, &to, &entries, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "not whole");
        assert!(!place.exists());
        for (path, text) in [
            ("a/x.mkv", "0123456789"),
            ("y.mkv", "wxyz"),
            ("stale.mkv", "?"),
        ] {
            fs::write(building.join(path), text).unwrap();
        }
        put(OWNER, &to, &entries, &[]).unwrap();
        assert_eq!(fs::read(place.join("a/x.mkv")).unwrap(), b"0123456789");
        assert!(!place.join("stale.mkv").exists() && !building.exists());
        let have = survey(OWNER, &to, None, &entries, |_| 0).unwrap();
        assert_eq!(have, [Have::Placed, Have::Placed]);
    }

    #[test]
    fn what_is_in_the_way_stays_and_only_own_files_are_removed() {
        let (dir, building, place) = folder();
        let to = spot(&dir, "p");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("x.mkv"), "theirs").unwrap();
        let entries = [fetched("x.mkv", 2), fetched("Subs/x.srt", 3)];
        survey(OWNER, &to, None, &entries, |_| 0).unwrap();
        fs::write(building.join("x.mkv"), "ab").unwrap();
        fs::write(building.join("Subs/x.srt"), "abc").unwrap();
        let error = put(OWNER, &to, &entries, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        put(OWNER, &to, &entries[1..], &[]).unwrap();
        remove(&to, &["Subs/x.srt".to_owned(), "../b".to_owned()]).unwrap();
        assert!(!place.join("Subs").exists());
        assert_eq!(fs::read_to_string(place.join("x.mkv")).unwrap(), "theirs");
    }

    #[test]
    fn files_are_linked_from_where_they_were_put_before() {
        let (dir, building, place) = folder();
        let (to, earlier) = (spot(&dir, "p"), spot(&dir, "old"));
        let old = dir.path().join("old/x.mkv");
        let entries = [fetched("x.mkv", 2)];
        fs::create_dir_all(dir.path().join("old")).unwrap();
        fs::write(&old, "ab").unwrap();
        // The second time a killed engine left the link behind: it is not cut, as that would cut the file it was made from.
        for _ in 0..2 {
            let have = survey(OWNER, &to, Some(&earlier), &entries, |_| 0).unwrap();
            assert_eq!(have, [Have::Part(2)]);
        }
        let have = survey(OWNER, &to, None, &entries, |_| 0).unwrap();
        assert_eq!(have, [Have::Part(0)], "begun anew, in a file of its own");
        assert_eq!(fs::read(&old).unwrap(), b"ab");
        fs::remove_file(building.join("x.mkv")).unwrap();
        survey(OWNER, &to, Some(&earlier), &entries, |_| 0).unwrap();
        put(OWNER, &to, &entries, &[]).unwrap();
        assert_eq!(fs::read(place.join("x.mkv")).unwrap(), b"ab");
        assert!(old.exists());
    }

    #[test]
    fn texts_are_replaced_and_leftovers_swept() {
        let (dir, building, place) = folder();
        let to = spot(&dir, "p");
        let text = |text: &str| {
            [Entry {
                path: "x.strm".to_owned(),
                content: What::Text(text.to_owned()),
            }]
        };
        for words in ["one", "two"] {
            survey(OWNER, &to, None, &text(words), |_| 0).unwrap();
            put(OWNER, &to, &text(words), &[]).unwrap();
            assert_eq!(fs::read_to_string(place.join("x.strm")).unwrap(), words);
        }
        // As versions before this one called them.
        let old =
            ["Film", "Series", ""].map(|name| dir.path().join(format!(".debridfs-{name}.part")));
        for dir in old.iter().chain([&building]) {
            fs::create_dir(dir).unwrap();
            symlink("/mnt/dfs/a.mkv", dir.join("a.mkv")).unwrap();
        }
        fs::write(old[1].join("b.mkv"), "theirs").unwrap();
        sweep(&spot(&dir, ""), |_| true);
        assert!(building.exists());
        sweep(&spot(&dir, ""), |_| false);
        assert!(!building.exists() && !old[0].exists() && !old[2].exists());
        assert!(old[1].join("b.mkv").exists(), "no link");
    }

    #[test]
    fn nothing_is_made_outside() {
        let (dir, building, _) = folder();
        for path in ["../x", "/etc/x", ""] {
            let entries = [fetched(path, 1)];
            assert!(
                survey(OWNER, &spot(&dir, "p"), None, &entries, |_| 0).is_err(),
                "{path}"
            );
            assert!(!building.exists(), "{path}");
        }
    }
}
