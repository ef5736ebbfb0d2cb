//! The library as downloads see it. Tests put another one in its place, as bytes of a real one come
//! from sockets, which no paused clock waits for.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_provider::{InfoHash, TorrentId, TorrentInfo, TorrentStatus};

/// A torrent that an account is known to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Configured name of the provider.
    pub provider: String,
    /// The provider's id.
    pub torrent: TorrentId,
    /// Where it stands.
    pub status: TorrentStatus,
}

/// A release as the library shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Name of its directory, unique in the library.
    pub name: String,
    /// Its directory, absolute, as everybody who reads the mount sees it.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<ShownFile>,
    /// Why it cannot be served, if it cannot.
    pub bad: Option<String>,
    /// Why it is not known yet whether it can be served, if that is so.
    pub unsettled: Option<String>,
}

/// A file of a [`Shown`] release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownFile {
    /// Path below the release's directory, without a leading `/`.
    pub path: String,
    /// Its path in the torrent, without a leading `/`: what it is judged by. A flat layout shows another one.
    pub in_torrent: String,
    /// Size.
    pub bytes: u64,
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Those who should have it say no.
    #[error("{0}")]
    Refused(String),
    /// Nobody answered in time: says nothing of the file.
    #[error("{0}")]
    NoAnswer(String),
}

/// The library that shows what accounts hold.
#[async_trait]
pub trait Library: Send + Sync + 'static {
    /// Torrents of this hash in any account, in any state, as last told; asks nobody.
    async fn torrents(&self, hash: InfoHash) -> Vec<Known>;
    /// The release with its files; `None` while it is not shown or its files are not known. May wait for a call to the provider.
    async fn shown(&self, hash: InfoHash) -> Option<Shown>;
    /// The account `provider` has just said this of a torrent that is ready: it need not be asked.
    async fn told(&self, provider: &str, info: TorrentInfo);
    /// An account has just been changed: have a look soon.
    fn look_now(&self);
    /// Resolves when what is shown has changed.
    async fn changed(&self);
    /// Why the library is not mounted now, for people; `None` while it is. What is put in place as a
    /// path into the mount waits for it.
    fn unmounted(&self) -> Option<String> {
        None
    }
    /// Resolves once the library is mounted.
    async fn mounted(&self) {}
    /// Reads the head and the tail of a file of a shown release, before a deadline of its own.
    ///
    /// # Errors
    /// [`ProbeError`].
    async fn probe(&self, hash: InfoHash, path: &str) -> Result<(), ProbeError>;
    /// Opens a file of a shown release for somebody who reads all of it; `None` when it is not shown.
    async fn whole(&self, hash: InfoHash, path: &str) -> Option<Box<dyn WholeFile>>;
    /// The address under which a player reads a file of a shown release, with all it needs to be let in.
    ///
    /// # Errors
    /// Why there is none, for people.
    fn url(&self, hash: InfoHash, path: &str) -> Result<String, String>;
}

/// A file that is read from its start to its end; closed when dropped.
#[async_trait]
pub trait WholeFile: Send + Sync + 'static {
    /// All `size` bytes from `offset` on, which lie in the file, before a deadline of its own.
    ///
    /// # Errors
    /// [`ProbeError`].
    async fn read(&self, offset: u64, size: u32) -> Result<Vec<Bytes>, ProbeError>;
}
