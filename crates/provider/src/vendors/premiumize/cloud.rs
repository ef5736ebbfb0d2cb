//! From files and transfers to releases.
//!
//! The vendor has a cloud of folders and files, which outlive the transfers that made them, and tells no info-hash
//! of any of it. Two rules name a release:
//! - A folder that is called by an info-hash is that torrent. Additions of ours go to such a folder ([`PARENT`]),
//!   so hash and id are known from the addition on, after a restart and on every other node, and are nowhere but in
//!   the account itself.
//! - Any other folder or file at the top of the cloud is a release without an info-hash.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::decode::{CloudFile, Transfer};
use crate::{
    ContentId, ContentKind, HosterLink, InfoHash, TorrentFile, TorrentId, TorrentStatus,
    TorrentSummary,
};

/// The folder in which additions are put.
pub(super) const PARENT: &str = "debridfs";
/// What ids begin with of transfers whose place in the cloud is not known.
const TRANSFER: &str = "transfer:";

/// What an id of ours names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder or file of the cloud, by its canonical path.
    Path(String),
    /// A transfer, by its id.
    Transfer(String),
}

impl Place {
    /// Reads an id of ours, and nothing else.
    pub(super) fn parse(id: &TorrentId) -> Option<Self> {
        if let Some(transfer) = id.0.strip_prefix(TRANSFER) {
            return super::decode::is_id(transfer).then(|| Self::Transfer(transfer.to_owned()));
        }
        let path = id.0.strip_prefix('/')?;
        let sound =
            !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        sound.then(|| Self::Path(path.to_owned()))
    }

    /// The place of an addition.
    pub(super) fn of(hash: InfoHash) -> Self {
        Self::Path(format!("{PARENT}/{hash}"))
    }

    pub(super) fn id(&self) -> TorrentId {
        TorrentId(match self {
            Self::Path(path) => format!("/{path}"),
            Self::Transfer(id) => format!("{TRANSFER}{id}"),
        })
    }
}

/// The part of a file's path that names its release, and its info-hash.
pub(super) fn root_of(path: &str) -> (&str, Option<InfoHash>) {
    let mut at = 0;
    let mut first = path;
    for part in path.split('/') {
        let end = at + part.len();
        if at == 0 {
            first = part;
        }
        // The last one is the file itself.
        if end < path.len()
            && let Ok(hash) = part.parse()
        {
            return (&path[..end], Some(hash));
        }
        at = end + 1;
    }
    (first, None)
}

/// All releases of a cloud, in no order of meaning. `customer` names the account.
pub(super) fn releases(files: Vec<CloudFile>, customer: &str) -> Vec<TorrentSummary> {
    let mut roots: BTreeMap<String, Vec<CloudFile>> = BTreeMap::new();
    for file in files {
        let (root, _) = root_of(&file.path);
        match roots.get_mut(root) {
            Some(files) => files.push(file),
            None => drop(roots.insert(root.to_owned(), vec![file])),
        }
    }
    let releases = roots.into_iter();
    releases
        .map(|(root, files)| release(root, files, customer))
        .collect()
}

fn release(root: String, mut files: Vec<CloudFile>, customer: &str) -> TorrentSummary {
    files.sort_by(|one, other| (&one.path, &one.id).cmp(&(&other.path, &other.id)));
    let (_, hash) = root_of(&files[0].path);
    let top = top_of(&root, &files, hash.is_some());
    let below = |path: &str| match path
        .strip_prefix(&*top)
        .and_then(|path| path.strip_prefix('/'))
    {
        Some(path) => path.to_owned(),
        None => path.rsplit('/').next().unwrap_or(path).to_owned(),
    };
    let added = files.iter().filter_map(|file| file.created).min();
    let numbered = (1u32..).zip(&files);
    let listed = numbered.map(|(number, file)| TorrentFile {
        id: number,
        path: below(&file.path),
        bytes: file.bytes,
        selected: true,
    });
    TorrentSummary {
        content: match hash {
            Some(hash) => hash.into(),
            None => {
                let name = format!("premiumize:{customer}:{root}");
                ContentId::of(ContentKind::Cloud, name.as_bytes())
            }
        },
        filename: top.rsplit('/').next().unwrap_or(&top).to_owned(),
        bytes: files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes)),
        status: TorrentStatus::Downloaded,
        progress: 100.0,
        // One that stays the same, where none is told.
        added: added.unwrap_or(Timestamp::UNIX_EPOCH),
        ended: added,
        files: Some(listed.collect()),
        links: files.into_iter().map(|file| HosterLink(file.id)).collect(),
        id: Place::Path(root).id(),
    }
}

/// The folder or file that gives a release its name, and below which its files lie: in a folder that is called by a
/// hash, what is alone in it.
fn top_of(root: &str, files: &[CloudFile], named_by_hash: bool) -> String {
    if !named_by_hash {
        return root.to_owned();
    }
    let inner = |file: &CloudFile| {
        let rest = file.path.get(root.len() + 1..).unwrap_or_default();
        rest.split('/').next().unwrap_or(rest).to_owned()
    };
    let first = inner(&files[0]);
    match files.iter().all(|file| inner(file) == first) {
        true => format!("{root}/{first}"),
        false => root.to_owned(),
    }
}

