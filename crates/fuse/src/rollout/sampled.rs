//! One request during a rollout.

use std::sync::Arc;

use debridfs_handover::InHeader;
use debridfs_vfs::Change;
use tokio::sync::mpsc::UnboundedReceiver;

use super::meter::{Meter, Metered, Meters, Side};
use super::touched::Touched;
use super::uncached::Asked;
use crate::backend::{Call, Outcome};
use crate::wire::{Receipt, Reply};

/// Counts what both backends answer, and notes what the kernel learns from the canary.
#[derive(Clone, Default)]
pub(crate) struct Sampler {
    pub(crate) meters: Arc<Meters>,
    pub(crate) touched: Arc<Touched>,
}

impl Sampler {
    pub(crate) fn epoch(&self) -> u64 {
        self.touched.epoch()
    }

    pub(crate) fn distrusted(&self) -> UnboundedReceiver<Vec<Change>> {
        self.touched.receiver()
    }

    /// A request that came in `epoch`.
    pub(crate) fn sampled(
        &self,
        side: Side,
        epoch: u64,
        header: &InHeader,
        request: &[u8],
    ) -> Sampled {
        let asked = (side == Side::Canary).then(|| Asked::of(header, request));
        Sampled {
            sampler: self.clone(),
            side,
            epoch,
            asked,
        }
    }
}

/// A request in hand.
pub(crate) struct Sampled {
    sampler: Sampler,
    side: Side,
    epoch: u64,
    /// What the canary is asked.
    asked: Option<Asked>,
}

impl Sampled {
    /// Has it answered by `backend`.
    pub(crate) fn answer(
        self,
        call: Call<'_>,
        reply: &mut Reply,
        backend: impl FnOnce(Call<'_>, &mut Reply) -> Outcome,
    ) -> Outcome {
        let mut meter = Meter::start(&self.sampler.meters, self.side, call.left);
        match meter.run(|| backend(call, reply)) {
            Outcome::Ready => {
                meter.end(reply.errno());
                self.finish(reply);
                Outcome::Ready
            }
            Outcome::Later(waited_for) => {
                let finish = move |reply: &mut Reply| self.finish(reply);
                Outcome::Later(Box::pin(Metered::new(meter, waited_for, finish)))
            }
        }
    }

    fn finish(self, reply: &mut Reply) {
        let changes = self.asked.map(|asked| asked.uncache(reply));
        let changes = changes.unwrap_or_default();
        let Sampler { meters, touched } = self.sampler;
        touched.note(&changes);
        reply.set_receipt(Box::new(Sent {
            meters,
            touched,
            side: self.side,
            epoch: self.epoch,
            changes,
        }));
    }
}

/// Learns what becomes of a reply.
struct Sent {
    meters: Arc<Meters>,
    touched: Arc<Touched>,
    side: Side,
    epoch: u64,
    changes: Vec<Change>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sent")
            .field("side", &self.side)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Receipt for Sent {
    fn refused(&self) {
        self.meters.refused(self.side);
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // Rolled back while it was under way: it may have come after what was taken back then.
        if self.touched.epoch() != self.epoch {
            self.touched.tell(std::mem::take(&mut self.changes));
        }
    }
}
