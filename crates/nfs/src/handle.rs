//! File handles: opaque to clients, the same on every server with the same key, and of use for one export alone.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version of this layout: 1 |
//! | 1–3 | zero |
//! | 4–7 | generation: 1, as the id of a node is never used for another one |
//! | 8–15 | `fsid` of the export |
//! | 16–23 | id of the node |
//! | 24–39 | the first 16 bytes of the HMAC-SHA-256 of all before, under the server's key |
//!
//! Numbers are big-endian. A handle names a node and no path, so it outlives renames, restarts, and the move to another machine.

use debridfs_vfs::NodeId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a handle; NFSv3 allows 64.
pub const HANDLE_LEN: usize = 40;
/// Bytes of a key.
pub const KEY_LEN: usize = 32;
const SEALED: usize = 24;
const VERSION: u8 = 1;
const GENERATION: u32 = 1;

/// Makes handles and tells its own from others.
#[derive(Clone)]
pub struct Seal {
    mac: Hmac<Sha256>,
}

/// Why a handle was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It has another layout: no server of this kind made it.
    Malformed,
    /// It was not made under this key: by a server with another one, or by somebody who guesses.
    Unsealed,
}

impl Seal {
    /// A seal under `key`.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        // HMAC takes keys of any length.
        let mac = Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("any length is taken"));
        Self { mac }
    }

    /// The handle of `node` in the export `fsid`.
    pub fn handle(&self, fsid: u64, node: NodeId) -> [u8; HANDLE_LEN] {
        let mut handle = [0; HANDLE_LEN];
        handle[0] = VERSION;
        handle[4..8].copy_from_slice(&GENERATION.to_be_bytes());
        handle[8..16].copy_from_slice(&fsid.to_be_bytes());
        handle[16..24].copy_from_slice(&node.0.to_be_bytes());
        let mac = self.mac.clone().chain_update(&handle[..SEALED]);
        let mac = mac.finalize().into_bytes();
        handle[SEALED..].copy_from_slice(&mac[..HANDLE_LEN - SEALED]);
        handle
    }

    /// The export (its `fsid`) and the node that `handle` names, if it was made under this key. The time that takes tells
    /// nothing about the right seal.
    ///
    /// # Errors
    /// [`Foreign`].
    pub fn open(&self, handle: &[u8]) -> Result<(u64, NodeId), Foreign> {
        let handle: &[u8; HANDLE_LEN] = handle.try_into().map_err(|_| Foreign::Malformed)?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&handle[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        if number(0) != (u64::from(VERSION) << 56 | u64::from(GENERATION)) {
            return Err(Foreign::Malformed);
        }
        let mac = self.mac.clone().chain_update(&handle[..SEALED]);
        mac.verify_truncated_left(&handle[SEALED..])
            .map_err(|_| Foreign::Unsealed)?;
        Ok((number(8), NodeId(number(16))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_changes() {
        let seal = Seal::new(b"0123456789abcdef0123456789ABCDEF");
        let handle = seal.handle(0x1122_3344_5566_7788, NodeId(0x0102_0304_0506_0708));
        let text: String = handle.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text,
            "01000000000000011122334455667788010203040506070869b5015acdd097aa3f2eec69d4d5cd7e"
        );
        assert_eq!(
            seal.open(&handle),
            Ok((0x1122_3344_5566_7788, NodeId(0x0102_0304_0506_0708)))
        );
    }

    #[test]
    fn no_bit_of_a_handle_can_be_another() {
        let seal = Seal::new(&[7; KEY_LEN]);
        let handle = seal.handle(1, NodeId(2));
        for bit in 0..HANDLE_LEN * 8 {
            let mut made_up = handle;
            made_up[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0..8 => Foreign::Malformed,
                _ => Foreign::Unsealed,
            };
            assert_eq!(seal.open(&made_up), Err(expected), "bit {bit}");
        }
        for length in [0, 1, HANDLE_LEN - 1] {
            assert_eq!(seal.open(&handle[..length]), Err(Foreign::Malformed));
        }
        assert_eq!(seal.open(&[0; 64]), Err(Foreign::Malformed));
        let other = Seal::new(&[8; KEY_LEN]);
        assert_eq!(other.open(&handle), Err(Foreign::Unsealed));
    }
}
