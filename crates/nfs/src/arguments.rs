//! Arguments of a call, in XDR (RFC 4506). They come from strangers: a length is believed only as far as there are bytes. The
//! decoders of `nfs3_types` allocate what a length says before they look, so they are not used here.

/// The bytes are not what was to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the arguments of this call")]
pub struct Garbage;

/// What is left to be read.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Garbage> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(Garbage)?;
        self.0 = left;
        Ok(taken)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// [`Garbage`]: there are not so many bytes.
    pub fn u32(&mut self) -> Result<u32, Garbage> {
        let bytes = self.take(4)?.try_into().map_err(|_| Garbage)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// An unsigned hyper integer.
    ///
    /// # Errors
    /// As [`Self::u32`].
    pub fn u64(&mut self) -> Result<u64, Garbage> {
        let bytes = self.take(8)?.try_into().map_err(|_| Garbage)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Opaque data or a string of at most `longest` bytes.
    ///
    /// # Errors
    /// [`Garbage`]: it is longer, or there are not so many bytes.
    pub fn opaque(&mut self, longest: usize) -> Result<&'a [u8], Garbage> {
        let length = self.u32()? as usize;
        if length > longest {
            return Err(Garbage);
        }
        let bytes = self.take(length)?;
        self.take(length.next_multiple_of(4) - length)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_believed_as_far_as_there_are_bytes() {
        let mut arguments = Arguments::new(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 1]);
        assert_eq!(arguments.opaque(2), Ok(&[7, 8][..]));
        assert_eq!(arguments.u32(), Ok(1));
        assert_eq!(arguments.u32(), Err(Garbage));
        for bytes in [
            &[0, 0, 0, 3, 1, 2, 3][..],
            &[0, 0, 0, 5, 1, 2, 3, 4],
            &[0xff; 8],
            &[0, 0],
        ] {
            assert_eq!(
                Arguments::new(bytes).opaque(1 << 20),
                Err(Garbage),
                "{bytes:?}"
            );
        }
        let long = [0, 0, 0, 3, 1, 2, 3, 0];
        assert_eq!(Arguments::new(&long).opaque(2), Err(Garbage));
        assert_eq!(Arguments::new(&long).u64(), Ok(0x3_0102_0300));
    }
}
