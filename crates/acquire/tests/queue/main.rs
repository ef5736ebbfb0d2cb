//! The queue and its qBittorrent API over the simulated provider, in one process.

mod api;
mod failing;
mod fetched;
mod grabs;
mod killed;
mod logins;
mod sab;
mod shape;
mod support;
