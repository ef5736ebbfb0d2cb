//! Files and failures of reads, between the library's words and the reader's.

use debridfs_catalogue::{File, ReleaseTree};
use debridfs_content::{ContentError, FileRef};
use debridfs_vfs::{Error, ErrorKind};

/// The file as the reader has to know it; without sources when no account has a link for it.
pub fn file_ref(tree: &ReleaseTree, file: &File) -> FileRef {
    FileRef {
        id: file.id.0,
        size: file.size,
        sources: tree.sources(file).collect(),
    }
}

/// `file` with the copies of the providers in `order` first.
pub(crate) fn in_order(mut file: FileRef, order: &[String]) -> FileRef {
    if !order.is_empty() && file.sources.len() > 1 {
        let place = |provider: &str| order.iter().position(|first| first == provider);
        let mut sources = file.sources.to_vec();
        sources.sort_by_key(|source| place(&source.provider).unwrap_or(usize::MAX));
        file.sources = sources.into();
    }
    file
}

/// A failed read as fronts see it.
pub(crate) fn failed_read(error: ContentError) -> Error {
    use debridfs_content::ErrorKind as Kind;
    let kind = match error.kind() {
        Kind::TimedOut => ErrorKind::TimedOut,
        Kind::Unavailable => ErrorKind::Unavailable,
        Kind::Lost => ErrorKind::Lost,
        Kind::TooLarge => ErrorKind::Invalid,
    };
    Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use debridfs_provider::{HosterLink, Source, TorrentId};

    use super::*;

    #[test]
    fn a_folders_order_comes_before_the_usual_one() {
        let source = |provider: &str| Source {
            provider: provider.to_owned(),
            torrent: TorrentId("T".to_owned()),
            link: HosterLink("l".to_owned()),
            part: None,
        };
        let file = FileRef {
            id: 1,
            size: 2,
            sources: ["a", "b", "c"].map(source).into(),
        };
        for (order, sources) in [
            (&[][..], ["a", "b", "c"]),
            (&["c"], ["c", "a", "b"]),
            (&["b", "x", "a"], ["b", "a", "c"]),
        ] {
            let order: Vec<String> = order.iter().map(|name| (*name).to_owned()).collect();
            let ordered = in_order(file.clone(), &order);
            let ordered: Vec<_> = ordered.sources.iter().map(|at| &*at.provider).collect();
            assert_eq!(ordered, sources);
        }
    }
}
