//! What is measured.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::arguments::Cache;

/// Bytes of a small file and of what is read of one. A multiple of 512, as `O_DIRECT` wants it on most disks.
pub(super) const SMALL: usize = 3584;
/// Bytes of a large read or write.
pub(super) const LARGE: usize = 2 << 20;
/// Bytes of each read or write of several at once.
pub(super) const PIECE: usize = 128 << 10;
/// Bytes of a file that are read again and again.
pub(super) const SPAN: u64 = 64 << 20;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// From the start of the command until the mount table lists the mount.
    Mount,
    /// Until the mount table lists it no more.
    Unmount,
    /// Open, read at most 3584 bytes, close.
    ReadSmall,
    /// Read the next 2 MiB of an open file.
    ReadLarge,
    /// Make a file of 3584 bytes.
    WriteSmall,
    /// Make a file of 2 MiB.
    WriteLarge,
    /// statx(2) of a file or directory.
    Stat,
    /// Open a directory, list it, close.
    Readdir,
    /// Read the next 128 KiB, several threads, each in a place of its own.
    ConcurrentReads,
    /// Write the next 128 KiB, several threads, each to a file of its own.
    ConcurrentWrites,
}

impl Operation {
    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Unmount => "unmount",
            Self::ReadSmall => "read_small",
            Self::ReadLarge => "read_large",
            Self::WriteSmall => "write_small",
            Self::WriteLarge => "write_large",
            Self::Stat => "stat",
            Self::Readdir => "readdir",
            Self::ConcurrentReads => "concurrent_reads",
            Self::ConcurrentWrites => "concurrent_writes",
        }
    }

    /// Whether it wants a directory that can be written to.
    pub(super) fn writes(self) -> bool {
        matches!(
            self,
            Self::WriteSmall | Self::WriteLarge | Self::ConcurrentWrites
        )
    }

    pub(super) fn is_concurrent(self) -> bool {
        matches!(self, Self::ConcurrentReads | Self::ConcurrentWrites)
    }

    /// Whether it mounts or unmounts.
    pub(super) fn mounts(self) -> bool {
        matches!(self, Self::Mount | Self::Unmount)
    }

    /// In words, for who reads the report.
    pub(super) fn about(self, cache: Cache, fsync: bool) -> &'static str {
        match (self, cache) {
            (Self::Mount, _) => "from the command's start until the mount table lists it",
            (Self::Unmount, _) => "until the mount table lists it no more",
            (Self::ReadSmall, Cache::Keep) => {
                "open, read 3584 bytes, close; from the kernel's page cache after the first time"
            }
            (Self::ReadSmall, Cache::Drop) => {
                "open, read 3584 bytes, close; the file's pages are dropped before"
            }
            (Self::ReadSmall, Cache::Direct) => "open with O_DIRECT, read 3584 bytes, close",
            (Self::ReadLarge, Cache::Keep) => {
                "the next 2 MiB of the first 64 MiB of a file, again and again: from the kernel's page cache after the warm-up"
            }
            (Self::ReadLarge, Cache::Drop) => {
                "the next 2 MiB of the first 64 MiB of a file, whose pages are dropped at each start; with the kernel's read-ahead"
            }
            (Self::ReadLarge, Cache::Direct) => {
                "the next 2 MiB of the first 64 MiB of a file with O_DIRECT"
            }
            (Self::WriteSmall | Self::WriteLarge | Self::ConcurrentWrites, Cache::Direct) => {
                "with O_DIRECT"
            }
            (Self::WriteSmall | Self::WriteLarge | Self::ConcurrentWrites, _) if fsync => {
                "with fsync(2)"
            }
            (Self::WriteSmall | Self::WriteLarge | Self::ConcurrentWrites, _) => {
                "into the kernel's page cache, without fsync(2)"
            }
            (Self::Stat, Cache::Keep) => {
                "statx(2); from the kernel's caches where they are still valid"
            }
            (Self::Stat, _) => "statx(2) with AT_STATX_FORCE_SYNC: a server is asked each time",
            (Self::Readdir, Cache::Keep) => {
                "open, list, close; from the kernel's caches where it has them"
            }
            (Self::Readdir, _) => {
                "open, list, close; the directory's cached pages are dropped before"
            }
            (Self::ConcurrentReads, Cache::Keep) => {
                "the next 128 KiB, each thread in 16 MiB of its own, again and again: from the kernel's page cache after the warm-up"
            }
            (Self::ConcurrentReads, Cache::Drop) => {
                "the next 128 KiB, each thread in 16 MiB of its own, whose pages are dropped at each start; with the kernel's read-ahead"
            }
            (Self::ConcurrentReads, Cache::Direct) => {
                "the next 128 KiB with O_DIRECT, each thread in 16 MiB of its own"
            }
        }
    }
}
