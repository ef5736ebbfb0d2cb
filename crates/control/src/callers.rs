//! Who is connected, and what that takes.

use debridfs_listen::Listeners;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Callers of all listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallersStatus {
    /// The listeners, in the order in which they were made.
    pub listeners: Vec<ListenerStatus>,
    /// Bytes of requests' bodies in memory now.
    pub body_bytes: u64,
    /// Bytes that may be.
    pub body_limit: u64,
    /// Logins that failed since the engine's start.
    pub failed_logins: u64,
}

/// One listener. What is counted is counted since the engine's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListenerStatus {
    /// What is served there, such as `qBittorrent API`.
    pub name: String,
    /// Connections now.
    pub connections: u64,
    /// Connections that were let in.
    pub accepted: u64,
    /// Connections that were one too many.
    pub refused: u64,
    /// Connections that did nothing and made room for others.
    pub made_room: u64,
    /// Connections that ended as no request came.
    pub idle: u64,
    /// Connections that ended as a body did not come, or an answer was not taken.
    pub slow: u64,
    /// Errors of accepting.
    pub errors: u64,
}

impl CallersStatus {
    /// How `listeners` do.
    pub(crate) fn of(listeners: &Listeners) -> Self {
        let reports = listeners.report().into_iter();
        let listeners_now = reports.map(|report| ListenerStatus {
            name: report.name.to_owned(),
            connections: report.connections,
            accepted: report.accepted,
            refused: report.refused,
            made_room: report.made_room,
            idle: report.idle,
            slow: report.slow,
            errors: report.errors,
        });
        Self {
            listeners: listeners_now.collect(),
            body_bytes: listeners.bodies().used(),
            body_limit: listeners.bodies().limit(),
            failed_logins: listeners.attempts().failures(),
        }
    }
}
