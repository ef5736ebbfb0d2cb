//! What is done about releases that cannot be read any more.
//!
//! Nothing is believed at once. Who reads, or the library, *reports* a release; it becomes a suspect. Checks of our own, apart from each other and
//! only while its providers are well, confirm that or clear it. What is confirmed is in quarantine and is treated, one treatment after the other, few in
//! an hour: added again where it was, added at another provider, and at last the arr that grabbed it is asked for another release. When many turn bad at
//! once it is the provider that is suspected, and nobody is treated.
//!
//! [`Machine`] decides all of this, without a clock, a network or a disk; [`Repair`] carries out what it wants, by way of a [`Ward`], and keeps its
//! state on disk.
//!
//! What is moved to another account because somebody asked is carried out by [`Moves`], with the same additions.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod again;
mod library_moves;
mod library_ward;
mod machine;
mod moves;
mod patient;
mod repair;
mod rules;
mod store;
mod ward;

pub use again::{AddedAgain, Again};
pub use library_ward::LibraryWard;
pub use machine::{Machine, Wish};
pub use moves::{Ask, Compared, Move, MoveError, MoveStep, MoveWard, Moves, SourceCopy};
pub use patient::{Evidence, Intent, Patient, Stage, Treatment};
pub use repair::{Repair, RepairStatus};
pub use rules::Rules;
pub use store::{StoreError, Stored};
pub use ward::{Checked, Finding, ProviderState, Treated, Ward};
