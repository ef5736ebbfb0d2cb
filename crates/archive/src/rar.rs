//! Headers of RAR archives: where stored files lie, told from ranges of the archive alone.
//!
//! A stored file is a run of the archive's bytes, so it can be read through the archive's link without unpacking anything. Whatever would have to be
//! unpacked or decrypted is refused. The reader is fed ranges it asks for, so that only headers are fetched; it does no input or output itself.
//!
//! Formats: "RAR version 3.93 – Technical information" (`technote.txt`) for the blocks of RAR 1.5 to 4, "RAR 5.0 archive format" for those since.

mod blocks;
mod version4;
mod version5;

use std::ops::Range;

use debridfs_catalogue::Member;

use blocks::{Block, Kind, Outcome};

/// The signature at the start of archives of RAR 1.5 to 4, and of those since RAR 5.
const MARKER_4: [u8; 7] = *b"Rar!\x1a\x07\x00";
const MARKER_5: [u8; 8] = *b"Rar!\x1a\x07\x01\x00";
/// What is asked for where a block begins: most headers fit, and small files next to each other come at once.
const STEP: u64 = 4 << 10;
/// An archive of more blocks is refused: each may cost a request.
const MOST_BLOCKS: u32 = 20_000;
/// An archive whose names are longer together is refused: they are kept.
const MOST_NAMES: usize = 4 << 20;
/// The longest path of a member in bytes (`PATH_MAX`).
const LONGEST_NAME: usize = 4096;

/// Why files of an archive cannot be read where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RarRefusal {
    /// It begins with no signature of RAR 1.5 or later (one behind a self-extracting program counts as none).
    #[error("no RAR archive")]
    NotRar,
    /// A file is compressed.
    #[error("compressed")]
    Compressed,
    /// The headers or a file are encrypted.
    #[error("encrypted")]
    Encrypted,
    /// Files depend on those before.
    #[error("solid")]
    Solid,
    /// It is one of several volumes.
    #[error("split into volumes")]
    Split,
    /// What it says of itself cannot be true.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// More than is read: 20 000 blocks, or 4 MiB of names.
    #[error("too many files")]
    TooLarge,
}

/// How far the reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RarProgress {
    /// These bytes of the archive are wanted next, from 1 byte to 2 MiB; they lie within it.
    Need(Range<u64>),
    /// All headers were read: the files in the order of the archive. Directories, links and services (comments, recovery data) are left out.
    /// A path has `/` between its parts and none at the start; it is any text otherwise, also with `..` in it.
    Complete(Vec<Member>),
}

/// Reads the headers of one archive.
///
/// ```
/// use debridfs_archive::{RarProgress, RarReader, RarRefusal};
///
/// # fn main() -> Result<(), RarRefusal> {
/// // An empty archive of RAR 4: signature, archive header, end.
/// let archive = b"Rar!\x1a\x07\x00\xcf\x90\x73\x00\x00\x0d\x00\0\0\0\0\0\0\xc4\x3d\x7b\x00\x40\x07\x00";
/// let mut reader = RarReader::new(archive.len() as u64);
/// let mut progress = reader.start();
/// while let RarProgress::Need(range) = progress {
///     let bytes = &archive[range.start as usize..range.end as usize];
///     progress = reader.advance(range.start, bytes)?;
/// }
/// assert_eq!(progress, RarProgress::Complete(Vec::new()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RarReader {
    size: u64,
    /// Where the next block begins.
    at: u64,
    format: Option<Format>,
    /// The archive header was seen.
    opened: bool,
    blocks: u32,
    names: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Version4,
    Version5,
}

