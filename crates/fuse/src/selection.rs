//! Which backend answers: chosen at the start, and switched on the live connection.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use debridfs_handover::InHeader;
use debridfs_vfs::{NodeId, Vfs};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Call, Outcome};
use crate::native::Native;
use crate::second_try::SecondTryVfs;
use crate::shadow::{Compared, Make, Shadow};
use crate::wire::{Opcode, Reply};

/// A backend by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// Our own codec.
    Native,
    /// The codec of fuse-backend-rs.
    Fbrs,
}

impl BackendKind {
    /// All that there are, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Native, Self::Fbrs];

    /// Its name in settings, status and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Fbrs => "fbrs",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// No backend has this name.
#[derive(Debug, thiserror::Error)]
#[error("no backend is called {0:?}: there are native and fbrs")]
pub struct NoSuchBackend(String);

impl FromStr for BackendKind {
    type Err = NoSuchBackend;

    fn from_str(text: &str) -> Result<Self, NoSuchBackend> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| NoSuchBackend(text.to_owned()))
    }
}

/// What was found out about a backend before it was let at requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
/// requests. What waits is answered by the one that began it.
pub struct Backends {
    native: Native,
    #[cfg(feature = "fbrs")]
    fbrs: Option<crate::Fbrs>,
    tried: Vec<Tried>,
    /// Whether `fbrs` answers.
    second: AtomicBool,
    switches: AtomicU64,
    /// Who is to answer, by the configuration.
    configured: Mutex<BackendKind>,
    /// `None`: its thread could not be started.
    shadow: Option<Shadow>,
    /// Who answered before the last switch. The lock also keeps two switches apart.
    before: Mutex<Option<BackendKind>>,
}

