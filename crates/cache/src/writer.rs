//! The thread that writes: it alone adds to the cache and takes from it, so that nothing is written into a hole while it is punched.
//!
//! Order of a write: the bytes, then memory knows them, then [`crate::syncer`] syncs them and tells the side file. Order of an eviction: memory forgets,
//! the side file forgets, then the hole is punched.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use debridfs_base::media::{HEAD, TAIL};
use rustix::io::{Errno, pwritev};
use tokio::sync::oneshot;

use crate::disk::{Dir, Lock, punch};
use crate::entry::{Entry, unix_now};
use crate::error::CacheError;
use crate::file::{CacheClass, FileId};
use crate::intake::{Piece, Work};
use crate::map::{BLOCK, Header, SEGMENT, SEGMENTS_PER_PAGE, block_sum};
use crate::order::Order;
use crate::shared::{Readiness, Shared};
use crate::stats::add;
use crate::store::Store;
use crate::syncer;
use crate::tuning::eviction::{COPY_SHARE, EVICTIONS};
use crate::tuning::writing::{DISK_RETRY, LOCK_RETRY, MARGIN, STEP_BACK};

/// What is asked of the thread.
pub(crate) enum Command {
    /// All that came before is to be written; nothing is synced for it.
    Settle(oneshot::Sender<Result<(), CacheError>>),
    /// All that came before is to be written, synced and told.
    Flush(oneshot::Sender<Result<(), CacheError>>),
    /// These files, or all, are to be removed; answers with their number and bytes.
    Purge(
        Option<HashSet<u64>>,
        oneshot::Sender<Result<(u64, u64), CacheError>>,
    ),
    /// These files are to be kept whatever comes, or no longer.
    Pin(Vec<FileId>, bool, oneshot::Sender<Result<(), CacheError>>),
    /// What came of this file since then was copied, not played.
    Copied(u64, Instant),
}

/// The thread's own.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    lock: Lock,
    orders: [Order; 2],
    rest_until: Option<Instant>,
}

/// Body of the thread.
pub(crate) fn run(shared: &Arc<Shared>) {
    if let Some(mut writer) = begin(shared) {
        shared.set_readiness(Readiness::Ready);
        while writer.step() {}
        syncer::sync(shared, true);
    }
    shared.set_readiness(Readiness::Closed);
}

/// Takes the directory as soon as it can be used; `None` at the end.
fn begin(shared: &Arc<Shared>) -> Option<Writer> {
    let mut told: Option<String> = None;
    loop {
        let (wait, why) = match Writer::begin(shared) {
            Ok(Some(writer)) => return Some(writer),
            Ok(None) => (LOCK_RETRY, "another process uses it".to_owned()),
            Err(error) => (DISK_RETRY, error.to_string()),
        };
        if told.as_ref() != Some(&why) {
            let dir = shared.root.display();
            tracing::warn!(%dir, "the cache cannot be used: {why}");
            told = Some(why);
        }
        if !idle(shared, wait) {
            return None;
        }
    }
}

/// Refuses what comes for `wait`. Returns false at the end.
fn idle(shared: &Shared, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match shared.intake.next(left) {
            Work::Over => return false,
            Work::Idle => {}
            Work::Write(piece) => add(&shared.counters.skipped_bytes, piece.len() as u64),
            Work::Command(command) => command.refuse(),
        }
    }
    true
}

impl Command {
    fn refuse(self) {
        // Who asked may have gone.
        let _ = match self {
            Self::Settle(reply) | Self::Flush(reply) | Self::Pin(_, _, reply) => {
                reply.send(Err(CacheError::Unusable)).is_ok()
            }
            Self::Purge(_, reply) => reply.send(Err(CacheError::Unusable)).is_ok(),
            Self::Copied(..) => true,
        };
    }
}

impl Writer {
    /// Takes the directory and reads its side files; `None` while another process has it.
    fn begin(shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        let _at_work = shared.volume.enter(&shared.root);
        let Some(lock) = Lock::take(&shared.root)? else {
            return Ok(None);
        };
        let mut writer = Self {
            shared: shared.clone(),
            lock,
            orders: [Order::default(), Order::default()],
            rest_until: None,
        };
        for class in CacheClass::ALL {
            writer.load(class)?;
        }
        writer.heal_pins()?;
        Ok(Some(writer))
    }

