//! What the rest of the program calls.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use debridfs_cache::{Cache, FileId};
use debridfs_cdn::{Cdn, Checkup, Ends, Event, Proven};
use debridfs_provider::{LinkStore, Provider, Source};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::budget::Budget;
use crate::config::ContentConfig;
use crate::context::Context;
use crate::error::ContentError;
use crate::file::{FileRef, MAX_READ, ReadOut, ReadRequest};
use crate::pattern::Class;
use crate::probe::{self, Owed, Waiting};
use crate::reader::Reader;
use crate::stats::{ContentStats, Counters, add};
use crate::trace::{RecordError, TraceLine};
use crate::tuning::content::{
    CURSORS_PER_HANDLE, CURSORS_WITHOUT_HANDLE, DISK_SHARE, IDLE_UNDER_PRESSURE, LONGEST_DEADLINE,
    PRESSURE_INTERVAL, SWEEP,
};
use crate::watch::{Reading, Watch, Watches};

/// Reads files of debrid accounts.
pub struct Content {
    context: Arc<Context>,
    readers: Arc<Readers>,
    watches: Arc<Watches>,
    /// New files, if there is a cache to put their heads and tails into.
    newcomers: Option<Waiting>,
}

/// Readers by handle and file. A handle is only a hint: after a restart it may come back, for the same file or another.
#[derive(Default)]
struct Readers {
    map: RwLock<BTreeMap<(u64, u64), Arc<Reader>>>,
}

impl Content {
    /// Content of files held by `providers`, with their links kept in `links`; fetches on `runtime`, and keeps nothing on disk.
    pub fn new(
        config: ContentConfig,
        providers: Vec<Arc<dyn Provider>>,
        links: Arc<dyn LinkStore>,
        runtime: Handle,
    ) -> Arc<Self> {
        Self::with_cache(config, providers, links, runtime, None)
    }

    /// As [`Content::new`], with a cache on disk before the network.
    pub fn with_cache(
        config: ContentConfig,
        providers: Vec<Arc<dyn Provider>>,
        links: Arc<dyn LinkStore>,
        runtime: Handle,
        cache: Option<Arc<Cache>>,
    ) -> Arc<Self> {
        let context = Arc::new(Context {
            cdn: Cdn::new(config.cdn(), providers, links, runtime.clone()),
            budget: Budget::new(config.memory.0),
            counters: Counters::default(),
            cache,
            runtime: runtime.clone(),
            memory_wanted: Arc::new(Notify::new()),
            config,
        });
        let readers = Arc::new(Readers::default());
        let watches = Arc::new(Watches::default());
        runtime.spawn(sweep(
            Arc::downgrade(&readers),
            Arc::downgrade(&watches),
            Arc::downgrade(&context),
            context.memory_wanted.clone(),
        ));
        let fills = context.cache.is_some() && context.config.probe.fill_new;
        let newcomers = fills.then(|| {
            let (waiting, files) = mpsc::channel(crate::tuning::probe::MOST_WAITING);
            let owed = Owed::open(context.config.fill_log.as_deref(), runtime.clone());
            runtime.spawn(probe::fill(Arc::downgrade(&context), files, owed.clone()));
            Waiting {
                files: waiting,
                owed,
            }
        });
        Arc::new(Self {
            context,
            readers,
            watches,
            newcomers,
        })
    }

    /// The cache on disk, if there is one.
    pub fn cache(&self) -> Option<&Arc<Cache>> {
        self.context.cache.as_ref()
    }

    /// The bytes of `request`, if all of them are in memory, be it ours or the page cache. Never waits, so a transport thread may call it.
    /// Allocates nothing but the answer.
    pub fn try_read(&self, file: FileId, request: &ReadRequest) -> Option<ReadOut> {
        let range = request.range(file.size);
        if range.is_empty() {
            return Some(Vec::new());
        }
        let reader = self.readers.get(file.id, request.handle);
        let out = reader
            .and_then(|reader| reader.try_read(&range))
            .or_else(|| {
                let out = self.context.cache.as_ref()?.try_read(file, &range)?;
                add(&self.context.counters.bytes_served, range.end - range.start);
                Some(out)
            })?;
        self.note(file, request, &range);
        Some(out)
    }

    /// Takes note of a read, once.
    fn note(&self, file: FileId, request: &ReadRequest, range: &Range<u64>) -> Arc<Watch> {
        let (handle, client) = (request.handle, request.client);
        let (watch, class) = self.watches.note(file, handle, client, range);
        let read = &self.context.counters.class(class).read;
        add(read, range.end - range.start);
        if class == Class::Copy
            && let Some(cache) = &self.context.cache
            && let Some(begun) = watch.copy_to_tell()
        {
            cache.copied(file.id, begun);
        }
        watch
    }

