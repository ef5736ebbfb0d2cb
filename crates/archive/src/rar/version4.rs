//! Blocks of RAR 1.5 to 4.

use super::blocks::{Block, Fields, Kind, Outcome, is_special};
use super::{FileHeader, RarRefusal};

/// CRC, type, flags and size of the header.
const SHORTEST: usize = 7;

const ARCHIVE: u8 = 0x73;
const FILE: u8 = 0x74;
/// Comments, signatures and recovery records of old; their check-sums cover less than the header.
const OLD: std::ops::RangeInclusive<u8> = 0x75..=0x79;
const SERVICE: u8 = 0x7a;
const END: u8 = 0x7b;

/// The size of the data stands behind the fixed fields.
const LONG: u16 = 0x8000;

/// Flags of the archive.
const VOLUME: u16 = 0x0001;
const SOLID_ARCHIVE: u16 = 0x0008;
const ENCRYPTED_HEADERS: u16 = 0x0080;

/// Flags of a file.
const SPLIT: u16 = 0x0003;
const ENCRYPTED: u16 = 0x0004;
const SOLID: u16 = 0x0010;
const DIRECTORY: u16 = 0x00e0;
const HIGH_SIZES: u16 = 0x0100;
const UNICODE: u16 = 0x0200;

/// Flag of the end: there is another volume.
const NEXT_VOLUME: u16 = 0x0001;

const UNIX: u8 = 3;
const STORED: u8 = 0x30;

/// Reads the block at the start of `bytes`.
pub(super) fn block(bytes: &[u8]) -> Result<Outcome, RarRefusal> {
    if bytes.len() < SHORTEST {
        return Ok(Outcome::Short(SHORTEST));
    }
    let mut fields = Fields(bytes);
    let crc = fields.u16()?;
    let kind = fields.u8()?;
    let flags = fields.u16()?;
    let length = usize::from(fields.u16()?);
    if length < SHORTEST {
        return Err(RarRefusal::Damaged("a header is too short"));
    }
    let Some(header) = bytes.get(..length) else {
        return Ok(Outcome::Short(length));
    };
    if !OLD.contains(&kind) && crc32fast::hash(&header[2..]) as u16 != crc {
        return Err(RarRefusal::Damaged("a header's check-sum is wrong"));
    }
    let mut fields = Fields(&header[SHORTEST..]);
    let mut data = 0;
    if flags & LONG != 0 {
        data = u64::from(fields.u32()?);
    }
    let kind = match kind {
        ARCHIVE if flags & ENCRYPTED_HEADERS != 0 => return Err(RarRefusal::Encrypted),
        ARCHIVE if flags & VOLUME != 0 => return Err(RarRefusal::Split),
        ARCHIVE if flags & SOLID_ARCHIVE != 0 => return Err(RarRefusal::Solid),
        ARCHIVE => Kind::Archive,
        FILE | SERVICE => {
            let file = file(flags, data, fields)?;
            data = file.packed;
            if kind == SERVICE {
                Kind::Other
            } else {
                file.kind()?
            }
        }
        END if flags & NEXT_VOLUME != 0 => return Err(RarRefusal::Split),
        END => Kind::End,
        kind if OLD.contains(&kind) => Kind::Other,
        _ => return Err(RarRefusal::Damaged("a block of no known type")),
    };
    Ok(Outcome::Block(Block {
        header: length,
        data,
        kind,
    }))
}

/// The header of a file or a service, behind the low half of its packed size.
fn file(flags: u16, packed: u64, mut fields: Fields<'_>) -> Result<FileHeader, RarRefusal> {
    if flags & LONG == 0 {
        return Err(RarRefusal::Damaged("a file without a size"));
    }
    let mut packed = packed;
    let mut size = u64::from(fields.u32()?);
    let system = fields.u8()?;
    // Check-sum of the file, time, version needed.
    fields.bytes(4 + 4 + 1)?;
    let method = fields.u8()?;
    let name_length = usize::from(fields.u16()?);
    let attributes = u64::from(fields.u32()?);
    if flags & HIGH_SIZES != 0 {
        packed |= u64::from(fields.u32()?) << 32;
        size |= u64::from(fields.u32()?) << 32;
    }
    let name = name(fields.bytes(name_length)?, flags & UNICODE != 0);
    Ok(FileHeader {
        // Both kinds of slashes part names, whatever the system.
        path: name.replace('\\', "/"),
        packed,
        size,
        special: flags & DIRECTORY == DIRECTORY || (system == UNIX && is_special(attributes)),
        split: flags & SPLIT != 0,
        encrypted: flags & ENCRYPTED != 0,
        stored: method == STORED,
        solid: flags & SOLID != 0,
    })
}

/// The name of a file: plain, UTF-8, or both a plain one and what makes UTF-16 of it.
fn name(bytes: &[u8], unicode: bool) -> String {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(zero) if unicode => decode(&bytes[..zero], &bytes[zero + 1..]),
        Some(zero) => String::from_utf8_lossy(&bytes[..zero]).into_owned(),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Makes UTF-16 of the plain name and its encoded differences: the high byte that most characters share, and then, for groups of four characters, a byte
/// of four two-bit codes, each with the bytes it needs.
fn decode(plain: &[u8], encoded: &[u8]) -> String {
    let mut encoded = encoded.iter().copied();
    let mut name: Vec<u16> = Vec::new();
    let mut step = || -> Option<()> {
        let high = u16::from(encoded.next()?) << 8;
        loop {
            let codes = encoded.next()?;
            for shift in [6, 4, 2, 0] {
                match (codes >> shift) & 3 {
                    0 => name.push(u16::from(encoded.next()?)),
                    1 => name.push(u16::from(encoded.next()?) | high),
                    2 => name.push(u16::from_le_bytes([encoded.next()?, encoded.next()?])),
                    _ => {
                        // A run of the plain name, as it is or moved on by a constant under the shared high byte.
                        let run = encoded.next()?;
                        let moved = if run & 0x80 != 0 {
                            Some(encoded.next()?)
                        } else {
                            None
                        };
                        for _ in 0..usize::from(run & 0x7f) + 2 {
                            let plain = *plain.get(name.len())?;
                            name.push(match moved {
                                Some(by) => u16::from(plain.wrapping_add(by)) | high,
                                None => u16::from(plain),
                            });
                        }
                    }
                }
            }
        }
    };
    // It ends where the bytes end, in the midst of a group as well.
    step();
    String::from_utf16_lossy(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_names_are_decoded() {
        // Shared high byte 4 (Cyrillic); codes 1, 1, 1, 3: three letters, then 4 characters of the plain name.
        let encoded = [4, 0b01_01_01_11, 0x3b, 0x35, 0x42, 2];
        assert_eq!(decode(b"???.mkv", &encoded), "лет.mkv");
        // Codes 2, 0, 3: a CJK character, a Latin one, a run moved on by 0x10 under the shared byte 4.
        let encoded = [4, 0b10_00_11_00, 0x17, 0x53, b'x', 0x80, 0x10];
        assert_eq!(decode(b"?? !", &encoded), "北x\u{430}\u{431}");
        assert_eq!(decode(b"a", &[]), "");
        assert_eq!(decode(b"a", &[0, 0b11_00_00_00, 0x7f]), "a");
    }
}
