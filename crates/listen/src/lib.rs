//! What every front that listens shares: taking connections, telling callers apart, and keeping out
//! those who guess. What a login looks like (a form, `auth/login`, a key in the query) stays with
//! the front; so does what it answers.
//!
//! | question | where |
//! |---|---|
//! | how an address or a socket is taken | `bind.rs` |
//! | how connections are accepted and served | `serve.rs` |
//! | who has logged in | `sessions.rs` |
//! | who has guessed too often | `attempts.rs` |
//! | is it the right secret | `secret.rs`, `password.rs` |
//! | does a browser send it for a page of another site | `origin.rs` |
#![forbid(unsafe_code)]

mod attempts;
mod bind;
mod origin;
mod password;
mod secret;
mod serve;
mod sessions;

pub use attempts::{Attempts, TooMany};
pub use bind::{tcp, unix};
pub use origin::{has_foreign, is_cross_site, is_rebound, mark_answer};
pub use password::{HashedPassword, PasswordError};
pub use secret::{Digest32, digest, is_digest_of, random, same};
pub use serve::{Peer, peer, serve};
pub use sessions::{Lifetime, Sessions};