    /// The bytes of `request`, before its deadline (an hour at most), which counts from this call. Dropping the future gives the read up.
    ///
    /// # Errors
    /// [`ContentError`] when the deadline passed, whatever was tried until then, or when too much was asked.
    pub fn read(
        &self,
        file: &FileRef,
        request: &ReadRequest,
    ) -> BoxFuture<'static, Result<ReadOut, ContentError>> {
        if request.size > MAX_READ {
            let size = request.size;
            return Box::pin(async move { Err(ContentError::TooLarge(size)) });
        }
        let range = request.range(file.size);
        if range.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let deadline = Instant::now() + request.deadline.min(LONGEST_DEADLINE);
        let watch = self.note(file.file_id(), request, &range);
        let (context, readers) = (self.context.clone(), self.readers.clone());
        let (file, handle) = (file.clone(), request.handle);
        Box::pin(async move {
            if let Some(cache) = &context.cache {
                let limit = deadline.saturating_duration_since(Instant::now()) / DISK_SHARE;
                if let Some(out) = cache.read(file.file_id(), &range, limit).await {
                    add(&context.counters.bytes_served, range.end - range.start);
                    return Ok(out);
                }
            }
            let reader = readers.open(&context, watch, &file, handle);
            let read = reader.read(file, range, deadline).await;
            if read.is_err() {
                add(&context.counters.reads_failed, 1);
            }
            read
        })
    }

    /// As [`Content::read`], but for bytes that others will ask for: returns when the cache, if there is one that works, has them, so that nobody waits
    /// for a connection then. A disk that hangs is waited for a few seconds.
    ///
    /// # Errors
    /// Those of [`Content::read`]; none because of the cache.
    pub async fn read_to_keep(
        &self,
        file: &FileRef,
        request: &ReadRequest,
    ) -> Result<(), ContentError> {
        self.watches.keep(file.file_id(), request.handle);
        let read = self.read(file, request).await?;
        if let Some(cache) = &self.context.cache {
            probe::keep_all(cache, file, request.offset, &read).await;
        }
        Ok(())
    }

    /// Gives back the memory and connections of `handle`; reads of it that are under way end as they would.
    pub fn release(&self, handle: u64) {
        if handle != 0 {
            self.readers.release(handle);
            let copied = self.watches.release(handle);
            if let Some(cache) = &self.context.cache {
                for (file, begun) in copied {
                    cache.copied(file, begun);
                }
            }
        }
    }

    /// `files` are new in the library: their heads and tails are put into the cache when nobody needs the connections, as far as
    /// [`ProbeConfig`](crate::ProbeConfig) wants it. The first call names those of [`Self::unfilled`] that are still in the library as well; others of
    /// them are forgotten by it.
    pub fn newcomers(&self, files: impl IntoIterator<Item = FileRef>) {
        if let Some(waiting) = &self.newcomers {
            waiting.add(files);
        }
    }

    /// The ids of new files that an earlier run did not come to.
    pub fn unfilled(&self) -> BTreeSet<u64> {
        let waiting = self.newcomers.as_ref();
        waiting.map_or_else(BTreeSet::new, |waiting| waiting.owed.before())
    }

    /// Begins to record the reads of `files` (their ids), or of all files; its number. One recording at a time, given up when nobody
    /// takes its lines for half a minute.
    ///
    /// # Errors
    /// Another recording is under way.
    pub fn begin_trace(&self, files: Option<BTreeSet<u64>>) -> Result<u64, RecordError> {
        self.watches.recorder.begin(files)
    }

    /// The lines of a recording since the last call, without the first line of a trace; `end` ends it.
    ///
    /// # Errors
    /// There is no recording of this number.
    pub fn take_trace(&self, recording: u64, end: bool) -> Result<Vec<TraceLine>, RecordError> {
        self.watches.recorder.take(recording, end)
    }

    /// Who reads what now, but for this program itself; the latest first.
    pub fn reading(&self) -> Vec<Reading> {
        self.watches.reading()
    }

    /// Counters and what is held now.
    pub fn stats(&self) -> ContentStats {
        let mut counted = self.context.counters.snapshot();
        for (class, readers) in counted.classes.iter_mut().zip(self.watches.count()) {
            class.readers = readers;
        }
        ContentStats {
            cdn: self.context.cdn.stats(),
            readers: self.readers.read().len(),
            windows: self.context.budget.windows(),
            bytes_reserved: self.context.budget.used(),
            bytes_limit: self.context.budget.limit(),
            cache: self.context.cache.as_ref().map(|cache| cache.stats()),
            ..counted
        }
    }

    /// What happened to the file of this id lately, oldest first: for the question why it cannot be read. Empty when nothing did.
    pub fn history(&self, file: u64) -> Vec<Event> {
        self.context.cdn.events().of(file)
    }

    /// Files of which the provider or its CDN lately said that they cannot be had, with the newest such event after `since`; those that could be read since
    /// from the same provider are left out.
    pub fn refused_since(&self, since: Timestamp) -> Vec<(u64, Event)> {
        self.context.cdn.events().refused_since(since)
    }

    /// Looks whether `file` can be read at all: makes a new link for each of its sources in turn until bytes come, behind all other calls to the
    /// provider. A link that works is kept for readers.
    pub async fn check(&self, file: &FileRef) -> Checkup {
        let cdn = &self.context.cdn;
        cdn.check(file.id, file.size, &file.sources).await
    }

    /// The first and the last 64 KiB of a file of `size` bytes as `source` gives them, by a link made anew and behind all other calls.
    pub async fn ends(&self, size: u64, source: &Source) -> Ends {
        self.context.cdn.ends(size, source).await
    }

    /// What the copies of the file of this id proved: which serves, and which differ.
    pub fn proven(&self, file: u64) -> Proven {
        self.context.cdn.proven(file)
    }

    /// A direct link of `source` for somebody who plays it without us: the one there is, or a new one.
    ///
    /// # Errors
    /// Why there is none now, for logs.
    pub async fn link(&self, source: &Source) -> Result<String, String> {
        self.context.cdn.link(source).await
    }

    /// How old the direct link of `source` is, if it was needed since the start.
    pub fn link_age(&self, source: &Source) -> Option<Duration> {
        self.context.cdn.link_age(source)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        for reader in self.readers.read().values() {
            reader.close();
        }
    }
}

