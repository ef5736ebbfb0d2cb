//! What can be asked, by kind.

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
