//! Moves releases to another account: adds there, waits until all is there, compares, and deletes the source if that was asked.
//!
//! Each step is stored before and after it is done, so a kill at any moment costs no more than the step. One step of one move is made at a time, behind all
//! other calls to the providers and within their limits.

mod job;
mod step;
mod store;
mod ward;

pub use job::{Ask, Move, MoveStep, SourceCopy};
pub use ward::{Compared, MoveWard};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::WallClock;
use debridfs_provider::InfoHash;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::store::StoredMoves;
use crate::StoreError;
use crate::store::put;

/// A step that takes longer is given up and made again.
const LONGEST: Duration = Duration::from_secs(900);
/// How long moves that ended are listed.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Moves that are listed at most; more are refused until some have ended.
const MOST: usize = 10_000;
/// When nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// Why a move was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// There is no such account.
    #[error("no provider is called {0:?}; `debridfs provider ls` lists them")]
    NoProvider(String),
    /// Nobody has it but the target.
    #[error("no provider but {0} holds it: there is nothing to move")]
    NothingToMove(String),
    /// It would have to be known what is deleted.
    #[error("{} hold it: say with --from NAME which of them loses it", .0.join(", "))]
    SeveralSources(Vec<String>),
    /// The one that should lose it does not have it.
    #[error("{0} does not hold it")]
    NotThere(String),
    /// Too many.
    #[error("{MOST} moves are under way: wait until some have ended")]
    TooMany,
    /// There is no such move.
    #[error("it is not being moved")]
    Unknown,
}

/// Moves of releases between accounts.
pub struct Moves {
    ward: Arc<dyn MoveWard>,
    clock: Arc<dyn WallClock>,
    path: PathBuf,
    moves: Mutex<BTreeMap<InfoHash, Move>>,
    /// One write at a time, each of the newest state.
    writing: AsyncMutex<()>,
    wake: Notify,
}

impl std::fmt::Debug for Moves {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Moves")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Moves {
    /// Goes on from what is stored at `path`; does nothing before [`Self::run`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        path: &Path,
        ward: Arc<dyn MoveWard>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, StoreError> {
        let stored = StoredMoves::load(path, clock.now())?;
        let moves = stored.moves.into_iter().map(|one| (one.hash, one));
        Ok(Arc::new(Self {
            ward,
            clock,
            path: path.to_owned(),
            moves: Mutex::new(moves.collect()),
            writing: AsyncMutex::new(()),
            wake: Notify::new(),
        }))
    }

    /// All that are under way or ended lately, the first asked first.
    pub fn list(&self) -> Vec<Move> {
        let mut all: Vec<Move> = self.moves.lock().values().cloned().collect();
        all.sort_by_key(|one| (one.asked, one.hash));
        all
    }

    /// Begins a move, or goes on with the one that is under way for the same release and target.
    ///
    /// # Errors
    /// [`MoveError`]: nothing was begun.
    pub async fn ask(&self, ask: Ask) -> Result<Move, MoveError> {
        if self.ward.provider(&ask.to).is_none() {
            return Err(MoveError::NoProvider(ask.to));
        }
        let held = self.ward.copies(ask.hash).await;
        let begun = self.begin(ask, &held)?;
        self.keep().await;
        self.wake.notify_one();
        Ok(begun)
    }

    fn begin(&self, ask: Ask, held: &[SourceCopy]) -> Result<Move, MoveError> {
        let now = self.clock.now();
        let mut moves = self.moves.lock();
        let going = moves.get_mut(&ask.hash).filter(|one| !one.step.is_over());
        if let Some(going) = going.filter(|one| one.to == ask.to) {
            going.remove_source |= ask.remove_source;
            going.next = now;
            return Ok(going.clone());
        }
        if moves.len() >= MOST && !moves.contains_key(&ask.hash) {
            return Err(MoveError::TooMany);
        }
        let begun = Move::begin(ask, held, now)?;
        moves.insert(begun.hash, begun.clone());
        Ok(begun)
    }

    /// Ends a move where it is. What was added stays.
    ///
    /// # Errors
    /// [`MoveError::Unknown`].
    pub async fn stop(&self, hash: InfoHash) -> Result<Move, MoveError> {
        let stopped = self.moves.lock().remove(&hash);
        let stopped = stopped.ok_or(MoveError::Unknown)?;
        self.keep().await;
        Ok(stopped)
    }

    /// Until `shutdown`. To be called once, and again after a panic.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.go_on() => {}
        }
    }

    async fn go_on(&self) {
        loop {
            let now = self.clock.now();
            let due = {
                let mut moves = self.moves.lock();
                moves
                    .retain(|_, one| !one.step.is_over() || now.duration_since(one.changed) < KEPT);
                let open = moves.values().filter(|one| !one.step.is_over());
                open.min_by_key(|one| (one.next, one.asked)).cloned()
            };
            let wait = due.as_ref().map_or(IDLE, |one| {
                Duration::try_from(one.next.duration_since(now)).unwrap_or_default()
            });
            match due.filter(|_| wait.is_zero()) {
                Some(one) => self.advance(one).await,
                None => tokio::select! {
                    () = sleep(wait.min(IDLE)) => {}
                    () = self.wake.notified() => {}
                },
            }
        }
    }

    async fn advance(&self, one: Move) {
        let before = one.step.clone();
        let hash = one.hash;
        let made = timeout(LONGEST, self.step(one.clone())).await;
        let mut after = made.unwrap_or_else(|_| one.wait("no answer", self.clock.now()));
        if after.step != before {
            tracing::info!(
                name = after.name,
                to = after.to,
                step = after.step.label(),
                "moving: {}",
                after.words
            );
        }
        {
            let mut moves = self.moves.lock();
            // It may have been stopped meanwhile, or be another one.
            match moves.get_mut(&hash) {
                Some(known) if known.asked == after.asked => {
                    after.remove_source |= known.remove_source;
                    *known = after;
                }
                _ => return,
            }
        }
        self.keep().await;
    }

    /// Notes what is about to be done, and puts it on the disk: nothing is done that is not remembered. Whether it still is to be done.
    async fn note(&self, one: &Move) -> bool {
        {
            let mut moves = self.moves.lock();
            match moves.get_mut(&one.hash) {
                Some(known) if known.asked == one.asked => known.clone_from(one),
                _ => return false,
            }
        }
        self.keep().await;
        true
    }

    /// Puts the moves on the disk, however long that takes.
    async fn keep(&self) {
        let _writing = self.writing.lock().await;
        let newest = || StoredMoves::new(self.moves.lock().values().cloned().collect());
        while !put(newest(), &self.path, "moves").await {}
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