/// A transfer that is on its way, or has failed. `hash` is that of the folder that it goes to.
pub(super) fn underway(
    transfer: &Transfer,
    hash: Option<InfoHash>,
    seen: Timestamp,
) -> TorrentSummary {
    let place = match hash {
        Some(hash) => Place::of(hash),
        None => Place::Transfer(transfer.id.clone()),
    };
    TorrentSummary {
        id: place.id(),
        content: match hash.or(transfer.hash) {
            Some(hash) => hash.into(),
            None => {
                let name = format!("premiumize:transfer:{}", transfer.id);
                ContentId::of(ContentKind::Cloud, name.as_bytes())
            }
        },
        filename: transfer.name.clone(),
        bytes: 0,
        // Its files do not show yet.
        status: match &transfer.status {
            TorrentStatus::Downloaded => TorrentStatus::Uploading,
            other => other.clone(),
        },
        progress: transfer.progress,
        added: seen,
        ended: None,
        links: Vec::new(),
        files: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn file(id: &str, path: &str, created: i64) -> CloudFile {
        CloudFile {
            id: id.to_owned(),
            path: path.to_owned(),
            bytes: 10,
            created: Timestamp::from_second(created).ok().filter(|_| created > 0),
        }
    }

    fn paths(release: &TorrentSummary) -> Vec<&str> {
        let files = release.files.iter().flatten();
        files.map(|file| &*file.path).collect()
    }

    #[test]
    fn a_folder_called_by_a_hash_is_that_torrent_wherever_it_lies() {
        let several = [
            file("a", &format!("debridfs/{HASH}/Show.S01/Subs/E01.srt"), 7),
            file("b", &format!("debridfs/{HASH}/Show.S01/E01.mkv"), 5),
        ];
        let single = [file("c", &format!("other/tool/{HASH}/Film.mkv"), 0)];
        let loose = [
            file("d", &format!("{HASH}/a.mkv"), 0),
            file("e", &format!("{HASH}/Extras/b.mkv"), 0),
        ];
        let hash: InfoHash = HASH.parse().unwrap();
        for (files, id, name, listed, added) in [
            (
                &several[..],
                format!("/debridfs/{HASH}"),
                "Show.S01",
                &["E01.mkv", "Subs/E01.srt"][..],
                5,
            ),
            (
                &single[..],
                format!("/other/tool/{HASH}"),
                "Film.mkv",
                &["Film.mkv"],
                0,
            ),
            (
                &loose[..],
                format!("/{HASH}"),
                HASH,
                &["Extras/b.mkv", "a.mkv"],
                0,
            ),
        ] {
            let releases = releases(files.to_vec(), "7");
            let [release] = &releases[..] else {
                panic!("{releases:?}")
            };
            assert_eq!(release.content, hash.into());
            assert_eq!(release.id.0, id);
            assert_eq!(release.filename, name);
            assert_eq!(paths(release), listed);
            assert_eq!(release.added.as_second(), added);
            assert_eq!(Place::parse(&release.id).unwrap().id(), release.id);
        }
        assert_eq!(Place::of(hash).id().0, format!("/debridfs/{HASH}"));
    }

    #[test]
    fn what_has_no_hash_is_named_by_its_account_and_place() {
        let files = vec![
            file("a", "Film.mkv", 3),
            file("b", "Movies/One/one.mkv", 2),
            file("c", "Movies/Two/two.mkv", 1),
            // A file that is called by a hash is no folder.
            file("d", HASH, 1),
        ];
        let mine = releases(files.clone(), "7");
        let names: Vec<_> = mine.iter().map(|release| &*release.filename).collect();
        assert_eq!(names, [HASH, "Film.mkv", "Movies"]);
        assert_eq!(paths(&mine[1]), ["Film.mkv"]);
        assert_eq!(paths(&mine[2]), ["One/one.mkv", "Two/two.mkv"]);
        assert_eq!(
            mine[2].links,
            [HosterLink("b".into()), HosterLink("c".into())]
        );
        assert!(
            mine.iter()
                .all(|release| release.content.info_hash().is_none())
        );
        // More files change no id, name or time.
        let more = [files.clone(), vec![file("e", "Movies/Three.mkv", 9)]].concat();
        let more = releases(more, "7");
        assert_eq!(
            (more[2].content, more[2].added),
            (mine[2].content, mine[2].added)
        );
        let others = releases(files, "8");
        assert_ne!(others[2].content, mine[2].content, "another account's");
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "/",
            "a",
            "/a//b",
            "/../a",
            "transfer:",
            "transfer:a&b",
            "transfer:a/b",
        ] {
            assert_eq!(Place::parse(&TorrentId(text.to_owned())), None, "{text}");
        }
    }
}
