//! The simulator's behaviour, seen from outside.

mod support;
mod torrents;
mod unrestrict;
