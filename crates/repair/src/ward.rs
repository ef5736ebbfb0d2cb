//! What repair needs to know and to do. Tests put another ward in the place of the library's, as
//! bytes of a real one come from sockets, which no paused clock waits for.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use debridfs_catalogue::BadReason;
use debridfs_provider::InfoHash;

use crate::Again;

/// Somebody says that a release, or a file of it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The release.
    pub hash: InfoHash,
    /// What it is called in the library.
    pub name: String,
    /// The file, by its path in the release; all of the release when absent.
    pub file: Option<String>,
    /// Providers that hold it.
    pub providers: Vec<String>,
    /// Those of them whose copies are said to be bad; all of them when empty.
    pub broken: BTreeSet<String>,
    /// For people.
    pub words: String,
}

/// How a provider does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderState {
    /// Configured name.
    pub name: String,
    /// Why nothing is to be believed of it and nothing asked of it now: it fails, cools down, or is out of traffic.
    pub trouble: Option<String>,
    /// Whether anything may be added there that nobody asked for.
    pub may_add: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Bytes came, and no copy is known to be bad.
    Well,
    /// Bytes came, but only as other copies hold it as well.
    Spared {
        /// Providers whose copies cannot be read.
        broken: BTreeSet<String>,
        /// Why, for people.
        words: String,
    },
    /// Every source of it says no.
    Bad(String),
    /// As `Bad`, and every source says so as it refuses what is called so: that says nothing of the release.
    Blocked {
        /// The providers of the sources.
        by: BTreeSet<String>,
        /// Why, for people.
        words: String,
    },
    /// Nobody answered in a way that says anything of it.
    Unclear(String),
    /// The library does not show it any more.
    Gone,
}

/// What became of a treatment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treated {
    /// It was carried out; whether it helped is still to be seen.
    Done(String),
    /// It cannot be, for this release.
    Useless(String),
    /// The provider refuses what is called so.
    Blocked(String),
    /// Not now.
    Later(String),
}

/// The library and its surroundings.
#[async_trait]
pub trait Ward: Send + Sync + 'static {
    /// Releases in the library.
    fn releases(&self) -> usize;
    /// All providers, in the order in which they are preferred.
    fn providers(&self) -> Vec<ProviderState>;
    /// What readers and the library say now; asks nobody outside.
    async fn findings(&self) -> Vec<Finding>;
    /// Reads some bytes of each of `files` (of the largest file when there are none), with links made anew, from each of its sources until one gives them.
    async fn check(&self, hash: InfoHash, files: &BTreeSet<String>) -> Checked;
    /// Everything that is needed to add the torrent of a release at `provider`; `None` when that provider cannot be used, or the release is not
    /// known well enough.
    async fn again(&self, hash: InfoHash, provider: &str) -> Option<Again>;
    /// These releases were confirmed to be bad, and no others: to be shown, each with its reason.
    async fn quarantined(&self, releases: BTreeMap<InfoHash, BadReason>);
    /// An account has just been changed: have a look soon.
    fn look_now(&self);
    /// Whether there is an arr to be asked.
    fn has_arrs(&self) -> bool;
    /// Asks the arrs that have `files` of the release (all when empty) for another one.
    async fn ask_arrs(&self, hash: InfoHash, files: &BTreeSet<String>) -> Treated;
    /// Removes a release as the removal policy says, if the arr that was asked has all of another one in its place, which can be read.
    async fn let_go(&self, hash: InfoHash) -> Treated;
}
