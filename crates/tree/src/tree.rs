//! The [`Vfs`] of a published library.

use parking_lot::Mutex;

#[cfg(test)]
mod strm_tests;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use debridfs_base::NodeId;
use debridfs_catalogue::{BadReason, ComparedFiles, File, Library, ReleaseTree};
use debridfs_content::{Content, FileId, FileRef, HandleOwner, ReaderClass};
use debridfs_provider::{ContentId, Source};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::explain::Found;
use crate::snapshot::{Dir, Missing, Node, Snapshot, kind};
use crate::sources::{failed_read, file_ref, in_order};
use crate::strm::StrmTexts;
use crate::style::TreeConfig;
use crate::twins::{Comparisons, LOOK, Twins, placeless};
use debridfs_vfs::{
    Answer, Attr, Change, DirEntry, Error, ErrorKind, Kind, ReadOut, ReadRequest, Result, StatFs,
    Vfs,
};

/// How long an operation waits for the files of a release: below the 30 s after which a read must have ended.
pub const CONTENTS_DEADLINE: Duration = Duration::from_secs(25);

/// How long a provider's own link is waited for: players give up soon after.
const LINK_WITHIN: Duration = Duration::from_secs(10);

type Demanded = BoxFuture<'static, debridfs_catalogue::Result<()>>;
type Demand = dyn Fn(ContentId) -> Demanded + Send + Sync;

/// The tree of the published library.
pub struct Tree {
    shared: Arc<Shared>,
    handles: AtomicU64,
}

struct Shared {
    snapshot: ArcSwap<Snapshot>,
    /// Tells the generation of each snapshot once it is in place.
    shown: watch::Sender<u64>,
    library: watch::Receiver<Arc<Library>>,
    content: Arc<Content>,
    twins: Twins,
    demand: Box<Demand>,
    /// Held while one snapshot takes the place of another.
    showing: Mutex<()>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<Vec<Change>>>>,
}

impl Tree {
    /// The tree of `library`, which it follows until it is dropped or the library's sender is. Bytes
    /// of files come from `content`. `demand` asks for the files of a release before all others, and
    /// resolves once a library that knows them is published.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn new(
        config: TreeConfig,
        mut library: watch::Receiver<Arc<Library>>,
        content: Arc<Content>,
        demand: impl Fn(ContentId) -> Demanded + Send + Sync + 'static,
    ) -> Arc<Self> {
        let first = library.borrow_and_update().clone();
        let generation = first.generation;
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::new(first, Arc::new(config.into()), None)),
            shown: watch::Sender::new(generation),
            library: library.clone(),
            content,
            twins: Twins::default(),
            demand: Box::new(demand),
            showing: Mutex::default(),
            listeners: Mutex::default(),
        });
        let follower = Arc::downgrade(&shared);
        tokio::spawn(async move {
            while library.changed().await.is_ok() {
                let newest = library.borrow_and_update().clone();
                let Some(shared) = follower.upgrade() else {
                    return;
                };
                // Tens of milliseconds for a large library.
                let show = move || shared.show(Some(newest), None);
                let shown = tokio::task::spawn_blocking(show).await;
                if let Err(error) = shown {
                    tracing::error!(%error, "a published library could not be shown");
                }
            }
        });
        // Handles are hints, but those of the engine before should not be taken for ours.
        let start = RandomState::new().build_hasher().finish();
        Arc::new(Self {
            shared,
            handles: AtomicU64::new(start),
        })
    }

    /// Where a file of a release is shown, relative to the root; `None` if it is not, or is no file of a release.
    pub fn path(&self, id: NodeId) -> Option<String> {
        let snapshot = self.shared.snapshot.load();
        let (dir, inside) = match snapshot.find(id)? {
            Node::File { dir, file } => (dir, dir.tree()?.path_of(snapshot.style.layout, file)),
            Node::Strm { dir, file } => (dir, snapshot.strm_path(dir, file)?),
            Node::Root | Node::Version | Node::View(_) | Node::Dir(_) => return None,
        };
        Some(format!("{}/{}/{inside}", dir.view.name(), dir.entry.name))
    }

    /// Lets `.strm` files hold `texts` from now on, and tells what changed. Before the first texts the
    /// directories that such files are in are waited for. Takes tens of milliseconds for a large library.
    pub fn show_strm(&self, texts: StrmTexts) {
        self.shared.show(None, Some(Arc::new(texts)));
    }

    /// The places that the file `id` can be read from, the preferred one first; none if it is no file of
    /// a release, or no account has a link for it.
    pub fn sources(&self, id: NodeId) -> Vec<Source> {
        let snapshot = self.shared.snapshot.load();
        let Some(Node::File { dir, file }) = snapshot.find(id) else {
            return Vec::new();
        };
        let own = match dir.tree() {
            Some(tree) => file_ref(tree, file),
            None => placeless(file),
        };
        self.shared.twins.join(&snapshot, own).sources.to_vec()
    }

    /// Compares files that are played with files of releases without a common info-hash that may be the same, and reads equal ones from
    /// all their places; keeps in `store` what came of it. Ends with the tree.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn follow_twins(&self, store: Arc<dyn Comparisons>) {
        let known = store.known();
        known.iter().for_each(|files| self.shared.twins.note(files));
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                for files in shared.compare_played().await {
                    store.note(files);
                }
            }
        });
    }

    /// A provider's own link to the file `id`; none if it is no file of a release, lies in an archive, or none can be
    /// had within 10 s.
    pub async fn provider_link(&self, id: NodeId) -> Option<String> {
        let sources = self.sources(id);
        let links = async {
            for source in sources.iter().filter(|source| source.part.is_none()) {
                match self.shared.content.link(source).await {
                    Ok(link) => return Some(link),
                    Err(why) => tracing::debug!(provider = source.provider, why, "no link"),
                }
            }
            None
        };
        tokio::time::timeout(LINK_WITHIN, links).await.ok()?
    }

    /// What changes from now on, for the kernel's caches: one message for each published library that changed anything. A
    /// kernel may know `.strm` files with the texts of an earlier engine: the first message names those there are.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Vec<Change>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut listeners = self.shared.listeners();
        let snapshot = self.shared.snapshot.load();
        let strm: Vec<Change> = match snapshot.strm_texts.is_some() {
            true => snapshot.strm_nodes().map(Change::Node).collect(),
            false => Vec::new(),
        };
        if !strm.is_empty() {
            // The receiver is at hand.
            let _ = sender.send(strm);
        }
        listeners.push(sender);
        receiver
    }
}

