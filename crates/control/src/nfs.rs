//! How files over NFS are read.

use debridfs_nfs::NfsServer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Clients of the NFS server. What is counted is counted since the engine's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NfsStatus {
    /// The one that asked last comes first.
    pub clients: Vec<NfsClientStatus>,
    /// Requests that clients have to ask again now.
    pub delayed: u64,
    /// Bytes of files in replies that are under way.
    pub reply_bytes: u64,
    /// Exports whose `path` leads to no directory of the library.
    pub missing: Vec<String>,
}

/// One client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NfsClientStatus {
    /// Where it is.
    pub address: String,
    /// Connections now.
    pub connections: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of files that were sent.
    pub bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Requests that it was told to ask again.
    pub delayed: u64,
    /// Seconds since its last request.
    pub idle_seconds: u64,
}

impl NfsStatus {
    pub(crate) fn of(server: &NfsServer) -> Self {
        let report = server.report();
        let clients = report.clients.into_iter();
        let clients = clients.map(|client| NfsClientStatus {
            address: client.address.to_string(),
            connections: client.connections as u64,
            requests: client.requests,
            bytes: client.bytes,
            errors: client.errors,
            delayed: client.delayed,
            idle_seconds: client.idle.as_secs(),
        });
        Self {
            clients: clients.collect(),
            delayed: report.delayed as u64,
            reply_bytes: report.memory,
            missing: report.missing,
        }
    }
}
