//! The FUSE wire format, pure: bytes in, values out, and back. No I/O, no panic on any bytes.
//!
//! Names and layouts are those of `include/uapi/linux/fuse.h` of Linux, protocol 7.45. Numbers travel in the byte order of the machine.

mod arguments;
mod directory;
mod notification;
mod opcode;
mod operation;
mod reply;
mod request;

pub use debridfs_handover::{InHeader, out_header};
#[cfg(feature = "fbrs")]
pub(crate) use directory::wanted;
pub(crate) use directory::{DIRENT_LEN, ENTRY_LEN};
pub use directory::{DirectoryFormat, DirectoryWriter};
pub use notification::{expire_entry, invalidate_entry, invalidate_inode, notification_len};
pub use opcode::Opcode;
pub use operation::{ForgetOne, Operation, SetAttr};
pub(crate) use reply::Receipt;
pub use reply::{
    Answerer, ENTRY_TTL, GENERATION, Reply, attr_out, entry_out, open_out, size_out, statfs_out,
};
#[cfg(feature = "fbrs")]
pub(crate) use reply::{BLOCK_SIZE, DIRECTORY_BLOCK, STATFS_BLOCK};
pub use request::{DecodeError, Request};
