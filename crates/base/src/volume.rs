//! Volumes that may hang: a network disk that is away, a FUSE mount that nobody serves.
//!
//! A thread in a system call of such a volume comes back when the volume does. So what touches a
//! volume takes at most [`THREADS`] of the runtime's blocking threads, of which there are 512, and
//! nobody waits for a volume that is [silent](Volume::silence): the work is refused, to be tried
//! again later. What a thread has begun goes on, though nobody waits for it any more; no other work
//! on the same path begins before it has ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Threads that may be in system calls of one volume: as many as read the cache, which they serve
/// as fast as more do.
pub const THREADS: usize = 4;
/// A volume that has not come back with something for so long is silent. A disk that is only busy takes
/// a second or two for a sync; an engine without a sign of life is ended after as long.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// How often whoever waits looks whether the volume is silent.
const LOOK: Duration = Duration::from_secs(1);
/// Where the program keeps what it knows: its databases and all that lies beside them.
static STATE: LazyLock<Volume> = LazyLock::new(|| Volume::new("state"));
/// Where programs of the user are started from.
static PROGRAMS: LazyLock<Volume> = LazyLock::new(|| Volume::new("hooks"));

thread_local! {
    /// Of what this thread is doing for a volume.
    static SIGN: RefCell<Option<Arc<Sign>>> = const { RefCell::new(None) };
}

/// When a thread last gave a sign of life, in milliseconds of [`now`].
#[derive(Debug)]
struct Sign(AtomicU64);

/// A volume, or a folder that may lie on one of its own. Clones share everything.
#[derive(Debug, Clone)]
pub struct Volume {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    turns: Arc<Semaphore>,
    state: Mutex<State>,
    /// Told when work ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Work that was begun, by number.
    begun: BTreeMap<u64, Begun>,
    next: u64,
    /// The log knows that it is silent.
    told: bool,
}

#[derive(Debug)]
struct Begun {
    path: PathBuf,
    sign: Arc<Sign>,
}

/// That a volume does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The volume's name.
    pub volume: String,
    /// What it was last asked about.
    pub path: PathBuf,
    /// When it last gave a sign of life.
    pub since: Timestamp,
}

/// Why work was not done, or not in time: in the latter case it may still end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The volume is silent.
    #[error(
        "the {} volume has not answered since {:.0} ({}); bring its disk or share back, and it is tried again",
        _0.volume, _0.since, _0.path.display()
    )]
    Silent(Silence),
    /// The program is.
    #[error("the program is stopping")]
    Stopping,
}

impl From<NoAnswer> for io::Error {
    fn from(error: NoAnswer) -> Self {
        Self::new(io::ErrorKind::TimedOut, error)
    }
}

/// The time on the clock of [`Sign`]. An hour in at the first use, so that earlier times have
/// numbers as well.
fn now() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGIN.elapsed().as_millis()).map_or(u64::MAX, |passed| passed + 3_600_000)
}

/// Says that the work this thread does for a volume goes on: for work of many steps, of which each
/// is quick. Of no consequence elsewhere.
pub fn alive() {
    SIGN.with_borrow(|sign| {
        if let Some(sign) = sign {
            sign.0.store(now(), Ordering::Relaxed);
        }
    });
}

