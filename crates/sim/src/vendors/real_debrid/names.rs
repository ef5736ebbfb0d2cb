//! Names that are refused (users' reports of May 2026).

const WORDS: [&str; 10] = [
    "web-dl",
    "webrip",
    "bdrip",
    "hdrip",
    "dvdrip",
    "bluray.x264",
    "hdtv.x264",
    "hdtv.xvid",
    "web.x264",
    "web.h264",
];

/// Whether a release of this name is refused, whatever it holds.
pub(super) fn is_refused(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}
