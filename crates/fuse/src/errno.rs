//! The one place where a failure becomes an errno: what a caller gets, and how loud the log is about it.

use debridfs_vfs::ErrorKind;
use tracing::Level;

use crate::wire::{DecodeError, Opcode};

/// An errno and the level at which it is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// A positive number of errno(3).
    pub errno: i32,
    /// Level of the log line.
    pub level: Level,
}

const fn failure(errno: i32, level: Level) -> Failure {
    Failure { errno, level }
}

impl Failure {
    /// Writes the log line, at its level.
    pub fn log(self, opcode: u32, node: u64, why: &dyn std::fmt::Display) {
        let operation = Opcode::from_number(opcode).map_or("unknown", Opcode::name);
        let errno = self.errno;
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(Level::$level, operation, node, errno, "{why}")
            };
        }
        match self.level {
            Level::ERROR => line!(ERROR),
            Level::WARN => line!(WARN),
            Level::INFO => line!(INFO),
            Level::DEBUG => line!(DEBUG),
            Level::TRACE => line!(TRACE),
        }
    }
}

/// What a failed operation of the file system becomes.
///
/// A read that could not be had and one that took too long are both EIO: players and scanners know what to do with it, while ETIMEDOUT makes some of
/// them give up the whole mount.
pub fn of_kind(kind: ErrorKind) -> Failure {
    match kind {
        ErrorKind::NotFound => failure(libc::ENOENT, Level::TRACE),
        ErrorKind::Stale => failure(libc::ESTALE, Level::DEBUG),
        ErrorKind::NotDirectory => failure(libc::ENOTDIR, Level::DEBUG),
        ErrorKind::IsDirectory => failure(libc::EISDIR, Level::DEBUG),
        ErrorKind::ReadOnly => failure(libc::EROFS, Level::DEBUG),
        ErrorKind::NoAttribute => failure(libc::ENODATA, Level::TRACE),
        ErrorKind::NameTooLong => failure(libc::ENAMETOOLONG, Level::DEBUG),
        ErrorKind::Unavailable | ErrorKind::Lost | ErrorKind::NotYet => {
            failure(libc::EIO, Level::WARN)
        }
        ErrorKind::TimedOut => failure(libc::EIO, Level::WARN),
        ErrorKind::Interrupted => failure(libc::EINTR, Level::DEBUG),
        ErrorKind::Unsupported => failure(libc::EOPNOTSUPP, Level::DEBUG),
        ErrorKind::Invalid => failure(libc::EINVAL, Level::DEBUG),
    }
}

/// What an error of the library becomes: as its kind says, but for the kernel's second try of a read.
pub(crate) fn of(error: &debridfs_vfs::Error) -> Failure {
    match error.cause::<crate::second_try::FailedBefore>() {
        Some(_) => SECOND_TRY,
        None => of_kind(error.kind),
    }
}

/// What bytes that are no request become.
pub fn of_malformed(error: DecodeError) -> Failure {
    match error {
        // The kernel then knows that this file system has no such thing.
        DecodeError::UnknownOpcode(_) => failure(libc::ENOSYS, Level::DEBUG),
        DecodeError::TooShort | DecodeError::Length { .. } | DecodeError::NameWithoutEnd => {
            failure(libc::EINVAL, Level::ERROR)
        }
    }
}

/// The deadline passed before there was an answer.
pub const DEADLINE: Failure = failure(libc::EIO, Level::WARN);
/// The kernel's own second try of a read that used up its deadline.
pub const SECOND_TRY: Failure = failure(libc::EIO, Level::DEBUG);
/// The caller was interrupted while it waited.
pub const INTERRUPTED: Failure = failure(libc::EINTR, Level::TRACE);
/// The file system answered with more or fewer bytes than it may: never data.
pub const WRONG_LENGTH: Failure = failure(libc::EIO, Level::ERROR);
/// It has to wait and is too long for any place where it could.
pub const TOO_LONG: Failure = failure(libc::EIO, Level::ERROR);
/// The answer panicked.
pub const PANICKED: Failure = failure(libc::EIO, Level::ERROR);
/// The value of an extended attribute does not fit the caller's buffer.
pub const RANGE: Failure = failure(libc::ERANGE, Level::TRACE);
/// Whatever would write.
pub const READ_ONLY: Failure = failure(libc::EROFS, Level::DEBUG);

