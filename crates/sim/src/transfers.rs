//! How what is being sent ends: in order, or in its middle.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::fault::FaultId;

/// How a body ends when it has sent what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Close,
    Reset,
    Stall(FaultId),
    StallForGood,
    Expire,
}

/// How transfers that are open now are brought to an end in their middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferEnd {
    /// The connection is closed (FIN).
    Close,
    /// The connection is reset (RST).
    Reset,
    /// Nothing more comes, and the connection stays open until the client closes it.
    Stall,
    /// The connection is closed, and the link answers `link_expired` from then on.
    Expire,
}

/// The last order to end what is open, with a number that counts up.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    number: AtomicU64,
    how: Mutex<Option<TransferEnd>>,
}

impl Endings {
    pub(crate) fn order(&self, how: TransferEnd) {
        let mut last = self.how.lock();
        *last = Some(how);
        self.number.fetch_add(1, Relaxed);
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    pub(crate) fn last(&self) -> Option<End> {
        let last = *self.how.lock();
        last.map(|how| match how {
            TransferEnd::Close => End::Close,
            TransferEnd::Reset => End::Reset,
            TransferEnd::Stall => End::StallForGood,
            TransferEnd::Expire => End::Expire,
        })
    }
}
