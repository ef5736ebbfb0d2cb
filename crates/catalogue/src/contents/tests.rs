//! What torrents of one info-hash come to.

use std::sync::Arc;

use debridfs_provider::{HosterLink, TorrentId, TorrentStatus};
use jiff::Timestamp;

use super::{Assembled, Before, LATE_LINKS, REMOVED_SHOWN, assemble, biggest_only};
use crate::ids::IdTable;
use crate::testing::{at, known, now, record};
use crate::{Archive, BadReason, Contents, Copy, Findings, Named, ReleaseTree};

fn rank(provider: &str) -> usize {
    ["rd", "ad"]
        .iter()
        .position(|name| *name == provider)
        .unwrap_or(9)
}

fn put(records: Vec<Copy>, before: Before, now: Timestamp) -> Option<Assembled> {
    let records: Vec<_> = records.into_iter().map(Arc::new).collect();
    assemble(
        records[0].content,
        &records,
        before,
        rank,
        now,
        &mut IdTable::new([]),
    )
}

const NEW: Before = Before {
    shown: false,
    good: false,
    added: None,
};
const GOOD: Before = Before {
    shown: true,
    good: true,
    added: None,
};

fn fresh(records: Vec<Copy>) -> Assembled {
    put(records, NEW, now()).unwrap()
}

fn tree(assembled: &Assembled) -> &ReleaseTree {
    match &assembled.release.contents {
        Contents::Known(tree) => tree,
        Contents::Unknown => panic!("files are unknown"),
    }
}

/// Path, size and links of each file.
fn files(assembled: &Assembled) -> Vec<(String, u64, Vec<String>)> {
    let tree = tree(assembled);
    let files = tree.files.iter().map(|file| {
        let links = tree.sources(file).map(|source| source.link.0).collect();
        let dir = &tree.dirs[file.dir as usize];
        (format!("{dir}/{}", file.name), file.size, links)
    });
    files.collect()
}

fn paths(records: Vec<Copy>) -> Vec<String> {
    files(&fresh(records))
        .into_iter()
        .map(|(path, ..)| path)
        .collect()
}

#[test]
fn links_belong_to_selected_files_by_order() {
    let mut torrent = known(1, "x", &["/c.mkv", "/a.mkv", "/b.mkv"]);
    torrent.detail.as_mut().unwrap().files[1].selected = false;
    torrent.links.remove(2);
    let link = |n: u32| vec![format!("https://host/d/1-{n}")];
    assert_eq!(
        files(&fresh(vec![torrent])),
        [
            ("/b.mkv".into(), 102, link(1)),
            ("/c.mkv".into(), 100, link(0))
        ]
    );
}

#[test]
fn one_link_for_several_files_is_a_rar_and_any_other_mismatch_is_missing_links() {
    let table: &[(usize, BadReason)] = &[
        (0, BadReason::MissingLinks),
        (1, BadReason::PackedRar),
        (2, BadReason::MissingLinks),
        (4, BadReason::MissingLinks),
    ];
    for (links, reason) in table {
        let mut torrent = known(1, "x", &["/a", "/b", "/c"]);
        torrent.links = (0..*links).map(|i| HosterLink(format!("l{i}"))).collect();
        let bad = fresh(vec![torrent]);
        assert_eq!(bad.release.bad, Some(*reason), "{links} links");
        assert!(bad.in_bad && !bad.in_all);
        // Sizes are shown; a guess at links would be the wrong bytes.
        assert_eq!(files(&bad)[2], ("/c".into(), 102, vec![]));
    }
    assert_eq!(
        fresh(vec![known(1, "x", &["/a.rar"])]).release.bad,
        None,
        "one link, one file"
    );
}

