//! Media types: players go by them.

use debridfs_base::media::{is_audio, is_video};

/// Films that no player takes for one stream.
const DISC_IMAGES: &[&str] = &["bin", "dat", "img", "iso", "nrg"];

/// The media type by the extension of `path`.
pub(crate) fn kind_of(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "mkv" | "mk3d" => "video/x-matroska",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "avi" | "divx" | "xvid" | "bivx" => "video/x-msvideo",
        "mov" | "qt" => "video/quicktime",
        "ts" | "m2ts" | "mts" => "video/mp2t",
        "mpg" | "mpeg" | "vob" | "evo" | "m2v" => "video/mpeg",
        "wmv" => "video/x-ms-wmv",
        "asf" | "wtv" | "dvr-ms" => "video/x-ms-asf",
        "flv" | "f4v" => "video/x-flv",
        "3gp" => "video/3gpp",
        "ogv" | "ogm" => "video/ogg",
        "mp2" | "mp3" => "audio/mpeg",
        "aac" => "audio/aac",
        "ac3" => "audio/ac3",
        "wav" => "audio/wav",
        "wma" => "audio/x-ms-wma",
        "mka" => "audio/x-matroska",
        "flac" => "audio/flac",
        "m4a" | "m4b" => "audio/mp4",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "srt" => "application/x-subrip",
        "vtt" => "text/vtt",
        "pdf" => "application/pdf",
        "epub" => "application/epub+zip",
        extension if DISC_IMAGES.contains(&extension) => "application/octet-stream",
        _ if is_video(path) => "video/x-unknown",
        _ if is_audio(path) => "audio/x-unknown",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use debridfs_base::media::{AUDIO, VIDEO};

    use super::*;

    #[test]
    fn films_and_music_of_every_kind_are_told_as_such() {
        for extension in VIDEO.iter().filter(|name| !DISC_IMAGES.contains(name)) {
            let kind = kind_of(&format!("dir.x/Film.{}", extension.to_uppercase()));
            assert!(kind.starts_with("video/"), "{extension}: {kind}");
        }
        for extension in AUDIO {
            let kind = kind_of(&format!("Song.{extension}"));
            assert!(kind.starts_with("audio/"), "{extension}: {kind}");
        }
        for (name, kind) in [
            ("a.mkv", "video/x-matroska"),
            ("a.MK3D", "video/x-matroska"),
            ("a.m4b", "audio/mp4"),
            ("a.iso", "application/octet-stream"),
            ("a.txt", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
