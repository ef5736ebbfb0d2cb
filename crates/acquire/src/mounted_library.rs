//! The library that is mounted: what the catalogue shows of it, and what content reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use debridfs_base::media::HEAD;
use debridfs_base::{Attention, Client, NodeId};
use debridfs_catalogue::{ALL, BadReason, Catalogue, Layout, Library as Shelf};
use debridfs_content::{
    Checkup, Content, ContentConfig, ContentError, ErrorKind, FileRef, HandleOwner, ReadRequest,
};
use debridfs_provider::{InfoHash, TorrentInfo};
use debridfs_tree::file_ref;
use tokio::sync::watch;

use crate::whole_job::whole_job;
use crate::{Known, Library, ProbeError, Shown, ShownFile, WholeFile};

/// Bytes read from each end of a file before it is shown to an arr: what a container's header and
/// index take at least. With a cache it is what `[content.probe]` says, so that the import finds all
/// that it looks at there.
const PROBE: u64 = 256 << 10;
/// What one such read may take.
const PROBE_LIMIT: Duration = Duration::from_secs(30);
/// What a read of some MiB for the disk may take.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// The URL from which a player reads a file with this id and name, or why there is none.
pub type AddressOf = Arc<dyn Fn(NodeId, &str) -> Result<String, String> + Send + Sync>;

/// Why nothing is mounted, for people; `None` while the library is.
pub type MountNews = watch::Receiver<Option<Attention>>;

/// The library that is mounted, or will be.
pub struct MountedLibrary {
    catalogue: Arc<Catalogue>,
    content: Arc<Content>,
    mount: PathBuf,
    news: MountNews,
    layout: Layout,
    address_of: AddressOf,
    handles: AtomicU64,
    /// Bytes that a probe reads of a file's head and tail.
    ends: [u64; 2],
}

impl MountedLibrary {
    /// What `catalogue` shows at a place, unless its news say why not, in this `layout`, with bytes
    /// from `content`, which was made with `reading`.
    pub fn new(
        catalogue: Arc<Catalogue>,
        content: Arc<Content>,
        reading: &ContentConfig,
        (mount, news): (PathBuf, MountNews),
        layout: Layout,
        address_of: AddressOf,
    ) -> Self {
        Self {
            catalogue,
            content,
            mount,
            news,
            layout,
            address_of,
            handles: AtomicU64::new(0),
            ends: ends(reading),
        }
    }
}

/// What a probe reads of head and tail: all that the cache keeps of them for those who look.
fn ends(content: &ContentConfig) -> [u64; 2] {
    let probe = &content.probe;
    match content.cache.enabled {
        true => [probe.fill_head.0, probe.fill_tail.0].map(|bytes| bytes.clamp(PROBE, HEAD)),
        false => [PROBE; 2],
    }
}

/// A file that is read from its start to its end.
struct Whole {
    content: Arc<Content>,
    file: FileRef,
    handle: u64,
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.content.release(self.handle);
    }
}

#[async_trait]
impl WholeFile for Whole {
    async fn read(&self, offset: u64, size: u32) -> Result<Vec<Bytes>, ProbeError> {
        let request = ReadRequest {
            handle: self.handle,
            offset,
            size,
            deadline: FETCH_LIMIT,
            client: Client::Own,
        };
        let read = self.content.read(&self.file, &request).await;
        read.map_err(|error| probe_error(&error))
    }
}

fn probe_error(error: &ContentError) -> ProbeError {
    let words = error.to_string();
    match error.kind() {
        ErrorKind::TimedOut => ProbeError::NoAnswer(words),
        ErrorKind::Unavailable | ErrorKind::Lost | ErrorKind::TooLarge => {
            ProbeError::Refused(words)
        }
    }
}

impl MountedLibrary {
    /// The release as the library shows it now.
    async fn find(&self, hash: InfoHash) -> Option<Shown> {
        let library = self.catalogue.library().borrow().clone();
        let (mount, layout) = (self.mount.clone(), self.layout);
        whole_job(move || shown_of(&library, hash, &mount, layout)).await
    }

    fn file(&self, hash: InfoHash, path: &str) -> Option<FileRef> {
        let library = self.catalogue.library().borrow().clone();
        let tree = library.release(hash)?.release.tree()?;
        let file = tree.file_at(self.layout, path)?;
        Some(file_ref(tree, file))
    }

