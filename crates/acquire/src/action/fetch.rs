//! The action `download`: files are copied from the library to the disk.
//!
//! Each file is written from its start to its end; the reader below fetches it over as many connections as bring more. What is known
//! to be on the disk is stored with the job now and then, so a restart goes on from there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::total;
use debridfs_provider::InfoHash;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::Placing;
use super::files::{self, Entry, Have, What};
use crate::attempt::{Attempt, Trouble};
use crate::folder::Spot;
use crate::shared::Shared;
use crate::{Error, Job, JobId, ProbeError, WholeFile, left_out};

/// Bytes of one read.
const PIECE: u32 = 4 << 20;
/// Reads of one file under way at a time: they are in order, so the reader sees one who reads on and on.
const AHEAD: usize = 4;
/// After a crash a job fetches about this many bytes again.
const STORED_EVERY: u64 = 32 << 20;
/// How often what is shown of the progress changes.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A full disk is looked at again after this time at the earliest.
const FULL: Duration = Duration::from_secs(60);

/// Why a file is not whole yet.
enum Failure {
    Read(ProbeError),
    Disk(io::Error),
    Store(Error),
    /// The job was removed meanwhile.
    Gone,
}

/// One file being fetched.
struct Fetch<'a> {
    shared: &'a Arc<Shared>,
    hash: InfoHash,
    path: &'a str,
    place: &'a Spot,
    /// Where it is made.
    part: PathBuf,
    bytes: u64,
    /// Bytes fetched of all files of the job.
    progress: &'a AtomicU64,
    kept: &'a Kept<'a>,
}

/// What is known to be on the disk. It is stored by the job, not by the file: a job is written with all its files each time, of
/// which there may be 100 000 small ones.
struct Kept<'a> {
    shared: &'a Arc<Shared>,
    id: JobId,
    unstored: Mutex<Unstored>,
}

/// What is not stored yet.
#[derive(Default)]
struct Unstored {
    bytes: u64,
    /// First bytes of files that are on the disk, by path.
    files: BTreeMap<String, u64>,
}

impl Kept<'_> {
    /// The first `at` bytes of the file at `path` are on the disk, `more` of them since the last time.
    async fn note(&self, path: &str, at: u64, more: u64) -> Result<(), Failure> {
        let due = {
            let mut unstored = self.unstored.lock();
            unstored.bytes = unstored.bytes.saturating_add(more);
            unstored.files.insert(path.to_owned(), at);
            unstored.bytes >= STORED_EVERY
        };
        match due {
            true => self.store().await,
            false => Ok(()),
        }
    }

    async fn store(&self) -> Result<(), Failure> {
        let unstored = std::mem::take(&mut *self.unstored.lock());
        if unstored.files.is_empty() {
            return Ok(());
        }
        let job = self.shared.update(self.id, move |job| {
            job.fetched.extend(unstored.files);
        });
        let job = job.await.map_err(Failure::Store)?;
        job.ok_or(Failure::Gone)?;
        self.shared.at("fetch-stored");
        Ok(())
    }
}