#[cfg(test)]
impl Tree {
    /// Compares a file as if it were played.
    pub(crate) async fn compare(&self, file: NodeId) -> Vec<ComparedFiles> {
        let snapshot = self.shared.snapshot.load_full();
        let shared = &self.shared;
        shared.twins.compare(&snapshot, &shared.content, file).await
    }
}

impl Tree {
    /// What is known of a path as people write it: below `mount`, relative to the root or to `__all__`, or with the root's part under another
    /// mount point, as on another host. From memory: asks nobody, and does not touch the mount.
    ///
    /// # Errors
    /// There is no such path, or the library is not known yet.
    pub fn explain(&self, mount: &Path, path: &str) -> Result<Found> {
        let snapshot = self.shared.snapshot.load();
        let mut found = snapshot.explain(mount, path)?;
        for file in &mut found.files {
            file.sources = self.sources(file.id).len();
        }
        Ok(found)
    }
}

impl Shared {
    fn listeners(&self) -> parking_lot::MutexGuard<'_, Vec<mpsc::UnboundedSender<Vec<Change>>>> {
        self.listeners.lock()
    }

    /// Compares what is played now with what may be the same.
    async fn compare_played(&self) -> Vec<ComparedFiles> {
        let reading = self.content.reading().into_iter();
        let played = |class| matches!(class, ReaderClass::Playback | ReaderClass::Copy);
        let mut compared = Vec::new();
        for reading in reading.filter(|reading| played(reading.class)) {
            let snapshot = self.snapshot.load_full();
            let file = NodeId(reading.file);
            compared.extend(self.twins.compare(&snapshot, &self.content, file).await);
        }
        compared
    }

    /// Puts a new library or new texts of `.strm` files in place and tells what changed.
    fn show(&self, library: Option<Arc<Library>>, strm_texts: Option<Arc<StrmTexts>>) {
        let _one = self.showing.lock();
        let old = self.snapshot.load_full();
        let library = library.unwrap_or_else(|| old.library.clone());
        let generation = library.generation;
        let mut new = Snapshot::new(library, old.style.clone(), Some(&old));
        if strm_texts.is_some() {
            new.strm_texts = strm_texts;
        }
        let new = Arc::new(new);
        self.snapshot.store(new.clone());
        self.shown.send_replace(generation);
        let mut listeners = self.listeners();
        listeners.retain(|listener| !listener.is_closed());
        if listeners.is_empty() {
            return;
        }
        let changes = old.changes_to(&new);
        if !changes.is_empty() {
            // A listener that went meanwhile is dropped the next time.
            listeners.retain(|listener| listener.send(changes.clone()).is_ok());
        }
    }

    /// Answers `operation` from the snapshot; waits first for what it misses, until `deadline`.
    fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        deadline: Duration,
        operation: impl Fn(&Self, &Snapshot) -> std::result::Result<T, Missing> + Send + 'static,
    ) -> Answer<T> {
        let missing = match operation(self, &self.snapshot.load()) {
            Ok(value) => return Answer::Now(Ok(value)),
            Err(Missing::Failed(error)) => return Answer::Now(Err(error)),
            Err(missing) => missing,
        };
        let shared = self.clone();
        Answer::Later(Box::pin(async move {
            let what = match missing {
                Missing::Strm => "it is not known yet what .strm files hold",
                _ => "the provider did not tell the release's files in time",
            };
            let waiting = shared.wait_for(missing);
            match tokio::time::timeout(deadline.min(CONTENTS_DEADLINE), waiting).await {
                Ok(waited) => waited?,
                Err(_) => {
                    return Err(Error::new(ErrorKind::TimedOut, what));
                }
            }
            match operation(&shared, &shared.snapshot.load()) {
                Ok(value) => Ok(value),
                Err(Missing::Failed(error)) => Err(error),
                Err(Missing::Contents(release)) => {
                    let library = &shared.snapshot.load().library;
                    let entry = library.release(release);
                    let why = match entry.is_some_and(|it| it.release.awaits_examination()) {
                        true => {
                            "what the release's links give could not be looked up; it is tried again"
                        }
                        false => "the provider has not made the release's links yet",
                    };
                    Err(Error::new(ErrorKind::Unavailable, why))
                }
                Err(Missing::Node(_) | Missing::Strm) => Err(ErrorKind::NotYet.into()),
            }
        }))
    }

    /// Waits until a snapshot can tell more about what was missing.
    async fn wait_for(&self, missing: Missing) -> Result<()> {
        let mut shown = self.shown.subscribe();
        let found: Box<dyn Fn(&Snapshot) -> bool + Send> = match missing {
            Missing::Failed(error) => return Err(error),
            Missing::Contents(hash) => {
                let demanded = (self.demand)(hash).await;
                demanded.map_err(|error| Error::new(ErrorKind::Unavailable, error))?;
                let published = self.library.borrow().generation;
                Box::new(move |snapshot| snapshot.library.generation >= published)
            }
            Missing::Strm => Box::new(|snapshot| snapshot.strm_texts.is_some()),
            Missing::Node(id) => {
                Box::new(move |snapshot| !matches!(snapshot.node(id), Err(Missing::Node(_))))
            }
        };
        loop {
            shown.borrow_and_update();
            if found(&self.snapshot.load()) {
                return Ok(());
            }
            // The sender is our own.
            if shown.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

/// What a read comes to once its file is found.
enum Plan {
    Memory(ReadOut),
    File(FileRef),
}

impl Shared {
    fn plan(
        &self,
        snapshot: &Snapshot,
        request: &ReadRequest,
    ) -> std::result::Result<Plan, Missing> {
        let node = snapshot.node(request.id)?;
        match node {
            Node::Version => Ok(Plan::Memory(part(&snapshot.style.version, request))),
            Node::Strm { file, .. } => {
                let text = snapshot.strm_text(file).ok_or(Missing::Strm)?;
                Ok(Plan::Memory(part(&text, request)))
            }
            Node::File { dir, file } => {
                let tree = match readable(dir, file) {
                    Ok(tree) => Some(tree),
                    Err(_) if self.twins.has_places(snapshot, file) => None,
                    Err(missing) => return Err(missing),
                };
                // Sources are for what has to be fetched: what is in memory is found without.
                let (id, size) = (file.id.0, file.size);
                let held = self.content.try_read(FileId { id, size }, &wanted(request));
                let order = snapshot.style.order(dir.view.name());
                let wanted = || {
                    let own = tree.map_or_else(|| placeless(file), |tree| file_ref(tree, file));
                    Plan::File(in_order(self.twins.join(snapshot, own), order))
                };
                Ok(held.map_or_else(wanted, Plan::Memory))
            }
            Node::Root | Node::View(_) | Node::Dir(_) => Err(ErrorKind::IsDirectory.into()),
        }
    }

    fn carry_out(&self, plan: Plan, request: &ReadRequest) -> Answer<ReadOut> {
        let file = match plan {
            Plan::Memory(bytes) => return Answer::Now(Ok(bytes)),
            Plan::File(file) => file,
        };
        let reading = self.content.read(&file, &wanted(request));
        Answer::Later(Box::pin(async move { reading.await.map_err(failed_read) }))
    }
}

/// The bytes of `text` that are asked for.
fn part(text: &str, request: &ReadRequest) -> ReadOut {
    let start = usize::try_from(request.offset).unwrap_or(usize::MAX);
    let start = text.len().min(start);
    let end = text.len().min(start.saturating_add(request.size as usize));
    match start == end {
        true => Vec::new(),
        false => vec![Bytes::copy_from_slice(&text.as_bytes()[start..end])],
    }
}

/// The request as the reader has to know it.
fn wanted(request: &ReadRequest) -> debridfs_content::ReadRequest {
    debridfs_content::ReadRequest {
        handle: request.handle,
        offset: request.offset,
        size: request.size,
        deadline: request.deadline,
        client: request.client,
    }
}

/// Where the sources of `file` are, if it can be read.
fn readable<'a>(dir: Dir<'a>, file: &File) -> std::result::Result<&'a ReleaseTree, Missing> {
    let release = dir.release();
    let refused = |why: &str| {
        let message = format!("release {}: {why}", release.id);
        let kind = match release.bad.is_some_and(BadReason::is_final) {
            true => ErrorKind::Lost,
            false => ErrorKind::Unavailable,
        };
        Missing::Failed(Error::new(kind, message))
    };
    let has_place = dir
        .tree()
        .is_some_and(|tree| !tree.places_of(file).is_empty());
    // It is about to be known which file each link gives.
    if !has_place && release.awaits_examination() {
        return Err(Missing::Contents(release.id));
    }
    // What is removed is read on while its links live, what could not be read is tried again, and where
    // links are missing some files may have theirs.
    match release.bad {
        None
        | Some(
            BadReason::Removed
            | BadReason::Unreadable
            | BadReason::Blocked
            | BadReason::MissingLinks,
        ) => {}
        Some(reason) => return Err(refused(reason.as_str())),
    }
    match dir.tree() {
        Some(tree) if has_place => Ok(tree),
        _ => Err(refused(
            release
                .bad
                .map_or("the file has no link", BadReason::as_str),
        )),
    }
}

