//! Which backend answers: chosen at the start, switched on the live connection, or rolled out on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use debridfs_handover::InHeader;
use debridfs_vfs::{Change, Vfs};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use utoipa::ToSchema;

use crate::backend::{Backend, Call, Outcome};
use crate::backend_kind::BackendKind;
use crate::native::Native;
use crate::remembered::Kept;
use crate::rollout::{Decisions, Mix, MixCell, RolloutSettings, Running, Sampler, Side};
use crate::second_try::SecondTryVfs;
use crate::shadow::{Compared, Shadow};
use crate::trial::trial;
use crate::wire::Reply;

/// Makes a backend in front of a library, or says why it cannot.
pub type MakeBackend =
    Arc<dyn Fn(BackendKind, Arc<dyn Vfs>) -> Result<Box<dyn Backend>, String> + Send + Sync>;

/// What was found out about a backend before it was let at requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tried {
    /// Which.
    pub backend: BackendKind,
    /// Why it cannot answer; `None` when it can.
    pub reason: Option<String>,
}

/// Why no switch was made.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The backend did not pass its trial.
    #[error("the backend {backend} cannot answer: {reason}")]
    Unavailable {
        /// Which.
        backend: BackendKind,
        /// What its trial said.
        reason: String,
    },
    /// There was no switch before.
    #[error("no switch was made that could be taken back")]
    NothingBefore,
}

/// All backends in front of one library. One of them answers; another can take its place between two
/// requests, or bit by bit. What waits is answered by the one that began it.
pub struct Backends {
    pub(crate) vfs: Arc<dyn Vfs>,
    native: Box<dyn Backend>,
    fbrs: Option<Box<dyn Backend>>,
    tried: Vec<Tried>,
    /// Who answers what.
    mix: MixCell,
    switches: AtomicU64,
    /// Who is to answer, by the configuration.
    configured: Mutex<BackendKind>,
    shadow: Shadow,
    pub(crate) sampler: Sampler,
    pub(crate) decisions: Decisions,
    pub(crate) settings: Mutex<RolloutSettings>,
    /// Its lock keeps two changes of who answers apart.
    pub(crate) control: Mutex<Control>,
    /// Something is to be kept or looked after.
    pub(crate) news: Notify,
    /// Held while it is written who answers: a later word is not overwritten by an earlier one.
    pub(crate) keeping: tokio::sync::Mutex<()>,
}

/// What changes with who answers.
#[derive(Default)]
pub(crate) struct Control {
    /// Who answered before the last switch.
    pub(crate) before: Option<BackendKind>,
    /// The rollout that is under way.
    pub(crate) running: Option<Running>,
    /// What is compared without a rollout, in percent.
    pub(crate) compare_percent: f64,
    /// The kernel is to be told to forget all, which was not done yet.
    pub(crate) owes_all: bool,
    /// When the kernel was last told to forget something.
    pub(crate) took_back: Option<tokio::time::Instant>,
    /// What is kept for the next engine is out of date.
    pub(crate) stale: bool,
}

impl Backends {
    /// Tries all backends in front of `vfs`, and lets one answer: the one that an earlier engine
    /// `kept`, unless the configuration changed since, or else `configured`; `fallback` when that
    /// one does not pass its trial; `native`, which needs nothing, when no other does. A rollout that
    /// was under way goes on.
    pub fn new(
        vfs: &Arc<dyn Vfs>,
        configured: BackendKind,
        kept: Option<Kept>,
        fallback: BackendKind,
    ) -> Self {
        Self::made_by(&maker(), vfs, configured, kept, fallback)
    }

    /// The same with backends that `make` makes.
    pub fn made_by(
        make: &MakeBackend,
        vfs: &Arc<dyn Vfs>,
        configured: BackendKind,
        kept: Option<Kept>,
        fallback: BackendKind,
    ) -> Self {
        let switched = kept.as_ref().and_then(|kept| kept.switched(configured));
        let wanted = switched.unwrap_or(configured);
        let vfs: Arc<dyn Vfs> = Arc::new(SecondTryVfs::new(Arc::clone(vfs)));
        let native: Box<dyn Backend> = match make(BackendKind::Native, Arc::clone(&vfs)) {
            Ok(native) => native,
            Err(_) => Box::new(Native::new(Arc::clone(&vfs))),
        };
        let mut tried = vec![Tried {
            backend: BackendKind::Native,
            reason: trial(native.as_ref(), vfs.as_ref()).err(),
        }];
        let made = make(BackendKind::Fbrs, Arc::clone(&vfs));
        let passed = made.and_then(|one| trial(one.as_ref(), vfs.as_ref()).map(|()| one));
        tried.push(Tried {
            backend: BackendKind::Fbrs,
            reason: passed.as_ref().err().cloned(),
        });
        let chosen = choose(&tried, wanted, fallback);
        let backends = Self {
            shadow: Shadow::new(Arc::clone(&vfs), Arc::clone(make)),
            vfs,
            native,
            fbrs: passed.ok(),
            tried,
            mix: MixCell::new(Mix::only(chosen)),
            switches: AtomicU64::new(0),
            configured: Mutex::new(configured),
            sampler: Sampler::default(),
            decisions: Decisions::default(),
            settings: Mutex::default(),
            control: Mutex::default(),
            news: Notify::new(),
            keeping: tokio::sync::Mutex::default(),
        };
        if let Some(kept) = kept {
            backends.resume(kept);
        }
        backends
    }

