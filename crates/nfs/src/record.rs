//! Record marking (RFC 5531, section 11): how calls follow each other on a connection.

use bytes::{Buf, BytesMut};

/// Bytes of a call, at most. The longest that makes sense is a WRITE of [`crate::WTMAX`] bytes, which is refused.
pub const LONGEST: usize = 64 << 10;
/// Fragments of one call, at most: all clients send one.
const FRAGMENTS: u32 = 64;
const LAST: u32 = 1 << 31;

/// A call is longer than any can be: what follows cannot be told apart any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a call of over {LONGEST} bytes, or in over {FRAGMENTS} pieces")]
pub struct TooLong;

/// Takes calls out of the bytes of a connection.
#[derive(Debug, Default)]
pub struct Records {
    /// Bytes that came and were not taken yet; to be read into.
    pub input: BytesMut,
    /// The call as far as it is there, when it comes in several pieces.
    begun: BytesMut,
    fragments: u32,
    /// Bytes of the fragment that are still to come, and whether it is the last one.
    fragment: Option<(usize, bool)>,
}

impl Records {
    /// The next call, if all of it is there.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn take(&mut self) -> Result<Option<BytesMut>, TooLong> {
        loop {
            let (left, is_last) = match self.fragment {
                Some(fragment) => fragment,
                None if self.input.len() < 4 => return Ok(None),
                None => self.begin_fragment()?,
            };
            if is_last && self.begun.is_empty() {
                // Nearly always: in one piece, and not copied.
                if self.input.len() < left {
                    return Ok(None);
                }
                self.end_record();
                return Ok(Some(self.input.split_to(left)));
            }
            let there = left.min(self.input.len());
            self.begun.extend_from_slice(&self.input[..there]);
            self.input.advance(there);
            self.fragment = Some((left - there, is_last));
            if there < left {
                return Ok(None);
            }
            self.fragment = None;
            if is_last {
                self.end_record();
                return Ok(Some(std::mem::take(&mut self.begun)));
            }
        }
    }

    fn begin_fragment(&mut self) -> Result<(usize, bool), TooLong> {
        let mark = self.input.get_u32();
        let (length, is_last) = ((mark & !LAST) as usize, mark & LAST != 0);
        self.fragments += 1;
        if self.begun.len() + length > LONGEST || self.fragments > FRAGMENTS {
            return Err(TooLong);
        }
        self.fragment = Some((length, is_last));
        Ok((length, is_last))
    }

    fn end_record(&mut self) {
        self.fragment = None;
        self.fragments = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(bytes: &[u8], is_last: bool) -> Vec<u8> {
        let mark = bytes.len() as u32 | if is_last { LAST } else { 0 };
        [&mark.to_be_bytes()[..], bytes].concat()
    }

    fn all(records: &mut Records) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut found = Vec::new();
        while let Some(record) = records.take()? {
            found.push(record.to_vec());
        }
        Ok(found)
    }

    #[test]
    fn calls_come_in_any_pieces() {
        let sent = [
            fragment(b"one", true),
            fragment(b"tw", false),
            fragment(b"", false),
            fragment(b"o", true),
            fragment(b"", true),
            fragment(b"three", true),
        ]
        .concat();
        for piece in [1, 2, 3, 5, sent.len()] {
            let mut records = Records::default();
            let mut found = Vec::new();
            for part in sent.chunks(piece) {
                records.input.extend_from_slice(part);
                found.extend(all(&mut records).unwrap());
            }
            let expected: [&[u8]; 4] = [b"one", b"two", b"", b"three"];
            assert_eq!(found, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn no_call_is_longer_than_it_may_be() {
        for sent in [
            vec![0xff; 4],
            vec![0x7f, 0xff, 0xff, 0xff],
            [
                fragment(&[1; 16], false),
                fragment(&[1; LONGEST - 15], true),
            ]
            .concat(),
            fragment(b"", false).repeat(FRAGMENTS as usize + 1),
        ] {
            let mut records = Records::default();
            records.input.extend_from_slice(&sent);
            assert_eq!(all(&mut records), Err(TooLong), "{:?}", &sent[..4]);
        }
        let mut records = Records::default();
        records
            .input
            .extend_from_slice(&fragment(&[1; LONGEST], true));
        assert_eq!(all(&mut records).unwrap()[0].len(), LONGEST);
    }
}
