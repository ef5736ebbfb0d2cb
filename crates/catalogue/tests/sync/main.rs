//! The sync against a provider that tests control, on a paused clock.
#![allow(dead_code)] // The faults that the provider can be told are not all used yet.

mod bench;
mod fake;
mod normal;
