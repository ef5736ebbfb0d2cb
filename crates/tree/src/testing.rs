//! Libraries for tests, built by the catalogue out of torrents, and stand-ins for those whom the tree asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use debridfs_catalogue::{
    Copy, CopyDetail, FolderConfig, FolderNaming, Layout, Library, Memory, ViewBuilder, ViewRules,
};
use debridfs_content::{ContentError, FileRef, ReadRequest};
use debridfs_provider::{
    ContentId, HosterLink, InfoHash, Source, TorrentFile, TorrentId, TorrentStatus,
};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::{Demand, FileReader, TreeConfig};

pub(crate) fn config(layout: Layout) -> TreeConfig {
    TreeConfig {
        uid: 1000,
        gid: 1001,
        umask: 0o022,
        layout,
        version: "debridfs 0.0".into(),
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + seconds)
}

pub(crate) fn hash(n: u32) -> ContentId {
    let mut bytes = [0xab; 20];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    InfoHash(bytes).into()
}

/// A ready torrent; `paths` of all its files, or `None` while unknown.
pub(crate) fn torrent(n: u32, filename: &str, paths: Option<&[&str]>) -> Copy {
    let links = paths.map_or(1, <[_]>::len);
    Copy {
        provider: "rd".into(),
        id: TorrentId(format!("T{n}")),
        content: hash(n),
        filename: filename.into(),
        bytes: 1000,
        status: TorrentStatus::Downloaded,
        added: at(i64::from(n)),
        ended: Some(at(i64::from(n))),
        links: (0..links)
            .map(|i| HosterLink(format!("https://host/d/{n:08}-{i}")))
            .collect(),
        detail: paths.map(|paths| CopyDetail {
            original_filename: filename.into(),
            files: (1u32..)
                .zip(paths)
                .map(|(id, path)| TorrentFile {
                    id,
                    path: (*path).into(),
                    bytes: u64::from(id) * 100,
                    selected: true,
                })
                .collect(),
        }),
        archive: None,
        removed: None,
    }
}

/// A catalogue without a store.
pub(crate) struct Shelf {
    builder: ViewBuilder,
    generation: u64,
    now: i64,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self::with_folders(&BTreeMap::new())
    }

    pub(crate) fn with_folders(folders: &BTreeMap<String, FolderConfig>) -> Self {
        let providers = vec!["rd".to_owned()];
        let rules = ViewRules::new(FolderNaming::Filename, providers, folders).unwrap();
        let builder = ViewBuilder::new(rules, Memory::default());
        Self {
            builder,
            generation: 0,
            now: 1_000_000,
        }
    }

    pub(crate) fn library<'a>(
        &mut self,
        torrents: impl IntoIterator<Item = &'a Arc<Copy>>,
    ) -> Arc<Library> {
        self.generation += 1;
        self.now += 60;
        let views = self.builder.build(torrents, at(self.now)).views;
        Arc::new(Library::new(self.generation, true, views))
    }

    /// A library of these torrents alone.
    pub(crate) fn of(&mut self, torrents: Vec<Copy>) -> Arc<Library> {
        let torrents: Vec<_> = torrents.into_iter().map(Arc::new).collect();
        self.library(&torrents)
    }
}

/// Byte `offset` of file `id`.
pub(crate) fn byte(id: u64, offset: u64) -> u8 {
    (id ^ offset.wrapping_mul(31)) as u8
}

/// Has every file; in memory when `cached`.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) cached: bool,
    pub(crate) reads: AtomicUsize,
    pub(crate) released: Mutex<Vec<u64>>,
    pub(crate) deadlines: Mutex<Vec<Duration>>,
}

impl Disk {
    fn bytes(file: &FileRef, request: &ReadRequest) -> Vec<Bytes> {
        let end = file.size.min(request.offset + u64::from(request.size));
        vec![
            (request.offset..end)
                .map(|offset| byte(file.id, offset))
                .collect(),
        ]
    }
}

impl FileReader for Disk {
    fn try_read(&self, file: &FileRef, request: &ReadRequest) -> Option<Vec<Bytes>> {
        self.cached.then(|| Self::bytes(file, request))
    }

    fn read(
        &self,
        file: &FileRef,
        request: &ReadRequest,
    ) -> BoxFuture<'static, Result<Vec<Bytes>, ContentError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.deadlines.lock().push(request.deadline);
        let bytes = Self::bytes(file, request);
        Box::pin(async move { Ok(bytes) })
    }

    fn release(&self, handle: u64) {
        self.released.lock().push(handle);
    }

    fn link_age(&self, source: &Source) -> Option<Duration> {
        source
            .link
            .0
            .ends_with("-0")
            .then_some(Duration::from_secs(77))
    }
}

type Demanded = dyn Fn(ContentId) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// Does what a test says when files are asked for.
pub(crate) struct Asked(pub(crate) Box<Demanded>);

impl Demand for Asked {
    fn demand(&self, release: ContentId) -> BoxFuture<'static, Result<(), String>> {
        (self.0)(release)
    }
}

/// Nobody may ask.
pub(crate) fn nobody() -> Arc<Asked> {
    Arc::new(Asked(Box::new(|hash| {
        panic!("files of {hash} were asked for")
    })))
}
