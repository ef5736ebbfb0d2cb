//! The endpoints that the simulation knows, by the names that counters and faults use.

use http::Method;

/// An endpoint of the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Time,
    TimeIso,
    User,
    Torrents,
    TorrentInfo,
    ActiveCount,
    AvailableHosts,
    InstantAvailability,
    AddTorrent,
    AddMagnet,
    SelectFiles,
    DeleteTorrent,
    UnrestrictCheck,
    UnrestrictLink,
    UnrestrictFolder,
    ContainerFile,
    ContainerLink,
    Downloads,
    DeleteDownload,
    Traffic,
    TrafficDetails,
    Transcode,
    MediaInfos,
    Hosts,
    HostsStatus,
    HostsDomains,
    HostsRegex,
    HostsRegexFolder,
    Settings,
    SettingsUpdate,
    DisableAccessToken,
    Unknown,
}

impl Endpoint {
    /// The endpoint of a path below `/rest/1.0/`.
    pub(super) fn of(path: &str) -> Self {
        let path = path.trim_end_matches('/');
        let mut parts = path.splitn(3, '/');
        let (first, second) = (parts.next().unwrap_or(""), parts.next());
        let has_argument = parts.next().is_some_and(|rest| !rest.is_empty());
        match (first, second, has_argument) {
            ("time", None, _) => Self::Time,
            ("time", Some("iso"), false) => Self::TimeIso,
            ("user", None, _) => Self::User,
            ("torrents", None, _) => Self::Torrents,
            ("torrents", Some("info"), true) => Self::TorrentInfo,
            ("torrents", Some("activeCount"), false) => Self::ActiveCount,
            ("torrents", Some("availableHosts"), false) => Self::AvailableHosts,
            ("torrents", Some("instantAvailability"), _) => Self::InstantAvailability,
            ("torrents", Some("addTorrent"), false) => Self::AddTorrent,
            ("torrents", Some("addMagnet"), false) => Self::AddMagnet,
            ("torrents", Some("selectFiles"), true) => Self::SelectFiles,
            ("torrents", Some("delete"), true) => Self::DeleteTorrent,
            ("unrestrict", Some("check"), false) => Self::UnrestrictCheck,
            ("unrestrict", Some("link"), false) => Self::UnrestrictLink,
            ("unrestrict", Some("folder"), false) => Self::UnrestrictFolder,
            ("unrestrict", Some("containerFile"), false) => Self::ContainerFile,
            ("unrestrict", Some("containerLink"), false) => Self::ContainerLink,
            ("downloads", None, _) => Self::Downloads,
            ("downloads", Some("delete"), true) => Self::DeleteDownload,
            ("traffic", None, _) => Self::Traffic,
            ("traffic", Some("details"), false) => Self::TrafficDetails,
            ("streaming", Some("transcode"), true) => Self::Transcode,
            ("streaming", Some("mediaInfos"), true) => Self::MediaInfos,
            ("hosts", None, _) => Self::Hosts,
            ("hosts", Some("status"), false) => Self::HostsStatus,
            ("hosts", Some("domains"), false) => Self::HostsDomains,
            ("hosts", Some("regex"), false) => Self::HostsRegex,
            ("hosts", Some("regexFolder"), false) => Self::HostsRegexFolder,
            ("settings", None, _) => Self::Settings,
            ("settings", Some("update"), false) => Self::SettingsUpdate,
            ("disable_access_token", None, _) => Self::DisableAccessToken,
            _ => Self::Unknown,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::TimeIso => "time/iso",
            Self::User => "user",
            Self::Torrents => "torrents",
            Self::TorrentInfo => "torrents/info",
            Self::ActiveCount => "torrents/activeCount",
            Self::AvailableHosts => "torrents/availableHosts",
            Self::InstantAvailability => "torrents/instantAvailability",
            Self::AddTorrent => "torrents/addTorrent",
            Self::AddMagnet => "torrents/addMagnet",
            Self::SelectFiles => "torrents/selectFiles",
            Self::DeleteTorrent => "torrents/delete",
            Self::UnrestrictCheck => "unrestrict/check",
            Self::UnrestrictLink => "unrestrict/link",
            Self::UnrestrictFolder => "unrestrict/folder",
            Self::ContainerFile => "unrestrict/containerFile",
            Self::ContainerLink => "unrestrict/containerLink",
            Self::Downloads => "downloads",
            Self::DeleteDownload => "downloads/delete",
            Self::Traffic => "traffic",
            Self::TrafficDetails => "traffic/details",
            Self::Transcode => "streaming/transcode",
            Self::MediaInfos => "streaming/mediaInfos",
            Self::Hosts => "hosts",
            Self::HostsStatus => "hosts/status",
            Self::HostsDomains => "hosts/domains",
            Self::HostsRegex => "hosts/regex",
            Self::HostsRegexFolder => "hosts/regexFolder",
            Self::Settings => "settings",
            Self::SettingsUpdate => "settings/update",
            Self::DisableAccessToken => "disable_access_token",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it answers without a token; such calls count against no account.
    pub(super) fn is_public(self) -> bool {
        matches!(
            self,
            Self::Time
                | Self::TimeIso
                | Self::UnrestrictCheck
                | Self::Hosts
                | Self::HostsDomains
                | Self::HostsRegex
                | Self::HostsRegexFolder
                | Self::Unknown
        )
    }

    pub(super) fn method(self) -> Method {
        match self {
            Self::AddTorrent | Self::ContainerFile => Method::PUT,
            Self::AddMagnet
            | Self::SelectFiles
            | Self::SettingsUpdate
            | Self::UnrestrictCheck
            | Self::UnrestrictLink
            | Self::UnrestrictFolder
            | Self::ContainerLink => Method::POST,
            Self::DeleteTorrent | Self::DeleteDownload => Method::DELETE,
            _ => Method::GET,
        }
    }
}