/// Kinds of request that get the same answer whatever is asked: the same from every backend, as the kernel remembers ENOSYS for the life of the
/// connection. `None`: a backend answers.
pub fn of_refused(opcode: Opcode) -> Option<Failure> {
    /// Not offered; the kernel does without or does it itself, mostly without asking again.
    const ABSENT: Option<Failure> = Some(failure(libc::ENOSYS, Level::TRACE));
    match opcode {
        // The kernel then caches directories by itself (FUSE_NO_OPENDIR_SUPPORT).
        Opcode::OpenDir => ABSENT,
        Opcode::Flush | Opcode::FSync | Opcode::FSyncDir | Opcode::SyncFs => ABSENT,
        Opcode::Poll | Opcode::LSeek | Opcode::StatX | Opcode::BMap => ABSENT,
        Opcode::GetLk | Opcode::SetLk | Opcode::SetLkW => ABSENT,
        // Memory windows of virtio-fs, and character devices.
        Opcode::SetupMapping | Opcode::RemoveMapping | Opcode::CuseInit => ABSENT,
        Opcode::IoCtl => Some(failure(libc::ENOTTY, Level::TRACE)),
        Opcode::SetAttr
        | Opcode::Symlink
        | Opcode::MkNod
        | Opcode::MkDir
        | Opcode::Unlink
        | Opcode::RmDir
        | Opcode::Rename
        | Opcode::Rename2
        | Opcode::Link
        | Opcode::Write
        | Opcode::SetXattr
        | Opcode::RemoveXattr
        | Opcode::Create
        | Opcode::TmpFile
        | Opcode::FAllocate
        | Opcode::CopyFileRange
        | Opcode::CopyFileRange64 => Some(READ_ONLY),
        // There are no symbolic links.
        Opcode::ReadLink => Some(failure(libc::EINVAL, Level::DEBUG)),
        // The keeper answered it; a second one makes no sense.
        Opcode::Init => Some(failure(libc::EIO, Level::ERROR)),
        // Sent at unmount to block-device servers only; to be acknowledged.
        Opcode::Destroy => Some(failure(0, Level::TRACE)),
        Opcode::Lookup
        | Opcode::Forget
        | Opcode::BatchForget
        | Opcode::NotifyReply
        | Opcode::Interrupt
        | Opcode::GetAttr
        | Opcode::Open
        | Opcode::Read
        | Opcode::StatFs
        | Opcode::Release
        | Opcode::ReleaseDir
        | Opcode::GetXattr
        | Opcode::ListXattr
        | Opcode::ReadDir
        | Opcode::ReadDirPlus
        | Opcode::Access => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_errno_and_level() {
        for (kind, errno, level) in [
            (ErrorKind::NotFound, libc::ENOENT, Level::TRACE),
            (ErrorKind::Stale, libc::ESTALE, Level::DEBUG),
            (ErrorKind::NotDirectory, libc::ENOTDIR, Level::DEBUG),
            (ErrorKind::IsDirectory, libc::EISDIR, Level::DEBUG),
            (ErrorKind::ReadOnly, libc::EROFS, Level::DEBUG),
            (ErrorKind::NoAttribute, libc::ENODATA, Level::TRACE),
            (ErrorKind::NameTooLong, libc::ENAMETOOLONG, Level::DEBUG),
            (ErrorKind::Unavailable, libc::EIO, Level::WARN),
            (ErrorKind::Lost, libc::EIO, Level::WARN),
            (ErrorKind::NotYet, libc::EIO, Level::WARN),
            (ErrorKind::TimedOut, libc::EIO, Level::WARN),
            (ErrorKind::Interrupted, libc::EINTR, Level::DEBUG),
            (ErrorKind::Unsupported, libc::EOPNOTSUPP, Level::DEBUG),
            (ErrorKind::Invalid, libc::EINVAL, Level::DEBUG),
        ] {
            assert_eq!(of_kind(kind), Failure { errno, level }, "{kind:?}");
        }
    }

    #[test]
    fn requests_that_every_backend_refuses_alike() {
        let errnos: Vec<_> = Opcode::ALL
            .iter()
            .filter_map(|opcode| Some((opcode.name(), of_refused(*opcode)?.errno)))
            .collect();
        assert_eq!(
            errnos,
            [
                ("SETATTR", libc::EROFS),
                ("READLINK", libc::EINVAL),
                ("SYMLINK", libc::EROFS),
                ("MKNOD", libc::EROFS),
                ("MKDIR", libc::EROFS),
                ("UNLINK", libc::EROFS),
                ("RMDIR", libc::EROFS),
                ("RENAME", libc::EROFS),
                ("LINK", libc::EROFS),
                ("WRITE", libc::EROFS),
                ("FSYNC", libc::ENOSYS),
                ("SETXATTR", libc::EROFS),
                ("REMOVEXATTR", libc::EROFS),
                ("FLUSH", libc::ENOSYS),
                ("INIT", libc::EIO),
                ("OPENDIR", libc::ENOSYS),
                ("FSYNCDIR", libc::ENOSYS),
                ("GETLK", libc::ENOSYS),
                ("SETLK", libc::ENOSYS),
                ("SETLKW", libc::ENOSYS),
                ("CREATE", libc::EROFS),
                ("BMAP", libc::ENOSYS),
                ("DESTROY", 0),
                ("IOCTL", libc::ENOTTY),
                ("POLL", libc::ENOSYS),
                ("FALLOCATE", libc::EROFS),
                ("RENAME2", libc::EROFS),
                ("LSEEK", libc::ENOSYS),
                ("COPY_FILE_RANGE", libc::EROFS),
                ("SETUPMAPPING", libc::ENOSYS),
                ("REMOVEMAPPING", libc::ENOSYS),
                ("SYNCFS", libc::ENOSYS),
                ("TMPFILE", libc::EROFS),
                ("STATX", libc::ENOSYS),
                ("COPY_FILE_RANGE_64", libc::EROFS),
                ("CUSE_INIT", libc::ENOSYS),
            ]
        );
    }

    #[test]
    fn malformed_requests() {
        assert_eq!(
            of_malformed(DecodeError::UnknownOpcode(99)).errno,
            libc::ENOSYS
        );
        assert_eq!(of_malformed(DecodeError::TooShort).errno, libc::EINVAL);
        assert_eq!(
            of_malformed(DecodeError::NameWithoutEnd).errno,
            libc::EINVAL
        );
    }
}
