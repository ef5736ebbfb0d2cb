//! Buffers that are used again: fresh ones cost more than the copy into them, as the kernel clears their pages one fault at a time.

use std::sync::Arc;

use crate::tuning::reading::{SIZES, SPARE};
use bytes::Bytes;
use parking_lot::Mutex;

/// Spare buffers.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: [Mutex<Vec<Vec<u8>>>; 2],
}

/// A buffer on loan.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    home: Option<(Arc<Pool>, usize)>,
}

impl Pool {
    /// A buffer of `len` bytes, whatever they are.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let Some(class) = SIZES.iter().position(|size| len <= *size) else {
            return Buffer {
                bytes: vec![0; len],
                len,
                home: None,
            };
        };
        let spare = self.spare[class].lock().pop();
        Buffer {
            bytes: spare.unwrap_or_else(|| vec![0; SIZES[class]]),
            len,
            home: Some((self.clone(), class)),
        }
    }

    /// Bytes of the spare buffers.
    pub(crate) fn spare_bytes(&self) -> u64 {
        let kept = self.spare.iter().zip(SIZES).map(|(spare, size)| {
            let spare = spare.lock();
            (spare.len() * size) as u64
        });
        kept.sum()
    }
}

impl Buffer {
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// As bytes that are shared; the buffer comes back when the last of them is dropped.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some((pool, class)) = self.home.take() {
            let mut spare = pool.spare[class].lock();
            if spare.len() < SPARE[class] {
                spare.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_once_nobody_reads_it_and_no_more_are_kept_than_agreed() {
        let pool = Arc::new(Pool::default());
        let mut buffer = pool.take(5);
        buffer.as_mut().copy_from_slice(b"hello");
        let bytes = buffer.freeze();
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!(pool.spare[0].lock().len(), 0);
        assert_eq!(&part[..], b"el");
        drop(part);
        assert_eq!(pool.spare[0].lock().len(), 1);
        let many: Vec<_> = (0..100).map(|_| pool.take(SIZES[1])).collect();
        drop(many);
        assert_eq!(pool.spare[1].lock().len(), SPARE[1]);
        assert_eq!(pool.spare_bytes(), (128 << 10) + (16 << 20));
        assert_eq!(pool.take((1 << 20) + 1).freeze().len(), (1 << 20) + 1);
    }
}
