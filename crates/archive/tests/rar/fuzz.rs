//! The reader against arbitrary bytes: it may refuse, it never panics, and what it accepts lies in the archive. The run time is set by
//! `BOLERO_RANDOM_TEST_TIME_MS`.

use bolero::{TypeGenerator, check};

use crate::archive::{Archive, File4, File5, block4, block5, end4, end5};

fn examine(archive: &Archive) {
    let (members, fetched) = archive.examine();
    // Every range begins further on than the one before, unless that was too short.
    assert!(fetched <= 2 * archive.size + 2 * 4096 * archive.size);
    let mut free = 0;
    for member in members.unwrap_or_default() {
        assert!(member.offset >= free, "files overlap");
        free = member.offset + member.size;
        assert!(free <= archive.size);
        assert!(!member.path.is_empty() && !member.path.starts_with('/'));
    }
}

#[test]
fn fuzz_bytes() {
    check!().for_each(|bytes: &[u8]| {
        examine(&Archive::of(bytes));
        examine(&Archive::four().and(bytes));
        examine(&Archive::five().and(bytes));
    });
}

/// A block whose check-sum is right, whatever it says.
#[derive(Debug, TypeGenerator)]
enum Piece {
    Four {
        kind: u8,
        flags: u16,
        fields: Vec<u8>,
    },
    File4 {
        name: Vec<u8>,
        packed: u64,
        size: u64,
        flags: u16,
        mode: u32,
        method: u8,
    },
    Five {
        kind: u8,
        flags: u8,
        extra: Vec<u8>,
        data: Option<u64>,
        fields: Vec<u8>,
    },
    File5 {
        name: String,
        packed: u64,
        size: u64,
        flags: u8,
        compression: u16,
        extra: Vec<u8>,
    },
    Bytes(Vec<u8>),
    Zeros(u16),
}

impl Piece {
    fn add(&self, archive: Archive) -> Archive {
        let header = match self {
            Self::Four {
                kind,
                flags,
                fields,
            } => block4(*kind, *flags, fields),
            Self::File4 {
                name,
                packed,
                size,
                flags,
                mode,
                method,
            } => File4 {
                packed: *packed,
                size: *size,
                flags: *flags,
                mode: *mode,
                method: *method,
                ..File4::stored(name, 0)
            }
            .header(),
            Self::Five {
                kind,
                flags,
                extra,
                data,
                fields,
            } => block5(u64::from(*kind), u64::from(*flags), extra, *data, fields),
            Self::File5 {
                name,
                packed,
                size,
                flags,
                compression,
                extra,
            } => File5 {
                packed: *packed,
                size: *size,
                flags: u64::from(*flags),
                compression: u64::from(*compression),
                extra,
                ..File5::stored(name, 0)
            }
            .header(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Zeros(count) => return archive.zeros(u64::from(*count)),
        };
        archive.and(&header)
    }
}

#[test]
fn fuzz_blocks() {
    check!()
        .with_type::<(bool, Vec<Piece>)>()
        .for_each(|(five, pieces)| {
            let start = if *five {
                Archive::five()
            } else {
                Archive::four()
            };
            examine(
                &pieces
                    .iter()
                    .fold(start, |archive, piece| piece.add(archive)),
            );
        });
}

#[test]
fn fuzz_edited_archives() {
    let sound = [
        Archive::four()
            .and(&File4::stored(b"Film\\a.mkv", 90).header())
            .zeros(90)
            .and(&end4()),
        Archive::five()
            .and(&File5::stored("Film/a.mkv", 90).header())
            .zeros(90)
            .and(&end5()),
    ]
    .map(|archive| archive.read(0..archive.size));
    check!()
        .with_type::<(bool, Vec<(u16, u8)>, u16)>()
        .for_each(|(five, edits, end)| {
            let mut bytes = sound[usize::from(*five)].clone();
            for (at, to) in edits {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *to;
            }
            bytes.truncate(usize::from(*end) % (bytes.len() + 1));
            examine(&Archive::of(&bytes));
        });
}
