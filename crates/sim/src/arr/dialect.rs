//! What differs between arrs as callers of a download client.

const VIDEO: &[&str] = &["mkv", "mp4", "avi", "ts", "strm"];
const MUSIC: &[&str] = &["flac", "mp3", "m4a", "ogg", "opus", "wav"];
const BOOKS: &[&str] = &["epub", "mobi", "azw3", "pdf", "m4b", "mp3"];

/// A program and, where it matters, its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Sonarr 4.
    SonarrV4,
    /// Sonarr 5: keys, tags, and a failed add puts all other grabs off.
    SonarrV5,
    /// Radarr 5.
    Radarr,
    /// Lidarr 2.
    Lidarr,
    /// Readarr and its forks.
    Readarr,
    /// Whisparr.
    Whisparr,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SonarrV4,
        Self::SonarrV5,
        Self::Radarr,
        Self::Lidarr,
        Self::Readarr,
        Self::Whisparr,
    ];

    /// Extensions it imports.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::SonarrV4 | Self::SonarrV5 | Self::Radarr | Self::Whisparr => VIDEO,
            Self::Lidarr => MUSIC,
            Self::Readarr => BOOKS,
        }
    }

    /// Whether a qBittorrent may be given a key in place of user and password.
    pub fn knows_keys(self) -> bool {
        self == Self::SonarrV5
    }

    /// Whether it hands tags on to a qBittorrent.
    pub fn hands_tags_on(self) -> bool {
        self == Self::SonarrV5
    }

    /// Whether an add that fails puts off whatever else it would have grabbed in the same pass, in place of the next release being taken.
    pub fn puts_off_after_failure(self) -> bool {
        self == Self::SonarrV5
    }
}