impl Attempt<'_> {
    /// Brings all files of `placing` into the building of `job`, or finds that they lie in `place` already.
    pub(super) async fn fetch(
        &mut self,
        job: &Arc<Job>,
        content: &Path,
        placing: &Arc<Placing>,
    ) -> Result<(), Trouble> {
        let Placing::Files { place, entries, .. } = &**placing else {
            return Ok(());
        };
        let building = files::building(job);
        let have = survey(self.shared, job, content, placing).await;
        let have = have.map_err(|error| disk(&building, &error))?;
        let whole = |(entry, have): (&Entry, &Have)| match (&entry.content, have) {
            (What::Fetched(bytes), Have::Placed) => *bytes,
            (What::Fetched(_), Have::Part(there)) => *there,
            (What::Text(_), _) => 0,
        };
        let there = total(entries.iter().zip(&have).map(whole));
        let wanted = |entry: &Entry| match entry.content {
            What::Fetched(bytes) => bytes,
            What::Text(_) => 0,
        };
        let all = total(entries.iter().map(wanted));
        let owed = all.saturating_sub(there);
        let space = self.shared.disks.space_at(&building).await;
        if let Some(space) = space.filter(|space| space.free < owed) {
            let words = format!(
                "the disk of {} is full: {owed} bytes are needed and {} are free",
                job.save_path.display(),
                space.free
            );
            return Err(Trouble::Later(words, FULL));
        }
        let progress = AtomicU64::new(there);
        let kept = Kept {
            shared: self.shared,
            id: job.id(),
            unstored: Mutex::default(),
        };
        let fetches =
            entries
                .iter()
                .zip(&have)
                .filter_map(|(entry, have)| match (&entry.content, have) {
                    (What::Fetched(bytes), Have::Part(there)) if there < bytes => {
                        let fetch = Fetch {
                            shared: self.shared,
                            hash: job.hash,
                            path: &entry.path,
                            place,
                            part: building.join(&entry.path),
                            bytes: *bytes,
                            progress: &progress,
                            kept: &kept,
                        };
                        Some(fetch.run(*there))
                    }
                    _ => None,
                });
        // Each goes as far as it can, whatever becomes of the others: what was fetched is kept.
        let fetched = tokio::select! {
            fetched = join_all(fetches) => fetched,
            never = tell(self.shared, job.id(), &progress) => never,
        };
        let stored = kept.store().await.map_err(|failure| ("", failure));
        let at = progress.load(Ordering::Relaxed);
        self.shared.live(job.id(), |live| {
            live.fetched = at;
            live.speed = 0;
        });
        if let Some((path, failure)) = fetched.into_iter().chain([stored]).find_map(Result::err) {
            return Err(match failure {
                Failure::Read(ProbeError::Refused(why)) => {
                    let words = format!("{path} cannot be read: {why}");
                    self.refused_in(job, path, words).await
                }
                Failure::Read(ProbeError::NoAnswer(why)) => {
                    let words = format!("{path} cannot be read just now: {why}");
                    Trouble::Later(words, Duration::ZERO)
                }
                Failure::Disk(error) => disk(&building.join(path), &error),
                Failure::Store(error) => error.into(),
                Failure::Gone => Trouble::Later("it was removed".to_owned(), Duration::ZERO),
            });
        }
        self.shared.at("fetched");
        Ok(())
    }
}

impl Attempt<'_> {
    /// The file of `job` at `path` was refused half-way: it is left out if the release can do without.
    async fn refused_in(&mut self, job: &Arc<Job>, path: &str, words: String) -> Trouble {
        if left_out::decides(&job.files, path) {
            return self.refused(words);
        }
        if let Err(later) = self.refused_lesser(words.clone()) {
            return later;
        }
        let (mut files, told) = (job.files.clone(), words.clone());
        let dead = BTreeMap::from([(path.to_owned(), told)]);
        let leave_out = move |job: &mut Job| {
            let more = left_out::of(&mut files, &dead);
            let reasons = [job.reason.take(), more].into_iter().flatten();
            job.reason = Some(reasons.collect::<Vec<_>>().join("; "));
            job.files = files;
        };
        match self.shared.update(job.id(), leave_out).await {
            Ok(_) => Trouble::Later(words, Duration::ZERO),
            Err(error) => error.into(),
        }
    }
}

/// Looks what there is of each file of `placing`, which is put at `content`.
async fn survey(
    shared: &Arc<Shared>,
    job: &Arc<Job>,
    content: &Path,
    placing: &Arc<Placing>,
) -> io::Result<Vec<Have>> {
    let (hash, owner) = (job.hash, shared.clone());
    let (job, placing) = (job.clone(), placing.clone());
    let survey = move || {
        let Placing::Files { place, entries, .. } = &*placing else {
            return Ok(Vec::new());
        };
        // Another request of the release may have them as well.
        let earlier = job.content.clone().or_else(|| {
            let memory = owner.read();
            let mut others = memory.of(job.hash);
            others.find_map(|other| other.content.clone().filter(|_| other.action == job.action))
        });
        let earlier = earlier.as_deref();
        // A folder that is not configured any more is left alone.
        let earlier = earlier.and_then(|earlier| owner.config.spot(earlier).ok());
        let earlier = earlier.filter(|earlier| earlier != place);
        let stored = |path: &str| job.fetched.get(path).copied().unwrap_or(0);
        files::survey(hash, place, earlier.as_ref(), entries, stored)
    };
    shared.on_disk(hash, content, survey).await
}

