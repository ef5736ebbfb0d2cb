//! Real files of a release: where they are made, how they come to their place, and how they are taken away.
//!
//! They are made in a hidden directory beside their place, named after the info-hash, and moved when all of them are whole.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use debridfs_provider::InfoHash;

use crate::Job;
use crate::links::is_below;

const PREFIX: &str = ".debridfs-";
const SUFFIX: &str = ".part";

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

    /// Whether what lies at `path` is this entry already.
    fn lies_at(&self, path: &Path) -> bool {
        let whole = fs::symlink_metadata(path)
            .is_ok_and(|found| found.is_file() && found.len() == self.bytes());
        match &self.content {
            What::Fetched(_) => whole,
            What::Text(text) => whole && fs::read_to_string(path).is_ok_and(|found| found == *text),
        }
    }
}

/// Where the files of `job` are made.
pub(crate) fn building(job: &Job) -> PathBuf {
    job.save_path.join(format!("{PREFIX}{}{SUFFIX}", job.hash))
}

/// The job whose files are made in a directory of this name.
fn owner(name: &str) -> Option<InfoHash> {
    name.strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()
}

/// How much of an entry is there before anything is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Have {
    /// It lies in its place.
    Placed,
    /// So many bytes of it lie in the building.
    Part(u64),
}

/// Makes `building` ready, and tells for each entry what there is of it. Of a part that was begun only what is known to be on the
/// disk (`stored`) counts; what lies behind is cut off. `earlier` is the directory where the same job put its files before: they are
/// taken from there when they can be linked.
pub(crate) fn survey(
    building: &Path,
    place: &Path,
    earlier: Option<&Path>,
    entries: &[Entry],
    stored: impl Fn(&str) -> u64,
) -> io::Result<Vec<Have>> {
    fs::create_dir_all(building)?;
    let mut have = Vec::with_capacity(entries.len());
    for entry in entries {
        if !is_below(&entry.path) {
            return Err(io::Error::other("a path that leads out of its directory"));
        }
        if entry.lies_at(&place.join(&entry.path)) {
            have.push(Have::Placed);
            continue;
        }
        let part = building.join(&entry.path);
        if let Some(parent) = part.parent() {
            fs::create_dir_all(parent)?;
        }
        if let What::Text(text) = &entry.content {
            write_new(&part, text)?;
            have.push(Have::Part(entry.bytes()));
            continue;
        }
        let earlier = earlier.map(|earlier| earlier.join(&entry.path));
        if let Some(earlier) = earlier.filter(|path| entry.lies_at(path))
            && !part.exists()
            && fs::hard_link(earlier, &part).is_ok()
        {
            have.push(Have::Part(entry.bytes()));
            continue;
        }
        let file = open(&part)?;
        let known = stored(&entry.path)
            .min(file.metadata()?.len())
            .min(entry.bytes());
        file.set_len(known)?;
        have.push(Have::Part(known));
    }
    Ok(have)
}

fn open(part: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(part)
}

/// Opens a part that [`survey`] made.
pub(crate) fn open_part(part: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).open(part)
}

