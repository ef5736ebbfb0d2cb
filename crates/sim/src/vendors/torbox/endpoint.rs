//! The endpoints, by the names that counters and faults use: the path below `/v1/api/`.

use http::Method;

use crate::library::Service;

/// An endpoint of the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Up,
    Stats,
    Me,
    List(Service),
    Create(Service),
    Control(Service),
    RequestDl(Service),
    CheckCached(Service),
    TorrentInfo,
    ExportData,
    GetQueued,
    ControlQueued,
    Hosters,
    DeviceStart,
    DeviceToken,
    Unknown,
}

use Service::{Torrents, Usenet, Webdl};

const ENDPOINTS: [(&str, Endpoint); 29] = [
    ("stats", Endpoint::Stats),
    ("user/me", Endpoint::Me),
    ("torrents/mylist", Endpoint::List(Torrents)),
    ("torrents/createtorrent", Endpoint::Create(Torrents)),
    ("torrents/controltorrent", Endpoint::Control(Torrents)),
    ("torrents/requestdl", Endpoint::RequestDl(Torrents)),
    ("torrents/checkcached", Endpoint::CheckCached(Torrents)),
    ("torrents/torrentinfo", Endpoint::TorrentInfo),
    ("torrents/exportdata", Endpoint::ExportData),
    ("torrents/getqueued", Endpoint::GetQueued),
    ("torrents/controlqueued", Endpoint::ControlQueued),
    ("queued/getqueued", Endpoint::GetQueued),
    ("queued/controlqueued", Endpoint::ControlQueued),
    ("usenet/mylist", Endpoint::List(Usenet)),
    ("usenet/createusenetdownload", Endpoint::Create(Usenet)),
    ("usenet/controlusenetdownload", Endpoint::Control(Usenet)),
    ("usenet/requestdl", Endpoint::RequestDl(Usenet)),
    ("usenet/checkcached", Endpoint::CheckCached(Usenet)),
    ("webdl/mylist", Endpoint::List(Webdl)),
    ("webdl/createwebdownload", Endpoint::Create(Webdl)),
    ("webdl/controlwebdownload", Endpoint::Control(Webdl)),
    ("webdl/requestdl", Endpoint::RequestDl(Webdl)),
    ("webdl/checkcached", Endpoint::CheckCached(Webdl)),
    ("webdl/hosters", Endpoint::Hosters),
    ("torrents/asynccreatetorrent", Endpoint::Create(Torrents)),
    ("usenet/asynccreateusenetdownload", Endpoint::Create(Usenet)),
    ("webdl/asynccreatewebdownload", Endpoint::Create(Webdl)),
    ("user/auth/device/start", Endpoint::DeviceStart),
    ("user/auth/device/token", Endpoint::DeviceToken),
];

impl Endpoint {
    /// The endpoint of a whole path.
    pub(super) fn of(path: &str) -> Self {
        if path == "/" {
            return Self::Up;
        }
        let path = path.strip_prefix("/v1/api/").unwrap_or("");
        let known = ENDPOINTS.iter().find(|(name, _)| *name == path);
        known.map_or(Self::Unknown, |(_, endpoint)| *endpoint)
    }

    pub(super) fn name(self) -> &'static str {
        let known = ENDPOINTS.iter().find(|(_, endpoint)| *endpoint == self);
        match self {
            Self::Up => "/",
            // Two paths lead there, one of them the older.
            Self::GetQueued => "queued/getqueued",
            Self::ControlQueued => "queued/controlqueued",
            _ => known.map_or("unknown", |(name, _)| name),
        }
    }

    /// Whether it answers without a token.
    pub(super) fn is_public(self) -> bool {
        matches!(
            self,
            Self::Up
                | Self::Stats
                | Self::TorrentInfo
                | Self::Hosters
                | Self::DeviceStart
                | Self::DeviceToken
                | Self::Unknown
        )
    }

    /// Whether the token is a parameter of the query instead of a header.
    pub(super) fn token_in_query(self) -> bool {
        matches!(self, Self::RequestDl(_))
    }

    pub(super) fn allows(self, method: &Method) -> bool {
        match self {
            Self::Create(_) | Self::Control(_) | Self::ControlQueued | Self::DeviceToken => {
                method == Method::POST
            }
            Self::CheckCached(_) | Self::TorrentInfo => {
                method == Method::GET || method == Method::POST
            }
            _ => method == Method::GET,
        }
    }
}