    /// The one that answers; during a rollout the one that did before.
    pub fn active(&self) -> BackendKind {
        self.mix.get().active()
    }

    /// Who answered before the last switch.
    pub fn before(&self) -> Option<BackendKind> {
        self.control.lock().before
    }

    /// Who is to answer by the configuration.
    pub fn configured(&self) -> BackendKind {
        *self.configured.lock()
    }

    /// Takes over a configuration that changed: it is a later word than any switch.
    ///
    /// # Errors
    /// As [`Self::switch`].
    pub fn configure(&self, to: BackendKind) -> Result<(), SwitchError> {
        *self.configured.lock() = to;
        self.switch(to)
    }

    /// Lets the backend that does not answer run beside the one that does, for `percent` of the
    /// requests (0 to 100). During a rollout it may be more.
    pub fn compare(&self, percent: f64) {
        let mut control = self.control.lock();
        control.compare_percent = percent;
        self.compare_as_needed(&control);
    }

    pub(crate) fn compare_as_needed(&self, control: &Control) {
        let running = control.running.as_ref();
        let rollout = running.map_or(0.0, |running| {
            running.machine.progress().settings.compare_percent
        });
        self.shadow
            .set_percent(control.compare_percent.max(rollout));
    }

    /// What the comparison found.
    pub fn compared(&self) -> Compared {
        self.shadow.compared()
    }

    /// Requests that were compared, and those of them about which the backends differ.
    pub(crate) fn compared_sums(&self) -> (u64, u64) {
        self.shadow.sums()
    }

    /// What the trials said.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// Why `kind` cannot answer, by its trial; `None` when it can.
    pub(crate) fn lacks(&self, kind: BackendKind) -> Option<&str> {
        lacks(&self.tried, kind)
    }

    pub(crate) fn require(&self, kind: BackendKind) -> Result<(), SwitchError> {
        match self.lacks(kind) {
            None => Ok(()),
            Some(reason) => Err(SwitchError::Unavailable {
                backend: kind,
                reason: reason.to_owned(),
            }),
        }
    }

    /// Switches since the engine started.
    pub fn switches(&self) -> u64 {
        self.switches.load(Relaxed)
    }

    /// Lets `to` answer from the next request on. Requests that wait are answered by the backend that
    /// began them. A rollout that is under way ends: promoted where `to` is what is rolled out, rolled
    /// back otherwise.
    ///
    /// # Errors
    /// [`SwitchError::Unavailable`]; then nothing changes.
    pub fn switch(&self, to: BackendKind) -> Result<(), SwitchError> {
        let mut control = self.control.lock();
        self.require(to)?;
        if control.running.is_some() {
            self.end_by_hand(&mut control, to);
        }
        self.switch_to(&mut control, to);
        Ok(())
    }

    pub(crate) fn switch_to(&self, control: &mut Control, to: BackendKind) {
        let from = self.active();
        if from != to {
            self.mix.set(Mix::only(to));
            control.before = Some(from);
            control.stale = true;
            self.switches.fetch_add(1, Relaxed);
            tracing::info!(%from, %to, "another backend answers");
        }
    }

    pub(crate) fn set_mix(&self, mix: Mix) {
        self.mix.set(mix);
    }

    /// Takes a rollout back that is under way, or else lets the one answer that did before the last
    /// switch; says which that is.
    ///
    /// # Errors
    /// [`SwitchError::NothingBefore`] without either; otherwise as [`Self::switch`].
    pub fn rollback(&self) -> Result<BackendKind, SwitchError> {
        let mut control = self.control.lock();
        if let Some(running) = &control.running {
            let from = running.machine.progress().from;
            self.end_by_hand(&mut control, from);
            return Ok(from);
        }
        let before = control.before.ok_or(SwitchError::NothingBefore)?;
        self.require(before)?;
        self.switch_to(&mut control, before);
        Ok(before)
    }

