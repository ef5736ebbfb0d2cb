//! Names and numbers of a fixed library, as they have always been. A change of one of these lines breaks NFS handles, the cache on disk, and every media
//! server's memory of its files: the code is wrong, never the lines.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use debridfs_catalogue::{
    Archive, Contents, Copy, CopyDetail, Findings, FolderConfig, FolderNaming, Member, Memory,
    ViewBuilder, ViewRules,
};
use debridfs_provider::{HosterLink, InfoHash, TorrentFile, TorrentId, TorrentStatus};
use jiff::Timestamp;

const LINES: &str = include_str!("golden.txt");

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// A ready torrent number `n` of the release `hash` at `provider`, with a link for each of `paths`.
fn torrent(provider: &str, n: u8, hash: u8, name: &str, paths: &[&str]) -> Copy {
    let numbers = 1u32..;
    Copy {
        provider: provider.into(),
        id: TorrentId(format!("T{n}")),
        content: InfoHash([hash; 20]).into(),
        filename: name.into(),
        bytes: 1000,
        status: TorrentStatus::Downloaded,
        added: at(n.into()),
        ended: Some(at(n.into())),
        links: (0..paths.len())
            .map(|link| HosterLink(format!("https://host/d/{n}-{link}")))
            .collect(),
        detail: Some(CopyDetail {
            original_filename: name.into(),
            files: numbers
                .zip(paths)
                .map(|(id, path)| TorrentFile {
                    id,
                    path: (*path).into(),
                    bytes: 1000 + u64::from(id),
                    selected: true,
                })
                .collect(),
        }),
        archive: None,
        removed: None,
    }
}

fn library() -> Vec<Copy> {
    let strange = [
        "/Film/Film.mkv",
        "/Film/Subs/en.srt",
        "/Film/Subs/en.srt",
        "//Film//Extra/./a.mkv",
        "/Film/../b.mkv",
        "Film\\Windows\\c.mkv",
        "/Film/ \u{fc}\u{308}n\u{ef}c\u{f6}d\u{e9} \u{1F3AC} /d.mkv",
        "/Film/Extra/",
        "",
    ];
    let mut packed = torrent("rd", 4, 4, "Packed", &["/Packed/E1.mkv", "/Packed/E2.mkv"]);
    packed.links.truncate(1);
    packed.archive = Some(Arc::new(Archive {
        link: packed.links[0].clone(),
        findings: Findings::Members {
            size: 9000,
            members: [("Packed/E1.mkv", 1001), ("E2.mkv", 1002), ("more.nfo", 7)]
                .map(|(path, size)| Member {
                    path: path.into(),
                    offset: 100,
                    size,
                })
                .into(),
        },
    }));
    let mut failed = torrent("rd", 5, 5, "Failed", &["/Failed.mkv"]);
    failed.status = TorrentStatus::Dead;
    let mut unknown = torrent("rd", 6, 6, "Unknown", &["/x"]);
    unknown.detail = None;
    let mut late = torrent("rd", 9, 8, "Season", &["/S/E1.mkv", "/S/E3.mkv"]);
    late.filename = "Season, again".into();
    vec![
        torrent("rd", 1, 1, "Film.2024.mkv", &["/Film.2024.mkv"]),
        torrent("rd", 2, 2, "Strange", &strange),
        torrent("rd", 3, 3, "Film.2024.mkv", &["/Film.2024.mkv"]),
        packed,
        failed,
        unknown,
        torrent("ad", 7, 1, "Film of the other one", &["/Film.2024.mkv"]),
        torrent("ad", 8, 8, "Season", &["/S/E1.mkv", "/S/E2.mkv"]),
        late,
    ]
}

#[test]
fn names_and_numbers_are_what_they_always_were() {
    let folders: BTreeMap<String, FolderConfig> =
        toml::from_str("Big = { only_show_the_biggest_file = true, filters.regex = '/.*/' }")
            .unwrap();
    let rules = ViewRules::new(
        FolderNaming::default(),
        vec!["rd".into(), "ad".into()],
        &folders,
    );
    let mut builder = ViewBuilder::new(rules.unwrap(), Memory::default());
    let torrents: Vec<_> = library().into_iter().map(Arc::new).collect();
    let built = builder.build(&torrents, at(100_000));
    let mut told = String::new();
    for view in &built.views {
        writeln!(told, "{} {:?}", view.id.0, view.name).unwrap();
        for entry in view.entries.iter() {
            let of = |name: &str| format!("{}/{}{name}", view.name, entry.name);
            let Contents::Known(tree) = &entry.release.contents else {
                writeln!(told, "{} {:?} unknown", entry.dir_ids[0].0, of("")).unwrap();
                continue;
            };
            for (id, dir) in entry.dir_ids.iter().zip(&tree.dirs) {
                writeln!(told, "{} {:?}", id.0, of(&format!("/{dir}"))).unwrap();
            }
            for file in &tree.files {
                let path = format!("/{}/{}", tree.dirs[file.dir as usize], file.name);
                let sources: Vec<_> = tree
                    .sources(file)
                    .map(|source| (source.provider, source.torrent.0, source.link.0))
                    .collect();
                let (id, size) = (file.id.0, file.size);
                writeln!(
                    told,
                    "{id} {:?} {:?} {size} {sources:?}",
                    of(&path),
                    file.flat()
                )
                .unwrap();
            }
        }
    }
    assert_eq!(told, LINES);
    assert!(built.new_ids.is_empty());
}
