//! Members of archives find their files.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Before, assemble};
use super::{pair, placed};
use crate::archive::{Archive, Findings, Member};
use crate::ids::IdTable;
use crate::testing::{known, now};
use crate::{BadReason, Contents, Copy, Release};
use debridfs_base::NodeId;

const SIZE: u64 = 1 << 40;

fn member(path: &str, offset: u64, size: u64) -> Member {
    Member {
        path: path.into(),
        offset,
        size,
    }
}

/// A torrent of `paths` (100, 101 … bytes) that came as one archive.
fn packed(paths: &[&str], members: &[(&str, u64)]) -> Copy {
    let mut offset = 7;
    let members = members.iter().map(|(path, size)| {
        offset += size + 50;
        member(path, offset - size, *size)
    });
    let members = members.collect();
    found(
        paths,
        Findings::Members {
            size: SIZE,
            members,
        },
    )
}

fn found(paths: &[&str], findings: Findings) -> Copy {
    let mut record = known(1, "x", paths);
    record.links.truncate(1);
    let link = record.links[0].clone();
    record.archive = Some(Arc::new(Archive { link, findings }));
    record
}

fn shown(record: Copy) -> (Arc<Release>, bool) {
    let (content, records) = (record.content, [Arc::new(record)]);
    let (new, mut ids) = (Before::default(), IdTable::new([]));
    let assembled = assemble(content, &records, new, |_| 0, now(), &mut ids).unwrap();
    (assembled.release, assembled.in_all)
}

/// Path, number, size, and where it lies: offset and size of the archive.
type Shown = (String, NodeId, u64, Vec<(u64, u64)>);

fn files(release: &Release) -> Vec<Shown> {
    let Contents::Known(tree) = &release.contents else {
        panic!("files are unknown")
    };
    let files = tree.files.iter().map(|file| {
        let dir = &tree.dirs[file.dir as usize];
        let parts = tree.sources(file).filter_map(|source| source.part);
        let parts = parts.map(|part| (part.offset, part.container)).collect();
        (format!("{dir}/{}", file.name), file.id, file.size, parts)
    });
    files.collect()
}

#[test]
fn members_have_the_paths_and_numbers_of_the_files_they_are() {
    let paths = ["/Film: 1?.mkv", "/Subs/é.srt", "/a.nfo"];
    let (unpacked, _) = shown(known(1, "x", &paths));
    // The archive has another order, and something besides.
    let (release, in_all) = shown(packed(
        &paths,
        &[
            ("Subs/é.srt", 101),
            ("Film_ 1_.mkv", 100),
            ("proof.jpg", 9),
            ("a.nfo", 102),
        ],
    ));
    assert!(in_all && release.bad.is_none());
    let mut files = files(&release);
    let own = files.remove(2);
    assert_eq!(own.0, "/proof.jpg");
    let parts: Vec<_> = files.iter().map(|file| file.3.clone()).collect();
    assert_eq!(
        parts,
        [vec![(208, SIZE)], vec![(417, SIZE)], vec![(57, SIZE)]]
    );
    let names = |files: &[Shown]| -> Vec<_> {
        let names = files
            .iter()
            .map(|(path, id, size, _)| (path.clone(), *id, *size));
        names.collect()
    };
    assert_eq!(names(&files), names(&self::files(&unpacked)));
}

#[test]
fn what_contradicts_the_torrent_is_not_shown() {
    let (release, _) = shown(packed(
        &["/a.mkv", "/b.mkv"],
        &[("a.mkv", 99), ("b.mkv", 101), ("b.mkv", 101)],
    ));
    let files = files(&release);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!((files[0].0.as_str(), files[0].2), ("/b.mkv", 101));
    let (release, in_all) = shown(packed(&["/a.mkv", "/b.mkv"], &[("a.mkv", 99)]));
    assert_eq!(release.bad, Some(BadReason::RarDamaged));
    assert!(!in_all);
}

