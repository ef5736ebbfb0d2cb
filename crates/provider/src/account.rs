//! What any vendor needs, with no word of one.
//!
//! | question | decided in |
//! |---|---|
//! | when a call may go | [`scheduler`] |
//! | whether a call is repeated | [`call`] |
//! | which key makes a link | [`keys`] |
//! | how much a key fetched, and may fetch | [`traffic`] |
//! | whether the account is well | [`health`] |
//! | proxy, TLS, IP version | [`network`] |
//! | which settings there are | [`config`] |
//! | how JSON is read that is not quite JSON | [`json`] |

pub(crate) mod call;
pub(crate) mod config;
pub(crate) mod health;
pub(crate) mod json;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod network;
pub(crate) mod scheduler;
pub(crate) mod traffic;
