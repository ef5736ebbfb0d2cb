//! The vendors that can be simulated, and what is the same for all of them on the way of a call to its answer: outages, delays, faults,
//! counters.

pub(crate) mod alldebrid;
mod answer;
mod arrival;
pub(crate) mod debridlink;
mod device;
mod form;
mod kind;
mod magnet;
pub(crate) mod premiumize;
pub(crate) mod real_debrid;
pub(crate) mod torbox;

pub use alldebrid::AllDebridSettings;
pub use debridlink::DebridLinkSettings;
pub(crate) use device::Devices;
pub use kind::Kind;
pub use premiumize::PremiumizeSettings;
pub use real_debrid::RealDebridSettings;
pub use torbox::{FullSlots, TorBoxSettings};

use axum::extract::Request;
use axum::response::Response;

use arrival::{Arrival, finish};

use crate::sim::Sim;

/// Answers whatever is neither for the CDN nor for the control interface.
pub(crate) async fn handle(sim: Sim, request: Request) -> Response {
    match sim.kind() {
        Kind::RealDebrid => real_debrid::handle(sim, request).await,
        Kind::TorBox => torbox::handle(sim, request).await,
        Kind::AllDebrid => alldebrid::handle(sim, request).await,
        Kind::DebridLink => debridlink::handle(sim, request).await,
        Kind::Premiumize => premiumize::handle(sim, request).await,
    }
}