impl Volume {
    /// A volume that people know by `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                name: name.into(),
                turns: Arc::new(Semaphore::new(THREADS)),
                state: Mutex::default(),
                ended: Notify::new(),
            }),
        }
    }

    /// The volume of the state directory.
    pub fn state() -> &'static Self {
        &STATE
    }

    /// The volume of the user's programs.
    pub fn programs() -> &'static Self {
        &PROGRAMS
    }

    /// What people know it by.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Since when it has not answered, if it is silent: something that it has to do gave no sign of
    /// life for [`SILENT_AFTER`]. What else it does meanwhile is no answer to that: a disk may be
    /// read and take no writes.
    pub fn silence(&self) -> Option<Silence> {
        let mut state = self.shared.state.lock();
        let (path, last) = state.silent()?;
        let ago = Duration::from_millis(now().saturating_sub(last));
        let silence = Silence {
            volume: self.shared.name.clone(),
            path: path.to_owned(),
            since: Timestamp::now().saturating_sub(ago).unwrap_or_default(),
        };
        if !std::mem::replace(&mut state.told, true) {
            tracing::error!(volume = silence.volume, path = %silence.path.display(), since = %silence.since, "a volume does not answer; it is passed by until it does");
        }
        Some(silence)
    }

    /// Runs `work`, which touches `path`, on a thread of this volume, after other work on that path.
    ///
    /// # Errors
    /// [`NoAnswer`]: the volume is silent. What was begun by then may still be done.
    ///
    /// # Panics
    /// As `work` does.
    pub async fn run<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let turn = self.turn(path).await?;
        let mut work = tokio::task::spawn_blocking(move || turn.take(work));
        loop {
            tokio::select! {
                done = &mut work => return match done {
                    Ok(value) => Ok(value),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => Err(NoAnswer::Stopping),
                },
                () = sleep(LOOK) => self.must_answer()?,
            }
        }
    }

    /// As [`Self::run`], for work that may fail itself.
    ///
    /// # Errors
    /// Of `work`, and `TimedOut` as [`NoAnswer`].
    pub async fn io<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.run(path, work).await?
    }

    /// Notes that this thread, which belongs to somebody else, touches `path` until the answer is
    /// dropped.
    pub fn enter(&self, path: &Path) -> Entered {
        let mut state = self.shared.state.lock();
        let at_work = self.shared.begin(&mut state, path, None);
        Entered {
            _signing: Signing::of(&at_work),
            _at_work: at_work,
        }
    }

    fn must_answer(&self) -> Result<(), NoAnswer> {
        self.silence()
            .map_or(Ok(()), |silence| Err(NoAnswer::Silent(silence)))
    }

    /// Waits for the end of other work on `path`, and for a thread.
    async fn turn(&self, path: &Path) -> Result<AtWork, NoAnswer> {
        self.must_answer()?;
        loop {
            loop {
                let ended = self.shared.ended.notified();
                if !self.shared.state.lock().is_touched(path) {
                    break;
                }
                tokio::select! {
                    () = ended => {}
                    () = sleep(LOOK) => self.must_answer()?,
                }
            }
            let mut turn = pin!(self.shared.turns.clone().acquire_owned());
            let permit = loop {
                tokio::select! {
                    biased;
                    permit = &mut turn => break permit.map_err(|_| NoAnswer::Stopping)?,
                    () = sleep(LOOK) => self.must_answer()?,
                }
            };
            let mut state = self.shared.state.lock();
            if !state.is_touched(path) {
                return Ok(self.shared.begin(&mut state, path, Some(permit)));
            }
        }
    }
}

impl State {
    fn is_touched(&self, path: &Path) -> bool {
        self.begun.values().any(|begun| begun.path == path)
    }

    /// What gave no sign of life for longest, and its last one, if that is long ago.
    fn silent(&self) -> Option<(&Path, u64)> {
        let signs = self
            .begun
            .values()
            .map(|begun| (&*begun.path, begun.sign.0.load(Ordering::Relaxed)));
        let (path, last) = signs.min_by_key(|(_, last)| *last)?;
        let ago = Duration::from_millis(now().saturating_sub(last));
        (ago > SILENT_AFTER).then_some((path, last))
    }
}

impl Shared {
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        path: &Path,
        permit: Option<OwnedSemaphorePermit>,
    ) -> AtWork {
        let sign = Arc::new(Sign(AtomicU64::new(now())));
        let number = state.next;
        state.next += 1;
        let begun = Begun {
            path: path.to_owned(),
            sign: sign.clone(),
        };
        state.begun.insert(number, begun);
        AtWork {
            shared: self.clone(),
            number,
            sign,
            _permit: permit,
        }
    }
}

/// This thread touches a volume, until this is dropped; see [`Volume::enter`].
#[derive(Debug)]
pub struct Entered {
    _signing: Signing,
    _at_work: AtWork,
}

/// The signs of life of this thread are those of some work, until this is dropped.
#[derive(Debug)]
struct Signing {
    before: Option<Arc<Sign>>,
}

impl Signing {
    fn of(work: &AtWork) -> Self {
        Self {
            before: SIGN.replace(Some(work.sign.clone())),
        }
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        SIGN.set(self.before.take());
    }
}