#[test]
fn files_whose_link_is_known_by_its_name_can_be_read_although_others_are_missing() {
    let mut torrent = known(1, "x", &["/a", "/b", "/c"]);
    torrent.links.truncate(2);
    assert!(torrent.owes_examination(now()));
    // The first one is missing.
    let named = |links: &[HosterLink], names: [(&str, u64); 2]| {
        let named = links.iter().zip(names).map(|(link, (name, size))| Named {
            link: link.clone(),
            name: name.to_owned(),
            size,
        });
        let findings = Findings::Named(named.collect());
        let link = links[0].clone();
        Some(Arc::new(Archive { link, findings }))
    };
    torrent.archive = named(&torrent.links, [("b", 101), ("c", 102)]);
    assert!(!torrent.owes_examination(now()));
    let partial = fresh(vec![torrent.clone()]);
    assert_eq!(partial.release.bad, Some(BadReason::MissingLinks));
    assert!(partial.in_all && partial.in_bad);
    let link = |n: u32| vec![format!("https://host/d/1-{n}")];
    assert_eq!(
        files(&partial),
        [
            ("/a".into(), 100, vec![]),
            ("/b".into(), 101, link(0)),
            ("/c".into(), 102, link(1)),
        ]
    );
    // Nothing is certain: as if nobody had looked.
    torrent.archive = named(&torrent.links, [("b", 100), ("a", 101)]);
    let bad = fresh(vec![torrent.clone()]);
    assert!(bad.in_bad && !bad.in_all && !torrent.owes_examination(now()));
    assert!(files(&bad).iter().all(|(.., links)| links.is_empty()));
}

#[test]
fn late_links_are_waited_for() {
    let mut torrent = known(1, "x", &["/a", "/b"]);
    torrent.links.clear();
    torrent.ended = Some(now());
    let waiting = put(vec![torrent.clone()], NEW, now()).unwrap();
    assert!(matches!(waiting.release.contents, Contents::Unknown));
    assert!(waiting.in_all && !waiting.in_bad);
    let end = now() + LATE_LINKS;
    assert_eq!(waiting.until, Some(end));
    let bad = put(vec![torrent.clone()], NEW, end).unwrap();
    assert_eq!(bad.release.bad, Some(BadReason::MissingLinks));
    torrent.ended = None;
    assert_eq!(
        fresh(vec![torrent]).release.bad,
        Some(BadReason::MissingLinks)
    );
}

#[test]
fn states() {
    use TorrentStatus::{Dead, Error, MagnetError, Virus};
    for status in [Dead, Error, MagnetError, Virus] {
        let mut failed = record(1, "x");
        failed.status = status;
        let bad = fresh(vec![failed.clone()]);
        assert_eq!(bad.release.bad, Some(BadReason::Failed));
        assert!(files(&bad).is_empty() && !bad.in_all, "nothing to wait for");
        let stays = put(vec![failed], GOOD, now()).unwrap();
        assert!(stays.in_all && stays.in_bad, "what was shown stays");
    }
    let mut waiting = known(1, "x", &["/a"]);
    for status in [
        TorrentStatus::Queued,
        TorrentStatus::Downloading,
        TorrentStatus::Other("?".into()),
    ] {
        waiting.status = status;
        assert!(
            put(vec![waiting.clone()], NEW, now()).is_none(),
            "not ready, not shown"
        );
        let stays = put(vec![waiting.clone()], GOOD, now()).unwrap();
        assert!(stays.in_all && stays.in_bad);
        assert_eq!(files(&stays), [("/a".into(), 100, vec![])]);
    }
}

#[test]
fn a_removed_release_is_bad_for_thirty_days_and_keeps_its_links() {
    let mut removed = known(1, "x", &["/a"]);
    removed.removed = Some(now());
    assert!(
        put(vec![removed.clone()], NEW, now()).is_none(),
        "never shown"
    );
    let bad = put(vec![removed.clone()], GOOD, now()).unwrap();
    assert_eq!(bad.release.bad, Some(BadReason::Removed));
    assert!(bad.in_bad && !bad.in_all);
    assert_eq!(files(&bad)[0].2.len(), 1);
    let end = now() + REMOVED_SHOWN;
    assert_eq!(bad.until, Some(end));
    assert!(put(vec![removed.clone()], GOOD, end).is_none());
    // Added again, but not ready.
    let mut again = known(1, "x", &["/a"]);
    again.status = TorrentStatus::Downloading;
    let bad = put(vec![removed, again], GOOD, now()).unwrap();
    assert_eq!(
        (bad.release.bad, bad.in_all),
        (Some(BadReason::Removed), false)
    );
}

