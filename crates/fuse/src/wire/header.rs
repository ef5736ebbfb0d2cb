//! The headers that every request and every reply begin with.

use super::arguments::Arguments;
use super::request::DecodeError;

/// Size of `struct fuse_out_header`.
pub const OUT_HEADER_LEN: usize = 16;

/// `struct fuse_in_header`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InHeader {
    /// Bytes of the whole request, this header included.
    pub len: u32,
    /// Kind; see [`super::Opcode`].
    pub opcode: u32,
    /// What the reply must name. Never given twice in the life of a connection; bit 63 marks a request that was sent again (`FUSE_UNIQUE_RESEND`).
    pub unique: u64,
    /// The node it is about.
    pub node: u64,
    /// The caller's user.
    pub uid: u32,
    /// The caller's group.
    pub gid: u32,
    /// The caller's process; 0 when the kernel asks on its own behalf, or the caller is in another PID namespace.
    pub pid: u32,
    /// Length of the extensions at the end of the request, in units of 8 bytes.
    pub extensions: u16,
}

impl InHeader {
    /// Size of `struct fuse_in_header`.
    pub const LEN: usize = 40;

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError::TooShort`] if there are fewer than [`Self::LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Arguments::new(bytes);
        Ok(Self {
            len: fields.u32()?,
            opcode: fields.u32()?,
            unique: fields.u64()?,
            node: fields.u64()?,
            uid: fields.u32()?,
            gid: fields.u32()?,
            pid: fields.u32()?,
            extensions: {
                let [low, high, _, _] = fields.u32()?.to_ne_bytes();
                u16::from_ne_bytes([low, high])
            },
        })
    }
}

/// `struct fuse_out_header`; `len` counts the header and what follows, `error` is an errno or 0.
pub fn out_header(len: u32, error: i32, unique: u64) -> [u8; OUT_HEADER_LEN] {
    let mut header = [0; OUT_HEADER_LEN];
    header[..4].copy_from_slice(&len.to_ne_bytes());
    header[4..8].copy_from_slice(&error.wrapping_neg().to_ne_bytes());
    header[8..].copy_from_slice(&unique.to_ne_bytes());
    header
}