/// Writes `pieces` from `at` on.
pub(crate) fn write(file: &File, mut at: u64, pieces: &[bytes::Bytes]) -> io::Result<()> {
    for piece in pieces {
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let file = File::create(path)?;
    file.write_all_at(text.as_bytes(), 0)?;
    file.sync_data()
}

/// Moves the entries from `building` to `place`, all at once when there is nothing yet, and looks at their sizes before. Files that
/// are called as one of `unwanted` and have its size go. What is in the way and is not ours stays, as an error.
pub(crate) fn put(
    building: &Path,
    place: &Path,
    entries: &[Entry],
    unwanted: &[Entry],
) -> io::Result<()> {
    let missing: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !entry.lies_at(&place.join(&entry.path)))
        .collect();
    for entry in &missing {
        let part = building.join(&entry.path);
        let found = fs::symlink_metadata(&part)?.len();
        if found != entry.bytes() {
            let words = format!(
                "{} has {found} bytes in place of {}",
                part.display(),
                entry.bytes()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
    }
    let parent = place.parent().unwrap_or(Path::new("/"));
    if fs::symlink_metadata(place).is_err() {
        keep_only(building, building, entries)?;
        fs::rename(building, place)?;
        return sync_dir(parent);
    }
    for entry in unwanted {
        let path = place.join(&entry.path);
        if is_below(&entry.path) && entry.lies_at(&path) {
            fs::remove_file(path)?;
        }
    }
    for entry in missing {
        let path = place.join(&entry.path);
        let replaceable = matches!(entry.content, What::Text(_));
        if !replaceable && fs::symlink_metadata(&path).is_ok() {
            let words = format!("{} is in the way", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
        }
        let parent = path.parent().unwrap_or(place);
        fs::create_dir_all(parent)?;
        fs::rename(building.join(&entry.path), &path)?;
        sync_dir(parent)?;
    }
    discard(building)
}

/// Removes from `dir` what is none of the entries: parts of files that are not wanted any more.
fn keep_only(building: &Path, dir: &Path, entries: &[Entry]) -> io::Result<()> {
    for found in fs::read_dir(dir)? {
        let (kind, path) = {
            let found = found?;
            (found.file_type()?, found.path())
        };
        if kind.is_dir() {
            keep_only(building, &path, entries)?;
            // Not empty when something in it is wanted.
            let _ = fs::remove_dir(&path);
        } else if !entries
            .iter()
            .any(|entry| building.join(&entry.path) == path)
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes a building with all that is in it.
pub(crate) fn discard(building: &Path) -> io::Result<()> {
    match fs::remove_dir_all(building) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes files called `paths` from `place`, and directories that are empty then. Whatever else lies there stays.
pub(crate) fn remove(place: &Path, paths: &[String]) -> io::Result<()> {
    if fs::symlink_metadata(place).map_or(true, |found| !found.is_dir()) {
        return Ok(());
    }
    for path in paths.iter().filter(|path| is_below(path)) {
        let file = place.join(path);
        match fs::symlink_metadata(&file) {
            Ok(found) if found.is_file() => fs::remove_file(&file)?,
            _ => continue,
        }
        for dir in file.ancestors().skip(1).take_while(|dir| *dir != place) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
    // Kept while somebody has something in it.
    let _ = fs::remove_dir(place);
    Ok(())
}

/// Removes buildings in `folder` whose owner is none any more.
pub(crate) fn sweep(folder: &Path, is_wanted: impl Fn(InfoHash) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(hash) = name.to_str().and_then(owner) else {
            continue;
        };
        if is_wanted(hash) {
            continue;
        }
        match discard(&entry.path()) {
            Ok(()) => {
                tracing::info!(path = %entry.path().display(), "removed what a download left")
            }
            Err(error) => {
                tracing::warn!(path = %entry.path().display(), %error, "what a download left cannot be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(path: &str, bytes: u64) -> Entry {
        Entry {
            path: path.to_owned(),
            content: What::Fetched(bytes),
        }
    }

    #[test]
    fn only_what_is_known_to_be_on_the_disk_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (building, place) = (dir.path().join("b"), dir.path().join("p"));
        let entries = [fetched("a/x.mkv", 10), fetched("y.mkv", 4)];
        fs::create_dir_all(building.join("a")).unwrap();
        fs::write(building.join("a/x.mkv"), b"0123456789").unwrap();
        let stored = |path: &str| if path == "a/x.mkv" { 6 } else { 3 };
        let have = survey(&building, &place, None, &entries, stored).unwrap();
        assert_eq!(have, [Have::Part(6), Have::Part(0)]);
        assert_eq!(fs::read(building.join("a/x.mkv")).unwrap(), b"012345");
        let error = put(&building, &place, &entries, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "not whole");
        assert!(!place.exists());
        for (path, text) in [
            ("a/x.mkv", "0123456789"),
            ("y.mkv", "wxyz"),
            ("stale.mkv", "?"),
        ] {
            fs::write(building.join(path), text).unwrap();
        }
        put(&building, &place, &entries, &[]).unwrap();
        assert_eq!(fs::read(place.join("a/x.mkv")).unwrap(), b"0123456789");
        assert!(!place.join("stale.mkv").exists() && !building.exists());
        let have = survey(&building, &place, None, &entries, |_| 0).unwrap();
        assert_eq!(have, [Have::Placed, Have::Placed]);
    }

    #[test]
    fn what_is_in_the_way_stays_and_only_own_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (building, place) = (dir.path().join("b"), dir.path().join("p"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("x.mkv"), "theirs").unwrap();
        let entries = [fetched("x.mkv", 2), fetched("Subs/x.srt", 3)];
        survey(&building, &place, None, &entries, |_| 0).unwrap();
        fs::write(building.join("x.mkv"), "ab").unwrap();
        fs::write(building.join("Subs/x.srt"), "abc").unwrap();
        let error = put(&building, &place, &entries, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        put(&building, &place, &entries[1..], &[]).unwrap();
        remove(&place, &["Subs/x.srt".to_owned(), "../b".to_owned()]).unwrap();
        assert!(!place.join("Subs").exists());
        assert_eq!(fs::read_to_string(place.join("x.mkv")).unwrap(), "theirs");
    }

    #[test]
    fn files_are_linked_from_where_they_were_put_before() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let entries = [fetched("x.mkv", 2)];
        fs::create_dir_all(at("old")).unwrap();
        fs::write(at("old/x.mkv"), "ab").unwrap();
        let have = survey(&at("b"), &at("new"), Some(&at("old")), &entries, |_| 0).unwrap();
        assert_eq!(have, [Have::Part(2)]);
        put(&at("b"), &at("new"), &entries, &[]).unwrap();
        assert_eq!(fs::read(at("new/x.mkv")).unwrap(), b"ab");
        assert!(at("old/x.mkv").exists());
    }

    #[test]
    fn texts_are_replaced_and_leftovers_swept() {
        let dir = tempfile::tempdir().unwrap();
        let text = |text: &str| {
            [Entry {
                path: "x.strm".to_owned(),
                content: What::Text(text.to_owned()),
            }]
        };
        let (building, place) = (dir.path().join("b"), dir.path().join("p"));
        for words in ["one", "two"] {
            survey(&building, &place, None, &text(words), |_| 0).unwrap();
            put(&building, &place, &text(words), &[]).unwrap();
            assert_eq!(fs::read_to_string(place.join("x.strm")).unwrap(), words);
        }
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let names = [
            format!(".debridfs-{hash}.part"),
            ".debridfs-Film.part".to_owned(),
        ];
        for name in &names {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path(), |_| true);
        assert!(dir.path().join(&names[0]).exists());
        sweep(dir.path(), |_| false);
        assert!(!dir.path().join(&names[0]).exists());
        assert!(
            dir.path().join(&names[1]).exists(),
            "that one is of another kind"
        );
    }

    #[test]
    fn nothing_is_made_outside() {
        let dir = tempfile::tempdir().unwrap();
        let (building, place) = (dir.path().join("b"), dir.path().join("p"));
        for path in ["../x", "/etc/x", ""] {
            let entries = [fetched(path, 1)];
            assert!(
                survey(&building, &place, None, &entries, |_| 0).is_err(),
                "{path}"
            );
        }
    }
}
