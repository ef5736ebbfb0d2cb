//! Sound archives made byte by byte.

use debridfs_archive::RarRefusal;
use proptest::prelude::*;

use crate::archive::{Archive, File4, File5, block4, block5, end4, end5, member, vint};

const GIB: u64 = 1 << 30;

#[test]
fn sizes_have_64_bits_and_only_headers_are_fetched() {
    let four = File4::stored(b"Film\\big.mkv", 50 * GIB + 1).header();
    let five = File5::stored("Film/big.mkv", 50 * GIB + 1).header();
    for (archive, header, end) in [
        (Archive::four(), four, end4()),
        (Archive::five(), five, end5()),
    ] {
        let at = archive.size + header.len() as u64;
        let size = 50 * GIB + 1;
        let archive = archive
            .and(&header)
            .zeros(size)
            .and(&header)
            .zeros(size)
            .and(&end);
        let (members, fetched) = archive.examine();
        let second = at + size + header.len() as u64;
        assert_eq!(
            members.unwrap(),
            [
                member("Film/big.mkv", at, size),
                member("Film/big.mkv", second, size)
            ]
        );
        assert!(fetched <= 3 * 4096, "{fetched} bytes");
    }
}

#[test]
fn what_is_no_file_is_left_out() {
    let directory = File4 {
        flags: 0xe0,
        mode: 0o040_755,
        ..File4::stored(b"Film", 0)
    };
    let link = File4 {
        mode: 0o120_777,
        ..File4::stored(b"Film\\link", 8)
    };
    let service = File4 {
        kind: 0x7a,
        method: 0x33,
        flags: 0x4,
        ..File4::stored(b"RR", 100)
    };
    let four = Archive::four()
        .and(&block4(0x75, 0, &[1, 2, 3]))
        .and(&directory.header())
        .and(&link.header())
        .zeros(8)
        .and(&service.header())
        .zeros(100)
        .and(&File4::stored(b"\\a", 1).header())
        .zeros(1);
    let at = four.size - 1;
    // No end block, as RAR 2 wrote it, and with one: what follows that is nobody's.
    assert_eq!(four.members().unwrap(), [member("a", at, 1)]);
    let four = four.and(&end4()).and(b"anything");
    assert_eq!(four.members().unwrap(), [member("a", at, 1)]);

    let directory = File5 {
        flags: 1,
        mode: 0o040_755,
        ..File5::stored("Film", 0)
    };
    let hard_link = File5 {
        // Size, type 5 (redirection), then what does not matter here.
        extra: &[5, 5, 4, 0, 1, b'a'],
        size: 77,
        packed: 0,
        ..File5::stored("Film/again", 77)
    };
    let five = Archive::five()
        .and(&block5(3, 0, &[], Some(50), &[0, 0]))
        .zeros(50)
        .and(&directory.header())
        .and(&hard_link.header())
        .and(&block5(99, 4, &[], Some(9), &[]))
        .zeros(9)
        .and(&File5::stored("//Film/a\\b", 1).header())
        .zeros(1);
    let at = five.size - 1;
    assert_eq!(
        five.and(&end5()).members().unwrap(),
        [member("Film/a\\b", at, 1)],
        "a backslash is a part of a name of RAR 5"
    );
}