#[test]
fn torrents_of_one_hash_are_one_release_with_several_sources() {
    let mut old = known(1, "x", &["/a", "/b"]);
    old.id = TorrentId("OLD".into());
    old.links = vec![HosterLink("old-a".into()), HosterLink("old-b".into())];
    let mut young = old.clone();
    young.id = TorrentId("YOUNG".into());
    young.added = at(50);
    young.detail.as_mut().unwrap().files[1].selected = false;
    young.links = vec![HosterLink("young-a".into())];
    let mut other = old.clone();
    other.provider = "ad".into();
    other.added = at(70);
    other.links = vec![HosterLink("ad-a".into()), HosterLink("ad-b".into())];
    // A file of another size is another file: no source.
    other.detail.as_mut().unwrap().files[1].bytes += 1;
    let mut dead = old.clone();
    dead.added = at(90);
    dead.status = TorrentStatus::Dead;

    let release = fresh(vec![old, young, other, dead]);
    let links = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        files(&release),
        [
            ("/a".into(), 100, links(&["young-a", "old-a", "ad-a"])),
            ("/b".into(), 101, links(&["old-b"])),
        ]
    );
    assert_eq!(release.release.added, at(1));
    assert_eq!(
        release.release.providers().collect::<Vec<_>>(),
        ["rd", "ad"]
    );
    assert_eq!(release.release.bad, None);
}

#[test]
fn copies_that_know_other_directories_are_matched_by_name_and_size_where_that_is_unique() {
    let first = known(
        1,
        "x",
        &["/S1/a.mkv", "/S1/b.mkv", "/S2/c.mkv", "/S3/c.mkv"],
    );
    let mut first = first;
    // Nobody can tell these two apart without their directories.
    first.detail.as_mut().unwrap().files[3].bytes = 102;
    let alone = files(&fresh(vec![first.clone()]));
    let other = |paths: &[&str], sizes: &[u64]| {
        let mut other = known(1, "x", paths);
        other.provider = "ad".into();
        other.added = at(70);
        let links = (0..paths.len()).map(|number| HosterLink(format!("ad-{number}")));
        other.links = links.collect();
        let listed = &mut other.detail.as_mut().unwrap().files;
        for (file, size) in listed.iter_mut().zip(sizes) {
            file.bytes = *size;
        }
        files(&fresh(vec![first.clone(), other]))
    };
    let of_ad = |shown: &[(String, u64, Vec<String>)]| {
        let own = |(path, _, links): &(String, u64, Vec<String>)| {
            let link = links.iter().find(|link| link.starts_with("ad-"));
            link.map(|link| (path.clone(), link.clone()))
        };
        shown.iter().filter_map(own).collect::<Vec<_>>()
    };
    let pairs = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(path, link)| ((*path).to_owned(), (*link).to_owned()));
        pairs.collect::<Vec<_>>()
    };
    // The third is one of two, and is left out; no path changes.
    let shown = other(&["/b.mkv", "/y/a.mkv", "/c.mkv"], &[101, 100, 102]);
    assert_eq!(
        of_ad(&shown),
        pairs(&[("S1/a.mkv", "ad-1"), ("S1/b.mkv", "ad-0")])
    );
    assert_eq!(shown.len(), alone.len());
    // Another size is another file, which is shown besides.
    let shown = other(&["/y/a.mkv"], &[99]);
    assert_eq!(of_ad(&shown), pairs(&[("y/a.mkv", "ad-0")]));
    // Two of this copy could be the one.
    let shown = other(&["/x/a.mkv", "/y/a.mkv"], &[100, 100]);
    assert_eq!((of_ad(&shown), shown.len()), (vec![], alone.len()));
    // A path settles it, and what is left over is unique.
    let shown = other(&["/S2/c.mkv", "/z/c.mkv"], &[102, 102]);
    assert_eq!(
        of_ad(&shown),
        pairs(&[("S2/c.mkv", "ad-0"), ("S3/c.mkv", "ad-1")])
    );
}

#[test]
fn copies_whose_vendors_write_paths_differently_have_the_same_files() {
    let paths = ["/E1.mkv", "//Extra/./\u{fc}.mkv", "/a.srt", "/a.srt"];
    let first = known(1, "x", &paths);
    let alone = fresh(vec![first.clone()]);
    let paths = [
        "E1.mkv",
        "Extra\\u\u{308}.mkv",
        "a.srt",
        "./a.srt",
        "more.nfo",
    ];
    let mut second = known(1, "x", &paths);
    second.id = TorrentId("SECOND".into());
    second.added = at(50);
    second.links = (0..5).map(|n| HosterLink(format!("second-{n}"))).collect();
    let both = fresh(vec![first, second]);
    let (alone, both) = (tree(&alone), tree(&both));
    for file in &alone.files {
        let same = both.files.iter().find(|other| other.id == file.id).unwrap();
        assert_eq!((&same.name, same.size), (&file.name, file.size));
        assert_eq!(both.places_of(same).len(), 2, "{}", file.name);
    }
    assert_eq!(both.files.len(), alone.files.len() + 1);
}

