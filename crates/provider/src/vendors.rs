//! The vendors. What they have in common is in `account`.
//!
//! # To add a vendor
//!
//! 1. Write `vendors/NAME.rs` and the folder `vendors/NAME/`, about a thousand lines in all;
//!    `real_debrid` is the example.
//!
//!    | part | what it holds |
//!    |---|---|
//!    | `NAME.rs`: [`Kind`] | word in the configuration, address, declared [`Limits`] |
//!    | `NAME.rs`: `Vendor` | endpoints: each question as one call or several |
//!    | `NAME/decode.rs` | pure functions from bytes to our types; helpers: `account/decode.rs` |
//!    | `NAME/verdicts.rs` | `Vendor::meaning`: what an answer means that is not a success |
//!
//! 2. Add a line to [`KINDS`]. Configuration, keys, scheduler, traffic, health and `doctor` follow.
//! 3. Add `tests/NAME_*.rs` with recorded bodies, a table of all error codes, and a fuzz target for
//!    each decoder (a test with `fuzz` in its path).
//!
//! What the library relies on:
//! - A page leaves an entry out only if it names it in [`TorrentPage::unreadable`], and a list is
//!   empty only if the answer says so. Without a total, nothing is concluded from what is missing.
//! - A vendor that tells no total gives one where the list ends, the sum, and says so where it
//!   goes on ([`TorrentPage::goes_on`]).
//! - Files that come with the list ([`TorrentSummary::files`]) spare the call for each torrent.
//! - The links of a torrent follow the order of its selected files. Where a vendor has no
//!   restricted links, a [`HosterLink`] is a text from which `Vendor::direct_link` makes a direct
//!   link; the same file has the same text at all times.
//! - Paths of files lie below the torrent's top directory: a vendor that tells them with it hands
//!   out [`crate::canonical_path`] of them.
//! - [`TorrentStatus::WaitingFilesSelection`] is for vendors where files can be selected.
//! - Id, hash and times of an entry do not change from one list to the next.
//! - "Too many calls" is [`Verdict::BackOff`] and trouble of the account is
//!   [`Verdict::AccountRefused`]: never "not found", and never an empty list.

pub mod all_debrid;
pub mod debrid_link;
pub mod premiumize;
pub mod real_debrid;
pub mod torbox;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use crate::account::call::{Call, Meaning};
use crate::account::caller::Api;
use crate::{
    Account, ActiveCount, Addition, DirectLink, DownloadPage, Error, HosterLink, InfoHash, Limits,
    Result, TorrentId, TorrentInfo, TorrentPage, TrafficDay, Verdict,
};
#[cfg(doc)]
use crate::{TorrentStatus, TorrentSummary};

/// All kinds of providers. A table that names none means the first one.
pub static KINDS: [&Kind; 5] = [
    &real_debrid::KIND,
    &torbox::KIND,
    &all_debrid::KIND,
    &debrid_link::KIND,
    &premiumize::KIND,
];

/// A vendor as it declares itself.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its word in configuration and `status`.
    pub word: &'static str,
    /// Base of its API.
    pub api_url: &'static str,
    /// Where a person gets a token.
    pub token_page: &'static str,
    /// What it allows.
    pub limits: Limits,
    /// Its side of a new account.
    pub(crate) vendor: fn() -> Arc<dyn Vendor>,
}

/// The kind of that word.
pub fn kind_of(word: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|kind| kind.word == word)
}

/// The words of all kinds.
pub fn words() -> &'static [&'static str] {
    static WORDS: LazyLock<Vec<&str>> =
        LazyLock::new(|| KINDS.into_iter().map(|kind| kind.word).collect());
    &WORDS
}

