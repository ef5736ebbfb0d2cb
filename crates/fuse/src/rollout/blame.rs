//! Whether the library, and not a backend, fails or is waited for while a request is answered.
//!
//! Backends ask the library on the thread that answers or polls, so what it said is noted per
//! thread, for as long as [`during`] runs there. Without a rollout nothing is noted.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use debridfs_vfs::{Answer, Error, Result};
use futures_util::future::BoxFuture;

use crate::errno;

/// What the library did for the request in hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The errno of the last failure that counts as an error in a reply; 0: there was none.
    pub(crate) errno: i32,
    /// Whether it still owes an answer.
    pub(crate) owes: bool,
}

thread_local! {
    static SEEN: Cell<Option<Seen>> = const { Cell::new(None) };
}

/// Runs `ask`, and says what the library did meanwhile.
pub(crate) fn during<T>(ask: impl FnOnce() -> T) -> (T, Seen) {
    SEEN.set(Some(Seen::default()));
    let answer = ask();
    (answer, SEEN.take().unwrap_or_default())
}

/// Errors of a reply that count against a backend, unless the library failed with the same.
pub(crate) fn counts(errno: i32) -> bool {
    matches!(errno, libc::EIO | libc::EINVAL)
}

/// Notes an answer of the library.
pub(crate) fn noted<T: Send + 'static>(answer: Answer<T>) -> Answer<T> {
    let Some(seen) = SEEN.get() else {
        return answer;
    };
    match answer {
        Answer::Now(result) => {
            result.as_ref().err().inspect(|error| fails(error));
            Answer::Now(result)
        }
        Answer::Later(waited_for) => {
            SEEN.set(Some(Seen { owes: true, ..seen }));
            Answer::Later(Box::pin(Noted(waited_for)))
        }
    }
}

fn fails(error: &Error) {
    let errno = errno::of(error).errno;
    if counts(errno) {
        change(|seen| seen.errno = errno);
    }
}

fn change(change: impl FnOnce(&mut Seen)) {
    if let Some(mut seen) = SEEN.get() {
        change(&mut seen);
        SEEN.set(Some(seen));
    }
}

/// An answer that comes later.
struct Noted<T>(BoxFuture<'static, Result<T>>);

impl<T> Future for Noted<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let polled = self.0.as_mut().poll(context);
        match &polled {
            Poll::Pending => change(|seen| seen.owes = true),
            Poll::Ready(answer) => {
                change(|seen| seen.owes = false);
                answer.as_ref().err().inspect(|error| fails(error));
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::ErrorKind;
    use futures_util::FutureExt;

    use super::*;

    fn seen(answer: impl FnOnce() -> Answer<u64>) -> Seen {
        let ask = || match noted(answer()) {
            Answer::Now(_) => {}
            Answer::Later(waited_for) => drop(waited_for.now_or_never()),
        };
        during(ask).1
    }

    #[test]
    fn what_fails_in_the_library_is_its_own() {
        let fails = |kind: ErrorKind| Answer::Now(Err(kind.into()));
        assert_eq!(seen(|| fails(ErrorKind::Lost)).errno, libc::EIO);
        assert_eq!(seen(|| fails(ErrorKind::Invalid)).errno, libc::EINVAL);
        assert_eq!(seen(|| fails(ErrorKind::NotFound)), Seen::default());
        assert_eq!(seen(|| Answer::Now(Ok(1))), Seen::default());
        let later = || Answer::Later(async { Err(ErrorKind::TimedOut.into()) }.boxed());
        assert_eq!(seen(later).errno, libc::EIO);
    }

    #[test]
    fn what_the_library_owes_is_no_wait_of_a_backend() {
        let never = || Answer::Later(std::future::pending().boxed());
        assert!(seen(never).owes);
        let mut waited_for = None;
        during(|| waited_for = Some(noted(never())));
        // Not polled: whoever asks next owes nothing.
        assert!(!during(|| {}).1.owes);
        assert!(waited_for.is_some());
    }

    #[test]
    fn nothing_is_noted_without_being_asked_for() {
        let Answer::Later(waited_for) = noted(Answer::Later(async { Ok(3) }.boxed())) else {
            panic!("it came at once");
        };
        assert_eq!(waited_for.now_or_never().unwrap().unwrap(), 3);
        assert_eq!(SEEN.get(), None);
    }
}
