//! A backend is let answer for a growing share of the nodes, and taken back by itself when it does
//! worse than the one before.
//!
//! ```text
//! request ─ share of the node? ─▶ primary ─▶ metered ─────────────────────▶ reply
//!                └──────────────▶ canary  ─▶ metered ─▶ not to be cached ─▶ reply
//!                                               └▶ window ─ look, 1/s ─▶ next stage, promoted, back
//! ```
//!
//! | where | what is decided there |
//! |---|---|
//! | `plan` | the stages, and the limits |
//! | `judge` | whether a limit is passed: pure |
//! | `machine` | when the next stage begins: pure |
//! | `mix` | which nodes the canary answers for |
//! | `meter`, `blame` | what counts as an error and as latency of a backend |
//! | `sampled` | one request during a rollout |
//! | `uncached`, `touched` | what the kernel must not keep, and what it has to forget |
//! | `decisions` | what was decided, for logs, metrics and events |
//! | `control` | start, pause, promote, roll back |
//! | `drive` | looks, and the state file |

mod blame;
mod control;
mod decisions;
mod drive;
mod judge;
mod machine;
mod meter;
mod mix;
mod plan;
mod sampled;
mod touched;
mod uncached;

pub(crate) use blame::noted;
pub(crate) use control::Running;
pub use control::{RolloutError, RolloutStatus, RunningStatus};
pub(crate) use decisions::Decisions;
pub use decisions::{Decision, DecisionCount, DecisionKind};
pub use judge::{Fault, Sample, SideCounts};
pub use machine::Progress;
pub(crate) use meter::Side;
pub(crate) use mix::{Mix, MixCell};
pub use plan::{PlanError, RolloutSettings, Stage};
pub(crate) use sampled::Sampler;

#[cfg(test)]
mod tests;
