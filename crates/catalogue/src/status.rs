//! What the catalogue tells about itself.

use debridfs_provider::TorrentId;
use jiff::Timestamp;

use crate::store::StoreTrouble;
use crate::{CopyVerdict, Health};

/// How the library and its sync do. `debridfs_control::Status` is what `status --json` shows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LibraryStatus {
    /// Of the published library.
    pub generation: u64,
    /// Whether the first sync is over, so that `__all__` is shown; while not, it answers EIO.
    pub listed: bool,
    /// Whether the files of every ready release are known, as far as the provider tells them.
    pub complete: bool,
    /// Releases shown in `__all__`.
    pub releases: usize,
    /// Files of those whose contents are known.
    pub files: usize,
    /// Entries of `__bad__`.
    pub bad: usize,
    /// Copies of the releases in `__all__`.
    pub copies: CopiesStatus,
    /// Entries of every view.
    pub views: Vec<ViewCount>,
    /// While files of releases are still unknown.
    pub progress: Option<Progress>,
    /// Seconds since the provider that was heard last longest ago answered; `None` when one never did in this run.
    pub age_seconds: Option<u64>,
    /// One per provider.
    pub providers: Vec<ProviderSync>,
    /// Losses that are not believed yet.
    pub held: Vec<HeldLoss>,
    /// Where the store is.
    pub store: String,
    /// What is wrong with the store.
    pub store_trouble: Option<StoreTrouble>,
}

/// Copies in all accounts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CopiesStatus {
    /// How many there are.
    pub total: usize,
    /// Releases that more than one copy can serve.
    pub spared: usize,
    /// Copies that their provider refused when it was asked last.
    pub refused: usize,
    /// Some of those, each with its release's name.
    pub lines: Vec<(String, CopyReport)>,
}

/// A copy as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id of it.
    pub id: TorrentId,
    /// How it stands.
    pub health: Health,
    /// What the provider said last, if it ever refused it.
    pub verdict: Option<CopyVerdict>,
}

/// Size of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewCount {
    /// Its name in the root.
    pub name: String,
    /// Releases in it.
    pub entries: usize,
}

/// How many info calls are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Torrents whose files are known.
    pub done: usize,
    /// Ready torrents.
    pub total: usize,
    /// What the rest takes at the pace of the last two minutes; `None` until there is one.
    pub seconds_left: Option<u64>,
}

/// The sync of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSync {
    /// Configured name.
    pub name: String,
    /// Whether a complete list of it has ever been stored.
    pub listed: bool,
    /// While its own view answers EIO: how many of the ready torrents of its first list have their names.
    pub first_sync: Option<FirstSync>,
    /// Torrents that it holds.
    pub torrents: usize,
    /// The last complete list.
    pub last_full_list: Option<Timestamp>,
    /// The last answer to any poll in this run.
    pub last_answer: Option<Timestamp>,
    /// Entries of the last list that could not be read.
    pub unreadable: usize,
    /// What goes wrong now; `None` while all is well.
    pub trouble: Option<SyncTrouble>,
    /// The last error ever in this run, also when it is over.
    pub last_error: Option<SyncTrouble>,
}

/// How far an account is whose view waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FirstSync {
    /// Torrents whose names are known.
    pub named: usize,
    /// Ready torrents of the list; 0 before there is one.
    pub total: usize,
    /// What the rest takes at the pace of the last two minutes; `None` until there is one.
    pub seconds_left: Option<u64>,
    /// While the account answers nothing: the seconds until the others' releases are shown without its own, 0 from then on.
    pub patience: Option<u64>,
}

/// Why a provider's part of the library may be old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTrouble {
    /// For people.
    pub message: String,
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
}

/// A loss that the shrink guard holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLoss {
    /// Configured name of the provider.
    pub provider: String,
    /// Torrents missing.
    pub torrents: usize,
    /// Some of their names.
    pub names: Vec<String>,
    /// When they were first missing.
    pub since: Timestamp,
    /// Lists that agreed since.
    pub confirmations: u32,
    /// When the next list counts.
    pub next_check: Option<Timestamp>,
}
