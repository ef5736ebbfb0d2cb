//! Requests: every kind of the kernel, its arguments borrowed from the request's bytes.

use super::arguments::Arguments;
use super::header::InHeader;
use super::opcode::Opcode;

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The request ends before its arguments do, or before its own header does.
    #[error("the request is shorter than its kind needs")]
    TooShort,
    /// The header names another length than was read.
    #[error("the request's length is {read}, its header says {named}")]
    Length {
        /// What the header says.
        named: u32,
        /// Bytes there are.
        read: usize,
    },
    /// A name does not end.
    #[error("a name has no end")]
    NameWithoutEnd,
    /// No request kind has this number.
    #[error("unknown request kind {0}")]
    UnknownOpcode(u32),
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request<'a> {
    /// Its header.
    pub header: InHeader,
    /// What is asked.
    pub operation: Operation<'a>,
}

/// `struct fuse_setattr_in`, as far as anybody could want it of a file system that refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAttr {
    /// Which of the fields count (`FATTR_*`).
    pub valid: u32,
    /// Handle.
    pub handle: u64,
    /// Size.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// `struct fuse_forget_one`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgetOne {
    /// The node.
    pub node: u64,
    /// How many lookups are forgotten.
    pub lookups: u64,
}

/// What is asked, with the arguments that matter; names do not hold NUL.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(
    missing_docs,
    reason = "fields are named after those of the kernel's structs"
)]
pub enum Operation<'a> {
    /// A name, `.` or `..`
    Lookup { name: &'a [u8] },
    /// `struct fuse_forget_in`; no reply
    Forget { lookups: u64 },
    /// `struct fuse_getattr_in`
    GetAttr { flags: u32, handle: u64 },
    /// `struct fuse_setattr_in`
    SetAttr(SetAttr),
    /// No arguments
    ReadLink,
    /// Two names
    Symlink { name: &'a [u8], target: &'a [u8] },
    /// `struct fuse_mknod_in`
    MkNod {
        name: &'a [u8],
        mode: u32,
        device: u32,
        umask: u32,
    },
    /// `struct fuse_mkdir_in`
    MkDir {
        name: &'a [u8],
        mode: u32,
        umask: u32,
    },
    /// A name
    Unlink { name: &'a [u8] },
    /// A name
    RmDir { name: &'a [u8] },
    /// `struct fuse_rename_in`, or `struct fuse_rename2_in` with its flags
    Rename {
        to_parent: u64,
        flags: u32,
        name: &'a [u8],
        to_name: &'a [u8],
    },
    /// `struct fuse_link_in`
    Link { node: u64, name: &'a [u8] },
    /// `struct fuse_open_in`; `flags` are those of open(2)
    Open { flags: u32 },
    /// `struct fuse_read_in`
    Read {
        handle: u64,
        offset: u64,
        size: u32,
        flags: u32,
    },
    /// `struct fuse_write_in`
    Write {
        handle: u64,
        offset: u64,
        flags: u32,
        data: &'a [u8],
    },
    /// No arguments
    StatFs,
    /// `struct fuse_release_in`
    Release { handle: u64, flags: u32 },
    /// `struct fuse_fsync_in`
    FSync { handle: u64, flags: u32 },
    /// `struct fuse_setxattr_in` in its short form: `FUSE_SETXATTR_EXT` is not negotiated
    SetXattr {
        name: &'a [u8],
        value: &'a [u8],
        flags: u32,
    },
    /// `struct fuse_getxattr_in`
    GetXattr { name: &'a [u8], size: u32 },
    /// `struct fuse_getxattr_in`
    ListXattr { size: u32 },
    /// A name
    RemoveXattr { name: &'a [u8] },
    /// `struct fuse_flush_in`
    Flush { handle: u64 },
    /// `struct fuse_init_in`
    Init {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u64,
    },
    /// `struct fuse_open_in`
    OpenDir { flags: u32 },
    /// `struct fuse_read_in`
    ReadDir { handle: u64, cookie: u64, size: u32 },
    /// `struct fuse_release_in`
    ReleaseDir { handle: u64 },
    /// `struct fuse_fsync_in`
    FSyncDir { handle: u64, flags: u32 },
    /// `struct fuse_lk_in`
    GetLk {
        handle: u64,
        owner: u64,
        start: u64,
        end: u64,
        kind: u32,
    },
    /// `struct fuse_lk_in`
    SetLk {
        handle: u64,
        owner: u64,
        start: u64,
        end: u64,
        kind: u32,
    },
    /// `struct fuse_lk_in`
    SetLkW {
        handle: u64,
        owner: u64,
        start: u64,
        end: u64,
        kind: u32,
    },
    /// `struct fuse_access_in`
    Access { mask: u32 },
    /// `struct fuse_create_in`
    Create {
        name: &'a [u8],
        flags: u32,
        mode: u32,
        umask: u32,
    },
    /// `struct fuse_interrupt_in`
    Interrupt { unique: u64 },
    /// `struct fuse_bmap_in`
    BMap { block: u64, block_size: u32 },
    /// No arguments
    Destroy,
    /// `struct fuse_ioctl_in`
    IoCtl {
        handle: u64,
        flags: u32,
        command: u32,
        argument: u64,
        out_size: u32,
        data: &'a [u8],
    },
    /// `struct fuse_poll_in`
    Poll {
        handle: u64,
        kernel_handle: u64,
        flags: u32,
        events: u32,
    },
    /// `struct fuse_notify_retrieve_in`; no reply
    NotifyReply { offset: u64, data: &'a [u8] },
    /// `struct fuse_batch_forget_in`; no reply
    BatchForget { items: &'a [[u8; 16]] },
    /// `struct fuse_fallocate_in`
    FAllocate {
        handle: u64,
        offset: u64,
        length: u64,
        mode: u32,
    },
    /// `struct fuse_read_in`
    ReadDirPlus { handle: u64, cookie: u64, size: u32 },
    /// `struct fuse_lseek_in`
    LSeek {
        handle: u64,
        offset: u64,
        whence: u32,
    },
    /// `struct fuse_copy_file_range_in`, also of the kind that answers with 64 bits
    CopyFileRange {
        handle: u64,
        offset: u64,
        to_node: u64,
        to_handle: u64,
        to_offset: u64,
        len: u64,
        flags: u64,
    },
    /// `struct fuse_setupmapping_in`
    SetupMapping {
        handle: u64,
        offset: u64,
        len: u64,
        flags: u64,
        memory_offset: u64,
    },
    /// `struct fuse_removemapping_in`
    RemoveMapping { items: &'a [[u8; 16]] },
    /// `struct fuse_syncfs_in`
    SyncFs,
    /// `struct fuse_create_in`
    TmpFile {
        name: &'a [u8],
        flags: u32,
        mode: u32,
        umask: u32,
    },
    /// `struct fuse_statx_in`
    StatX {
        flags: u32,
        handle: u64,
        statx_flags: u32,
        mask: u32,
    },
    /// `struct cuse_init_in`
    CuseInit { major: u32, minor: u32, flags: u32 },
}

impl ForgetOne {
    /// Reads one of [`Operation::BatchForget`]'s items.
    pub fn decode(item: &[u8; 16]) -> Self {
        let [
            n0,
            n1,
            n2,
            n3,
            n4,
            n5,
            n6,
            n7,
            l0,
            l1,
            l2,
            l3,
            l4,
            l5,
            l6,
            l7,
        ] = *item;
        Self {
            node: u64::from_ne_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            lookups: u64::from_ne_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
        }
    }
}

/// `count` items of 16 bytes.
fn items<'a>(arguments: &mut Arguments<'a>, count: u32) -> Result<&'a [[u8; 16]], DecodeError> {
    let bytes = (count as usize)
        .checked_mul(16)
        .ok_or(DecodeError::TooShort)?;
    Ok(arguments.bytes(bytes)?.as_chunks().0)
}

impl<'a> Request<'a> {
    /// Takes a whole request apart. Bytes after the arguments that are known here are ignored: later minor versions may add some.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let header = InHeader::decode(bytes)?;
        if header.len as usize != bytes.len() {
            return Err(DecodeError::Length {
                named: header.len,
                read: bytes.len(),
            });
        }
        let opcode =
            Opcode::from_number(header.opcode).ok_or(DecodeError::UnknownOpcode(header.opcode))?;
        // Extensions (security contexts, supplementary groups) come last and are asked for by INIT flags that are never accepted.
        let end = bytes
            .len()
            .checked_sub(usize::from(header.extensions) * 8)
            .ok_or(DecodeError::TooShort)?;
        let arguments = bytes.get(InHeader::LEN..end).ok_or(DecodeError::TooShort)?;
        Ok(Self {
            header,
            operation: Operation::decode(opcode, &mut Arguments::new(arguments))?,
        })
    }
}

impl<'a> Operation<'a> {
    fn decode(opcode: Opcode, from: &mut Arguments<'a>) -> Result<Self, DecodeError> {
        Ok(match opcode {
            Opcode::Lookup => Self::Lookup { name: from.name()? },
            Opcode::Forget => Self::Forget {
                lookups: from.u64()?,
            },
            Opcode::GetAttr => {
                let (flags, _dummy) = (from.u32()?, from.u32()?);
                Self::GetAttr {
                    flags,
                    handle: from.u64()?,
                }
            }
            Opcode::SetAttr => Self::SetAttr(SetAttr::decode(from)?),
            Opcode::ReadLink => Self::ReadLink,
            Opcode::Symlink => Self::Symlink {
                name: from.name()?,
                target: from.name()?,
            },
            Opcode::MkNod => {
                let (mode, device, umask, _padding) =
                    (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
                Self::MkNod {
                    name: from.name()?,
                    mode,
                    device,
                    umask,
                }
            }
            Opcode::MkDir => {
                let (mode, umask) = (from.u32()?, from.u32()?);
                Self::MkDir {
                    name: from.name()?,
                    mode,
                    umask,
                }
            }
            Opcode::Unlink => Self::Unlink { name: from.name()? },
            Opcode::RmDir => Self::RmDir { name: from.name()? },
            Opcode::Rename | Opcode::Rename2 => {
                let to_parent = from.u64()?;
                let flags = if opcode == Opcode::Rename2 {
                    let (flags, _padding) = (from.u32()?, from.u32()?);
                    flags
                } else {
                    0
                };
                Self::Rename {
                    to_parent,
                    flags,
                    name: from.name()?,
                    to_name: from.name()?,
                }
            }
            Opcode::Link => Self::Link {
                node: from.u64()?,
                name: from.name()?,
            },
            Opcode::Open | Opcode::OpenDir => {
                let (flags, _open_flags) = (from.u32()?, from.u32()?);
                match opcode {
                    Opcode::Open => Self::Open { flags },
                    _ => Self::OpenDir { flags },
                }
            }
            Opcode::Read | Opcode::ReadDir | Opcode::ReadDirPlus => Self::read(opcode, from)?,
            Opcode::Write => {
                let (handle, offset, size, flags) =
                    (from.u64()?, from.u64()?, from.u32()?, from.u32()?);
                let (_lock_owner, _open_flags, _padding) = (from.u64()?, from.u32()?, from.u32()?);
                Self::Write {
                    handle,
                    offset,
                    flags,
                    data: from.bytes(size as usize)?,
                }
            }
            Opcode::StatFs => Self::StatFs,
            Opcode::Release | Opcode::ReleaseDir => {
                let (handle, flags, _release_flags, _lock_owner) =
                    (from.u64()?, from.u32()?, from.u32()?, from.u64()?);
                match opcode {
                    Opcode::Release => Self::Release { handle, flags },
                    _ => Self::ReleaseDir { handle },
                }
            }
            Opcode::FSync | Opcode::FSyncDir => {
                let (handle, flags, _padding) = (from.u64()?, from.u32()?, from.u32()?);
                match opcode {
                    Opcode::FSync => Self::FSync { handle, flags },
                    _ => Self::FSyncDir { handle, flags },
                }
            }
            Opcode::SetXattr => {
                let (size, flags) = (from.u32()?, from.u32()?);
                let name = from.name()?;
                Self::SetXattr {
                    name,
                    value: from.bytes(size as usize)?,
                    flags,
                }
            }
            Opcode::GetXattr => {
                let (size, _padding) = (from.u32()?, from.u32()?);
                Self::GetXattr {
                    name: from.name()?,
                    size,
                }
            }
            Opcode::ListXattr => {
                let (size, _padding) = (from.u32()?, from.u32()?);
                Self::ListXattr { size }
            }
            Opcode::RemoveXattr => Self::RemoveXattr { name: from.name()? },
            Opcode::Flush => {
                let (handle, _unused, _padding, _lock_owner) =
                    (from.u64()?, from.u32()?, from.u32()?, from.u64()?);
                Self::Flush { handle }
            }
            Opcode::Init => {
                let (major, minor, max_readahead, flags) =
                    (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
                // flags2 came with 7.36.
                let high = if minor >= 36 { from.u32()? } else { 0 };
                Self::Init {
                    major,
                    minor,
                    max_readahead,
                    flags: u64::from(flags) | u64::from(high) << 32,
                }
            }
            Opcode::GetLk | Opcode::SetLk | Opcode::SetLkW => Self::lock(opcode, from)?,
            Opcode::Access => {
                let (mask, _padding) = (from.u32()?, from.u32()?);
                Self::Access { mask }
            }
            Opcode::Create | Opcode::TmpFile => {
                let (flags, mode, umask, _open_flags) =
                    (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
                let name = from.name()?;
                match opcode {
                    Opcode::Create => Self::Create {
                        name,
                        flags,
                        mode,
                        umask,
                    },
                    _ => Self::TmpFile {
                        name,
                        flags,
                        mode,
                        umask,
                    },
                }
            }
            Opcode::Interrupt => Self::Interrupt {
                unique: from.u64()?,
            },
            Opcode::BMap => {
                let (block, block_size, _padding) = (from.u64()?, from.u32()?, from.u32()?);
                Self::BMap { block, block_size }
            }
            Opcode::Destroy => Self::Destroy,
            Opcode::IoCtl => {
                let (handle, flags, command) = (from.u64()?, from.u32()?, from.u32()?);
                let (argument, in_size, out_size) = (from.u64()?, from.u32()?, from.u32()?);
                let data = from.bytes(in_size as usize)?;
                Self::IoCtl {
                    handle,
                    flags,
                    command,
                    argument,
                    out_size,
                    data,
                }
            }
            Opcode::Poll => Self::Poll {
                handle: from.u64()?,
                kernel_handle: from.u64()?,
                flags: from.u32()?,
                events: from.u32()?,
            },
            Opcode::NotifyReply => {
                let (_dummy, offset, size, _dummy2) =
                    (from.u64()?, from.u64()?, from.u32()?, from.u32()?);
                let (_dummy3, _dummy4) = (from.u64()?, from.u64()?);
                Self::NotifyReply {
                    offset,
                    data: from.bytes(size as usize)?,
                }
            }
            Opcode::BatchForget => {
                let (count, _dummy) = (from.u32()?, from.u32()?);
                Self::BatchForget {
                    items: items(from, count)?,
                }
            }
            Opcode::FAllocate => {
                let (handle, offset, length, mode, _padding) = (
                    from.u64()?,
                    from.u64()?,
                    from.u64()?,
                    from.u32()?,
                    from.u32()?,
                );
                Self::FAllocate {
                    handle,
                    offset,
                    length,
                    mode,
                }
            }
            Opcode::LSeek => {
                let (handle, offset, whence, _padding) =
                    (from.u64()?, from.u64()?, from.u32()?, from.u32()?);
                Self::LSeek {
                    handle,
                    offset,
                    whence,
                }
            }
            Opcode::CopyFileRange | Opcode::CopyFileRange64 => Self::CopyFileRange {
                handle: from.u64()?,
                offset: from.u64()?,
                to_node: from.u64()?,
                to_handle: from.u64()?,
                to_offset: from.u64()?,
                len: from.u64()?,
                flags: from.u64()?,
            },
            Opcode::SetupMapping => Self::SetupMapping {
                handle: from.u64()?,
                offset: from.u64()?,
                len: from.u64()?,
                flags: from.u64()?,
                memory_offset: from.u64()?,
            },
            Opcode::RemoveMapping => {
                let count = from.u32()?;
                Self::RemoveMapping {
                    items: items(from, count)?,
                }
            }
            Opcode::SyncFs => {
                let _padding = from.u64()?;
                Self::SyncFs
            }
            Opcode::StatX => {
                let (flags, _reserved, handle) = (from.u32()?, from.u32()?, from.u64()?);
                Self::StatX {
                    flags,
                    handle,
                    statx_flags: from.u32()?,
                    mask: from.u32()?,
                }
            }
            Opcode::CuseInit => {
                let (major, minor, _unused, flags) =
                    (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
                Self::CuseInit {
                    major,
                    minor,
                    flags,
                }
            }
        })
    }

    fn read(opcode: Opcode, from: &mut Arguments<'a>) -> Result<Self, DecodeError> {
        let (handle, offset, size, _read_flags) =
            (from.u64()?, from.u64()?, from.u32()?, from.u32()?);
        let (_lock_owner, flags, _padding) = (from.u64()?, from.u32()?, from.u32()?);
        Ok(match opcode {
            Opcode::ReadDir => Self::ReadDir {
                handle,
                cookie: offset,
                size,
            },
            Opcode::ReadDirPlus => Self::ReadDirPlus {
                handle,
                cookie: offset,
                size,
            },
            _ => Self::Read {
                handle,
                offset,
                size,
                flags,
            },
        })
    }

    fn lock(opcode: Opcode, from: &mut Arguments<'a>) -> Result<Self, DecodeError> {
        let (handle, owner, start, end) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let (kind, _pid, _lock_flags, _padding) =
            (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
        Ok(match opcode {
            Opcode::GetLk => Self::GetLk {
                handle,
                owner,
                start,
                end,
                kind,
            },
            Opcode::SetLk => Self::SetLk {
                handle,
                owner,
                start,
                end,
                kind,
            },
            _ => Self::SetLkW {
                handle,
                owner,
                start,
                end,
                kind,
            },
        })
    }
}

impl SetAttr {
    fn decode(from: &mut Arguments<'_>) -> Result<Self, DecodeError> {
        let (valid, _padding, handle, size) = (from.u32()?, from.u32()?, from.u64()?, from.u64()?);
        let (_lock_owner, _atime, _mtime, _ctime) =
            (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let (_atime_ns, _mtime_ns, _ctime_ns) = (from.u32()?, from.u32()?, from.u32()?);
        let (mode, _unused4) = (from.u32()?, from.u32()?);
        let (uid, gid, _unused5) = (from.u32()?, from.u32()?, from.u32()?);
        Ok(Self {
            valid,
            handle,
            size,
            mode,
            uid,
            gid,
        })
    }
}