    /// Lets `kind` answer, and compares its reply where it is one to compare.
    fn by(&self, kind: BackendKind, call: Call<'_>, reply: &mut Reply) -> Outcome {
        if self.shadow.takes()
            && self.lacks(kind.other()).is_none()
            && let Some(outcome) = self.shadow.answer(kind, kind.other(), call, reply)
        {
            return outcome;
        }
        match (kind, &self.fbrs) {
            (BackendKind::Fbrs, Some(fbrs)) => fbrs.answer(call, reply),
            _ => self.native.answer(call, reply),
        }
    }
}

impl Backend for Backends {
    fn name(&self) -> &'static str {
        self.active().name()
    }

    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome {
        // Before who answers is read: a rollback changes it afterwards.
        let epoch = self.sampler.epoch();
        let mix = self.mix.get();
        if !mix.is_mixed() {
            return self.by(mix.active(), call, reply);
        }
        let Some(header) = InHeader::decode(call.request) else {
            return self.by(mix.active(), call, reply);
        };
        let (side, kind) = match mix.takes(header.node) {
            true => (Side::Canary, mix.active().other()),
            false => (Side::Primary, mix.active()),
        };
        let sampled = self.sampler.sampled(side, epoch, &header, call.request);
        sampled.answer(call, reply, |call, reply| self.by(kind, call, reply))
    }

    fn distrusted(&self) -> Option<UnboundedReceiver<Vec<Change>>> {
        Some(self.sampler.distrusted())
    }
}

/// Who answers by the trials.
fn choose(tried: &[Tried], wanted: BackendKind, fallback: BackendKind) -> BackendKind {
    let mut order = [wanted, fallback].into_iter();
    let chosen = order.find(|kind| lacks(tried, *kind).is_none());
    let chosen = chosen.unwrap_or(BackendKind::Native);
    for Tried { backend, reason } in tried {
        match reason {
            Some(reason) => tracing::warn!(%backend, "the backend cannot answer: {reason}"),
            None => tracing::debug!(%backend, "the backend can answer"),
        }
    }
    if chosen == wanted {
        tracing::info!(backend = %chosen, "the backend that was asked for answers");
    } else {
        tracing::warn!(backend = %chosen, %wanted, "another backend answers than was asked for");
    }
    chosen
}

/// Why `kind` cannot answer, by its trial; `None` when it can.
fn lacks(tried: &[Tried], kind: BackendKind) -> Option<&str> {
    let one = tried.iter().find(|one| one.backend == kind)?;
    one.reason.as_deref()
}

/// Makes any backend in front of any library.
pub(crate) fn maker() -> MakeBackend {
    Arc::new(|kind, vfs| match kind {
        BackendKind::Native => Ok(Box::new(Native::new(vfs))),
        #[cfg(feature = "fbrs")]
        BackendKind::Fbrs => match crate::Fbrs::new(vfs) {
            Ok(fbrs) => Ok(Box::new(fbrs)),
            Err(error) => Err(error.to_string()),
        },
        #[cfg(not(feature = "fbrs"))]
        BackendKind::Fbrs => Err("this build has no fbrs (cargo feature `fbrs`)".into()),
    })
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::MemoryVfs;

    use super::*;

    fn backends(configured: BackendKind) -> Backends {
        let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(jiff::Timestamp::UNIX_EPOCH));
        Backends::new(&vfs, configured, None, BackendKind::Native)
    }

    #[test]
    fn the_one_that_was_asked_for_answers() {
        let native = backends(BackendKind::Native);
        assert_eq!(
            (native.active(), native.name()),
            (BackendKind::Native, "native")
        );
        assert_eq!(native.tried()[0].reason, None);
    }

    #[cfg(feature = "fbrs")]
    #[test]
    fn a_switch_is_taken_back_by_a_rollback() {
        let backends = backends(BackendKind::Native);
        assert!(matches!(
            backends.rollback(),
            Err(SwitchError::NothingBefore)
        ));
        backends.switch(BackendKind::Fbrs).unwrap();
        backends.switch(BackendKind::Fbrs).unwrap();
        assert_eq!((backends.name(), backends.switches()), ("fbrs", 1));
        assert_eq!(backends.rollback().unwrap(), BackendKind::Native);
        assert_eq!((backends.name(), backends.switches()), ("native", 2));
    }

    #[cfg(not(feature = "fbrs"))]
    #[test]
    fn what_this_build_lacks_is_named_and_the_fallback_answers() {
        let backends = backends(BackendKind::Fbrs);
        assert_eq!(backends.active(), BackendKind::Native);
        let error = backends.switch(BackendKind::Fbrs).unwrap_err();
        assert!(
            error.to_string().contains("this build has no fbrs"),
            "{error}"
        );
    }
}
