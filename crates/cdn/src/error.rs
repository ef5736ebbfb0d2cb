//! What a failed attempt was, and who is to blame.

use std::time::Duration;

use debridfs_base::http::TransportError;
use debridfs_provider::Verdict;

use crate::events::EventKind;
use crate::tuning::error::LONG_REFUSAL;

/// Why an attempt failed. Holds no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Nothing failed yet.
    #[error("still waiting for a connection or for data")]
    Waiting,
    /// No connection could be made.
    #[error("no connection to {0}")]
    Connect(String),
    /// The link, or a redirect, leads to an address that must not be asked.
    #[error("{0}")]
    NotAllowed(String),
    /// The link leads to an address of no host.
    #[error("{0}")]
    NoHost(String),
    /// Connected, but no answer came in this time.
    #[error("no answer within {0:?}")]
    FirstByte(Duration),
    /// The body stopped for this long.
    #[error("no progress for {0:?}")]
    Stalled(Duration),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Transport(String),
    /// The CDN refused.
    #[error("the CDN answered {status}{}", .x_error.as_deref().map(|e| format!(" ({e})")).unwrap_or_default())]
    Status {
        /// HTTP status.
        status: u16,
        /// The header `X-Error`.
        x_error: Option<String>,
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The answer was not the asked part of the known file.
    #[error("the CDN's answer is not what was asked: {0}")]
    WrongAnswer(String),
    /// The provider gave no link.
    #[error("no link: {message}")]
    Link {
        /// What the provider's answer means.
        verdict: Verdict,
        /// In words.
        message: String,
        /// It is a verdict on the file, which waiting does not change.
        is_final: bool,
    },
    /// The key's traffic of the day ran out in the middle of a body.
    #[error("the key's configured traffic of the day is used up")]
    TrafficUsedUp,
    /// The link was made anew again and again and refused each time.
    #[error("every new link is refused")]
    LinkRefused,
    /// The file names a provider that is not configured.
    #[error("provider {0:?} is not configured")]
    UnknownProvider(String),
    /// The request was not sent: others found the provider in trouble, and another copy is well.
    #[error("not waited for: the provider is in trouble, and another copy is well")]
    Fallen,
    /// The copy's bytes are not those that were read before.
    #[error("torrent {0} gives other bytes than were read before")]
    Differs(String),
    /// The file has no source.
    #[error("the file has no source")]
    NoSource,
}

/// What a failed attempt says about the direct link it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The link: ask for a new one.
    Link,
    /// The key's traffic is used up: another key, or another provider.
    Key,
    /// The host: it wants fewer requests, or is not well.
    Host,
    /// Nobody in particular: try again.
    Chance,
}

/// `X-Error` values that mean that the link is done for (field notes, Real-Debrid's CDN).
const LINK_ERRORS: [&str; 4] = [
    "link_not_found",
    "link_expired",
    "invalid_download_code",
    "file_not_available",
];

/// `X-Error` values that mean that the account may fetch no more for now: a new link would not help.
const TRAFFIC_ERRORS: [&str; 4] = [
    "bandwidth_exceeded",
    "quota_exceeded",
    "daily_limit_exceeded",
    "bytes_limit_reached",
];

impl Cause {
    /// The provider gave no link.
    pub(crate) fn of(error: debridfs_provider::Error) -> Self {
        Self::Link {
            verdict: error.verdict,
            is_final: error.is_final(),
            message: error.message,
        }
    }

    /// The connection was not to be had, or broke.
    pub(crate) fn of_transport(error: TransportError) -> Self {
        match error {
            TransportError::Connect(words) => Self::Connect(words),
            TransportError::NotAllowed(words) => Self::NotAllowed(words),
            TransportError::NoHost(words) => Self::NoHost(words),
            TransportError::Broken(words) => Self::Transport(words),
            other => Self::Transport(other.to_string()),
        }
    }