    /// A kill may have come between the two parts of a pin.
    fn heal_pins(&self) -> io::Result<()> {
        let pinned = self.store(CacheClass::Playback).entries().into_iter();
        for entry in pinned.filter(|entry| entry.header().pinned) {
            let known = self.known(CacheClass::Probe, entry.id, entry.size);
            if !known.is_some_and(|known| known.header().pinned) {
                self.pin_in(CacheClass::Probe, entry.id, entry.size, true)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, class: CacheClass) -> io::Result<()> {
        let store = self.shared.store(class);
        let dir = Dir::open(&self.shared.root, class.as_str())?;
        let mut found = Vec::new();
        dir.scan(|file| {
            found.push(Arc::new(Entry::loaded(
                &file.header,
                file.pages,
                file.allocated,
            )));
        })?;
        found.sort_by_key(|entry| entry.header().used);
        // A second attempt after an error begins anew.
        self.orders[class as usize] = Order::default();
        let mut allocated = 0;
        for entry in found {
            if entry.segments().is_empty() && !entry.header().pinned {
                dir.remove(entry.id)?;
                continue;
            }
            for segment in entry.segments() {
                self.orders[class as usize].insert((entry.id, segment));
            }
            allocated += entry.allocated();
            store.insert(entry);
        }
        store.allocated.store(allocated, Ordering::Relaxed);
        // Only the first of two is ever set, and both would be the same.
        let _ = store.dir.set(dir);
        tracing::info!(
            class = class.as_str(),
            files = store.len(),
            bytes = allocated,
            "cache"
        );
        Ok(())
    }

    fn store(&self, class: CacheClass) -> &Store {
        self.shared.store(class)
    }

    /// One piece of work. Returns false at the end.
    fn step(&mut self) -> bool {
        let work = self.shared.intake.next(Duration::from_secs(1));
        let shared = self.shared.clone();
        let _at_work = shared.volume.enter(&shared.root);
        match work {
            Work::Over => return false,
            // Others may have filled the disk.
            Work::Idle => drop(self.make_room(CacheClass::Playback, 0)),
            Work::Write(piece) => {
                let len = piece.len() as u64;
                if self.rest_until.is_some_and(|until| Instant::now() < until) {
                    add(&self.shared.counters.skipped_bytes, len);
                } else if let Err(error) = self.write(&piece) {
                    add(&self.shared.counters.skipped_bytes, len);
                    self.step_back(piece.class, &error);
                }
            }
            Work::Command(command) => self.command(command),
        }
        true
    }

    /// After an error nothing is written for a while; on a full disk the oldest is given up.
    fn step_back(&mut self, class: CacheClass, error: &io::Error) {
        self.rest_until = Some(Instant::now() + STEP_BACK);
        let full = [Errno::NOSPC, Errno::DQUOT]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        if full {
            tracing::warn!("the cache's disk is full; nothing is cached for {STEP_BACK:?}");
            self.evict(class);
            self.evict(class);
        } else {
            add(&self.shared.counters.errors, 1);
            tracing::warn!(%error, "the cache cannot be written; nothing is cached for {STEP_BACK:?}");
        }
    }

    fn write(&mut self, piece: &Piece) -> io::Result<()> {
        let start = piece.start.next_multiple_of(BLOCK);
        let end = piece.end();
        let end = if end == piece.size {
            end
        } else {
            end / BLOCK * BLOCK
        };
        if start >= end {
            return Ok(());
        }
        let class = piece.class;
        // Before the entry is looked up: what makes room may remove it.
        if !self.make_room(class, end - start) {
            add(&self.shared.counters.skipped_bytes, end - start);
            return Ok(());
        }
        let entry = self.entry(piece)?;
        let written = entry
            .absent(&(start..end))
            .iter()
            .try_for_each(|part| self.write_part(class, &entry, piece, part));
        if entry.segments().is_empty() && !entry.header().pinned {
            self.remove(class, &entry)?;
        }
        written
    }

    /// The entry of a piece's file, made if missing.
    fn entry(&mut self, piece: &Piece) -> io::Result<Arc<Entry>> {
        let known = self.store(piece.class).by_id(piece.id);
        if let Some(entry) = known {
            if entry.size == piece.size {
                return Ok(entry);
            }
            // Another content by the same name: nothing of it is of use.
            self.remove(piece.class, &entry)?;
        }
        Ok(self.new_entry(piece.class, piece.id, piece.size))
    }

    fn new_entry(&self, class: CacheClass, id: u64, size: u64) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(&Header {
            id,
            size,
            used: unix_now(),
            pinned: false,
        }));
        self.store(class).insert(entry.clone());
        entry
    }

