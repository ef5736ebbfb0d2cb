//! A copy of a release: what one account told of its possession of it.

use std::collections::HashMap;
use std::sync::Arc;

use debridfs_provider::{ContentId, HosterLink, TorrentFile, TorrentId, TorrentStatus};
use jiff::Timestamp;

use crate::archive::{Archive, Findings, Member, Named};

/// One account's possession of a release, as last told: a torrent at a provider. What the release is
/// follows from its copies ([`crate::Release`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id of it. The account is that of the provider's first key.
    pub id: TorrentId,
    /// What it is a copy of.
    pub content: ContentId,
    /// Display name as the list gives it.
    pub filename: String,
    /// Bytes of the selected files.
    pub bytes: u64,
    /// State at the provider.
    pub status: TorrentStatus,
    /// When it was added to the account.
    pub added: Timestamp,
    /// When it was ready.
    pub ended: Option<Timestamp>,
    /// Restricted links, in the order of the selected files.
    pub links: Vec<HosterLink>,
    /// What the info call said, once one was answered.
    pub detail: Option<CopyDetail>,
    /// The archive into which its files were packed, once somebody looked into it.
    pub archive: Option<Arc<Archive>>,
    /// When it was found missing in a complete list: a soft delete.
    pub removed: Option<Timestamp>,
}

/// The part of a copy that only the info call tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyDetail {
    /// Name in the torrent file.
    pub original_filename: String,
    /// Files in the provider's order, with the provider's numbers of them.
    pub files: Vec<TorrentFile>,
}

impl Copy {
    /// Without the room that its lists got to grow: half of a copy with one file.
    pub(crate) fn compact(mut self) -> Self {
        self.links.shrink_to_fit();
        if let Some(detail) = &mut self.detail {
            detail.files.shrink_to_fit();
        }
        self
    }

    /// Whether there is one link for several selected files: then it is an archive of them.
    pub(crate) fn is_packed(&self) -> bool {
        let selected = self.detail.as_ref().map(|detail| {
            let selected = detail.files.iter().filter(|file| file.selected);
            selected.take(2).count()
        });
        self.links.len() == 1 && selected == Some(2)
    }

    /// What was found in the torrent's archive, if it is packed and its present link was looked into.
    pub(crate) fn findings(&self) -> Option<&Findings> {
        let archive = self.archive.as_ref()?;
        let in_archive = !matches!(archive.findings, Findings::Named(_));
        (in_archive && self.is_packed() && archive.link == self.links[0])
            .then_some(&archive.findings)
    }

    /// What the provider said of each of its present links, if somebody had to ask.
    pub(crate) fn named(&self) -> Option<&[Named]> {
        match &self.archive.as_ref()?.findings {
            Findings::Named(named) if named.iter().map(|one| &one.link).eq(&self.links) => {
                Some(named)
            }
            _ => None,
        }
    }

    /// Files in the torrent's archive, and the archive's size.
    pub(crate) fn members(&self) -> Option<(&[Member], u64)> {
        match self.findings()? {
            Findings::Members { size, members } => Some((members, *size)),
            Findings::Named(_) | Findings::Refused(_) => None,
        }
    }

    /// Its files with their path and how many of that path came before.
    pub(crate) fn numbered_paths(&self) -> impl Iterator<Item = (&str, u32, &TorrentFile)> {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let files = self.detail.iter().flat_map(|detail| &detail.files);
        files.map(move |file| {
            let path = file.path.trim_start_matches('/');
            let count = seen.entry(path).or_insert(0);
            *count += 1;
            (path, *count - 1, file)
        })
    }
}
