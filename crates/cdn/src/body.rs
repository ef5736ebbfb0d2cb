//! The bytes of one range of a file on their way, asked for once more where they come slowly.

use std::sync::Arc;

use bytes::Bytes;
use debridfs_provider::Source;
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::time::{Instant, sleep_until};

use crate::cdn::Cdn;
use crate::error::Cause;
use crate::hosts::{Lead, Need, Urgency};
use crate::links::{Lease, Ready};
use crate::request::{Download, Request, may_hedge};
use crate::tuning::body::{LOOK, LOOK_FIRST_BYTES};

/// A checked answer under way. Places are those in the file. Dropping it closes the connection unless the range is complete.
pub struct Body {
    cdn: Arc<Cdn>,
    lease: Arc<Lease>,
    urgency: Arc<Urgency>,
    /// Size of the object that the link gives, and the file's place in it.
    size: u64,
    offset: u64,
    download: Download,
    begun: Instant,
    moved: u64,
    /// It had to wait for its reader.
    held_up: bool,
    progress: Instant,
    looked: Instant,
    moved_then: u64,
    /// Another answer for the rest, under way.
    second: Option<Second>,
    /// Bytes that came and were not handed out.
    early: Option<(u64, Bytes)>,
    /// What gets ready when it stands still.
    pub(crate) standby: Option<(Source, Ready)>,
}

type Second = BoxFuture<'static, Option<Download>>;

impl Body {
    pub(crate) fn new(
        cdn: Arc<Cdn>,
        lease: Arc<Lease>,
        urgency: Arc<Urgency>,
        (size, offset): (u64, u64),
        download: Download,
    ) -> Self {
        let now = Instant::now();
        Self {
            cdn,
            lease,
            urgency,
            size,
            offset,
            download,
            begun: now,
            moved: 0,
            held_up: false,
            progress: now,
            looked: now,
            moved_then: 0,
            second: None,
            early: None,
            standby: None,
        }
    }

    /// Whether what comes first repeats `known`, which begins where the body does. That is not handed out.
    ///
    /// # Errors
    /// Those of [`Self::next`].
    pub(crate) async fn repeats(&mut self, known: &[u8]) -> Result<bool, Cause> {
        let mut start = None;
        while let Some((at, mut bytes)) = self.next().await? {
            let start = *start.get_or_insert(at);
            // Bytes of a second answer may begin before the end of the last ones.
            let from = usize::try_from(at - start).unwrap_or(usize::MAX);
            let rest = known.get(from..).unwrap_or_default();
            let length = rest.len().min(bytes.len());
            if bytes[..length] != rest[..length] {
                return Ok(false);
            }
            if length == rest.len() {
                let after = bytes.split_off(length);
                self.early = (!after.is_empty()).then_some((at + length as u64, after));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whence the bytes come.
    pub fn lead(&self) -> &Lead {
        self.download.lead()
    }

    /// Bytes that came since it began.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.download.left()
    }

    /// Whether the rest comes, at this body's rate, before a new answer would begin.
    pub fn is_soon(&self) -> bool {
        let rate = self.moved as f64 / self.begun.elapsed().as_secs_f64().max(1e-6);
        let patience = self.lead().host.pace.patient_for();
        self.left() as f64 <= rate * patience.as_secs_f64()
    }

    /// The next bytes and where they begin, which may be before the end of the last ones; `None` when the range is complete. Nothing is lost when the
    /// future is dropped.
    ///
    /// # Errors
    /// The body is too short, too long or stands still.
    pub async fn next(&mut self) -> Result<Option<(u64, Bytes)>, Cause> {
        if let Some(early) = self.early.take() {
            return Ok(Some(early));
        }
        loop {
            let pace = &self.download.lead().host.pace;
            let look = LOOK.max(pace.first_byte() * LOOK_FIRST_BYTES);
            let stall = self.progress + self.cdn.config.stall_timeout;
            let left = stall.saturating_duration_since(Instant::now());
            let at = self.download.at();
            tokio::select! {
                // Looking at the clock costs nothing as long as bytes come.
                biased;
                bytes = self.download.next(&self.cdn, left) => {
                    let Some(bytes) = bytes? else {
                        return Ok(None);
                    };
                    self.moved += bytes.len() as u64;
                    self.progress = Instant::now();
                    return Ok(Some((at - self.offset, bytes)));
                }
                other = opened(&mut self.second) => {
                    self.second = None;
                    if let Some(other) = other {
                        self.begin(other);
                    }
                }
                () = sleep_until(self.looked + look), if self.second.is_none() => self.look(),
            }
        }
    }

    /// Goes on with `download`.
    fn begin(&mut self, download: Download) {
        let now = Instant::now();
        self.download = download;
        (self.begun, self.progress, self.looked) = (now, now, now);
        (self.moved, self.moved_then, self.held_up) = (0, 0, false);
    }

    /// Asks for the rest once more, over another connection, if it is slow to come, waited for, and that takes nothing from anybody.
    fn look(&mut self) {
        let (moved, time) = (self.moved - self.moved_then, self.looked.elapsed());
        self.look_again();
        let slow = self.lead().host.pace.is_slow(moved, time);
        if !slow || self.urgency.need() != Need::Waited {
            return;
        }
        if let Some((source, ready)) = self.standby.take() {
            self.cdn.stand_by(&source, ready);
        }
        if may_hedge(&self.cdn, &self.lead().host) {
            self.second = Some(self.another());
        }
    }

    /// The time until now does not count.
    fn look_again(&mut self) {
        self.looked = Instant::now();
        self.moved_then = self.moved;
    }

    fn another(&self) -> Second {
        let (cdn, lease, urgency) = (self.cdn.clone(), self.lease.clone(), self.urgency.clone());
        let at = self.download.at();
        let (range, size) = (at..at + self.left(), self.size);
        async move {
            let request = Request {
                range: &range,
                size,
                first_byte: cdn.config.first_byte(0),
                others: None,
                spare: true,
                urgency: &urgency,
            };
            request.send(&cdn, &lease, || true).await.ok().flatten()
        }
        .boxed()
    }

    /// It waited until now because its bytes were not taken.
    pub fn was_held_up(&mut self) {
        self.held_up = true;
        self.progress = Instant::now();
        self.look_again();
    }

    /// Ends it; what came tells how quick the host is, unless it was held up.
    pub fn end(self) {
        if !self.held_up {
            let pace = &self.lead().host.pace;
            pace.moved(self.moved, self.begun.elapsed());
        }
    }
}

/// Resolves when the second answer is there, or is not to be had; never without one.
async fn opened(second: &mut Option<Second>) -> Option<Download> {
    match second {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}
