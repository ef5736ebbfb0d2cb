//! The sync against a provider that tests control, on a paused clock.

mod bench;
mod copies;
mod downgrade;
mod fake;
mod faults;
mod guard;
mod model;
mod normal;
mod packed;
mod store;
mod told;
