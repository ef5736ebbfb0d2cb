//! Takes a request's arguments apart, never past their end.

use super::request::DecodeError;

/// What is left of a request's arguments.
pub(super) struct Arguments<'a> {
    left: &'a [u8],
}

impl<'a> Arguments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, left) = self
            .left
            .split_at_checked(count)
            .ok_or(DecodeError::TooShort)?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, left) = self
            .left
            .split_first_chunk::<N>()
            .ok_or(DecodeError::TooShort)?;
        self.left = left;
        Ok(*taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_ne_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_ne_bytes(self.array()?))
    }

    /// A string that ends with NUL; the NUL is taken and not given.
    pub(super) fn name(&mut self) -> Result<&'a [u8], DecodeError> {
        let end = self
            .left
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(DecodeError::NameWithoutEnd)?;
        let name = &self.left[..end];
        self.left = &self.left[end + 1..];
        Ok(name)
    }
}