    fn write_part(
        &mut self,
        class: CacheClass,
        entry: &Arc<Entry>,
        piece: &Piece,
        part: &Range<u64>,
    ) -> io::Result<()> {
        let store = self.store(class);
        let slices = slices(piece, part);
        let files = store.files(entry, true)?;
        entry.begin_change();
        let written = write_all(&files.data, &slices, part.start);
        let change = entry.end_change(&files);
        store.add_allocated(change);
        written?;
        let fresh = entry.publish(&sums(piece.id, &slices, part));
        store.mark_unsynced(entry.id);
        add(&store.counters.written_bytes, part.end - part.start);
        for segment in fresh {
            self.orders[class as usize].insert((entry.id, segment));
        }
        Ok(())
    }

    /// Evicts until `bytes` more fit into the limits of `class` and of the volume. Returns whether they do.
    fn make_room(&mut self, class: CacheClass, bytes: u64) -> bool {
        for _ in 0..=EVICTIONS {
            let Ok(volume) = self.lock.volume() else {
                return false;
            };
            let config = &self.shared.config;
            let spare = volume.free.saturating_sub(config.reserve(volume.size));
            let short = config.reserve(volume.size).saturating_sub(volume.free);
            let taken = |class| self.store(class).allocated.load(Ordering::Relaxed);
            let limit = config
                .size
                .0
                .min((taken(CacheClass::Playback) + spare).saturating_sub(short));
            self.shared.limit.store(limit, Ordering::Relaxed);
            let wanted = if bytes == 0 { 0 } else { bytes + MARGIN };
            let victim = match class {
                CacheClass::Playback if taken(class) + wanted <= limit => return true,
                CacheClass::Playback => CacheClass::Playback,
                CacheClass::Probe if taken(class) + wanted > config.probe_size.0 => {
                    CacheClass::Probe
                }
                CacheClass::Probe if wanted <= spare => return true,
                // What was played makes room for heads and tails, never the other way round.
                CacheClass::Probe => CacheClass::Playback,
            };
            if !self.evict(victim) {
                return false;
            }
        }
        false
    }

    /// Evicts one segment of `class`. Returns whether there was one.
    fn evict(&mut self, class: CacheClass) -> bool {
        let shared = self.shared.clone();
        let store = shared.store(class);
        let heat = |(id, segment): (u64, u32)| {
            let entry = store.by_id(id);
            entry.map_or(crate::entry::Heat::Gone, |entry| entry.heat(segment))
        };
        let share = shared.limit.load(Ordering::Relaxed) / COPY_SHARE / SEGMENT;
        let order = &mut self.orders[class as usize];
        let Some((id, segment)) = order.pop(share as usize, heat) else {
            return false;
        };
        let Some(entry) = store.by_id(id) else {
            return true;
        };
        let before = entry.allocated();
        let punched = store.files(&entry, false).and_then(|files| {
            entry.clear(segment);
            entry.write_map([u64::from(segment) / SEGMENTS_PER_PAGE as u64], false)?;
            entry.begin_change();
            let punched = punch(&files.data, u64::from(segment) * SEGMENT, SEGMENT);
            store.add_allocated(entry.end_change(&files));
            punched
        });
        let left = entry.allocated();
        let whole = punched.is_err() || (entry.segments().is_empty() && !entry.header().pinned);
        if let Err(error) = &punched {
            add(&shared.counters.errors, 1);
            tracing::warn!(file = id, %error, "a part of a cached file cannot be given back; all of it is");
        }
        let freed = if whole {
            // An error here has been told above, or the next start removes the files.
            let _ = self.remove(class, &entry);
            before
        } else {
            before.saturating_sub(left)
        };
        add(&shared.counters.evicted_bytes, freed);
        true
    }

    fn remove(&self, class: CacheClass, entry: &Entry) -> io::Result<()> {
        let store = self.store(class);
        store.forget(entry.id);
        store.add_allocated(-(entry.end() as i64));
        store.dir.get().map_or(Ok(()), |dir| dir.remove(entry.id))
    }

    fn command(&mut self, command: Command) {
        // Who asked may have gone.
        match command {
            Command::Settle(reply) => {
                let _ = reply.send(Ok(()));
            }
            Command::Flush(reply) => {
                syncer::sync(&self.shared, true);
                let _ = reply.send(Ok(()));
            }
            Command::Purge(ids, reply) => {
                let _ = reply.send(self.purge(ids.as_ref()));
            }
            Command::Pin(files, pinned, reply) => {
                let _ = reply.send(self.pin(&files, pinned));
            }
            Command::Copied(id, begun) => {
                // Heads and tails are kept for who looks at the copies.
                if let Some(entry) = self.store(CacheClass::Playback).by_id(id) {
                    let fresh = entry.fresh_since(begun).into_iter();
                    let keys = fresh.map(|segment| (id, segment)).collect();
                    self.orders[CacheClass::Playback as usize].copied(&keys);
                }
            }
        }
    }

