//! What was decided about rollouts: logged, counted, kept for a while, and told to whoever listens.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use utoipa::ToSchema;

use super::machine::Progress;
use crate::backend_kind::BackendKind;

/// Decisions that are kept, and that wait for a listener.
const KEPT: usize = 32;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionKind {
    /// A rollout began.
    Started,
    /// An engine goes on with the rollout of the one before it.
    Resumed,
    /// The next stage began.
    Advanced,
    /// It stays at its stage until it is told to go on.
    Paused,
    /// It goes on.
    Unpaused,
    /// The new backend answers for good.
    Promoted,
    /// The old backend answers again.
    RolledBack,
}

impl DecisionKind {
    /// All that there are.
    pub const ALL: [Self; 7] = [
        Self::Started,
        Self::Resumed,
        Self::Advanced,
        Self::Paused,
        Self::Unpaused,
        Self::Promoted,
        Self::RolledBack,
    ];

    /// Its name in metrics and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Resumed => "resumed",
            Self::Advanced => "advanced",
            Self::Paused => "paused",
            Self::Unpaused => "unpaused",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Its number since the engine's start, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What was decided.
    pub decision: DecisionKind,
    /// The backend that answered before.
    pub from: BackendKind,
    /// The one that is rolled out.
    pub to: BackendKind,
    /// Share of the nodes that the new one answers for from now on, in percent.
    pub percent: f64,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Decision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from, to, percent, ..
        } = self;
        let reason = &self.reason;
        match self.decision {
            DecisionKind::Started => write!(out, "{to} answers for {percent} % of the nodes")?,
            DecisionKind::Resumed => {
                write!(out, "{to} answers for {percent} % of the nodes again")?;
            }
            DecisionKind::Advanced => {
                write!(out, "{to} answers for {percent} % of the nodes now")?;
            }
            DecisionKind::Paused => write!(out, "the rollout of {to} waits at {percent} %")?,
            DecisionKind::Unpaused => write!(out, "the rollout of {to} goes on at {percent} %")?,
            DecisionKind::Promoted => write!(out, "{to} was promoted and answers everything")?,
            DecisionKind::RolledBack => {
                write!(out, "{to} was rolled back: {from} answers everything again")?;
            }
        }
        write!(out, " ({reason})")
    }
}

/// How many decisions of a kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionCount {
    /// The kind.
    pub decision: DecisionKind,
    /// How many.
    pub count: u64,
}

/// All decisions since the engine's start.
#[derive(Debug)]
pub(crate) struct Decisions {
    inner: Mutex<Inner>,
    sender: broadcast::Sender<Decision>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<DecisionKind, u64>,
    last: VecDeque<Decision>,
    made: u64,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            sender: broadcast::Sender::new(KEPT),
        }
    }
}

impl Decisions {
    /// Notes and tells one about the rollout that has come so far.
    pub(crate) fn note(&self, decision: DecisionKind, of: &Progress, reason: impl fmt::Display) {
        let percent = match decision {
            DecisionKind::Promoted => 100.0,
            DecisionKind::RolledBack => 0.0,
            _ => of.at().percent,
        };
        let mut inner = self.inner.lock();
        inner.made += 1;
        let made = Decision {
            number: inner.made,
            at: Timestamp::now(),
            decision,
            from: of.from,
            to: of.to,
            percent,
            reason: reason.to_string(),
        };
        match decision {
            DecisionKind::RolledBack => tracing::warn!("{made}"),
            _ => tracing::info!("{made}"),
        }
        *inner.counts.entry(decision).or_default() += 1;
        if inner.last.len() == KEPT {
            inner.last.pop_front();
        }
        inner.last.push_back(made.clone());
        // Under the lock, so that they are told in their order. There may be no listener.
        let _ = self.sender.send(made);
    }

    /// The newest ones, the newest last.
    pub(crate) fn last(&self) -> Vec<Decision> {
        self.inner.lock().last.iter().cloned().collect()
    }

    /// How many there were of each kind.
    pub(crate) fn counts(&self) -> Vec<DecisionCount> {
        let inner = self.inner.lock();
        let count = |decision| DecisionCount {
            decision,
            count: inner.counts.get(&decision).copied().unwrap_or(0),
        };
        DecisionKind::ALL.map(count).to_vec()
    }

    /// Those that come from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Decision> {
        self.sender.subscribe()
    }
}
