//! The action `strm`: films are files of one line, the address under which they can be read.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use debridfs_base::media::is_video;
use debridfs_catalogue::LONGEST_NAME;
use sha1::{Digest, Sha1};

/// What every name here ends with.
const EXTENSION: &str = ".strm";

/// For each of `paths` what its `.strm` is called; nothing for what is no film, as no player would know what to do with that.
pub(crate) fn names<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Vec<Option<String>> {
    let mut stems: HashMap<&str, u32> = HashMap::new();
    for path in paths.clone().filter(|path| is_video(path)) {
        *stems.entry(stem(path)).or_default() += 1;
    }
    paths
        .map(|path| {
            let name = is_video(path).then(|| stem(path))?;
            // Two films that differ in their extension alone.
            let alone = stems.get(name).is_none_or(|count| *count == 1);
            Some(named(if alone { name } else { path }))
        })
        .collect()
}

/// `path` with our extension. A name that is too long for that is cut, and told from others that begin alike by a digest of it.
fn named(path: &str) -> String {
    let start = path.rfind('/').map_or(0, |slash| slash + 1);
    let name = &path[start..];
    if name.len() + EXTENSION.len() <= LONGEST_NAME {
        return format!("{path}{EXTENSION}");
    }
    let digest = HEXLOWER.encode(&Sha1::digest(name)[..4]);
    let room = LONGEST_NAME - EXTENSION.len() - digest.len() - 1;
    let kept = &path[..start + name.floor_char_boundary(room)];
    format!("{kept}~{digest}{EXTENSION}")
}

/// A path without the extension of its file.
fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_before_the_extension_and_stay_apart() {
        for bytes in 245..=255 {
            // 120 letters of two bytes, and of the end four.
            let film = |end: u8| format!("S01/{:x<1$}{end}.ts", "ж".repeat(120), bytes - 124);
            let paths = [film(1), film(2)];
            assert_eq!(paths[0].len(), "S01/".len() + bytes);
            let made = names(paths.iter().map(String::as_str));
            let made: Vec<&str> = made.iter().flatten().map(String::as_str).collect();
            assert_ne!(made[0], made[1]);
            for (path, name) in paths.iter().zip(made) {
                let name = name.strip_prefix("S01/").unwrap();
                assert!(
                    name.len() <= 255 && name.ends_with(".strm"),
                    "{bytes}: {name}"
                );
                let whole = format!("{}.strm", stem(&path[4..]));
                assert_eq!(name == whole, whole.len() <= 255, "{bytes}");
            }
        }
    }

    #[test]
    fn films_lose_their_extension_unless_they_need_it() {
        let paths = ["S01/a.b.mkv", "S01/a.b.srt", "c.mkv", "c.mp4", "S01/c.mkv"];
        let expected = [
            Some("S01/a.b.strm"),
            None,
            Some("c.mkv.strm"),
            Some("c.mp4.strm"),
            Some("S01/c.strm"),
        ];
        let names = names(paths.into_iter());
        let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
        assert_eq!(names, expected);
    }
}