    fn purge(&mut self, ids: Option<&HashSet<u64>>) -> Result<(u64, u64), CacheError> {
        let (mut files, mut bytes) = (HashSet::new(), 0);
        for class in CacheClass::ALL {
            for entry in self.store(class).entries() {
                if ids.is_none_or(|ids| ids.contains(&entry.id)) {
                    bytes += entry.allocated();
                    files.insert(entry.id);
                    self.remove(class, &entry)
                        .map_err(|error| CacheError::Disk(Arc::new(error)))?;
                }
            }
        }
        Ok((files.len() as u64, bytes))
    }

    /// Pins `files` in both parts of the cache, or neither any more.
    fn pin(&mut self, files: &[FileId], pinned: bool) -> Result<(), CacheError> {
        if pinned {
            let config = &self.shared.config;
            self.fits(CacheClass::Playback, files, config.size.0, |size| size)?;
            self.fits(CacheClass::Probe, files, config.probe_size.0, |size| {
                size.min(HEAD + TAIL)
            })?;
        }
        // What was played is pinned first and unpinned last, see `heal_pins`.
        let mut order = CacheClass::ALL;
        if !pinned {
            order.reverse();
        }
        for file in files {
            for class in order {
                self.pin_in(class, file.id, file.size, pinned)
                    .map_err(|error| CacheError::Disk(Arc::new(error)))?;
            }
        }
        Ok(())
    }

    /// Whether `files` may be pinned besides what is, when a file of so many bytes takes `part` of it in this class.
    fn fits(
        &self,
        class: CacheClass,
        files: &[FileId],
        whole: u64,
        part: fn(u64) -> u64,
    ) -> Result<(), CacheError> {
        let ids: HashSet<u64> = files.iter().map(|file| file.id).collect();
        let others = self.store(class).entries().into_iter();
        let others = others.filter(|entry| entry.header().pinned && !ids.contains(&entry.id));
        let needed: u64 = others.map(|entry| part(entry.size)).sum::<u64>()
            + files.iter().map(|file| part(file.size)).sum::<u64>();
        // Something has to stay for what is not pinned.
        let limit = whole / 10 * 9;
        if needed > limit {
            return Err(CacheError::DoesNotFit { needed, limit });
        }
        Ok(())
    }

    fn known(&self, class: CacheClass, id: u64, size: u64) -> Option<Arc<Entry>> {
        self.store(class)
            .by_id(id)
            .filter(|entry| entry.size == size)
    }

    fn pin_in(&self, class: CacheClass, id: u64, size: u64, pinned: bool) -> io::Result<()> {
        let entry = match self.known(class, id, size) {
            Some(entry) => entry,
            None if pinned => self.new_entry(class, id, size),
            None => return Ok(()),
        };
        self.store(class).files(&entry, true)?;
        entry.set_pinned(pinned);
        entry.write_map([], true)?;
        if !pinned && entry.segments().is_empty() {
            self.remove(class, &entry)?;
        }
        Ok(())
    }
}

/// The bytes of `part` in `piece`.
fn slices<'a>(piece: &'a Piece, part: &Range<u64>) -> Vec<&'a [u8]> {
    let mut at = piece.start;
    let mut out = Vec::new();
    for bytes in &piece.bytes {
        let end = at + bytes.len() as u64;
        let (from, to) = (part.start.max(at), part.end.min(end));
        if from < to {
            out.push(&bytes[(from - at) as usize..(to - at) as usize]);
        }
        at = end;
    }
    out
}

/// Number and sum of each block of `part`, whose bytes are `slices`.
fn sums(id: u64, slices: &[&[u8]], part: &Range<u64>) -> Vec<(u64, u32)> {
    let mut sums = Vec::new();
    let (mut at, mut crc) = (part.start, 0);
    for slice in slices {
        let mut rest = *slice;
        while !rest.is_empty() {
            let left = (BLOCK - at % BLOCK).min(rest.len() as u64);
            let (now, later) = rest.split_at(left as usize);
            let mut hasher = crc32fast::Hasher::new_with_initial(crc);
            hasher.update(now);
            crc = hasher.finalize();
            at += left;
            rest = later;
            if at.is_multiple_of(BLOCK) || at == part.end {
                let number = (at - 1) / BLOCK;
                sums.push((number, block_sum(id, number, std::mem::take(&mut crc))));
            }
        }
    }
    sums
}

fn write_all(file: &std::fs::File, slices: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let mut parts: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut parts = &mut parts[..];
    while !parts.is_empty() {
        // More would be refused (UIO_MAXIOV).
        let now = parts.len().min(1024);
        match pwritev(file, &parts[..now], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