impl Backends {
    /// Tries all backends in front of `vfs`, and lets one answer: `kept` by an earlier switch, or
    /// else `configured`; `fallback` when that one does not pass its trial; `native`, which needs
    /// nothing, when no other does.
    pub fn new(
        vfs: &Arc<dyn Vfs>,
        configured: BackendKind,
        kept: Option<BackendKind>,
        fallback: BackendKind,
    ) -> Self {
        let wanted = kept.unwrap_or(configured);
        let vfs: &Arc<dyn Vfs> = &(Arc::new(SecondTryVfs::new(Arc::clone(vfs))) as Arc<dyn Vfs>);
        let shadow = Shadow::new(Arc::clone(vfs), maker())
            .inspect_err(|error| tracing::error!("no requests can be compared: {error}"))
            .ok();
        let native = Native::new(Arc::clone(vfs));
        let mut tried = vec![Tried {
            backend: BackendKind::Native,
            reason: trial(&native, vfs.as_ref()).err(),
        }];
        #[cfg(feature = "fbrs")]
        let fbrs = {
            let made = crate::Fbrs::new(Arc::clone(vfs)).map_err(|error| error.to_string());
            let passed = made.and_then(|one| trial(&one, vfs.as_ref()).map(|()| one));
            let reason = passed.as_ref().err().cloned();
            let backend = BackendKind::Fbrs;
            tried.push(Tried { backend, reason });
            passed.ok()
        };
        #[cfg(not(feature = "fbrs"))]
        tried.push(Tried {
            backend: BackendKind::Fbrs,
            reason: Some("this build has no fbrs (cargo feature `fbrs`)".into()),
        });
        let mut order = [wanted, fallback].into_iter();
        let chosen = order.find(|kind| lacks(&tried, *kind).is_none());
        let chosen = chosen.unwrap_or(BackendKind::Native);
        for Tried { backend, reason } in &tried {
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
        Self {
            native,
            #[cfg(feature = "fbrs")]
            fbrs,
            tried,
            second: AtomicBool::new(chosen == BackendKind::Fbrs),
            switches: AtomicU64::new(0),
            configured: Mutex::new(configured),
            shadow,
            before: Mutex::new(None),
        }
    }

    /// The one that answers.
    pub fn active(&self) -> BackendKind {
        if self.second.load(Relaxed) {
            BackendKind::Fbrs
        } else {
            BackendKind::Native
        }
    }

    /// Who answered before the last switch.
    pub fn before(&self) -> Option<BackendKind> {
        *self.before.lock()
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
    /// requests (0 to 100).
    pub fn compare(&self, percent: f64) {
        if let Some(shadow) = &self.shadow {
            shadow.set_percent(percent);
        }
    }

    /// What the comparison found; `None` where it cannot be made.
    pub fn compared(&self) -> Option<Compared> {
        self.shadow.as_ref().map(Shadow::compared)
    }

    /// The one that does not answer, if it could.
    fn other(&self) -> Option<BackendKind> {
        let other = match self.active() {
            BackendKind::Native => BackendKind::Fbrs,
            BackendKind::Fbrs => BackendKind::Native,
        };
        lacks(&self.tried, other).is_none().then_some(other)
    }

    /// What the trials said.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// Switches since the engine started.
    pub fn switches(&self) -> u64 {
        self.switches.load(Relaxed)
    }

    /// Lets `to` answer from the next request on. Requests that wait are answered by the backend that began them.
    ///
    /// # Errors
    /// [`SwitchError::Unavailable`]; then nothing changes.
    pub fn switch(&self, to: BackendKind) -> Result<(), SwitchError> {
        let mut before = self.before.lock();
        if let Some(reason) = lacks(&self.tried, to) {
            let (backend, reason) = (to, reason.to_owned());
            return Err(SwitchError::Unavailable { backend, reason });
        }
        let from = self.active();
        if from != to {
            self.second.store(to == BackendKind::Fbrs, Relaxed);
            *before = Some(from);
            self.switches.fetch_add(1, Relaxed);
            tracing::info!(%from, %to, "another backend answers");
        }
        Ok(())
    }

    /// Lets the one answer that did before the last switch, and says which that is.
    ///
    /// # Errors
    /// [`SwitchError::NothingBefore`] without a switch; otherwise as [`Self::switch`].
    pub fn rollback(&self) -> Result<BackendKind, SwitchError> {
        let before = self.before().ok_or(SwitchError::NothingBefore)?;
        self.switch(before)?;
        Ok(before)
    }
}

impl Backend for Backends {
    fn name(&self) -> &'static str {
        self.active().name()
    }

    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome {
        if let Some(shadow) = &self.shadow
            && shadow.takes()
            && let Some(secondary) = self.other()
            && let Some(outcome) = shadow.answer(self.active(), secondary, call, reply)
        {
            return outcome;
        }
        #[cfg(feature = "fbrs")]
        if let Some(fbrs) = &self.fbrs
            && self.second.load(Relaxed)
        {
            return fbrs.answer(call, reply);
        }
        self.native.answer(call, reply)
    }
}

/// Why `kind` cannot answer, by its trial; `None` when it can.
fn lacks(tried: &[Tried], kind: BackendKind) -> Option<&str> {
    let one = tried.iter().find(|one| one.backend == kind)?;
    one.reason.as_deref()
}

/// Makes any backend in front of any library.
pub(crate) fn maker() -> Make {
    Arc::new(|kind, vfs| match kind {
        BackendKind::Native => Some(Box::new(Native::new(vfs))),
        #[cfg(feature = "fbrs")]
        BackendKind::Fbrs => Some(Box::new(crate::Fbrs::new(vfs).ok()?)),
        #[cfg(not(feature = "fbrs"))]
        BackendKind::Fbrs => None,
    })
}

/// Lets a backend answer two requests whose answers are always at hand, and looks at the replies.
fn trial(backend: &dyn Backend, vfs: &dyn Vfs) -> Result<(), String> {
    let mut reply = Reply::new();
    let mut ask = |opcode: Opcode, arguments: &[u8]| {
        reply.clear();
        let request = request_of_root(opcode, arguments);
        let left = Duration::from_secs(1);
        let request = &request;
        let call = Call { request, left };
        match backend.answer(call, &mut reply) {
            Outcome::Ready if reply.errno() == 0 => Ok(reply.body().clone()),
            Outcome::Ready => Err(format!("{} fails with {}", opcode.name(), reply.errno())),
            Outcome::Later(_) => Err(format!("{} has to wait", opcode.name())),
        }
    };
    let mut expected = Reply::new();
    crate::wire::statfs_out(expected.body(), &vfs.statfs());
    let got = ask(Opcode::StatFs, &[])?;
    if got.len() != expected.body().len() {
        return Err(format!("STATFS is answered with {} bytes", got.len()));
    }
    ask(Opcode::Access, &[0; 8])?;
    Ok(())
}

/// A request about the root as the kernel sends it.
fn request_of_root(opcode: Opcode, arguments: &[u8]) -> Vec<u8> {
    let length = (InHeader::LEN + arguments.len()) as u32;
    let mut out = Vec::with_capacity(length as usize);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&(opcode as u32).to_ne_bytes());
    // unique
    out.extend_from_slice(&2u64.to_ne_bytes());
    out.extend_from_slice(&NodeId::ROOT.0.to_ne_bytes());
    // uid, gid, pid, and the extensions' length with its padding
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(arguments);
    out
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

    #[test]
    fn names() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.name().parse::<BackendKind>().unwrap(), kind);
        }
        let error = "uring".parse::<BackendKind>().unwrap_err().to_string();
        assert_eq!(
            error,
            "no backend is called \"uring\": there are native and fbrs"
        );
    }

    /// Fails whatever it is asked.
    struct Broken;

    impl Backend for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn answer(&self, _: Call<'_>, reply: &mut Reply) -> Outcome {
            reply.fail(libc::EIO);
            Outcome::Ready
        }
    }

    #[test]
    fn a_backend_that_fails_its_trial_is_told_from_one_that_passes() {
        let vfs = MemoryVfs::new(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(trial(&Broken, &vfs), Err("STATFS fails with 5".into()));
    }
}
