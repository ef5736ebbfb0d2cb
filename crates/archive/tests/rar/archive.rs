//! Archives made byte by byte, and how they are read.

use std::ops::Range;

use debridfs_archive::{RarProgress, RarReader, RarRefusal};
use debridfs_catalogue::Member;

/// Bytes in memory and runs of zeros that are only counted, so that an archive can be larger than the machine.
#[derive(Debug, Default, Clone)]
pub struct Archive {
    pieces: Vec<(u64, Vec<u8>)>,
    pub size: u64,
}

impl Archive {
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().and(bytes)
    }

    /// Begins an archive of RAR 4.
    pub fn four() -> Self {
        Self::of(b"Rar!\x1a\x07\x00").and(&block4(0x73, 0, &[0; 6]))
    }

    /// Begins an archive of RAR 5.
    pub fn five() -> Self {
        Self::of(b"Rar!\x1a\x07\x01\x00").and(&block5(1, 0, &[], None, &[0]))
    }

    pub fn and(mut self, bytes: &[u8]) -> Self {
        self.pieces.push((self.size, bytes.to_vec()));
        self.size += bytes.len() as u64;
        self
    }

    pub fn zeros(mut self, count: u64) -> Self {
        self.size += count;
        self
    }

    pub fn read(&self, range: Range<u64>) -> Vec<u8> {
        let mut out = vec![0; (range.end - range.start) as usize];
        for (offset, bytes) in &self.pieces {
            let start = range.start.max(*offset);
            let end = range.end.min(offset + bytes.len() as u64);
            if start < end {
                out[(start - range.start) as usize..(end - range.start) as usize]
                    .copy_from_slice(&bytes[(start - offset) as usize..(end - offset) as usize]);
            }
        }
        out
    }

    /// Its files, and what was fetched to know them.
    pub fn examine(&self) -> (Result<Vec<Member>, RarRefusal>, u64) {
        let mut reader = RarReader::new(self.size);
        let mut progress = reader.start();
        let mut fetched = 0;
        loop {
            match progress {
                RarProgress::Complete(members) => return (Ok(members), fetched),
                RarProgress::Need(range) => {
                    assert!(range.end <= self.size, "{range:?} of {}", self.size);
                    fetched += range.end - range.start;
                    match reader.advance(range.start, &self.read(range)) {
                        Ok(next) => progress = next,
                        Err(refusal) => return (Err(refusal), fetched),
                    }
                }
            }
        }
    }

    pub fn members(&self) -> Result<Vec<Member>, RarRefusal> {
        self.examine().0
    }
}

pub fn member(path: &str, offset: u64, size: u64) -> Member {
    Member {
        path: path.to_owned(),
        offset,
        size,
    }
}

pub fn block4(kind: u8, flags: u16, fields: &[u8]) -> Vec<u8> {
    let mut header = vec![0, 0, kind];
    header.extend(flags.to_le_bytes());
    header.extend((7 + fields.len() as u16).to_le_bytes());
    header.extend(fields);
    let crc = crc32fast::hash(&header[2..]) as u16;
    header[..2].copy_from_slice(&crc.to_le_bytes());
    header
}

/// A header of a file as RAR 4 writes it.
pub struct File4<'a> {
    pub kind: u8,
    pub name: &'a [u8],
    pub packed: u64,
    pub size: u64,
    pub flags: u16,
    pub system: u8,
    pub mode: u32,
    pub method: u8,
}

impl<'a> File4<'a> {
    /// A stored regular file.
    pub fn stored(name: &'a [u8], size: u64) -> Self {
        Self {
            kind: 0x74,
            name,
            packed: size,
            size,
            flags: 0,
            system: 3,
            mode: 0o100_644,
            method: 0x30,
        }
    }

    pub fn header(&self) -> Vec<u8> {
        let mut flags = self.flags | 0x8000;
        let large = self.packed.max(self.size) > u64::from(u32::MAX);
        if large {
            flags |= 0x100;
        }
        let mut fields = Vec::new();
        fields.extend((self.packed as u32).to_le_bytes());
        fields.extend((self.size as u32).to_le_bytes());
        fields.push(self.system);
        fields.extend([0; 8]); // check-sum of the file, time
        fields.push(29);
        fields.push(self.method);
        fields.extend((self.name.len() as u16).to_le_bytes());
        fields.extend(self.mode.to_le_bytes());
        if large {
            fields.extend(((self.packed >> 32) as u32).to_le_bytes());
            fields.extend(((self.size >> 32) as u32).to_le_bytes());
        }
        fields.extend(self.name);
        if flags & 0x400 != 0 {
            fields.extend([0; 8]); // salt
        }
        block4(self.kind, flags, &fields)
    }
}

pub fn end4() -> Vec<u8> {
    block4(0x7b, 0x4000, &[])
}

pub fn vint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// A block of RAR 5; `data` is the size of what follows it.
pub fn block5(kind: u64, flags: u64, extra: &[u8], data: Option<u64>, fields: &[u8]) -> Vec<u8> {
    let mut flags = flags;
    if !extra.is_empty() {
        flags |= 1;
    }
    if data.is_some() {
        flags |= 2;
    }
    let mut body = vint(kind);
    body.extend(vint(flags));
    if !extra.is_empty() {
        body.extend(vint(extra.len() as u64));
    }
    if let Some(data) = data {
        body.extend(vint(data));
    }
    body.extend(fields);
    body.extend(extra);
    sealed5(&body)
}

/// The size and the check-sum before the body of a header of RAR 5.
pub fn sealed5(body: &[u8]) -> Vec<u8> {
    let mut sized = vint(body.len() as u64);
    sized.extend(body);
    let mut header = crc32fast::hash(&sized).to_le_bytes().to_vec();
    header.extend(sized);
    header
}

/// A header of a file as RAR 5 writes it.
pub struct File5<'a> {
    pub name: &'a str,
    pub packed: u64,
    pub size: u64,
    pub block: u64,
    pub flags: u64,
    pub mode: u64,
    pub compression: u64,
    pub system: u64,
    pub extra: &'a [u8],
}

impl<'a> File5<'a> {
    /// A stored regular file.
    pub fn stored(name: &'a str, size: u64) -> Self {
        Self {
            name,
            packed: size,
            size,
            block: 0,
            flags: 2 | 4,
            mode: 0o100_644,
            compression: 0,
            system: 1,
            extra: &[],
        }
    }

    pub fn header(&self) -> Vec<u8> {
        let mut fields = vint(self.flags);
        fields.extend(vint(self.size));
        fields.extend(vint(self.mode));
        if self.flags & 2 != 0 {
            fields.extend([0; 4]); // time
        }
        if self.flags & 4 != 0 {
            fields.extend([0; 4]); // check-sum of the file
        }
        fields.extend(vint(self.compression));
        fields.extend(vint(self.system));
        fields.extend(vint(self.name.len() as u64));
        fields.extend(self.name.as_bytes());
        block5(2, self.block, self.extra, Some(self.packed), &fields)
    }
}

pub fn end5() -> Vec<u8> {
    block5(5, 0, &[], None, &[0])
}
