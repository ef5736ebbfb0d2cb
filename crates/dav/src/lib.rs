//! The library over HTTP, for players and programs that mount nothing: files by GET and HEAD with ranges, for whoever shows a token.
//!
//! | question | decided in |
//! |---|---|
//! | what a request is answered | `files` |
//! | which part of a file is meant | `conditions` |
//! | who is let in | `tokens` |
#![forbid(unsafe_code)]

mod conditions;
mod files;
mod tokens;

pub use files::{address, router};
pub use tokens::{OWN, Token, TokenError, Tokens};
