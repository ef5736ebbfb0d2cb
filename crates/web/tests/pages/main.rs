//! The pages over real HTTP, with a library, a queue and a log that are made up.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod doors;
mod site;
mod views;
