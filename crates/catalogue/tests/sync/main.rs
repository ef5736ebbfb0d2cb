//! The sync against a provider that tests control, on a paused clock.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod bench;
mod copies;
mod downgrade;
mod fake;
mod faults;
mod first;
mod guard;
mod learnt;
mod model;
mod normal;
mod packed;
mod store;
mod told;
mod whole_lines;
