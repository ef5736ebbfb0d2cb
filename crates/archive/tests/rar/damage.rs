//! Archives that lie: refused, never believed.

use debridfs_archive::{RarProgress, RarReader, RarRefusal};

use crate::archive::{Archive, File4, File5, block4, block5, end4, end5, sealed5, vint};

fn is_damaged(archive: &Archive) -> bool {
    matches!(archive.members(), Err(RarRefusal::Damaged(_)))
}

#[test]
fn sizes_beyond_the_archive_are_refused() {
    for size in [11, 12, 1 << 20, 1 << 40, u64::MAX - 100, u64::MAX] {
        // 10 bytes are there.
        let four = File4::stored(b"a.mkv", size).header();
        let five = File5::stored("a.mkv", size).header();
        assert!(is_damaged(&Archive::four().and(&four).zeros(10)), "{size}");
        assert!(is_damaged(&Archive::five().and(&five).zeros(10)), "{size}");
        let service = File4 {
            kind: 0x7a,
            ..File4::stored(b"CMT", size)
        };
        assert!(is_damaged(
            &Archive::four().and(&service.header()).zeros(10)
        ));
    }
}

#[test]
fn sizes_that_point_into_a_file_are_refused() {
    // The next header would begin in the midst of the file's bytes.
    let header = File4::stored(b"a.mkv", 500).header();
    assert!(is_damaged(
        &Archive::four().and(&header).zeros(1000).and(&end4())
    ));
    let header = File5::stored("a.mkv", 500).header();
    assert!(is_damaged(
        &Archive::five().and(&header).zeros(1000).and(&end5())
    ));
    let two_sizes = File4 {
        size: 2000,
        ..File4::stored(b"a.mkv", 1000)
    };
    assert!(is_damaged(
        &Archive::four().and(&two_sizes.header()).zeros(1000)
    ));
    let two_sizes = File5 {
        size: 2000,
        ..File5::stored("a.mkv", 1000)
    };
    assert!(is_damaged(
        &Archive::five().and(&two_sizes.header()).zeros(1000)
    ));
}

#[test]
fn a_changed_header_is_refused() {
    for (start, header) in [
        (Archive::four(), File4::stored(b"a.mkv", 10).header()),
        (Archive::five(), File5::stored("a.mkv", 10).header()),
    ] {
        for at in 0..header.len() {
            let mut changed = header.clone();
            changed[at] ^= 0x20;
            let archive = start.clone().and(&changed).zeros(10);
            assert!(archive.members().is_err(), "byte {at} of {header:?}");
        }
    }
}

#[test]
fn headers_that_are_no_headers_are_refused() {
    let unnamed = File5::stored("//", 1);
    let mut overlong = vec![0x80; 10];
    overlong.push(0);
    let long = "n".repeat(5000);
    for (what, archive) in [
        (
            "cut off",
            Archive::four().and(&File4::stored(b"a.mkv", 0).header()[..20]),
        ),
        (
            "cut off",
            Archive::five().and(&File5::stored("a.mkv", 0).header()[..20]),
        ),
        ("cut off at once", Archive::five().and(&[1, 2])),
        ("only a signature", Archive::of(b"Rar!\x1a\x07\x01\x00")),
        (
            "no archive header",
            Archive::of(b"Rar!\x1a\x07\x00").and(&end4()),
        ),
        (
            "two archive headers",
            Archive::four().and(&block4(0x73, 0, &[0; 6])),
        ),
        (
            "shorter than itself",
            Archive::four().and(&[0, 0, 0x74, 0, 0x80, 3, 0]),
        ),
        ("no known type", Archive::four().and(&block4(0x42, 0, &[]))),
        (
            "a file without fields",
            Archive::four().and(&block4(0x74, 0x8000, &[0; 4])),
        ),
        (
            "a file without a size",
            Archive::four().and(&block4(0x74, 0, &[0; 40])),
        ),
        (
            "a file without a name",
            Archive::five().and(&unnamed.header()).zeros(1),
        ),
        (
            "a name too long",
            Archive::five().and(&File5::stored(&long, 0).header()),
        ),
        (
            "extra area too long",
            Archive::five().and(&sealed5(&[2, 1, 99, 0])),
        ),
        (
            "an overlong number",
            Archive::five().and(&sealed5(&overlong)),
        ),
        ("an extra record too long", {
            let file = File5 {
                extra: &[9, 1],
                ..File5::stored("a", 0)
            };
            Archive::five().and(&file.header())
        }),
        ("size unknown", {
            let file = File5 {
                flags: 8,
                ..File5::stored("a", 0)
            };
            Archive::five().and(&file.header())
        }),
        ("a size of 2^64", {
            let fields = [&[0][..], &[0xff; 9], &[2]].concat();
            Archive::five().and(&block5(2, 0, &[], Some(0), &fields))
        }),
    ] {
        let refused = archive.members();
        assert!(
            matches!(refused, Err(RarRefusal::Damaged(_))),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn only_a_signature_at_the_start_counts() {
    for bytes in [
        &b""[..],
        b"Rar!",
        b"PK\x03\x04............",
        b"MZ..............Rar!\x1a\x07\x00",
        b"Rar!\x1a\x07\x02\x00........",
    ] {
        assert_eq!(Archive::of(bytes).members(), Err(RarRefusal::NotRar));
    }
}

#[test]
fn what_is_kept_and_asked_is_bounded() {
    let mut many = Archive::four();
    for _ in 0..20_001 {
        many = many.and(&File4::stored(b"a", 0).header());
    }
    assert_eq!(many.members(), Err(RarRefusal::TooLarge));
    let name = "n".repeat(4096);
    let mut long = Archive::five();
    for _ in 0..1025 {
        long = long.and(&File5::stored(&name, 0).header());
    }
    assert_eq!(long.members(), Err(RarRefusal::TooLarge));
}

#[test]
fn fewer_bytes_than_asked_bring_the_same_question() {
    let archive = Archive::five()
        .and(&File5::stored("a", 3).header())
        .zeros(3)
        .and(&end5());
    let mut reader = RarReader::new(archive.size);
    let RarProgress::Need(first) = reader.start() else {
        panic!("something to read")
    };
    assert_eq!(reader.advance(0, &[]), Ok(RarProgress::Need(first.clone())));
    assert_eq!(
        reader.advance(100, &archive.read(0..9)),
        Ok(RarProgress::Need(first))
    );
    // A byte at a time: it goes on from where it is.
    let mut at = 0;
    let mut last = None;
    for end in 1..=archive.size {
        // What is wanted next may lie behind a file's bytes.
        match reader.advance(at, &archive.read(at.min(end)..end)) {
            Ok(RarProgress::Need(range)) => at = range.start,
            Ok(complete) => {
                last = Some(complete);
                break;
            }
            Err(refusal) => panic!("{refusal} with {end} bytes"),
        }
    }
    assert!(matches!(last, Some(RarProgress::Complete(members)) if members.len() == 1));
}

#[test]
fn numbers_are_read_as_far_as_64_bits() {
    let largest = [&[0xff; 9][..], &[1]].concat();
    assert_eq!(vint(u64::MAX), largest);
    // Leading zeros are allowed; the file is of 1 byte.
    let fields = [&[0, 0x81, 0x80, 0x00, 0, 0, 1, 1][..], b"a"].concat();
    let archive = Archive::five()
        .and(&block5(2, 0, &[], Some(1), &fields))
        .zeros(1)
        .and(&end5());
    assert_eq!(archive.members().unwrap().len(), 1);
}