/// Work that was begun; it has ended when this is dropped.
#[derive(Debug)]
struct AtWork {
    shared: Arc<Shared>,
    number: u64,
    sign: Arc<Sign>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AtWork {
    fn take<T>(self, work: impl FnOnce() -> T) -> T {
        let _signing = Signing::of(&self);
        work()
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.begun.remove(&self.number);
        if state.told && state.silent().is_none() {
            state.told = false;
            tracing::info!(volume = self.shared.name, "the volume answers again");
        }
        drop(state);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Makes what goes on there look as if it had gone on for longer than a volume may be silent.
    fn age(volume: &Volume) {
        let state = volume.shared.state.lock();
        let long_ago = now().saturating_sub(2 * SILENT_AFTER.as_millis() as u64);
        for begun in state.begun.values() {
            begun.sign.0.store(long_ago, Ordering::Relaxed);
        }
    }

    type Release = mpsc::Sender<()>;

    /// Begins work on `path` that hangs until it is released.
    async fn hang(volume: &Volume, path: &str) -> (tokio::task::JoinHandle<bool>, Release) {
        let (release, wait) = mpsc::channel::<()>();
        let (volume, path) = (volume.clone(), PathBuf::from(path));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let hung = volume.run(&path, move || {
                let _ = begun.send(());
                let _ = wait.recv();
            });
            hung.await.is_ok()
        });
        has_begun.await.unwrap();
        (task, release)
    }

    #[tokio::test]
    async fn a_volume_that_hangs_refuses_whoever_comes_and_answers_again() {
        let volume = Volume::new("downloads");
        let (hung, release) = hang(&volume, "/downloads/a").await;
        assert_eq!(volume.silence(), None, "not yet");
        age(&volume);
        let silence = volume.silence().unwrap();
        assert_eq!(
            (&*silence.volume, silence.path),
            ("downloads", "/downloads/a".into())
        );
        // Who waits is let go.
        assert!(!hung.await.unwrap());
        let refused = volume.run(Path::new("/downloads/b"), || ()).await;
        assert!(matches!(refused, Err(NoAnswer::Silent(_))));
        release.send(()).unwrap();
        while volume.silence().is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(volume.run(Path::new("/downloads/a"), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn what_is_read_meanwhile_is_no_answer_to_a_write_that_hangs() {
        let volume = Volume::new("downloads");
        let (_hung, _release) = hang(&volume, "/downloads/a").await;
        let reader = volume.clone();
        let read = volume.run(Path::new("/downloads/b"), move || age(&reader));
        assert_eq!(read.await, Ok(()));
        assert!(volume.silence().is_some());
    }

    #[tokio::test]
    async fn no_more_threads_than_agreed_are_taken() {
        let volume = Volume::new("downloads");
        let mut hung = Vec::new();
        for number in 0..THREADS {
            hung.push(hang(&volume, &format!("/downloads/{number}")).await);
        }
        let waiting = (0..600).map(|number| {
            let volume = volume.clone();
            tokio::spawn(async move {
                let path = PathBuf::from(format!("/downloads/more/{number}"));
                volume.run(&path, || ()).await
            })
        });
        let waiting: Vec<_> = waiting.collect();
        // The runtime's other threads are there for others.
        assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
        age(&volume);
        for refused in waiting {
            assert!(matches!(refused.await.unwrap(), Err(NoAnswer::Silent(_))));
        }
        assert_eq!(volume.shared.state.lock().begun.len(), THREADS);
    }

    #[tokio::test]
    async fn work_of_many_steps_is_no_silence() {
        let volume = Volume::new("downloads");
        let (stepped, step) = (volume.clone(), volume.clone());
        let done = volume.run(Path::new("/downloads/a"), move || {
            age(&stepped);
            let before = step.shared.state.lock().silent().is_some();
            alive();
            (before, step.shared.state.lock().silent().is_some())
        });
        assert_eq!(done.await, Ok((true, false)));
    }

    #[tokio::test]
    async fn work_on_one_path_is_done_in_turn() {
        let volume = Volume::new("downloads");
        let (first, release) = hang(&volume, "/downloads/a").await;
        let other = volume.clone();
        let second = tokio::spawn(async move { other.run(Path::new("/downloads/a"), || 2).await });
        assert_eq!(volume.run(Path::new("/downloads/b"), || 3).await, Ok(3));
        assert!(!second.is_finished());
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        assert_eq!(second.await.unwrap(), Ok(2));
    }
}
