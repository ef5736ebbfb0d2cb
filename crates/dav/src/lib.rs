//! The library over HTTP, for players and programs that mount nothing: files by GET and HEAD with ranges, for whoever shows a token, and WebDAV with pages for
//! browsers, for users.
//!
//! | question | decided in |
//! |---|---|
//! | what is served where | `front`; `files` for addresses with a token in them, `strm` for those in `.strm` files, `webdav` |
//! | what a PROPFIND wants, and is answered | `propfind`, `multistatus` |
//! | what browsers are shown | `page` |
//! | what a GET or HEAD of a file is answered | `content` |
//! | which node a path means | `paths` |
//! | how its bytes are handed on, and how many at one time | `transfers` |
//! | which part of a file is meant | `conditions`, `ranges` |
//! | which media type it has | `kinds` |
//! | what a failure is answered | `refusal`; a film that is lost for good in `lost` |
//! | who is sent to a provider's own link | `redirect` |
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
mod content;
mod files;
mod front;
mod kinds;
mod lost;
mod multistatus;
mod page;
mod paths;
mod propfind;
mod ranges;
mod redirect;
mod refusal;
mod strm;
mod transfers;
mod webdav;

pub use addresses::{AddressForm, Addresses, NoAddress};
pub use files::{address, signed_address};
pub use front::router;
pub use redirect::{Redirect, Redirects};
