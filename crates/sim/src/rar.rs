//! The one RAR archive into which the vendor packs everything when files other than films are selected: RAR 3, stored, so that byte
//! ranges in it are byte ranges of the files. Layout: "RAR archive format", technical note of RAR 3 (technote.txt).

use crate::content::Content;
use crate::library::PackFlaw;
use crate::random::hash_parts;

const MARKER: [u8; 7] = [0x52, 0x61, 0x72, 0x21, 0x1a, 0x07, 0x00];
const ARCHIVE_HEADER: u8 = 0x73;
const FILE_HEADER: u8 = 0x74;
const END_HEADER: u8 = 0x7b;
/// The header is followed by data.
const LONG_BLOCK: u16 = 0x8000;
/// 64-bit sizes follow the fixed fields.
const HIGH_SIZES: u16 = 0x0100;
/// The name is not ASCII; without a zero byte in it, it is UTF-8.
const UNICODE_NAME: u16 = 0x0200;
const ENCRYPTED: u16 = 0x0004;
const STORED: u8 = 0x30;
const COMPRESSED: u8 = 0x33;

/// An archive that is put together while it is read.
#[derive(Debug)]
pub(crate) struct Archive {
    parts: Vec<Part>,
    size: u64,
}

#[derive(Debug)]
struct Part {
    offset: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Header(Vec<u8>),
    File(Content),
}

impl Part {
    fn end(&self) -> u64 {
        self.offset
            + match &self.bytes {
                Bytes::Header(header) => header.len() as u64,
                Bytes::File(content) => content.size(),
            }
    }
}

/// What the vendor makes of a name inside an archive.
pub(crate) fn packed_name(path: &str) -> String {
    path.trim_start_matches('/')
        .chars()
        .map(|c| match c {
            '|' | '"' | '\\' | '?' | '*' | ':' | '<' | '>' => '_',
            '/' => '\\',
            other => other,
        })
        .collect()
}

impl Archive {
    /// Packs `files`: names as the provider tells them, with their contents. With a `flaw` their headers lie.
    pub(crate) fn new<'a>(
        files: impl Iterator<Item = (&'a str, Content)>,
        flaw: Option<PackFlaw>,
    ) -> Self {
        let mut files = files.peekable();
        let mut archive = Self {
            parts: Vec::new(),
            size: 0,
        };
        archive.push(Bytes::Header(MARKER.to_vec()));
        archive.push(Bytes::Header(block(ARCHIVE_HEADER, 0, &[0; 6])));
        while let Some((path, content)) = files.next() {
            let flaw = flaw.filter(|flaw| *flaw != PackFlaw::TooLarge || files.peek().is_none());
            archive.push(Bytes::Header(file_header(path, &content, flaw)));
            archive.push(Bytes::File(content));
        }
        archive.push(Bytes::Header(block(END_HEADER, 0x4000, &[])));
        archive
    }

    fn push(&mut self, bytes: Bytes) {
        let part = Part {
            offset: self.size,
            bytes,
        };
        self.size = part.end();
        self.parts.push(part);
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn version(&self) -> u64 {
        self.parts.iter().fold(self.size, |hash, part| {
            let own = match &part.bytes {
                Bytes::Header(header) => hash_parts(&[header]),
                Bytes::File(content) => content.version(),
            };
            crate::random::mix(hash ^ own)
        })
    }

    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) {
        let first = self.parts.partition_point(|part| part.end() <= offset);
        let mut at = offset;
        let mut rest = out;
        for part in &self.parts[first..] {
            if rest.is_empty() {
                break;
            }
            let take = (part.end() - at).min(rest.len() as u64) as usize;
            let (now, later) = rest.split_at_mut(take);
            let within = at - part.offset;
            match &part.bytes {
                Bytes::Header(header) => {
                    now.copy_from_slice(&header[within as usize..within as usize + take]);
                }
                Bytes::File(content) => content.read(within, now),
            }
            at += take as u64;
            rest = later;
        }
    }
}

fn block(kind: u8, flags: u16, fields: &[u8]) -> Vec<u8> {
    let size = 7 + fields.len() as u16;
    let mut header = vec![0, 0, kind];
    header.extend(flags.to_le_bytes());
    header.extend(size.to_le_bytes());
    header.extend(fields);
    let crc = crc32fast::hash(&header[2..]) as u16;
    header[..2].copy_from_slice(&crc.to_le_bytes());
    header
}

fn file_header(path: &str, content: &Content, flaw: Option<PackFlaw>) -> Vec<u8> {
    let mut name = packed_name(path);
    // The header's length has 16 bits.
    while name.len() > 60_000 {
        name.pop();
    }
    let mut size = content.size();
    let mut flags = LONG_BLOCK | HIGH_SIZES;
    let mut method = STORED;
    match flaw {
        None => {}
        Some(PackFlaw::Compressed) => method = COMPRESSED,
        Some(PackFlaw::Encrypted) => flags |= ENCRYPTED,
        Some(PackFlaw::TooLarge) => size += 1 << 30,
    }
    if !name.is_ascii() {
        flags |= UNICODE_NAME;
    }
    // A check-sum of generated content would mean reading all of it; those archives carry 0.
    let crc = if let Content::Clip(clip) = content {
        crc32fast::hash(clip.bytes())
    } else {
        0
    };
    let mut fields = Vec::new();
    fields.extend((size as u32).to_le_bytes());
    fields.extend((size as u32).to_le_bytes());
    fields.push(3); // made on Unix
    fields.extend(crc.to_le_bytes());
    fields.extend(0x5a21_0000u32.to_le_bytes()); // a day in 2025, in DOS format
    fields.push(20); // version needed to extract: 2.0
    fields.push(method);
    fields.extend((name.len() as u16).to_le_bytes());
    fields.extend(0o100_644u32.to_le_bytes());
    fields.extend(((size >> 32) as u32).to_le_bytes());
    fields.extend(((size >> 32) as u32).to_le_bytes());
    fields.extend(name.as_bytes());
    block(FILE_HEADER, flags, &fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::Clip;

    #[test]
    fn check_sums_are_the_known_ones() {
        // The end block as every RAR 3 archive has it.
        assert_eq!(
            block(END_HEADER, 0x4000, &[]),
            [0xc4, 0x3d, 0x7b, 0x00, 0x40, 0x07, 0x00]
        );
    }

    #[test]
    fn any_range_is_a_part_of_the_whole() {
        let archive = Archive::new(
            [
                ("/Film: a?.mkv", Content::Generated { key: 5, size: 1000 }),
                ("/Subs/é.srt", Content::Clip(Clip::Subtitles)),
            ]
            .into_iter(),
            None,
        );
        let mut whole = vec![0; archive.size() as usize];
        archive.read(0, &mut whole);
        assert!(whole.starts_with(&MARKER));
        let text = String::from_utf8_lossy(&whole);
        assert!(text.contains("Film_ a_.mkv") && text.contains("Subs\\é.srt"));
        for start in (0..whole.len()).step_by(7) {
            let mut part = vec![0; (whole.len() - start).min(300)];
            archive.read(start as u64, &mut part);
            assert_eq!(part, whole[start..start + part.len()]);
        }
    }
}