#[test]
fn a_release_stays_bad_for_the_reason_that_was_found() {
    let all = [
        BadReason::RarCompressed,
        BadReason::RarEncrypted,
        BadReason::RarSolid,
        BadReason::RarSplit,
        BadReason::RarDamaged,
    ];
    for reason in all {
        let (release, in_all) = shown(found(&["/a", "/b"], Findings::Refused(reason)));
        assert_eq!(release.bad, Some(reason));
        assert!(!in_all && files(&release).iter().all(|file| file.3.is_empty()));
        let stored = serde_json::to_string(&reason).unwrap();
        assert_eq!(
            stored,
            format!("{:?}", reason.as_str()),
            "one word for both"
        );
    }
}

#[test]
fn findings_hold_for_the_link_they_were_made_with() {
    let mut record = packed(&["/a", "/b"], &[("a", 100), ("b", 101)]);
    assert_eq!(shown(record.clone()).0.bad, None);
    record.links[0].0.push('x');
    let (release, _) = shown(record.clone());
    assert_eq!(release.bad, Some(BadReason::PackedRar));
    assert!(record.owes_examination(now()));
    // Unpacked by now: one link a file.
    record.links = known(2, "x", &["/a", "/b"]).links;
    let (release, _) = shown(record);
    assert_eq!(release.bad, None);
    assert!(files(&release).iter().all(|file| file.3.is_empty()));
}

#[test]
fn names_are_compared_as_the_provider_changes_them() {
    /// Files, members, the file of each member.
    type Case<'a> = (
        &'a [(&'a str, u64)],
        &'a [(&'a str, u64)],
        &'a [Option<usize>],
    );
    let table: [Case<'_>; 9] = [
        (
            &[("a", 1), ("b", 1)],
            &[("b", 1), ("a", 1)],
            &[Some(1), Some(0)],
        ),
        // Forbidden characters; another size is another file.
        (&[("a|\"\\?*:<>b", 1)], &[("a________b", 1)], &[Some(0)]),
        (&[("a", 1)], &[("a", 2)], &[None]),
        // With the torrent's directory, and without.
        (
            &[("S/a", 1), ("S/b", 1)],
            &[("T/S/a", 1), ("T/S/b", 1)],
            &[Some(0), Some(1)],
        ),
        (
            &[("T/S/a", 1), ("T/D/a", 1)],
            &[("S/a", 1), ("D/a", 1)],
            &[Some(0), Some(1)],
        ),
        // The base name alone, if it can be no other.
        (&[("x/y/a", 1)], &[("a", 1)], &[Some(0)]),
        (&[("x/y/a", 1), ("x/z/a", 1)], &[("a", 1)], &[None]),
        (&[("a", 1)], &[("x/y/a", 1), ("x/z/a", 1)], &[None, None]),
        // A path that comes twice.
        (
            &[("a", 1), ("a", 1)],
            &[("a", 1), ("a", 1), ("a", 1)],
            &[Some(0), Some(1), None],
        ),
    ];
    for (files, members, expected) in table {
        let files: Vec<_> = files.iter().map(|(path, size)| (*path, 0, *size)).collect();
        let members: Vec<_> = members
            .iter()
            .map(|(path, size)| member(path, 0, *size))
            .collect();
        assert_eq!(pair(&members, &files), expected, "{files:?} {members:?}");
    }
}

proptest! {
    #[test]
    fn no_place_is_given_twice_and_no_size_changes(
        files in proptest::collection::vec("/([a-b]/){0,2}[a-c:?]{1,2}", 2..8),
        members in proptest::collection::vec(("([a-b]/){0,2}[a-c_]{1,2}", 98u64..106), 0..10),
    ) {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let members: Vec<(&str, u64)> =
            members.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        let record = packed(&files, &members);
        let placed = placed(&record);
        let places: HashSet<_> = placed.iter().map(|one| (one.path, one.occurrence)).collect();
        prop_assert_eq!(places.len(), placed.len());
        for one in &placed {
            prop_assert_eq!(one.size, members[one.index].1);
            if !one.own {
                let told = record
                    .numbered_paths()
                    .find(|(path, occurrence, _)| (*path, *occurrence) == (one.path, one.occurrence));
                prop_assert_eq!(told.map(|(.., file)| file.bytes), Some(one.size));
            }
        }
    }
}
