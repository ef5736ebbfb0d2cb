//! Request kinds: `enum fuse_opcode`.

macro_rules! opcodes {
    ($($variant:ident = $number:literal, $name:literal;)*) => {
        /// A request kind (`enum fuse_opcode`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Opcode {
            $(#[doc = concat!("`FUSE_", $name, "`")] $variant = $number,)*
        }

        impl Opcode {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind a number of the kernel stands for.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The kernel's name without its prefix, for logs and metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

opcodes! {
    Lookup = 1, "LOOKUP";
    Forget = 2, "FORGET";
    GetAttr = 3, "GETATTR";
    SetAttr = 4, "SETATTR";
    ReadLink = 5, "READLINK";
    Symlink = 6, "SYMLINK";
    MkNod = 8, "MKNOD";
    MkDir = 9, "MKDIR";
    Unlink = 10, "UNLINK";
    RmDir = 11, "RMDIR";
    Rename = 12, "RENAME";
    Link = 13, "LINK";
    Open = 14, "OPEN";
    Read = 15, "READ";
    Write = 16, "WRITE";
    StatFs = 17, "STATFS";
    Release = 18, "RELEASE";
    FSync = 20, "FSYNC";
    SetXattr = 21, "SETXATTR";
    GetXattr = 22, "GETXATTR";
    ListXattr = 23, "LISTXATTR";
    RemoveXattr = 24, "REMOVEXATTR";
    Flush = 25, "FLUSH";
    Init = 26, "INIT";
    OpenDir = 27, "OPENDIR";
    ReadDir = 28, "READDIR";
    ReleaseDir = 29, "RELEASEDIR";
    FSyncDir = 30, "FSYNCDIR";
    GetLk = 31, "GETLK";
    SetLk = 32, "SETLK";
    SetLkW = 33, "SETLKW";
    Access = 34, "ACCESS";
    Create = 35, "CREATE";
    Interrupt = 36, "INTERRUPT";
    BMap = 37, "BMAP";
    Destroy = 38, "DESTROY";
    IoCtl = 39, "IOCTL";
    Poll = 40, "POLL";
    NotifyReply = 41, "NOTIFY_REPLY";
    BatchForget = 42, "BATCH_FORGET";
    FAllocate = 43, "FALLOCATE";
    ReadDirPlus = 44, "READDIRPLUS";
    Rename2 = 45, "RENAME2";
    LSeek = 46, "LSEEK";
    CopyFileRange = 47, "COPY_FILE_RANGE";
    SetupMapping = 48, "SETUPMAPPING";
    RemoveMapping = 49, "REMOVEMAPPING";
    SyncFs = 50, "SYNCFS";
    TmpFile = 51, "TMPFILE";
    StatX = 52, "STATX";
    CopyFileRange64 = 53, "COPY_FILE_RANGE_64";
    CuseInit = 4096, "CUSE_INIT";
}

impl Opcode {
    /// Position in [`Opcode::ALL`], for arrays of counters.
    pub fn index(self) -> usize {
        match self {
            Self::CuseInit => Self::ALL.len() - 1,
            // 7 and 19 were never given to a kind.
            _ => {
                let number = self as usize;
                number - 1 - usize::from(number > 7) - usize::from(number > 19)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Opcode;

    #[test]
    fn numbers_names_and_positions_agree() {
        for (index, opcode) in Opcode::ALL.iter().enumerate() {
            assert_eq!(opcode.index(), index, "{}", opcode.name());
            assert_eq!(Opcode::from_number(*opcode as u32), Some(*opcode));
        }
    }

    #[test]
    fn numbers_that_stand_for_nothing_are_refused() {
        // The last two are the byte-swapped INIT kinds, reserved for finding a peer of the other byte order.
        for number in [0, 7, 19, 54, 4095, 4097, u32::MAX, 1_048_576, 436_207_616] {
            assert_eq!(Opcode::from_number(number), None);
        }
    }
}