impl Readers {
    fn read(&self) -> parking_lot::RwLockReadGuard<'_, BTreeMap<(u64, u64), Arc<Reader>>> {
        self.map.read()
    }

    fn write(&self) -> parking_lot::RwLockWriteGuard<'_, BTreeMap<(u64, u64), Arc<Reader>>> {
        self.map.write()
    }

    fn get(&self, file: u64, handle: u64) -> Option<Arc<Reader>> {
        self.read().get(&(handle, file)).cloned()
    }

    fn open(
        &self,
        context: &Arc<Context>,
        watch: Arc<Watch>,
        file: &FileRef,
        handle: u64,
    ) -> Arc<Reader> {
        if let Some(reader) = self.get(file.id, handle) {
            return reader;
        }
        let spare_cursors = match handle {
            0 => CURSORS_WITHOUT_HANDLE,
            _ => CURSORS_PER_HANDLE,
        };
        self.write()
            .entry((handle, file.id))
            .or_insert_with(|| Reader::new(context.clone(), watch, file.clone(), spare_cursors))
            .clone()
    }

    fn release(&self, handle: u64) {
        let mut map = self.write();
        let keys: Vec<_> = map
            .range((handle, 0)..=(handle, u64::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if let Some(reader) = map.remove(&key) {
                reader.close();
            }
        }
    }

    /// Removes readers that did nothing for `idle`, those idle longest first, as long as `more` says so.
    fn remove_idle(&self, idle: Duration, more: impl Fn() -> bool) {
        let now = Instant::now();
        let mut found: Vec<_> = self
            .read()
            .iter()
            .filter_map(|(key, reader)| Some((reader.idle_since()?, *key)))
            .filter(|(since, _)| now.duration_since(*since) >= idle)
            .collect();
        found.sort_unstable();
        for (_, key) in found {
            if !more() {
                return;
            }
            if let Some(reader) = self.write().remove(&key) {
                reader.close();
            }
        }
    }
}

/// Takes memory back from readers that do nothing: after a while, or soon when others need it.
async fn sweep(
    readers: Weak<Readers>,
    watches: Weak<Watches>,
    context: Weak<Context>,
    memory_wanted: Arc<Notify>,
) {
    loop {
        let pressure = tokio::select! {
            () = sleep(SWEEP) => false,
            () = memory_wanted.notified() => true,
        };
        let (Some(readers), Some(context)) = (readers.upgrade(), context.upgrade()) else {
            return;
        };
        if let Some(watches) = watches.upgrade() {
            watches.sweep();
        }
        readers.remove_idle(context.config.idle_memory(), || true);
        if pressure {
            let budget = &context.budget;
            let enough = budget.limit() / 4 * 3;
            readers.remove_idle(IDLE_UNDER_PRESSURE, || budget.used() > enough);
            drop((readers, context));
            sleep(PRESSURE_INTERVAL).await;
        }
    }
}