    /// What a refused read of `file` means. A read is told what the provider said minutes ago, and is
    /// refused for used-up traffic as well: only an answer of now, from every source, counts.
    async fn looked_at(&self, file: &FileRef, words: String) -> ProbeError {
        match self.content.check(file).await {
            Checkup::Bad(words) | Checkup::Infringing(words) => ProbeError::Refused(words),
            Checkup::Well | Checkup::Unclear(_) => ProbeError::NoAnswer(words),
        }
    }

    fn next_handle(&self) -> u64 {
        HandleOwner::Download.handle(self.handles.fetch_add(1, Ordering::Relaxed))
    }
}

fn shown_of(library: &Shelf, hash: InfoHash, mount: &Path, layout: Layout) -> Option<Shown> {
    let entry = library.release(hash)?;
    let tree = entry.release.tree()?;
    let files = tree.files.iter().map(|file| ShownFile {
        path: tree.path_of(layout, file),
        in_torrent: tree.path_of(Layout::Tree, file),
        bytes: file.size,
    });
    let bad = entry.release.bad;
    // Soon it shows what is inside, or which files have a link, or is bad for another reason.
    let unexamined = bad == Some(BadReason::PackedRar) || entry.release.awaits_examination();
    Some(Shown {
        name: entry.name.to_string(),
        path: mount.join(ALL).join(&*entry.name),
        files: files.collect(),
        bad: bad
            .filter(|_| !unexamined)
            .map(|reason| reason.as_str().to_owned()),
        unsettled: unexamined.then(|| match bad {
            Some(BadReason::PackedRar) => "its RAR was not looked into yet".to_owned(),
            _ => "what its links give was not asked yet".to_owned(),
        }),
    })
}

#[async_trait]
impl Library for MountedLibrary {
    async fn torrents(&self, hash: InfoHash) -> Vec<Known> {
        let records = self.catalogue.copies(hash).await;
        let records = records.into_iter().map(|record| Known {
            provider: record.provider.clone(),
            torrent: record.id.clone(),
            status: record.status.clone(),
        });
        records.collect()
    }

    async fn shown(&self, hash: InfoHash) -> Option<Shown> {
        if let Some(shown) = self.find(hash).await {
            return Some(shown);
        }
        // Not known to the library yet is no failure; it is asked again.
        self.catalogue.demand(hash).await.ok()?;
        self.find(hash).await
    }

    async fn told(&self, provider: &str, info: TorrentInfo) {
        self.catalogue.told(provider, info).await;
    }

    fn look_now(&self) {
        self.catalogue.look_now();
    }

    async fn changed(&self) {
        // The sender lives as long as the catalogue.
        let _ = self.catalogue.library().changed().await;
    }

    fn unmounted(&self) -> Option<String> {
        let why = self.news.borrow();
        why.as_ref()
            .map(|why| format!("{} is not mounted: {why}", self.mount.display()))
    }

    async fn mounted(&self) {
        // When the engine ends, there is nobody left to tell.
        let _ = self.news.clone().wait_for(Option::is_none).await;
    }

    async fn probe(&self, hash: InfoHash, path: &str) -> Result<(), ProbeError> {
        let Some(file) = self.file(hash, path) else {
            return Err(ProbeError::NoAnswer("it is not shown any more".to_owned()));
        };
        let handle = self.next_handle();
        let [head, tail] = self.ends;
        let mut outcome = Ok(());
        for (offset, size) in [(0, head), (file.size.saturating_sub(tail), tail)] {
            let request = ReadRequest {
                handle,
                offset,
                // A few MiB at most.
                size: size as u32,
                deadline: PROBE_LIMIT,
                client: Client::Own,
            };
            if let Err(error) = self.content.read_to_keep(&file, &request).await {
                outcome = Err(probe_error(&error));
                break;
            }
        }
        self.content.release(handle);
        match outcome {
            Err(ProbeError::Refused(words)) => Err(self.looked_at(&file, words).await),
            outcome => outcome,
        }
    }

    async fn whole(&self, hash: InfoHash, path: &str) -> Option<Box<dyn WholeFile>> {
        Some(Box::new(Whole {
            content: self.content.clone(),
            file: self.file(hash, path)?,
            handle: self.next_handle(),
        }))
    }

    fn url(&self, hash: InfoHash, path: &str) -> Result<String, String> {
        let file = self.file(hash, path);
        let file = file.ok_or_else(|| "it is not shown any more".to_owned())?;
        let name = path.rsplit('/').next().unwrap_or(path);
        (self.address_of)(NodeId(file.id), name)
    }
}
