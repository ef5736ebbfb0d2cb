//! Requests: every kind of the kernel, its arguments borrowed from the request's bytes.

use super::arguments::Arguments;
use super::opcode::Opcode;
use super::operation::{Operation, SetAttr};
use debridfs_handover::InHeader;

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
        let header = InHeader::decode(bytes).ok_or(DecodeError::TooShort)?;
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
