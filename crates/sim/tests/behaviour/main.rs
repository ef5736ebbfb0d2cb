//! The simulator's behaviour, seen from outside.

mod account;
mod alldebrid;
mod api_faults;
mod cdn;
mod cdn_faults;
mod control;
mod debridlink;
mod documented;
mod fuzz;
mod libraries;
mod packed;
mod premiumize;
mod quirks;
mod serving;
mod support;
mod torbox;
mod torrents;
mod unrestrict;
