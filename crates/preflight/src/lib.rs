//! What an engine needs of its machine: made ready by root, and tried as the user that the engine
//! will be. `serve`, `doctor` and `config check` judge by this.
//!
//! Whatever may hang, or has to be done as somebody else, is done by a short process of this program
//! ([`Helper`]), so whoever asks goes on within seconds.
//!
//! | question | where |
//! |---|---|
//! | how is such a process started, and what does it do | `helper.rs` |
//! | may the engine read this file, write there, listen on that address | `as_user.rs`, `as_user/trial.rs` |
//! | has another instance that directory | `alone.rs` |
//! | who makes the engine's directories | `directories.rs` |
//! | which files change hands when `PUID` changes | `directories/hand_over.rs` |
//! | do arrs and hooks listen | `services.rs` |
#![forbid(unsafe_code)]

mod alone;
mod as_user;
mod directories;
mod helper;
mod services;

pub use alone::{Alone, InUse};
pub use as_user::{Trial, TryAsUserArgs, alone, checks, listeners, named, own, run as try_as_user};
pub use directories::{NotPrepared, OwnDirectoriesArgs, prepare, run as own_directories};
pub use helper::Helper;
pub use services::checks as services;
