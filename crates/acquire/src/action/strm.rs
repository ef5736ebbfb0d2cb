//! The action `strm`: films are files of one line, the address under which they can be read.

use std::collections::HashMap;

use debridfs_base::media::is_video;

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
            Some(format!("{}.strm", if alone { name } else { path }))
        })
        .collect()
}

/// A path without the extension of its file.
fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

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
