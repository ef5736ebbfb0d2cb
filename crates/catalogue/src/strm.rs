//! What the `.strm` files of a release are called.

use std::collections::{HashMap, HashSet};

use debridfs_base::media::is_video;
use sha1::{Digest, Sha1};

use crate::names::LONGEST;

/// What every name here ends with.
const EXTENSION: &str = ".strm";

/// For each of `paths`, which are those of one release, what its `.strm` is called; nothing for what is no film, as no
/// player would know what to do with that.
///
/// The extension of a film is replaced, so that subtitles beside it are called alike. It stays, with `.strm` behind it,
/// where another file would be called the same. All names differ from each other and from the paths of what is no film.
pub fn strm_names<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Vec<Option<String>> {
    let films = || paths.clone().filter(|path| is_video(path));
    let mut stems: HashMap<&str, u32> = HashMap::new();
    for path in films() {
        *stems.entry(stem(path)).or_default() += 1;
    }
    let others = paths.clone().filter(|path| !is_video(path));
    let mut taken: HashSet<String> = others.map(str::to_owned).collect();
    let mut names: HashMap<&str, String> = HashMap::new();
    let mut name = |path: &'a str, wanted: &dyn Fn(&str) -> String| {
        let name = wanted(path);
        if !names.contains_key(path) && taken.insert(name.clone()) {
            names.insert(path, name);
        }
    };
    let alone = |path: &&str| stems.get(stem(path)) == Some(&1);
    films()
        .filter(alone)
        .for_each(|path| name(path, &|path| named(stem(path))));
    // The last is free unless somebody made its name on purpose.
    films().for_each(|path| name(path, &named));
    films().for_each(|path| name(path, &|path| marked(path, path)));
    paths.map(|path| names.get(path).cloned()).collect()
}

/// `path` with our extension. A name that is too long for that is cut, and told from others that begin alike by a digest
/// of it.
fn named(path: &str) -> String {
    let start = name_start(path);
    match path.len() - start + EXTENSION.len() <= LONGEST {
        true => format!("{path}{EXTENSION}"),
        false => marked(path, &path[start..]),
    }
}

/// `path` with a digest of `of` and our extension, cut to fit.
fn marked(path: &str, of: &str) -> String {
    let start = name_start(path);
    let digest: [u8; 20] = Sha1::digest(of).into();
    let mark = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let end = format!("~{mark:08x}{EXTENSION}");
    let cut = start + path[start..].floor_char_boundary(LONGEST - end.len());
    format!("{}{end}", &path[..cut])
}

fn name_start(path: &str) -> usize {
    path.rfind('/').map_or(0, |slash| slash + 1)
}

/// A path without the extension of its file.
fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Vec<Option<String>> {
        strm_names(paths.iter().copied())
    }

    #[test]
    fn long_names_are_cut_before_the_extension_and_stay_apart() {
        for bytes in 245..=255 {
            // 120 letters of two bytes, and of the end four.
            let film = |end: u8| format!("S01/{:x<1$}{end}.ts", "ж".repeat(120), bytes - 124);
            let paths = [film(1), film(2)];
            assert_eq!(paths[0].len(), "S01/".len() + bytes);
            let made = names(&paths.each_ref().map(String::as_str));
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
        let paths = [
            "S01/a.b.mkv",
            "S01/a.b.srt",
            "c.mkv",
            "c.mp4",
            "S01/c.mkv",
            "d.mkv",
            "d.strm",
        ];
        let expected = [
            Some("S01/a.b.strm"),
            None,
            Some("c.mkv.strm"),
            Some("c.mp4.strm"),
            Some("S01/c.strm"),
            Some("d.mkv.strm"),
            None,
        ];
        let names = names(&paths);
        let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn names_that_were_made_to_collide_stay_apart() {
        let paths = [
            "a.mkv",
            "a.mp4",
            "a.mkv.ts",
            "a.mp4.strm",
            "b.mkv",
            "b.strm",
            "b.mkv.strm",
        ];
        let made = names(&paths);
        let films: HashSet<&String> = made.iter().flatten().collect();
        assert_eq!(films.len(), 4, "{made:?}");
        assert!(paths.iter().all(|path| !films.contains(&path.to_string())));
        let mut turned = paths;
        turned.reverse();
        let mut again = names(&turned);
        again.reverse();
        assert_eq!(made, again, "whatever their order");
        // What the list tells twice is shown twice, and once as its first.
        assert_eq!(
            names(&["x.mkv", "x.mkv"]),
            vec![Some("x.mkv.strm".into()); 2]
        );
    }
}
