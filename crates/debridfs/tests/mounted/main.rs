//! The whole program on a real mount, over the simulator: what `docs/semantics.md` promises.
//!
//! Needs root and `/dev/fuse`. Every test has a simulator, directories, sockets and a mount point of its own and removes them, also when
//! it fails; it ends only processes it started.
#![allow(clippy::disallowed_methods)] // Tests wait for the real kernel by looking again after a moment.

mod accounts;
mod actions;
mod api;
mod arrs;
mod attached;
mod backends;
mod behaviour;
mod browsed;
mod cached;
mod confined;
mod consumers;
mod crowded;
mod davfs;
mod encrypted;
mod faults;
mod first_sync;
mod guests;
mod healing;
mod hooks;
mod hung_folders;
mod hung_volume;
mod identity;
mod kept;
mod killed;
mod lost_mount;
mod monitored;
mod moved;
mod nfs;
mod outage;
mod packed;
mod pages;
mod random_work;
mod samba;
mod several;
mod severed;
mod stalled;
mod storm;
mod strm;
mod supervised;
mod support;
mod sync;
mod traces;
mod two_at_once;
mod uninstalled;
mod unmounted;
mod upgraded;
mod vendors;
mod walking;
mod why;
