//! Ends system calls that block.
//!
//! Whether a read blocks is a property of the open file (`O_NONBLOCK`), which an engine shares with
//! the keeper and may change at any moment, also between the keeper's own change and its read. So
//! while the keeper reads what is shared, a timer interrupts it again and again.

use std::sync::Once;
use std::time::Duration;

/// A call is interrupted this long after it began, at the latest.
const PERIOD: Duration = Duration::from_millis(20);

/// Makes SIGALRM end a system call of this thread and do nothing else.
fn prepare() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: an all-zero `sigaction` is valid: an empty mask, and no flags, so that calls are not
    // taken up again. The handler does nothing, which is safe at any moment. The set is made valid
    // before it is used. Neither call fails: the signal exists, and the pointers are good.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGALRM);
        // Whoever started the keeper may have blocked it.
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// While it lives, system calls that wait end with EINTR.
#[derive(Debug)]
#[must_use = "calls are interrupted only while it lives"]
pub(crate) struct Armed(());

/// Begins to interrupt the calling thread, which has to be the only one of this process that takes
/// signals ([`crate::aside::thread`]) and always the same.
pub(crate) fn arm() -> Armed {
    static ONCE: Once = Once::new();
    ONCE.call_once(prepare);
    set(PERIOD);
    Armed(())
}

impl Drop for Armed {
    fn drop(&mut self) {
        set(Duration::ZERO);
    }
}

fn set(period: Duration) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: libc::suseconds_t::from(period.subsec_micros() as i32),
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: reads one structure that outlives the call, and touches no other memory. It fails for
    // times that are out of range alone.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}
