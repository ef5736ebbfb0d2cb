//! Blocks of RAR 5 and later.

use super::blocks::{Block, Fields, Kind, Outcome, is_special};
use super::{FileHeader, RarRefusal};

/// The check-sum of a header stands before it.
const CRC: usize = 4;
/// The size of a header takes no more bytes, so that it is below 2 MiB.
const SIZE_BYTES: usize = 3;

const ARCHIVE: u64 = 1;
const FILE: u64 = 2;
const ENCRYPTION: u64 = 4;
const END: u64 = 5;

/// Flags of any header.
const EXTRA: u64 = 0x0001;
const DATA: u64 = 0x0002;
const SPLIT: u64 = 0x0008 | 0x0010;

/// Flags of the archive.
const VOLUME: u64 = 0x0001;
const SOLID_ARCHIVE: u64 = 0x0004;

/// Flags of a file.
const DIRECTORY: u64 = 0x0001;
const TIME: u64 = 0x0002;
const CHECKSUM: u64 = 0x0004;
const SIZE_UNKNOWN: u64 = 0x0008;

/// Parts of a file's compression information.
const SOLID: u64 = 0x0040;
const METHOD: u64 = 0x0380;

/// Records of a file's extra area.
const ENCRYPTED: u64 = 1;
const REDIRECTION: u64 = 5;

const UNIX: u64 = 1;

/// Flag of the end: there is another volume.
const NEXT_VOLUME: u64 = 0x0001;

/// Reads the block at the start of `bytes`.
pub(super) fn block(bytes: &[u8]) -> Result<Outcome, RarRefusal> {
    let Some(start) = bytes.get(..CRC + SIZE_BYTES) else {
        return Ok(Outcome::Short(CRC + SIZE_BYTES));
    };
    let mut fields = Fields(start);
    let crc = fields.u32()?;
    let length = fields.length()?;
    let size_bytes = start.len() - CRC - fields.0.len();
    let end = CRC + size_bytes + length;
    let Some(header) = bytes.get(..end) else {
        return Ok(Outcome::Short(end));
    };
    if crc32fast::hash(&header[CRC..]) != crc {
        return Err(RarRefusal::Damaged("a header's check-sum is wrong"));
    }
    let mut fields = Fields(&header[CRC + size_bytes..]);
    let kind = fields.vint()?;
    let flags = fields.vint()?;
    let extra = if flags & EXTRA != 0 {
        fields.length()?
    } else {
        0
    };
    let data = if flags & DATA != 0 { fields.vint()? } else { 0 };
    let own = fields
        .0
        .len()
        .checked_sub(extra)
        .ok_or(RarRefusal::Damaged("a header is too short"))?;
    let (own, extra) = fields.0.split_at(own);
    let mut fields = Fields(own);
    let kind = match kind {
        ENCRYPTION => return Err(RarRefusal::Encrypted),
        ARCHIVE => match fields.vint()? {
            flags if flags & VOLUME != 0 => return Err(RarRefusal::Split),
            flags if flags & SOLID_ARCHIVE != 0 => return Err(RarRefusal::Solid),
            _ => Kind::Archive,
        },
        FILE => file(flags, data, fields, extra)?.kind()?,
        END if fields.vint()? & NEXT_VOLUME != 0 => return Err(RarRefusal::Split),
        END => Kind::End,
        // Services, and what later versions may add.
        _ => Kind::Other,
    };
    Ok(Outcome::Block(Block {
        header: end,
        data,
        kind,
    }))
}

fn file(
    block: u64,
    packed: u64,
    mut fields: Fields<'_>,
    extra: &[u8],
) -> Result<FileHeader, RarRefusal> {
    let flags = fields.vint()?;
    let size = fields.vint()?;
    if flags & SIZE_UNKNOWN != 0 {
        return Err(RarRefusal::Damaged("a file without a size"));
    }
    let attributes = fields.vint()?;
    if flags & TIME != 0 {
        fields.u32()?;
    }
    if flags & CHECKSUM != 0 {
        fields.u32()?;
    }
    let compression = fields.vint()?;
    let system = fields.vint()?;
    let name_length = fields.length()?;
    let name = fields.bytes(name_length)?;
    let mut header = FileHeader {
        path: String::from_utf8_lossy(name).into_owned(),
        packed,
        size,
        special: flags & DIRECTORY != 0 || (system == UNIX && is_special(attributes)),
        split: block & SPLIT != 0,
        encrypted: false,
        stored: compression & METHOD == 0,
        solid: compression & SOLID != 0,
    };
    let mut extra = Fields(extra);
    while !extra.0.is_empty() {
        let length = extra.length()?;
        match Fields(extra.bytes(length)?).vint()? {
            ENCRYPTED => header.encrypted = true,
            // A link, or another name of a file before: it has no bytes of its own.
            REDIRECTION => header.special = true,
            _ => {}
        }
    }
    Ok(header)
}