/// What a disk's refusal means: it is tried again, and nothing of what is there is lost.
fn disk(path: &Path, error: &io::Error) -> Trouble {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    match full {
        true => Trouble::Later(
            format!("the disk is full: {}: {error}", path.display()),
            FULL,
        ),
        false => Trouble::Later(format!("{}: {error}", path.display()), Duration::ZERO),
    }
}

/// Shows how far the job is, and how fast.
async fn tell(shared: &Arc<Shared>, id: JobId, progress: &AtomicU64) -> ! {
    let (mut last, mut before) = (Instant::now(), progress.load(Ordering::Relaxed));
    loop {
        let at = progress.load(Ordering::Relaxed);
        let time = last.elapsed().as_secs_f64();
        let speed = match time > 0.0 {
            true => (at.saturating_sub(before) as f64 / time) as u64,
            false => 0,
        };
        (last, before) = (Instant::now(), at);
        shared.live(id, |live| {
            live.fetched = at;
            live.speed = speed;
            if speed > 0 {
                live.trouble = None;
            }
        });
        sleep(TELL_EVERY).await;
    }
}

impl<'a> Fetch<'a> {
    async fn run(self, there: u64) -> Result<(), (&'a str, Failure)> {
        let path = self.path;
        self.from(there).await.map_err(|failure| (path, failure))
    }

    async fn from(self, there: u64) -> Result<(), Failure> {
        // Closed only with the queue.
        let _turn = self
            .shared
            .fetching
            .acquire()
            .await
            .map_err(|_| Failure::Gone)?;
        let library = &self.shared.library;
        let gone = || ProbeError::NoAnswer("it is not shown any more".to_owned());
        let whole = library.whole(self.hash, self.path).await;
        let whole: Arc<dyn WholeFile> = whole.ok_or_else(gone).map_err(Failure::Read)?.into();
        let (hash, place, path) = (self.hash, self.place.clone(), self.path.to_owned());
        let open = move || files::open_part(hash, &place, &path);
        let file = Arc::new(self.on_disk(open).await?);
        self.shared.at("fetch-begun");
        let (mut at, mut stored) = (there, there);
        let pieces = stream::iter((there..self.bytes).step_by(PIECE as usize)).map(|offset| {
            let size = u64::from(PIECE).min(self.bytes - offset);
            let whole = whole.clone();
            async move {
                self.shared.pace.take(size).await;
                // It fits, as a piece does.
                (size, whole.read(offset, size as u32).await)
            }
        });
        let mut pieces = std::pin::pin!(pieces.buffered(AHEAD));
        let outcome = loop {
            let Some((size, piece)) = pieces.next().await else {
                break Ok(());
            };
            if let Err(failure) = self.write(&file, at, size, piece).await {
                break Err(failure);
            }
            at += size;
            self.progress.fetch_add(size, Ordering::Relaxed);
            if at - stored >= STORED_EVERY {
                self.keep(&file, at, at - stored).await?;
                stored = at;
            }
        };
        // Also what came before a failure is not to be fetched again.
        if at > stored {
            self.keep(&file, at, at - stored).await?;
        }
        outcome
    }

    /// Notes that the file's first `at` bytes are on the disk, once they are.
    #[allow(clippy::disallowed_methods, reason = "on a thread of the volume")]
    async fn keep(&self, file: &Arc<File>, at: u64, more: u64) -> Result<(), Failure> {
        let synced = file.clone();
        self.on_disk(move || synced.sync_data()).await?;
        self.kept.note(self.path, at, more).await
    }

    /// Writes one piece, if it is whole.
    async fn write(
        &self,
        file: &Arc<File>,
        at: u64,
        size: u64,
        piece: Result<Vec<Bytes>, ProbeError>,
    ) -> Result<(), Failure> {
        let piece = piece.map_err(Failure::Read)?;
        if piece.iter().map(|bytes| bytes.len() as u64).sum::<u64>() != size {
            let words = "fewer bytes than there should be".to_owned();
            return Err(Failure::Read(ProbeError::NoAnswer(words)));
        }
        let file = file.clone();
        self.on_disk(move || files::write(&file, at, &piece)).await
    }

    /// Runs `work` on a thread of the volume that the file lies on.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let volume = self.shared.disks.volume(&self.part);
        volume.io(&self.part, work).await.map_err(Failure::Disk)
    }
}
