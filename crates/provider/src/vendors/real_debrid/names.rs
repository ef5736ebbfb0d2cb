//! Names that the vendor has refused since May 2026, whatever the content is (users' reports, with the words that they
//! found by trying).
//!
//! They are known only to read a refusal: what a release is called is never changed.

/// Anywhere in a name.
const ANYWHERE: [&str; 5] = ["web-dl", "webrip", "bdrip", "hdrip", "dvdrip"];
/// Words with a dot between.
const JOINED: [&str; 5] = [
    "bluray.x264",
    "hdtv.x264",
    "hdtv.xvid",
    "web.x264",
    "web.h264",
];

/// Whether a release, or a file, of this name is refused for its name. The answer to it is
/// `infringing_file`, as that to content that was taken down.
pub fn is_refused(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = ANYWHERE.into_iter().chain(JOINED);
    words.any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_for_their_words() {
        for name in [
            "Film.2024.1080p.WEB-DL.x265",
            "film 2024 webrip",
            "Film.BDRip.mkv",
            "Show.S01.HDRip",
            "Old.Film.DVDRip.XviD",
            "Film.2024.BluRay.x264-GROUP",
            "Show.S01E01.HDTV.x264",
            "Show.S01E01.hdtv.XviD",
            "Show.S01E01.WEB.x264",
            "Show.S01E01.WEB.H264-GROUP",
        ] {
            assert!(is_refused(name), "{name}");
        }
        for name in [
            "Film.2024.2160p.UHD.BluRay.x265",
            "Film 2024 BluRay x264",
            "Show.S01E01.WEB.x265",
            "Show.S01E01.1080p.WEB",
            "Charlottes.Web.2006.1080p",
            "",
        ] {
            assert!(!is_refused(name), "{name}");
        }
    }
}
