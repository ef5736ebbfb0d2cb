//! The library over HTTP, for players and programs that mount nothing: files by GET and HEAD with ranges, for whoever shows a token.
//!
//! | question | decided in |
//! |---|---|
//! | what a request is answered | `files` |
//! | how its bytes are handed on, and how many at one time | `transfers` |
//! | which part of a file is meant | `conditions` |
//! | which address a `.strm` file holds | `addresses` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod addresses;
mod conditions;
mod files;
mod transfers;

pub use addresses::{Addresses, NoAddress};
pub use files::{address, router, signed_address};