#[test]
fn two_files_of_one_copy_stay_two_however_alike_their_paths_are() {
    let copy = |id: &str, paths: &[&str]| {
        let mut copy = known(1, "x", paths);
        copy.id = TorrentId(id.into());
        copy
    };
    let paths = ["/d/a", "d\\a", "/d//a"];
    let release = fresh(vec![copy("A", &paths), copy("B", &paths)]);
    assert_eq!(tree(&release).files.len(), 3);
    let mixed = fresh(vec![copy("A", &paths[..1]), copy("B", &["d\\a", "d/a"])]);
    let tree = tree(&mixed);
    let links: Vec<_> = tree
        .files
        .iter()
        .map(|file| tree.places_of(file).len())
        .collect();
    assert_eq!(
        links,
        [1, 1],
        "the file of that very path is the one, and its size is another"
    );
}

#[test]
fn paths_are_taken_as_they_are_after_the_leading_slashes() {
    assert_eq!(
        paths(vec![known(1, "x", &["//x/a.mkv", "b//c.mkv", "/d/"])]),
        ["/d", "b/c.mkv", "x/a.mkv"]
    );
}

#[test]
fn odd_paths_end_in_legal_distinct_names() {
    // Twice the same path, a file where a directory stands, names that become the same, names that are none.
    let odd = [
        "/a.mkv", "/a.mkv", "/d", "/d/x", "/e\0/y", "/e_/y", "/..", "/.", "/", "", "/A.mkv",
    ];
    assert_eq!(
        paths(vec![known(1, "x", &odd)]),
        [
            "/A.mkv",
            "/_",
            "/__",
            "/a [2].mkv",
            "/a.mkv",
            "/d [2]",
            "/unnamed",
            "/unnamed [2]",
            "d/x",
            "e_/y",
            "e_/y [2]",
        ]
    );
}

#[test]
fn selecting_another_file_changes_no_path() {
    let mut torrent = known(1, "x", &["/1/a.srt", "/a.srt", "/2/a.srt", "/3", "/3/b"]);
    let names = |torrent: &Copy| {
        let release = fresh(vec![torrent.clone()]);
        tree(&release)
            .files
            .iter()
            .map(|file| (file.id, file.name.clone(), file.flat().to_owned()))
            .collect::<Vec<_>>()
    };
    let all = names(&torrent);
    assert_eq!(all.len(), 5);
    let files = torrent.detail.as_mut().unwrap();
    files.files[0].selected = false;
    files.files[4].selected = false;
    torrent.links.truncate(3);
    let some = names(&torrent);
    assert_eq!(some.len(), 3);
    assert!(
        some.iter().all(|file| all.contains(file)),
        "{some:?} of {all:?}"
    );
    assert!(
        some.iter()
            .any(|(_, name, flat)| &**name == "a.srt" && flat == "a [3].srt")
    );
}

#[test]
fn many_files_of_one_name_stay_cheap() {
    let same = vec!["/cover.jpg"; 20_000];
    let release = fresh(vec![known(1, "x", &same)]);
    let tree = tree(&release);
    assert_eq!(tree.files.len(), 20_000);
    assert!(
        tree.files
            .windows(2)
            .all(|pair| pair[0].name < pair[1].name)
    );
}

#[test]
fn the_biggest_file_keeps_its_place() {
    let release = fresh(vec![known(1, "x", &["/s/a", "/s/t/b", "/t/c"])]).release;
    let Contents::Known(tree) = biggest_only(&release).unwrap().contents.clone() else {
        panic!()
    };
    assert_eq!(tree.dirs, ["", "t"]);
    assert_eq!(
        (&*tree.files[0].name, tree.files[0].size, tree.files[0].dir),
        ("c", 102, 1)
    );
    assert_eq!(
        tree.sources(&tree.files[0]).next().unwrap().link.0,
        "https://host/d/1-2"
    );
    assert!(biggest_only(&fresh(vec![record(1, "x")]).release).is_none());
}
