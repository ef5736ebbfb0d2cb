//! What a failed call means: one verdict per cause, so that no crate above has to know codes.

use std::time::Duration;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller may conclude from a failure. No single verdict is a proof that content is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A hiccup (network, time-out, 5xx): the same call may succeed soon.
    Retry,
    /// Too many calls (429): the scheduler has begun a cool-down shared by all callers.
    BackOff,
    /// The thing asked for is unknown to the provider (404).
    NotFound,
    /// The link cannot be served now: a new link, another torrent id or a re-add may.
    LinkBroken,
    /// The provider cannot give the file of this link, now or later: another torrent id or a re-add may.
    FileUnavailable,
    /// The account may do nothing (401, 403): alert; the library stays as it is.
    AccountRefused,
    /// The account's traffic is used up.
    OutOfTraffic,
    /// Every active slot is taken.
    SlotsFull,
    /// The action had been done before: as good as success.
    AlreadyDone,
    /// The content is refused (451); during throttling this may be a penalty, so it needs a second
    /// answer after a quiet period.
    Infringing,
    /// The torrent or file handed in is not acceptable.
    Rejected,
    /// The provider does not have it, and was asked to add it only if it has.
    NotCached,
    /// Our request was wrong: a defect of ours.
    BadRequest,
    /// The vendor has no such endpoint, or withdrew it: stop calling it.
    Disabled,
    /// The answer was not what the API promises.
    Malformed,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 15] = [
        Self::Retry,
        Self::BackOff,
        Self::NotFound,
        Self::LinkBroken,
        Self::FileUnavailable,
        Self::AccountRefused,
        Self::OutOfTraffic,
        Self::SlotsFull,
        Self::AlreadyDone,
        Self::Infringing,
        Self::Rejected,
        Self::NotCached,
        Self::BadRequest,
        Self::Disabled,
        Self::Malformed,
    ];

    /// A stable word for metrics and `status --json`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::BackOff => "back_off",
            Self::NotFound => "not_found",
            Self::LinkBroken => "link_broken",
            Self::FileUnavailable => "file_unavailable",
            Self::AccountRefused => "account_refused",
            Self::OutOfTraffic => "out_of_traffic",
            Self::SlotsFull => "slots_full",
            Self::AlreadyDone => "already_done",
            Self::Infringing => "infringing",
            Self::Rejected => "rejected",
            Self::NotCached => "not_cached",
            Self::BadRequest => "bad_request",
            Self::Disabled => "disabled",
            Self::Malformed => "malformed",
        }
    }
}

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{provider}: {message}")]
pub struct Error {
    /// The provider's configured name.
    pub provider: String,
    /// What it means.
    pub verdict: Verdict,
    /// HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// The provider's own error code, for a considered answer. Where codes are words: our number of the word,
    /// from 1000 on.
    pub code: Option<i64>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// For people; holds no secret and no URL of a link.
    pub message: String,
}

impl Error {
    /// Whether it is the provider's considered word on the file that a link was asked for: waiting does
    /// not change it. "Not found" is one only with the provider's own code, as a proxy says 404 as well.
    pub fn is_final(&self) -> bool {
        match self.verdict {
            Verdict::FileUnavailable | Verdict::Infringing | Verdict::Rejected => true,
            Verdict::NotFound => self.code.is_some(),
            Verdict::Retry
            | Verdict::LinkBroken
            | Verdict::BackOff
            | Verdict::AccountRefused
            | Verdict::OutOfTraffic
            | Verdict::SlotsFull
            | Verdict::AlreadyDone
            | Verdict::NotCached
            | Verdict::BadRequest
            | Verdict::Disabled
            | Verdict::Malformed => false,
        }
    }
}
