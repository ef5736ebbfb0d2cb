//! Small real films, made by `clips/make.sh`, for players and probes.

use serde::{Deserialize, Serialize};

/// A clip kept in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// Matroska, H.264 and AAC, 12 s.
    Film,
    /// Matroska, H.264, AC-3 and AAC tracks, subtitles, 8 s.
    Episode,
    /// MP4 with MPEG-4 video and AAC, 8 s, whose index is at the end of the file.
    IndexAtEnd,
    /// Subtitles (SubRip).
    Subtitles,
}

impl Clip {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Film, Self::Episode, Self::IndexAtEnd, Self::Subtitles];

    /// The file's bytes.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Film => include_bytes!("../clips/film.mkv"),
            Self::Episode => include_bytes!("../clips/episode.mkv"),
            Self::IndexAtEnd => include_bytes!("../clips/index-at-end.mp4"),
            Self::Subtitles => include_bytes!("../clips/subtitles.srt"),
        }
    }

    /// The usual extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Film | Self::Episode => "mkv",
            Self::IndexAtEnd => "mp4",
            Self::Subtitles => "srt",
        }
    }
}
