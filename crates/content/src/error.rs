//! Why a read failed.

use debridfs_cdn::Cause;

/// A failed read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ContentError {
    /// Nobody refused the bytes, but they did not come before the deadline.
    #[error("no data before the deadline: {0}")]
    TimedOut(Cause),
    /// The bytes were refused, or what came was not what had been asked, until the deadline.
    #[error("data unavailable: {0}")]
    Unavailable(Cause),
    /// Each source said that it cannot give the file, however long it is waited: known before the
    /// deadline.
    #[error("data unavailable: {0}")]
    Lost(Cause),
    /// More than [`crate::MAX_READ`] bytes were asked at once.
    #[error("a read of {0} bytes is too large")]
    TooLarge(u32),
}

/// Kinds of failure, for those who map them to codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// [`ContentError::TimedOut`].
    TimedOut,
    /// [`ContentError::Unavailable`].
    Unavailable,
    /// [`ContentError::Lost`].
    Lost,
    /// [`ContentError::TooLarge`].
    TooLarge,
}

impl ContentError {
    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut(_) => ErrorKind::TimedOut,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Lost(_) => ErrorKind::Lost,
            Self::TooLarge(_) => ErrorKind::TooLarge,
        }
    }

    /// The error of a read whose deadline passed, or that nobody goes on with, `cause` being the last thing that went wrong.
    pub(crate) fn at_deadline(cause: Option<Cause>) -> Self {
        match cause {
            None => Self::TimedOut(Cause::Waiting),
            Some(
                cause @ (Cause::Waiting
                | Cause::Connect(_)
                | Cause::FirstByte(_)
                | Cause::Stalled(_)
                | Cause::Transport(_)),
            ) => Self::TimedOut(cause),
            Some(cause) => Self::Unavailable(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use debridfs_provider::Verdict;

    use super::*;

    #[test]
    fn a_deadline_tells_slowness_from_refusal() {
        let not_found = Cause::Status {
            status: 404,
            x_error: None,
            retry_after: None,
        };
        let kind = |cause| ContentError::at_deadline(cause).kind();
        assert_eq!(kind(None), ErrorKind::TimedOut);
        assert_eq!(
            kind(Some(Cause::Stalled(Duration::ZERO))),
            ErrorKind::TimedOut
        );
        assert_eq!(kind(Some(not_found)), ErrorKind::Unavailable);
        assert_eq!(kind(Some(Cause::NoSource)), ErrorKind::Unavailable);
        assert_eq!(kind(Some(Cause::TrafficUsedUp)), ErrorKind::Unavailable);
        let no_link = |verdict| Cause::Link {
            verdict,
            message: String::new(),
            is_final: false,
        };
        for verdict in Verdict::ALL {
            assert_eq!(kind(Some(no_link(verdict))), ErrorKind::Unavailable);
        }
    }
}
