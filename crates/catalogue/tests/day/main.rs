//! Accounts of all vendors on a paused clock: catalogue, client and scheduler against the simulated
//! vendor, which counts calls.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod busy;
mod down;
mod idle;
mod watched;
