//! The propagation test, on hosts of its own: a mount namespace each. Every failure is a real one.
#![allow(
    clippy::disallowed_methods,
    reason = "a test has no runtime to block; it looks again every few milliseconds"
)]

mod doctor;
mod host;
mod parts;
mod whole;
