//! `folder_naming`: what a release's directory is called.

use debridfs_base::media::{AUDIO, VIDEO, WRAPPERS, has_extension};
use serde::{Deserialize, Serialize};

use crate::Copy;
use crate::names::legal;

/// What a release's directory is called, in the words of other programs' configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderNaming {
    /// The provider's display name.
    Filename,
    /// The name in the torrent file; a release shows once its info call was answered.
    Original,
    /// The provider's display name without a media or archive extension.
    #[default]
    FilenameNoExt,
    /// The name in the torrent file without a media or archive extension; as `original`.
    OriginalNoExt,
    /// The info-hash, 40 digits.
    Infohash,
}

impl FolderNaming {
    /// Whether a release has no name before its info call was answered.
    pub(crate) fn needs_info(self) -> bool {
        matches!(self, Self::Original | Self::OriginalNoExt)
    }

    /// The name for `record`, legal; `None` while it has to wait for the info call.
    pub fn name(self, record: &Copy) -> Option<String> {
        let (text, cut) = match self {
            Self::Filename => (record.filename.as_str(), false),
            Self::FilenameNoExt => (record.filename.as_str(), true),
            Self::Original | Self::OriginalNoExt => {
                let original = record.detail.as_ref()?.original_filename.as_str();
                let text = if original.trim().is_empty() {
                    &record.filename
                } else {
                    original
                };
                (text, self == Self::OriginalNoExt)
            }
            Self::Infohash => return Some(record.content.to_string()),
        };
        let text = if cut { without_extension(text) } else { text };
        if text.trim().is_empty() {
            return Some(record.content.to_string());
        }
        Some(legal(text).into_owned())
    }
}

/// `name` without its extension, if that is a known one and something is left.
fn without_extension(name: &str) -> &str {
    let name = name.trim();
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.trim().is_empty() && is_cut(name) => stem,
        _ => name,
    }
}

/// Extensions of films and music that names of whole releases end in as well (`Film.2024.1080p.AVC`).
const WORDS: &[&str] = &[
    "avc", "bin", "dat", "dtshd", "eac3", "lpcm", "pcm", "thd", "truehd", "ty", "viv",
];

/// Whether `name` has an extension of films, music or archives. Others may be part of a title (`Vol.1`, `x264-GROUP.2024`).
fn is_cut(name: &str) -> bool {
    let cut = [VIDEO, AUDIO, WRAPPERS];
    cut.iter().any(|list| has_extension(name, list)) && !has_extension(name, WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;

    #[test]
    fn table_of_namings() {
        use FolderNaming::{Filename, FilenameNoExt, Infohash, Original, OriginalNoExt};
        let mut record = record(1, "Film.2024.MKV");
        assert_eq!(Filename.name(&record).unwrap(), "Film.2024.MKV");
        assert_eq!(FilenameNoExt.name(&record).unwrap(), "Film.2024");
        assert_eq!(Original.name(&record), None, "waits for the info call");
        assert_eq!(OriginalNoExt.name(&record), None);
        assert_eq!(Infohash.name(&record).unwrap(), record.content.to_string());
        record.detail = Some(crate::CopyDetail {
            original_filename: "Original.Name.rar".into(),
            files: Vec::new(),
        });
        assert_eq!(Original.name(&record).unwrap(), "Original.Name.rar");
        assert_eq!(OriginalNoExt.name(&record).unwrap(), "Original.Name");
        record.filename = " ".into();
        assert_eq!(Filename.name(&record).unwrap(), record.content.to_string());
    }

    #[test]
    fn only_known_extensions_are_cut() {
        for (name, stem) in [
            ("Show.S01.1080p.x265-GRP", "Show.S01.1080p.x265-GRP"),
            ("Movie.2024", "Movie.2024"),
            ("Dr. No", "Dr. No"),
            (
                "Film.2024.COMPLETE.BLURAY.AVC",
                "Film.2024.COMPLETE.BLURAY.AVC",
            ),
            ("Film.2024.1080p.TrueHD", "Film.2024.1080p.TrueHD"),
            ("Film.2024.Mk3D", "Film.2024"),
            ("Film.qt", "Film"),
            ("a.zip", "a"),
            ("a.tar.gz", "a.tar"),
            ("book.epub", "book.epub"),
            (".mkv", ".mkv"),
            ("film .mp4", "film "),
            ("mkv", "mkv"),
        ] {
            assert_eq!(without_extension(name), stem, "{name}");
        }
    }
}
