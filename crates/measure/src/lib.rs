//! Measuring file systems: what `debridfs bench` and the developers' `debridfs-bench` share.
//!
//! - processes that are measured, ended and pinned ([`Running`], [`Usage`], [`Child`]);
//! - figures ([`percentile`], [`rank_test`]) and pages with plots ([`Page`]);
//! - the suite over any directory ([`BenchCommand`], [`bench()`]).
//!
//! Whatever touches a measured directory runs in a process of its own ([`work`]), which is left behind when the file system does
//! not answer.
#![forbid(unsafe_code)]

mod child;
mod error;
mod page;
pub mod pin;
mod process;
mod statistics;
pub mod stop;
mod suite;

pub use child::Child;
pub use error::Error;
pub use page::{Bar, Page, escaped};
pub use process::{
    Running, Usage, drop_caches, forget_peaks, largest_resident, mebibytes_in, until, until_every,
    wait,
};
pub use statistics::{Ranks, median, percentile, rank_test, short};
pub use suite::{
    BenchCommand, Cache, CompareArgs, Ended, Measured, Named, Operation, OperationRecord, Outcome,
    Pin, Record, RunArgs, Target, TargetRecord, bench, measure, work,
};