#[test]
fn each_flag_that_forbids_reading_in_place_has_its_reason() {
    use RarRefusal::{Compressed, Encrypted, Solid, Split};
    let four = |flags, method| {
        let file = File4 {
            flags,
            method,
            ..File4::stored(b"a", 10)
        };
        Archive::four().and(&file.header()).zeros(10).and(&end4())
    };
    let archive4 = |flags| Archive::of(b"Rar!\x1a\x07\x00").and(&block4(0x73, flags, &[0; 6]));
    let five = |file: File5<'_>| Archive::five().and(&file.header()).zeros(10).and(&end5());
    let plain = || File5::stored("a", 10);
    let archive5 =
        |flags: u8| Archive::of(b"Rar!\x1a\x07\x01\x00").and(&block5(1, 0, &[], None, &[flags]));
    for (what, archive, reason) in [
        ("continued from a volume", four(1, 0x30), Split),
        ("continued in a volume", four(2, 0x30), Split),
        ("compressed and continued", four(2, 0x33), Split),
        ("encrypted", four(4, 0x30), Encrypted),
        ("encrypted with salt", four(0x404, 0x33), Encrypted),
        ("compressed", four(0, 0x31), Compressed),
        ("solid", four(0x10, 0x30), Solid),
        ("a volume", archive4(0x1), Split),
        ("solid archive", archive4(0x8), Solid),
        ("headers encrypted", archive4(0x80), Encrypted),
        (
            "a volume follows",
            Archive::four().and(&block4(0x7b, 1, &[])),
            Split,
        ),
        (
            "5: continued",
            five(File5 {
                block: 8,
                ..plain()
            }),
            Split,
        ),
        (
            "5: to be continued",
            five(File5 {
                block: 16,
                ..plain()
            }),
            Split,
        ),
        (
            "5: encrypted",
            five(File5 {
                extra: &[3, 9, 0, 0, 2, 1, 0],
                ..plain()
            }),
            Encrypted,
        ),
        (
            "5: compressed",
            five(File5 {
                compression: 3 << 7,
                ..plain()
            }),
            Compressed,
        ),
        (
            "5: solid",
            five(File5 {
                compression: 0x40,
                ..plain()
            }),
            Solid,
        ),
        ("5: a volume", archive5(1), Split),
        ("5: solid archive", archive5(4), Solid),
        (
            "5: headers encrypted",
            Archive::of(b"Rar!\x1a\x07\x01\x00").and(&block5(4, 0, &[], None, &[0, 0, 15])),
            Encrypted,
        ),
        (
            "5: a volume follows",
            Archive::five().and(&block5(5, 0, &[], None, &[1])),
            Split,
        ),
    ] {
        assert_eq!(archive.members(), Err(reason), "{what}");
    }
}

#[test]
fn an_empty_file_needs_no_unpacking() {
    let file = File4 {
        method: 0x33,
        ..File4::stored(b"empty", 0)
    };
    let archive = Archive::four().and(&file.header()).and(&end4());
    assert_eq!(archive.members().unwrap().len(), 1);
}

#[test]
fn long_headers_are_fetched_whole() {
    let name = "n".repeat(4000);
    let comment = vec![7; 60_000];
    let archive = Archive::four()
        .and(&block4(0x75, 0, &comment))
        .and(&File4::stored(name.as_bytes(), 5).header())
        .zeros(5)
        .and(&end4());
    assert_eq!(archive.members().unwrap()[0].path, name);
    let padding = [vint(100_001), vec![99; 100_001]].concat();
    let archive = Archive::five()
        .and(
            &File5 {
                extra: &padding,
                ..File5::stored(&name, 5)
            }
            .header(),
        )
        .zeros(5)
        .and(&end5());
    assert_eq!(archive.members().unwrap()[0].path, name);
}

proptest! {
    #[test]
    fn every_file_is_found_where_it_was_put(
        files in proptest::collection::vec(("[a-zé北 ]{1,20}(/[a-z.]{1,9}){0,3}", 0u64..6_000_000_000), 0..40),
        five in any::<bool>(),
        end in any::<bool>(),
    ) {
        let mut archive = if five { Archive::five() } else { Archive::four() };
        let mut expected = Vec::new();
        for (path, size) in &files {
            let header = if five {
                File5::stored(path, *size).header()
            } else {
                let name = path.replace('/', "\\");
                File4 { flags: 0x200, ..File4::stored(name.as_bytes(), *size) }.header()
            };
            archive = archive.and(&header);
            expected.push(member(path, archive.size, *size));
            archive = archive.zeros(*size);
        }
        if end {
            archive = archive.and(&if five { end5() } else { end4() });
        }
        prop_assert_eq!(archive.members().unwrap(), expected);
    }
}