    /// Whether its source cannot give the file, however long a read waits.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Link { is_final, .. } => *is_final,
            Self::UnknownProvider(_) | Self::Differs(_) | Self::NoSource => true,
            _ => false,
        }
    }

    /// Whether the one who refused will do so for a while.
    pub(crate) fn is_long_refusal(&self) -> bool {
        match self {
            Self::Status { retry_after, .. } => {
                retry_after.is_some_and(|wish| wish >= LONG_REFUSAL)
            }
            _ => false,
        }
    }

    /// Whether it speaks against the provider or its CDN as a whole, so that other files are better read elsewhere as well.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Transport(_) | Self::FirstByte(_) | Self::Stalled(_) => true,
            Self::Status { .. } => self.blame() == Blame::Host,
            _ => false,
        }
    }

    /// What it is called in the history of a file.
    pub(crate) fn event(&self) -> EventKind {
        match self {
            Self::Connect(_) | Self::Transport(_) => EventKind::Network,
            Self::Waiting | Self::FirstByte(_) | Self::Stalled(_) => EventKind::Stalled,
            Self::NotAllowed(_) | Self::NoHost(_) => EventKind::NotAllowed,
            Self::WrongAnswer(_) => EventKind::WrongAnswer,
            Self::Differs(_) => EventKind::Differs,
            Self::TrafficUsedUp => EventKind::OutOfTraffic,
            Self::LinkRefused => EventKind::LinkRefused,
            Self::UnknownProvider(_) | Self::NoSource => EventKind::LinkBroken,
            Self::Status { .. } => match self.blame() {
                Blame::Link => EventKind::LinkRefused,
                Blame::Key => EventKind::OutOfTraffic,
                Blame::Host | Blame::Chance => EventKind::HostRefused,
            },
            Self::Fallen => EventKind::HostRefused,
            Self::Link { verdict, .. } => match verdict {
                Verdict::OutOfTraffic => EventKind::OutOfTraffic,
                Verdict::AccountRefused => EventKind::AccountRefused,
                Verdict::NotFound
                | Verdict::LinkBroken
                | Verdict::FileUnavailable
                | Verdict::Infringing
                | Verdict::Rejected => EventKind::LinkBroken,
                Verdict::Retry
                | Verdict::BackOff
                | Verdict::SlotsFull
                | Verdict::AlreadyDone
                | Verdict::NotCached
                | Verdict::BadRequest
                | Verdict::Disabled
                | Verdict::Malformed => EventKind::NoLink,
            },
        }
    }

    /// Who is to blame.
    pub(crate) fn blame(&self) -> Blame {
        match self {
            Self::Status {
                status, x_error, ..
            } => {
                let x_error = x_error.as_deref().unwrap_or("");
                if TRAFFIC_ERRORS.contains(&x_error) {
                    Blame::Key
                } else if LINK_ERRORS.contains(&x_error) || x_error.starts_with("link_") {
                    Blame::Link
                } else {
                    match status {
                        // Every request is alike but for its URL: 400 is said of that (TorBox: "Invalid
                        // Presigned Token").
                        400 | 401 | 403 | 404 | 410 | 416 | 447 | 451 => Blame::Link,
                        429 | 500..=599 => Blame::Host,
                        _ => Blame::Chance,
                    }
                }
            }
            // Each new link may be on another host (AllDebrid).
            Self::NoHost(_) => Blame::Link,
            Self::Fallen => Blame::Host,
            _ => Blame::Chance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, x_error: Option<&str>) -> Cause {
        Cause::Status {
            status,
            x_error: x_error.map(str::to_owned),
            retry_after: None,
        }
    }

    #[test]
    fn blame_follows_the_table() {
        for code in [400, 403, 404, 410, 416, 447] {
            assert_eq!(status(code, None).blame(), Blame::Link, "{code}");
        }
        for code in [429, 500, 502, 503, 504] {
            assert_eq!(status(code, None).blame(), Blame::Host, "{code}");
        }
        for word in LINK_ERRORS {
            assert_eq!(status(503, Some(word)).blame(), Blame::Link, "{word}");
        }
        for word in TRAFFIC_ERRORS {
            assert_eq!(status(403, Some(word)).blame(), Blame::Key, "{word}");
        }
        assert_eq!(Cause::Stalled(Duration::ZERO).blame(), Blame::Chance);
        assert_eq!(Cause::NoHost(String::new()).blame(), Blame::Link);
        assert_eq!(Cause::NotAllowed(String::new()).blame(), Blame::Chance);
    }
}