impl RarReader {
    /// A reader of an archive of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            at: 0,
            format: None,
            opened: false,
            blocks: 0,
            names: 0,
            members: Vec::new(),
        }
    }

    /// What is wanted first.
    pub fn start(&self) -> RarProgress {
        RarProgress::Need(0..STEP.min(self.size))
    }

    /// Takes `bytes`, which are the archive's from `offset` on, and goes on as far as they reach. Bytes that were not asked for do no harm and bring
    /// nothing; whoever gives fewer than asked is asked the same again.
    ///
    /// # Errors
    /// [`RarRefusal`]; the reader is of no further use then.
    pub fn advance(&mut self, offset: u64, bytes: &[u8]) -> Result<RarProgress, RarRefusal> {
        loop {
            if self.format.is_some() && self.at == self.size {
                // Archives of RAR 2 and before have no end block.
                return self.complete();
            }
            let here = self
                .at
                .checked_sub(offset)
                .and_then(|start| bytes.get(usize::try_from(start).ok()?..))
                .unwrap_or_default();
            let outcome = match self.format {
                None => self.signature(here)?,
                Some(Format::Version4) => version4::block(here)?,
                Some(Format::Version5) => version5::block(here)?,
            };
            match outcome {
                Outcome::Short(wanted) => return self.need(wanted),
                Outcome::Block(block) => {
                    if let Some(complete) = self.take(block)? {
                        return Ok(complete);
                    }
                }
            }
        }
    }

    fn signature(&mut self, bytes: &[u8]) -> Result<Outcome, RarRefusal> {
        let (format, length) = if bytes.starts_with(&MARKER_4) {
            (Format::Version4, MARKER_4.len())
        } else if bytes.starts_with(&MARKER_5) {
            (Format::Version5, MARKER_5.len())
        } else if self.size < MARKER_5.len() as u64 || bytes.len() >= MARKER_5.len() {
            return Err(RarRefusal::NotRar);
        } else {
            return Ok(Outcome::Short(MARKER_5.len()));
        };
        self.format = Some(format);
        Ok(Outcome::Block(Block {
            header: length,
            data: 0,
            kind: Kind::Other,
        }))
    }

    /// Asks for `wanted` bytes of the block that is next, and a little more.
    fn need(&self, wanted: usize) -> Result<RarProgress, RarRefusal> {
        let left = self.size.saturating_sub(self.at);
        if wanted as u64 > left {
            return Err(RarRefusal::Damaged("a header is cut off"));
        }
        let length = (wanted as u64).max(STEP).min(left);
        Ok(RarProgress::Need(self.at..self.at + length))
    }

    fn take(&mut self, block: Block) -> Result<Option<RarProgress>, RarRefusal> {
        self.blocks += 1;
        if self.blocks > MOST_BLOCKS {
            return Err(RarRefusal::TooLarge);
        }
        let data = self.at + block.header as u64;
        let end = data
            .checked_add(block.data)
            .filter(|end| *end <= self.size)
            .ok_or(RarRefusal::Damaged("it names more bytes than it has"))?;
        match block.kind {
            Kind::Archive if self.opened => {
                return Err(RarRefusal::Damaged("a second archive header"));
            }
            Kind::Archive => self.opened = true,
            Kind::Other => {}
            Kind::File(_) | Kind::End if !self.opened => {
                return Err(RarRefusal::Damaged("no archive header"));
            }
            Kind::File(path) => {
                self.names += path.len();
                if self.names > MOST_NAMES {
                    return Err(RarRefusal::TooLarge);
                }
                self.members.push(Member {
                    path,
                    offset: data,
                    size: block.data,
                });
            }
            Kind::End => return self.complete().map(Some),
        }
        self.at = end;
        Ok(None)
    }

    fn complete(&mut self) -> Result<RarProgress, RarRefusal> {
        if !self.opened {
            return Err(RarRefusal::Damaged("no archive header"));
        }
        Ok(RarProgress::Complete(std::mem::take(&mut self.members)))
    }
}

/// What the header of a file says, whatever the format.
struct FileHeader {
    path: String,
    /// Bytes in the archive, and bytes of the file.
    packed: u64,
    size: u64,
    /// A directory, a link or another thing without bytes of its own.
    special: bool,
    split: bool,
    encrypted: bool,
    stored: bool,
    solid: bool,
}

impl FileHeader {
    /// The file as a block, if it can be read where it lies.
    fn kind(self) -> Result<Kind, RarRefusal> {
        if self.split {
            return Err(RarRefusal::Split);
        }
        if self.special {
            return Ok(Kind::Other);
        }
        // An empty file needs no unpacking, whatever its header says.
        if self.packed > 0 || self.size > 0 {
            if self.encrypted {
                return Err(RarRefusal::Encrypted);
            }
            if !self.stored {
                return Err(RarRefusal::Compressed);
            }
            if self.solid {
                return Err(RarRefusal::Solid);
            }
            if self.packed != self.size {
                return Err(RarRefusal::Damaged("a stored file of two sizes"));
            }
        }
        let path = self.path.trim_start_matches('/');
        if path.is_empty() {
            return Err(RarRefusal::Damaged("a file without a name"));
        }
        if path.len() > LONGEST_NAME {
            return Err(RarRefusal::Damaged("a name of more than 4096 bytes"));
        }
        Ok(Kind::File(path.to_owned()))
    }
}