impl Vfs for Tree {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        let name = name.to_vec();
        self.shared.answer(CONTENTS_DEADLINE, move |_, snapshot| {
            snapshot
                .lookup(parent, &name)
                .map(|node| snapshot.attr(node))
        })
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        self.shared.answer(CONTENTS_DEADLINE, move |_, snapshot| {
            snapshot.node(id).map(|node| snapshot.attr(node))
        })
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        let number = self.handles.fetch_add(1, Ordering::Relaxed);
        let handle = HandleOwner::Open.handle(number);
        self.shared.answer(CONTENTS_DEADLINE, move |_, snapshot| {
            match kind(snapshot.node(id)?) {
                // What cannot be read says so when it is.
                Kind::File => Ok(handle),
                Kind::Directory => Err(ErrorKind::IsDirectory.into()),
            }
        })
    }

    fn release(&self, handle: u64) {
        self.shared.content.release(handle);
    }

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        let planned = self
            .shared
            .answer(request.deadline, move |shared, snapshot| {
                shared.plan(snapshot, &request)
            });
        match planned {
            Answer::Now(Ok(plan)) => self.shared.carry_out(plan, &request),
            Answer::Now(Err(error)) => Answer::Now(Err(error)),
            Answer::Later(planned) => {
                let shared = self.shared.clone();
                Answer::Later(Box::pin(async move {
                    let since = tokio::time::Instant::now();
                    let plan = planned.await?;
                    let deadline = request.deadline.saturating_sub(since.elapsed());
                    match shared.carry_out(
                        plan,
                        &ReadRequest {
                            deadline,
                            ..request
                        },
                    ) {
                        Answer::Now(result) => result,
                        Answer::Later(reading) => reading.await,
                    }
                }))
            }
        }
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        self.shared.answer(CONTENTS_DEADLINE, move |_, snapshot| {
            snapshot.list(id, cookie, max)
        })
    }

    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        let name = name.to_vec();
        self.shared
            .answer(CONTENTS_DEADLINE, move |shared, snapshot| {
                let node = snapshot.node(id)?;
                std::str::from_utf8(&name)
                    .ok()
                    .and_then(|name| {
                        snapshot.xattr(node, name, |source| shared.content.link_age(source))
                    })
                    .map(String::into_bytes)
                    .ok_or_else(|| ErrorKind::NoAttribute.into())
            })
    }

    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        self.shared
            .answer(CONTENTS_DEADLINE, move |shared, snapshot| {
                snapshot
                    .node(id)
                    .map(|node| snapshot.xattrs(node, |source| shared.content.link_age(source)))
            })
    }

    fn statfs(&self) -> StatFs {
        self.shared.snapshot.load().statfs()
    }

    fn root(&self) -> Attr {
        let snapshot = self.shared.snapshot.load();
        snapshot.attr(Node::Root)
    }
}
