//! What an engine says of its own crash: which request the faulting thread had in hand.
//!
//! The keeper cannot tell a crash of a request's making from a signal that somebody sent; the kernel can, and tells the signal handler.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::OnceLock;

use debridfs_handover::journal::{Journal, note_crash};
use libc::{c_int, c_void, siginfo_t};

/// Signals that end a process for what one of its threads did.
const SIGNALS: [c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGABRT,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGSYS,
    libc::SIGTRAP,
];

/// The journal of the connection that this process serves: kept mapped for as long as the process lives.
static JOURNAL: OnceLock<Arc<Journal>> = OnceLock::new();

/// Has crashes of this process noted in `journal`; later calls change nothing.
pub(crate) fn install(journal: &Arc<Journal>) {
    if JOURNAL.set(Arc::clone(journal)).is_err() {
        return;
    }
    // SAFETY: all-zero bytes are a valid `sigaction` (no flags, empty mask, default handler); what matters is set below.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_crash as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    // SA_RESETHAND: the second time the default action ends the process. SA_ONSTACK: a stack that is full can still report.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND | libc::SA_ONSTACK;
    for signal in SIGNALS {
        // SAFETY: `action` is whole, its handler has the signature that SA_SIGINFO asks for and does only what is async-signal-safe.
        // A refusal leaves the default action, which is right as well.
        unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
    }
}

extern "C" fn on_crash(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel hands a valid `siginfo_t` to a handler with SA_SIGINFO; `si_pid` is set where `si_code` says that a process sent
    // the signal (not positive, sigaction(2)). getpid(2) is async-signal-safe.
    let from_outside = unsafe { (*info).si_code <= 0 && (*info).si_pid() != libc::getpid() };
    if let Some(journal) = JOURNAL.get() {
        note_crash(journal.crash_field(), from_outside);
    }
    // SAFETY: raise(3) is async-signal-safe. The signal is blocked while this handler runs and ends the process when it returns.
    unsafe { libc::raise(signal) };
}
