//! The body of a CDN answer, with its end that may be a bad one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;

use crate::account::{Download, Traffic};
use crate::connection::Connection;
use crate::content::Blocks;
use crate::counters::LinkRegister;
use crate::cut::Cut;
use crate::pause::{pause, pause_precisely};
use crate::shaper::Shaper;
use crate::sim::Sim;
use crate::transfers::End;

/// Bytes made and sent at a time; large enough that a system call costs little, small enough for the processor's cache.
const BLOCK: u64 = 256 * 1024;
/// The first block is smaller: somebody waits for the first byte.
const FIRST_BLOCK: u64 = 64 * 1024;
/// Blocks a second when a rate is set, so that the bytes flow evenly: a line brings packets, and a reader that waits for a few of them
/// does not wait for many. Blocks of less than a packet are for lines so slow that there would be few of them.
const SHAPED_BLOCKS: u64 = 400;
/// At the start, where somebody may wait for a few bytes only, a few packets at a time, for so many blocks.
const FINE_BLOCKS: u64 = 4000;
const FINE_FOR: u64 = 64;
const PACKET: u64 = 1460;
const LEAST_BLOCKS: u64 = 20;

/// Pause and rate at the beginning of a body.
#[derive(Debug)]
pub(crate) struct SlowStart {
    pub(crate) wait: Duration,
    pub(crate) shaper: Shaper,
    pub(crate) bytes: u64,
}

/// Counts a transfer as open while it lives.
#[derive(Debug)]
pub(crate) struct Transfer {
    sim: Sim,
    link: Arc<LinkRegister>,
    account: Arc<AtomicU64>,
}

impl Transfer {
    /// `account`: the transfers that the account has open.
    pub(crate) fn begin(sim: Sim, link: Arc<LinkRegister>, account: Arc<AtomicU64>) -> Self {
        sim.inner.counters.cdn_transfers.enter();
        link.transfers.enter();
        account.fetch_add(1, Relaxed);
        Self { sim, link, account }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.sim.inner.counters.cdn_transfers.leave();
        self.link.transfers.leave();
        self.account.fetch_sub(1, Relaxed);
    }
}

/// Everything a body needs.
pub(crate) struct Plan {
    pub(crate) transfer: Transfer,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) connection: Option<Arc<Connection>>,
    pub(crate) download: Arc<Download>,
    /// First byte.
    pub(crate) offset: u64,
    /// Bytes promised.
    pub(crate) length: u64,
    /// Bytes sent before `end` happens; no more than `length`.
    pub(crate) stop: u64,
    pub(crate) end: End,
    pub(crate) slow_start: Option<SlowStart>,
    pub(crate) rate: u64,
    pub(crate) wrong_bytes: bool,
}

struct Sender {
    plan: Plan,
    sent: u64,
    shaper: Shaper,
    blocks: Blocks,
    flush_mark: u64,
    /// Number of the last order to end transfers when this one began.
    endings: u64,
    failed: bool,
}

/// Makes the body.
pub(crate) fn body(plan: Plan) -> Body {
    let sender = Sender {
        shaper: Shaper::new(plan.rate),
        sent: 0,
        blocks: Blocks::default(),
        flush_mark: plan
            .connection
            .as_ref()
            .map_or(0, |connection| connection.flushes()),
        endings: plan.transfer.sim.inner.endings.number(),
        failed: false,
        plan,
    };
    Body::from_stream(futures_util::stream::unfold(
        sender,
        |mut sender| async move {
            let item = sender.next().await?;
            Some((item, sender))
        },
    ))
}

impl Sender {
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        let endings = &self.plan.transfer.sim.inner.endings;
        if endings.number() != self.endings
            && let Some(end) = endings.last()
        {
            self.endings = endings.number();
            (self.plan.stop, self.plan.end) = (self.sent, end);
        }
        while self.sent >= self.plan.stop {
            match self.plan.end {
                _ if self.failed => return None,
                End::Complete => return None,
                End::Stall(fault) => {
                    self.plan.transfer.sim.inner.faults.cleared(fault).await;
                    self.plan.stop = self.plan.length;
                    self.plan.end = End::Complete;
                }
                End::StallForGood => std::future::pending().await,
                End::Close | End::Reset | End::Expire => {
                    if self.plan.end == End::Expire {
                        let now = self.plan.transfer.sim.inner.clock.now_ms();
                        self.plan.download.expires_ms.store(now, Relaxed);
                    }
                    if let Some(connection) = &self.plan.connection {
                        connection.flushed_after(self.flush_mark).await;
                        if self.plan.end == End::Reset {
                            connection.reset_on_close();
                        }
                    }
                    self.failed = true;
                    return Some(Err(Cut));
                }
            }
        }
        let length = self.block_length();
        self.shape(length).await;
        let offset = self.plan.offset + self.sent;
        let mut block = self
            .blocks
            .make(&self.plan.download.content, offset, length as usize);
        if self.plan.wrong_bytes {
            block = block.iter().map(|byte| !byte).collect::<Vec<u8>>().into();
        }
        self.sent += length;
        self.count(length);
        self.flush_mark = self
            .plan
            .connection
            .as_ref()
            .map_or(0, |connection| connection.flushes());
        Some(Ok(block))
    }

    fn block_length(&self) -> u64 {
        let largest = if self.sent == 0 { FIRST_BLOCK } else { BLOCK };
        let slow = self.slow().map_or(0, |slow| slow.shaper.rate());
        let total = self.plan.transfer.sim.inner.total_shaper.rate();
        let shaped = [slow, total, self.shaper.rate()]
            .into_iter()
            .filter(|rate| *rate > 0)
            .map(|rate| {
                let slowest = PACKET.min(rate / LEAST_BLOCKS);
                let fine = rate / FINE_BLOCKS;
                let even = if self.sent < FINE_FOR * fine {
                    fine
                } else {
                    rate / SHAPED_BLOCKS
                };
                even.max(slowest).max(1)
            });
        let largest = shaped.fold(largest, u64::min);
        (self.plan.stop - self.sent).min(largest)
    }

    fn slow(&self) -> Option<&SlowStart> {
        self.plan
            .slow_start
            .as_ref()
            .filter(|slow| self.sent < slow.bytes)
    }

    async fn shape(&self, length: u64) {
        if let Some(slow) = &self.plan.slow_start
            && self.sent == 0
        {
            pause(slow.wait).await;
        }
        if let Some(slow) = self.slow() {
            slow.shaper.pass(length).await;
        }
        let first = self.sent < FINE_FOR * (self.shaper.rate() / FINE_BLOCKS);
        if first && self.plan.connection.is_some() {
            if let Some(until) = self.shaper.take(length) {
                pause_precisely(until).await;
            }
        } else {
            self.shaper.pass(length).await;
        }
        self.plan.transfer.sim.inner.total_shaper.pass(length).await;
    }

    fn count(&self, length: u64) {
        let inner = &self.plan.transfer.sim.inner;
        inner.counters.cdn_bytes.fetch_add(length, Relaxed);
        self.plan.transfer.link.bytes.fetch_add(length, Relaxed);
        self.plan
            .traffic
            .add(&inner.clock.day(inner.clock.now_ms()), length);
    }
}
