//! A stand-in of a vendor's cloud: the API and the CDN, held to the vendor's behaviour. Real-Debrid has `/rest/1.0/…` and `/d/ID/NAME`, TorBox
//! `/v1/api/…` and `/dld/UUID?token=…`, Debrid-Link `/api/v2/…` and `/dl/ID/NAME` ([`Kind`]).
//!
//! * [`Sim`] is the state: accounts with torrents, links and limits, faults, settings, counters and a clock.
//!   [`Sim::router`] is a `tower` service, so that tests need no socket and can pause tokio's time; [`InProcess`] takes our clients there.
//! * [`serve`] puts it on TCP, with or without TLS, and with a second listener for the CDN if wanted.
//! * Content is a function of (file key, offset), see [`content`]; small real clips can be placed too, see [`Clip`].
//! * [`LibrarySpec`] describes what an account holds: the demo library, generated ones, or a file.
//! * Everything under `/control/` (see [`control`]) changes and inspects the simulation; it is never counted, limited or refused.
#![forbid(unsafe_code)]

mod account;
pub mod arr;
pub mod arr_program;
mod bencode;
mod cdn;
mod clip;
mod clock;
mod connection;
pub mod content;
pub mod control;
mod counters;
mod cut;
mod fault;
mod in_process;
mod library;
pub mod media_server;
mod pause;
mod random;
mod rar;
mod server;
mod settings;
mod shaper;
mod sim;
mod status;
mod tls;
mod transfers;
mod vendors;

pub use account::AccountState;
pub use cdn::{ByteRange, RangeRequest, parse_range};
pub use clip::Clip;
pub use clock::SimClock;
pub use counters::{CdnCounters, Counters, Gauge, LinkCounters};
pub use fault::{ApiFault, CdnFault, CdnFaultKind, FaultId, FaultStatus, Outage, OutageMode, Page};
pub use in_process::InProcess;
pub use library::{
    FileSpec, Generated, LibraryError, LibrarySpec, LinkMode, Outcome, PackFlaw, ReleaseSpec,
    Service,
};
pub use server::{ServeError, ServeOptions, Served, serve};
pub use settings::Settings;
pub use sim::{FileView, Sim, SimError, TorrentChange, TorrentView};
pub use status::Status;
pub use tls::TestCa;
pub use transfers::TransferEnd;
pub use vendors::{
    AllDebridSettings, DebridLinkSettings, FullSlots, Kind, PremiumizeSettings, RealDebridSettings,
    TorBoxSettings,
};
