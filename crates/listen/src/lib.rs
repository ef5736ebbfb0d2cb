//! What every front that listens shares: taking connections, telling callers apart, and keeping out
//! those who guess. What a login looks like (a form, `auth/login`, a key in the query) stays with
//! the front; so does what it answers.
//!
//! | question | where |
//! |---|---|
//! | how an address or a socket is taken | `bind.rs` |
//! | what is said while an address cannot be had | `place.rs` |
//! | how connections are accepted, of any protocol | `serve.rs`, from what in `accept.rs` |
//! | how many, how long, how much | `limits.rs`; how many files in `descriptors.rs` |
//! | who has to go when a listener is full | `crowd.rs`; what a connection waits for in `activity.rs` |
//! | how TLS begins on one, and with what | `handshake.rs`; `tls.rs` from the files of `certificate.rs` |
//! | how HTTP is served on one | `http.rs`; what bodies take of the memory in `budget.rs`, what is counted in `http_counts.rs` |
//! | who counts as one caller | `network.rs` |
//! | who calls, by `Authorization` | `logins.rs`, of `shown.rs`, `users.rs` and `tokens.rs`; what is told of them in `caller.rs` |
//! | who has logged in | `sessions.rs` |
//! | who has guessed too often | `attempts.rs`, and who is told of in the log in `recent.rs` |
//! | what opens one file for a while, and until a token is replaced | `signed.rs`, `file_key.rs` |
//! | is it the right secret | `secret.rs`, `password.rs` |
//! | does a browser send it for a page of another site, or a proxy for somebody | `origin.rs` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod accept;
mod activity;
mod attempts;
mod bind;
mod budget;
mod caller;
mod certificate;
mod crowd;
mod descriptors;
mod file_key;
mod handshake;
mod holder;
mod http;
mod http_counts;
mod limits;
mod logins;
mod network;
mod origin;
mod password;
mod place;
mod recent;
mod secret;
mod serve;
mod sessions;
mod shown;
mod signed;
mod tls;
mod tokens;
mod users;

pub use accept::Accept;
pub use activity::{Activity, Busy, Stream};
pub use attempts::{Attempts, TooMany};
pub use bind::{tcp, unix};
pub use budget::{ByteBudget, Taken};
pub use caller::{Caller, Right, root_of};
pub use certificate::{TlsError, TlsFiles};
pub use descriptors::raise_descriptors;
pub use file_key::FileKeys;
pub use holder::holder;
pub use http::{Encrypted, Peer, peer};
pub use http_counts::{FrontName, HttpReport};
pub use limits::{Limits, Times};
pub use logins::{Logins, Refused};
pub use network::Network;
pub use origin::{forwarding, has_foreign, is_cross_site, is_rebound, mark_answer};
pub use password::{HashedPassword, PasswordError};
pub use place::Place;
pub use secret::{Digest32, digest, is_digest_of, random, same};
pub use serve::{Front, FrontReport, Guest, Listeners};
pub use sessions::{Lifetime, Sessions};
pub use signed::Signed;
pub use tls::{Tls, ending};
pub use tokens::{OWN, Token, TokenError, TokenRights, Tokens};
pub use users::User;
