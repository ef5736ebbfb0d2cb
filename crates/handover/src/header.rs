//! The headers that every request and every reply begin with (`include/uapi/linux/fuse.h`).

/// Size of `struct fuse_out_header`.
pub const OUT_HEADER_LEN: usize = 16;

/// `struct fuse_in_header`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InHeader {
    /// Bytes of the whole request, this header included.
    pub len: u32,
    /// Kind (`enum fuse_opcode`).
    pub opcode: u32,
    /// What the reply must name. Never given twice in the life of a connection; bit 63 marks a
    /// request that was sent again (`FUSE_UNIQUE_RESEND`).
    pub unique: u64,
    /// The node it is about.
    pub node: u64,
    /// The caller's user.
    pub uid: u32,
    /// The caller's group.
    pub gid: u32,
    /// The caller's process; 0 when the kernel asks on its own behalf, or the caller is in another
    /// PID namespace.
    pub pid: u32,
    /// Length of the extensions at the end of the request, in units of 8 bytes.
    pub extensions: u16,
}

impl InHeader {
    /// Size of `struct fuse_in_header`.
    pub const LEN: usize = 40;

    /// Reads the header at the start of `bytes`; `None` if there are fewer than [`Self::LEN`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<{ Self::LEN }>()?;
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| header[at + byte]));
        let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| header[at + byte]));
        Some(Self {
            len: word(0),
            opcode: word(4),
            unique: long(8),
            node: long(16),
            uid: word(24),
            gid: word(28),
            pid: word(32),
            extensions: u16::from_ne_bytes([header[36], header[37]]),
        })
    }
}

/// `fuse_interrupt_in.unique`: the request that an INTERRUPT wants ended. `None` if it is cut
/// short.
pub fn interrupt_target(request: &[u8]) -> Option<u64> {
    let unique = request.get(InHeader::LEN..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*unique))
}

/// `struct fuse_out_header`; `len` counts the header and what follows, `error` is an errno or 0.
pub fn out_header(len: u32, error: i32, unique: u64) -> [u8; OUT_HEADER_LEN] {
    let mut header = [0; OUT_HEADER_LEN];
    header[..4].copy_from_slice(&len.to_ne_bytes());
    header[4..8].copy_from_slice(&error.wrapping_neg().to_ne_bytes());
    header[8..].copy_from_slice(&unique.to_ne_bytes());
    header
}
