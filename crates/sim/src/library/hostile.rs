//! Names that no file system takes as they are.

use super::{FileSpec, LibrarySpec, ReleaseSpec};

pub(super) fn library() -> LibrarySpec {
    let long = "x".repeat(300);
    let long_unicode = "é".repeat(150);
    let names = [
        "",
        " ",
        ".",
        "..",
        "/",
        "../../etc/passwd",
        "a/b",
        "line\nbreak",
        "bell\u{7}and\u{1b}[31mescape",
        "nul\0inside",
        "right\u{202e}to left",
        "zero\u{200b}width",
        "composed \u{e9}",
        "decomposed e\u{301}",
        "replacement \u{fffd}",
        "emoji 👩‍👩‍👧",
        "back\\slash:colon*star?",
        "trailing dot.",
        "trailing space ",
        "version.txt",
        "__all__",
        &long,
        &long_unicode,
    ];
    let mut releases = Vec::new();
    for name in names {
        releases.push(ReleaseSpec::new(
            name,
            vec![
                FileSpec::generated(format!("/{name}"), 1000),
                FileSpec::generated("/plain.mkv", 2000),
            ],
        ));
    }
    let bad_paths = [
        "",
        "/",
        "//",
        "/.",
        "/..",
        "/../../up.mkv",
        "/a//b.mkv",
        "/a/./c.mkv",
        "/a/../d.mkv",
        "/e/",
        "no-slash.mkv",
        "/same.mkv",
        "/same.mkv",
        "/SAME.mkv",
        "/dir",
        "/dir/below-a-file.mkv",
        "/empty.bin",
    ];
    let mut files: Vec<_> = bad_paths
        .iter()
        .map(|path| FileSpec::generated(*path, 777))
        .collect();
    files.push(FileSpec::generated("/zero.mkv", 0));
    files.push(FileSpec::generated(format!("/{long}/{long}.mkv"), 5));
    files.push(FileSpec::generated(
        format!("/{}end.mkv", "deep/".repeat(100)),
        5,
    ));
    releases.push(ReleaseSpec::new("Bad.Paths", files));
    for size in [1u64, 2, 3] {
        releases.push(ReleaseSpec::new(
            "Same.Name.2020",
            vec![FileSpec::generated("/Same.Name.2020.mkv", size * 1000)],
        ));
    }
    LibrarySpec {
        seed: 666,
        releases,
    }
}
