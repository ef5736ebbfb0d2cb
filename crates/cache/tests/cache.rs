//! The block cache alone: what was put is read again, after restarts and on other machines, and nothing else is ever read.
#![allow(clippy::disallowed_methods)] // Real threads write to a real disk; tests look again after a moment.

#[path = "cache/support.rs"]
mod support;

#[path = "cache/damage.rs"]
mod damage;
#[path = "cache/killed.rs"]
mod killed;
#[path = "cache/limits.rs"]
mod limits;
#[path = "cache/model.rs"]
mod model;
#[path = "cache/pages.rs"]
mod pages;
#[path = "cache/volume.rs"]
mod volume;
