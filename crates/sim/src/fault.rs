//! Faults: what the API and the CDN can be told to do wrong.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Names a fault, to clear it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// A wrong answer of the API. Several apply in the order they were set; the first that matches is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiFault {
    /// Endpoint such as `torrents`, `torrents/info`, `unrestrict/link`; all if missing.
    pub endpoint: Option<String>,
    /// Only calls whose path and query contain this.
    pub contains: Option<String>,
    /// How many calls it applies to; until cleared if missing.
    pub times: Option<u32>,
    /// How many matching calls go well before it begins.
    pub skip: u32,
    /// Waits so long first.
    pub delay_ms: u64,
    /// Never answers (until the fault is cleared).
    pub hang: bool,
    /// Closes the connection with a reset instead of answering; the call has not been carried out.
    pub reset: bool,
    /// Answers with this code of Real-Debrid's table, its text and its status.
    pub code: Option<i32>,
    /// Answers with this word of TorBox's table, its text and its status.
    pub error: Option<String>,
    /// Answers with this status; the call is not carried out.
    pub status: Option<u16>,
    /// The body that goes with `status` or, without it, replaces the true answer's.
    pub body: Option<String>,
    /// Shorthand for a body: `malformed` (JSON that ends early, with a matching length) or `html` (an error page).
    pub page: Option<Page>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// Carries out the call, then sends so many bytes of the true answer and closes.
    pub cut_body: Option<usize>,
    /// Carries out the call, then leaves only the first so many entries of a list; `X-Total-Count` stays true.
    pub keep_items: Option<usize>,
    /// Carries out the call, then resets the connection instead of answering.
    pub lose_answer: bool,
}

/// A body nobody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Page {
    /// JSON that ends in the middle.
    Malformed,
    /// An error page of a proxy.
    Html,
}

/// A fault of the CDN. The first that matches is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CdnFault {
    /// Only this restricted or direct link (URL or 13-character id).
    #[serde(default)]
    pub link: Option<String>,
    /// Only files of which `HASH/path` contains this.
    #[serde(default)]
    pub file: Option<String>,
    /// How many requests it applies to; until cleared if missing.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching requests go well before it begins.
    #[serde(default)]
    pub skip: u32,
    /// Whether HEAD is affected as well as GET.
    #[serde(default)]
    pub head: bool,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: CdnFaultKind,
}

impl CdnFault {
    /// A fault of every transfer until cleared.
    pub fn everywhere(kind: CdnFaultKind) -> Self {
        Self {
            link: None,
            file: None,
            times: None,
            skip: 0,
            head: false,
            kind,
        }
    }
}

/// What goes wrong at the CDN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CdnFaultKind {
    /// A ranged GET is answered with 200 and the file from its beginning.
    IgnoreRange,
    /// `Content-Range` (and the bytes) begin so much later than asked; earlier if negative.
    WrongOffset {
        /// Bytes.
        by: i64,
    },
    /// `Content-Range` tells another total size.
    WrongTotal {
        /// Bytes added to the true size.
        by: i64,
    },
    /// The answer is complete in itself, but holds so many bytes at most, and `Content-Range` says so.
    ShortRange {
        /// Bytes.
        bytes: u64,
    },
    /// `Content-Range` tells all that was asked, `Content-Length` and the body are shorter.
    ShortBody {
        /// Bytes sent.
        bytes: u64,
    },
    /// The connection is closed (FIN) after so many bytes of the body.
    CloseAfter {
        /// Bytes sent.
        bytes: u64,
    },
    /// The connection is reset (RST) after so many bytes of the body.
    ResetAfter {
        /// Bytes sent.
        bytes: u64,
    },
    /// Nothing more comes after so many bytes, until the fault is cleared.
    StallAfter {
        /// Bytes sent.
        bytes: u64,
    },
    /// Another status.
    Status {
        /// HTTP status.
        status: u16,
        /// `X-Error`.
        #[serde(default)]
        x_error: Option<String>,
        /// `Retry-After`, seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// The headers come at once, the body after a pause and then slowly for a while.
    SlowStart {
        /// Pause before the first byte of the body.
        wait_ms: u64,
        /// Bytes a second at the beginning.
        rate: u64,
        /// How many bytes go out at this rate.
        bytes: u64,
    },
    /// 429 when so many transfers are open already: of the link asked for if the fault names a link or file, else of all.
    MaxParallel {
        /// Transfers.
        transfers: u32,
        /// `Retry-After`, seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// 302 to the same path at another host.
    Redirect {
        /// Base URL there; the second listener if missing.
        #[serde(default)]
        to: Option<String>,
    },
    /// The link expires after so many bytes of the body: the connection is closed, and the link answers `link_expired` from then on.
    ExpireAfter {
        /// Bytes sent.
        bytes: u64,
    },
    /// The link has expired; a new one made of the same restricted link works.
    Expired,
    /// The bytes are wrong although all headers are right.
    WrongBytes,
    /// No answer at all until the fault is cleared.
    Hang,
    /// The connection is reset before any answer.
    Reset,
}

impl CdnFaultKind {
    /// Nothing of the true answer is left.
    pub(crate) fn replaces_the_answer(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::MaxParallel { .. }
                | Self::Redirect { .. }
                | Self::Expired
                | Self::Hang
                | Self::Reset
        )
    }
}

