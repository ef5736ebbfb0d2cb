//! What both formats are made of.

use super::RarRefusal;

/// What the bytes at the start of a block came to.
pub(super) enum Outcome {
    /// So many bytes are needed to go on, more than were given.
    Short(usize),
    /// A whole header.
    Block(Block),
}

/// A block of an archive: a header, and data behind it.
pub(super) struct Block {
    /// Bytes of the header; at least 1.
    pub(super) header: usize,
    /// Bytes of the data.
    pub(super) data: u64,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// The archive's own header.
    Archive,
    /// A file that can be read where it lies, by its path.
    File(String),
    /// Nothing comes after.
    End,
    /// To be skipped.
    Other,
}

/// Takes a header apart from its start; what is not there is [`RarRefusal::Damaged`].
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], RarRefusal> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RarRefusal::Damaged("a header is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RarRefusal> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, RarRefusal> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, RarRefusal> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, RarRefusal> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A number of RAR 5: seven bits a byte, the lowest first; bit 7 says that another byte follows. Leading zeros may be added.
    pub(super) fn vint(&mut self) -> Result<u64, RarRefusal> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RarRefusal::Damaged("a number of more than 64 bits"))
    }

    /// As [`Fields::vint`], where a length in memory is meant.
    pub(super) fn length(&mut self) -> Result<usize, RarRefusal> {
        usize::try_from(self.vint()?).map_err(|_| RarRefusal::Damaged("a header is too short"))
    }
}

/// Whether the Unix mode means anything but a regular file; without a kind it means one.
pub(super) fn is_special(mode: u64) -> bool {
    !matches!(mode & 0o170_000, 0 | 0o100_000)
}
