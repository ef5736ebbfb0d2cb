//! What must not be done on the keeper's own thread, because it may take for ever.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::thread::{Builder, JoinHandle};

/// Lets go of descriptors that somebody brought. One may be of a file on the very mount that this
/// keeper is there for: the kernel asks the file system before it is closed (FLUSH), and an engine
/// need not answer. The end of the connection frees the thread.
pub(crate) fn close(fds: Vec<OwnedFd>) {
    if !fds.is_empty() {
        // Without a thread they are closed here, by the drop of what could not be started.
        let _ = thread("closing", move || drop(fds));
    }
}

/// Starts a thread to which no signal is delivered: all of them are for the keeper's own.
pub(crate) fn thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(move || {
        block_signals();
        body();
    })
}

fn block_signals() {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset makes the set valid before it is used; only this thread's mask is changed.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}