/// How a whole part of the provider is gone. For refused connections, stop the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageMode {
    /// It is not.
    #[default]
    None,
    /// 503 with an HTML page for everything.
    Unavailable,
    /// Connections are taken and never answered.
    Hang,
    /// Connections are reset.
    Reset,
}

/// Outages by part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outage {
    /// The REST API.
    pub api: OutageMode,
    /// The CDN.
    pub cdn: OutageMode,
}

/// A fault with what it has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultStatus {
    /// Its name.
    pub id: FaultId,
    /// Requests it was applied to.
    pub hits: u32,
    /// Requests that matched, those that were spared included.
    pub matched: u32,
    /// The fault, if it is one of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiFault>,
    /// The fault, if it is one of the CDN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<CdnFault>,
}

/// All faults that are set.
#[derive(Debug)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
    /// Bumped by every change, for those who hang until one is cleared.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    set: Vec<FaultStatus>,
    outage: Outage,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Faults {
    fn lock(&self) -> parking_lot::MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    pub(crate) fn add(&self, api: Option<ApiFault>, cdn: Option<CdnFault>) -> FaultId {
        let mut inner = self.lock();
        inner.next += 1;
        let id = FaultId(inner.next);
        inner.set.push(FaultStatus {
            id,
            hits: 0,
            matched: 0,
            api,
            cdn,
        });
        id
    }

    /// Removes one fault, or all; gives whether there was one.
    pub(crate) fn clear(&self, id: Option<FaultId>) -> bool {
        let mut inner = self.lock();
        let before = inner.set.len();
        inner
            .set
            .retain(|fault| id.is_some_and(|id| fault.id != id));
        let removed = inner.set.len() != before;
        drop(inner);
        self.changed.send_modify(|n| *n += 1);
        removed
    }

    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        self.lock().set.clone()
    }

    pub(crate) fn outage(&self) -> Outage {
        self.lock().outage
    }

    pub(crate) fn set_outage(&self, outage: Outage) {
        self.lock().outage = outage;
        self.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn take_api(
        &self,
        endpoint: &str,
        path_and_query: &str,
    ) -> Option<(FaultId, ApiFault)> {
        self.take(|fault| {
            let api = fault.api.as_ref()?;
            let matches = api
                .endpoint
                .as_deref()
                .is_none_or(|wanted| wanted == endpoint)
                && api
                    .contains
                    .as_deref()
                    .is_none_or(|part| path_and_query.contains(part));
            matches.then_some((api.skip, api.times))
        })
        .and_then(|fault| Some((fault.id, fault.api?)))
    }

    /// `names`: the ids by which the link can be meant; `file`: `HASH/path`; `open`: transfers open now, of the link and of all.
    pub(crate) fn take_cdn(
        &self,
        names: [&str; 2],
        file: &str,
        head: bool,
        open: [u64; 2],
    ) -> Option<(FaultId, CdnFaultKind)> {
        self.take(|fault| {
            let cdn = fault.cdn.as_ref()?;
            let matches = (cdn.head || !head)
                && cdn
                    .link
                    .as_deref()
                    .is_none_or(|link| names.iter().any(|name| link.contains(name)))
                && cdn.file.as_deref().is_none_or(|part| file.contains(part))
                && match cdn.kind {
                    CdnFaultKind::MaxParallel { transfers, .. } => {
                        let of_all = cdn.link.is_none() && cdn.file.is_none();
                        !head && open[usize::from(of_all)] >= u64::from(transfers)
                    }
                    _ => true,
                };
            matches.then_some((cdn.skip, cdn.times))
        })
        .and_then(|fault| Some((fault.id, fault.cdn?.kind)))
    }

    fn take(
        &self,
        matches: impl Fn(&FaultStatus) -> Option<(u32, Option<u32>)>,
    ) -> Option<FaultStatus> {
        let mut inner = self.lock();
        for fault in &mut inner.set {
            let Some((skip, times)) = matches(fault) else {
                continue;
            };
            if times.is_some_and(|times| fault.hits >= times) {
                continue;
            }
            fault.matched += 1;
            if fault.matched <= skip {
                continue;
            }
            fault.hits += 1;
            return Some(fault.clone());
        }
        None
    }

    /// Waits until the fault is cleared.
    pub(crate) async fn cleared(&self, id: FaultId) {
        let mut changed = self.changed.subscribe();
        while self.lock().set.iter().any(|fault| fault.id == id) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until `over` holds of the outage.
    pub(crate) async fn outage_over(&self, over: impl Fn(Outage) -> bool) {
        let mut changed = self.changed.subscribe();
        while !over(self.outage()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}
