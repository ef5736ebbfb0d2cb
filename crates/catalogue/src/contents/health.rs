//! How one copy of a release stands.

use debridfs_provider::TorrentStatus;
use jiff::Timestamp;

use super::LATE_LINKS;
use super::packed::placed;
use super::proven::proven;
use crate::archive::Findings;
use crate::{BadReason, Copy};

/// How a copy stands, by what its provider told. Whether its links can be read is not known from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Ready, with a place for every file.
    Good,
    /// Ready, but its files or links are not known yet; until that time, links may still come.
    Unknown(Option<Timestamp>),
    /// It cannot be served.
    Bad(BadReason),
    /// On its way to the account.
    NotReady,
    /// In no list of the account since that time.
    Removed(Timestamp),
}

impl Health {
    /// The word shown to people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown(_) => "unknown",
            Self::Bad(reason) => reason.as_str(),
            Self::NotReady => "not-ready",
            Self::Removed(_) => BadReason::Removed.as_str(),
        }
    }
}

impl Copy {
    /// How it stands at `now`.
    pub fn health(&self, now: Timestamp) -> Health {
        use TorrentStatus::{Dead, Downloaded, Error, MagnetError, Virus};
        if let Some(removed) = self.removed {
            return Health::Removed(removed);
        }
        match self.status {
            Downloaded => {}
            Error | MagnetError | Virus | Dead => return Health::Bad(BadReason::Failed),
            _ => return Health::NotReady,
        }
        let Some(selected) = self.selected() else {
            return Health::Unknown(None);
        };
        if selected > 0 && self.links.len() == selected {
            return Health::Good;
        }
        match self.findings() {
            Some(Findings::Refused(reason)) => return Health::Bad(*reason),
            Some(Findings::Members { .. }) if self.has_all_links() => return Health::Good,
            // Nothing in it is what the torrent says.
            Some(Findings::Members { .. }) => return Health::Bad(BadReason::RarDamaged),
            Some(Findings::Named(_)) | None => {}
        }
        if self.named().is_some() {
            let damaged = self.is_packed() && !self.has_proven_links();
            return Health::Bad(match damaged {
                true => BadReason::RarDamaged,
                false => BadReason::MissingLinks,
            });
        }
        let patience = self
            .ended
            .and_then(|ended| ended.checked_add(LATE_LINKS).ok());
        match patience {
            Some(end) if now < end => Health::Unknown(Some(end)),
            _ if self.is_packed() => Health::Bad(BadReason::PackedRar),
            _ => Health::Bad(BadReason::MissingLinks),
        }
    }

    /// Number of selected files, once known.
    fn selected(&self) -> Option<usize> {
        let detail = self.detail.as_ref()?;
        Some(detail.files.iter().filter(|file| file.selected).count())
    }

    /// Whether each selected file has its link, or lies in an archive that has one.
    pub(super) fn has_all_links(&self) -> bool {
        self.selected() == Some(self.links.len()) || !placed(self).is_empty()
    }

    /// Whether it is known of at least one of its files which link gives it, though there is not one for each.
    pub(super) fn has_proven_links(&self) -> bool {
        proven(self).is_some_and(|links| links.iter().any(Option::is_some))
    }

    /// Whether somebody has to look what its links give: an archive, or which of its files.
    pub(crate) fn owes_examination(&self, now: Timestamp) -> bool {
        // The later question is the dearer one.
        self.has_unexamined_links()
            && matches!(
                self.health(now),
                Health::Bad(BadReason::PackedRar | BadReason::MissingLinks)
            )
    }

    /// Whether it is ready, has not one link for each file, and it was never found out what they give. They may still be late.
    pub(crate) fn has_unexamined_links(&self) -> bool {
        self.status == TorrentStatus::Downloaded
            && !self.links.is_empty()
            && self.named().is_none()
            && self.findings().is_none()
            && self
                .selected()
                .is_some_and(|files| files != self.links.len())
    }
}