/// A vendor's side of an account: questions as calls, answers as our types. When a call goes, with
/// which token, and whether it is repeated is decided by the [`Api`] that it is given.
#[async_trait]
pub(crate) trait Vendor: Send + Sync + 'static {
    /// What the answer to `call` means, or `None` for a success.
    fn meaning(&self, call: &Call, status: StatusCode, body: &[u8]) -> Option<Meaning>;

    /// Who we are.
    async fn account(&self, api: &Api<'_>) -> Result<Account>;
    /// Part of the list of torrents, newest first. `limit` is 1 to [`Limits::page`].
    async fn torrents(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage>;
    /// One torrent with its files.
    async fn torrent(&self, api: &Api<'_>, id: &TorrentId) -> Result<TorrentInfo>;
    /// Makes a direct link. Its key is filled in by the caller.
    async fn direct_link(&self, api: &Api<'_>, link: &HosterLink) -> Result<DirectLink>;
    /// Adds a magnet.
    async fn add_magnet(&self, api: &Api<'_>, magnet: &str) -> Result<TorrentId>;
    /// Adds the bytes of a `.torrent` file.
    async fn add_torrent(&self, api: &Api<'_>, torrent: Bytes) -> Result<TorrentId>;
    /// Deletes a torrent from the account.
    async fn delete(&self, api: &Api<'_>, id: &TorrentId) -> Result<()>;

    // What not every vendor has.

    /// Adds what the provider has already; [`Verdict::NotCached`] if it has not.
    async fn add_cached(&self, api: &Api<'_>, what: Addition) -> Result<TorrentId> {
        match what {
            Addition::Magnet(magnet) => self.add_magnet(api, &magnet).await,
            Addition::Torrent(torrent) => self.add_torrent(api, torrent).await,
        }
    }
    /// Whether the vendor has a release already; for [`crate::CacheCheck::Asked`].
    async fn is_cached(&self, api: &Api<'_>, hash: InfoHash) -> Result<bool> {
        let _ = hash;
        Err(lacks(api, "asking what is cached"))
    }
    /// As [`crate::Provider::refuses_name`].
    fn refuses_name(&self, name: &str) -> bool {
        let _ = name;
        false
    }
    /// Selects files of a torrent that waits for it; an empty `files` selects all.
    async fn select_files(&self, api: &Api<'_>, id: &TorrentId, files: &[u32]) -> Result<()> {
        let _ = (id, files);
        Err(lacks(api, "selecting files"))
    }
    /// Traffic of the last days with the key, the oldest first; see [`Limits::tells_traffic`].
    async fn traffic(&self, api: &Api<'_>) -> Result<Vec<TrafficDay>> {
        Err(lacks(api, "reading the traffic"))
    }
    /// How many torrents are on their way, and how many may be.
    async fn active_count(&self, api: &Api<'_>) -> Result<ActiveCount> {
        Err(lacks(api, "counting active torrents"))
    }
    /// How many downloads may be on their way with the plan of `account`, where the vendor declares that.
    fn slots(&self, account: &Account) -> Option<u64> {
        let _ = account;
        None
    }
    /// Part of the list of direct links that were made, newest first. `limit` is 1 to
    /// [`Limits::page`].
    async fn downloads(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<DownloadPage> {
        let _ = (offset, limit);
        Err(lacks(api, "listing downloads"))
    }
    /// The provider's clock.
    async fn server_time(&self, api: &Api<'_>) -> Result<Timestamp> {
        Err(lacks(api, "reading the provider's clock"))
    }
}

fn lacks(api: &Api<'_>, what: &str) -> Error {
    api.error(what, Verdict::Disabled, "the vendor has no call for it")
}

/// A kind in a configuration: its word.
pub(crate) mod word {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Kind;

    pub(crate) fn serialize<S: Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.word)
    }

    pub(crate) fn deserialize<'de, D>(from: D) -> Result<&'static Kind, D::Error>
    where
        D: Deserializer<'de>,
    {
        let word = String::deserialize(from)?;
        super::kind_of(&word).ok_or_else(|| D::Error::unknown_variant(&word, super::words()))
    }
}
