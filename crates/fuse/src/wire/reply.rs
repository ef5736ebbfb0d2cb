//! Replies.

use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{Attr, Kind, StatFs};

use debridfs_handover::{OUT_HEADER_LEN, out_header};

/// How long the kernel may keep names and attributes without asking: it is told when they change.
pub const ENTRY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Generation of every inode. Node ids are never used again, so it is a constant; and it is 0 because the kernel makes the root inode with
/// generation 0: Linux 5.14 to 6.8 take a `..` that leads to the root with any other for a sign that the root was replaced, later ones complain.
pub const GENERATION: u64 = 0;

/// Size of blocks of files as told by stat(2): what readers that ask for it read at once.
pub(crate) const BLOCK_SIZE: u32 = 128 * 1024;

/// The same of directories. glibc lists with a buffer of that size, 32 KiB at least, and the kernel finds and maps as many pages for
/// each READDIR: with 128 KiB that took 15 % of the lister's time in `ls -R`, with 32 KiB it takes 6 %.
pub(crate) const DIRECTORY_BLOCK: u32 = 4096;

/// Size of blocks as told by statfs(2).
pub(crate) const STATFS_BLOCK: u32 = 4096;

/// Who made a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// The loop alone, without a backend: what is refused alike, and what nobody could answer in time.
    Loop,
    /// [`Native`](crate::Native).
    Native,
    /// The codec of fuse-backend-rs.
    Fbrs,
}

impl Answerer {
    /// All of them, each at the position of its number.
    pub const ALL: [Self; 3] = [Self::Loop, Self::Native, Self::Fbrs];

    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Native => "native",
            Self::Fbrs => "fbrs",
        }
    }
}

/// Of whoever wants to know what became of a reply. It is dropped once the reply is written, or never will be.
pub(crate) trait Receipt: std::fmt::Debug + Send + Sync {
    /// The kernel refused it.
    fn refused(&self);
}

/// A reply, to be built once and written once: header and encoded bytes in front, then bytes that are not copied.
///
/// One can be used again and again, so that answering needs no allocation.
#[derive(Debug)]
pub struct Reply {
    head: Vec<u8>,
    spans: Vec<Bytes>,
    errno: i32,
    by: Answerer,
    receipt: Option<Box<dyn Receipt>>,
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

impl Reply {
    /// An empty success.
    pub fn new() -> Self {
        Self {
            head: vec![0; OUT_HEADER_LEN],
            spans: Vec::new(),
            errno: 0,
            by: Answerer::Loop,
            receipt: None,
        }
    }

    /// Makes it an empty success again. What was allocated is kept, and so is who makes it.
    pub fn clear(&mut self) {
        self.head.truncate(OUT_HEADER_LEN);
        self.spans.clear();
        self.errno = 0;
        self.receipt = None;
    }

    /// Makes it a failure; 0 is an empty success.
    pub fn fail(&mut self, errno: i32) {
        self.clear();
        self.errno = errno;
    }

    /// Notes who makes it.
    pub fn mark(&mut self, by: Answerer) {
        self.by = by;
    }

    /// Who made it.
    pub fn by(&self) -> Answerer {
        self.by
    }

    /// What it fails with, 0 if it does not.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// Where encoded bytes are appended; the header's place is in front and is not to be touched.
    pub fn body(&mut self) -> &mut Vec<u8> {
        &mut self.head
    }

    /// Bytes that follow the encoded ones.
    pub fn set_spans(&mut self, spans: Vec<Bytes>) {
        self.spans = spans;
    }

    /// How many bytes follow the encoded ones.
    pub(crate) fn span_bytes(&self) -> usize {
        self.spans.iter().map(Bytes::len).sum()
    }

    pub(crate) fn set_receipt(&mut self, receipt: Box<dyn Receipt>) {
        self.receipt = Some(receipt);
    }

    /// For whoever writes it, to be dropped afterwards.
    pub(crate) fn take_receipt(&mut self) -> Option<Box<dyn Receipt>> {
        self.receipt.take()
    }

    /// Fills in the header and gives the parts to write, in order.
    pub fn finish(&mut self, unique: u64) -> (&[u8], &[Bytes]) {
        let payload: usize = self.head.len() + self.span_bytes();
        // Replies are bounded by the size a request asks for; one that is not cannot be named in the header and fails.
        let len = u32::try_from(payload).unwrap_or_else(|_| {
            self.fail(libc::EIO);
            OUT_HEADER_LEN as u32
        });
        self.head[..OUT_HEADER_LEN].copy_from_slice(&out_header(len, self.errno, unique));
        (&self.head, &self.spans)
    }
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_ne_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_ne_bytes());
}

/// `struct fuse_attr`
fn attr(out: &mut Vec<u8>, attr: &Attr) {
    // The kernel takes seconds as 64 bits of two's complement, nanoseconds below 10^9.
    let nanos = attr.mtime.as_nanosecond();
    let seconds = nanos.div_euclid(1_000_000_000) as i64 as u64;
    let fraction = nanos.rem_euclid(1_000_000_000) as u32;
    let (kind, block) = match attr.kind {
        Kind::Directory => (libc::S_IFDIR, DIRECTORY_BLOCK),
        Kind::File => (libc::S_IFREG, BLOCK_SIZE),
    };
    put64(out, attr.id.0);
    put64(out, attr.size);
    put64(out, attr.size.div_ceil(512));
    for _ in ["atime", "mtime", "ctime"] {
        put64(out, seconds);
    }
    for _ in ["atimensec", "mtimensec", "ctimensec"] {
        put32(out, fraction);
    }
    put32(out, kind | u32::from(attr.mode & 0o7777));
    put32(out, attr.nlink);
    put32(out, attr.uid);
    put32(out, attr.gid);
    // rdev
    put32(out, 0);
    put32(out, block);
    // flags
    put32(out, 0);
}

/// `struct fuse_attr_out`, 104 bytes
pub fn attr_out(out: &mut Vec<u8>, node: &Attr) {
    put64(out, ENTRY_TTL.as_secs());
    put32(out, ENTRY_TTL.subsec_nanos());
    put32(out, 0);
    attr(out, node);
}

/// `struct fuse_entry_out`, 128 bytes
pub fn entry_out(out: &mut Vec<u8>, node: &Attr) {
    put64(out, node.id.0);
    put64(out, GENERATION);
    for _ in ["entry_valid", "attr_valid"] {
        put64(out, ENTRY_TTL.as_secs());
    }
    for _ in ["entry_valid_nsec", "attr_valid_nsec"] {
        put32(out, ENTRY_TTL.subsec_nanos());
    }
    attr(out, node);
}

/// `struct fuse_open_out`, 16 bytes; `flags` are `FOPEN_*`
pub fn open_out(out: &mut Vec<u8>, handle: u64, flags: u32) {
    put64(out, handle);
    put32(out, flags);
    // backing_id
    put32(out, 0);
}

/// `struct fuse_getxattr_out`, 8 bytes
pub fn size_out(out: &mut Vec<u8>, size: u32) {
    put32(out, size);
    put32(out, 0);
}

/// `struct fuse_statfs_out`, 80 bytes: full, as nothing can be written
pub fn statfs_out(out: &mut Vec<u8>, numbers: &StatFs) {
    put64(out, numbers.bytes.div_ceil(u64::from(STATFS_BLOCK)));
    // bfree, bavail
    put64(out, 0);
    put64(out, 0);
    put64(out, numbers.files);
    // ffree
    put64(out, 0);
    put32(out, STATFS_BLOCK);
    // namelen
    put32(out, 255);
    put32(out, STATFS_BLOCK);
    // padding, spare[6]
    for _ in 0..7 {
        put32(out, 0);
    }
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::NodeId;
    use jiff::Timestamp;

    use super::*;

    fn node() -> Attr {
        Attr {
            id: NodeId(0x0102_0304_0506_0708),
            kind: Kind::File,
            mode: 0o444,
            nlink: 1,
            uid: 1000,
            gid: 1001,
            size: 1025,
            mtime: Timestamp::from_nanosecond(-1).unwrap(),
        }
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn attributes_before_1970() {
        let mut out = Vec::new();
        attr_out(&mut out, &node());
        assert_eq!(out.len(), 104);
        let attr = &out[16..];
        assert_eq!(u64_at(attr, 0), 0x0102_0304_0506_0708);
        assert_eq!(u64_at(attr, 8), 1025);
        assert_eq!(u64_at(attr, 16), 3, "blocks");
        assert_eq!(u64_at(attr, 32) as i64, -1);
        assert_eq!(u32_at(attr, 52), 999_999_999);
        assert_eq!(u32_at(attr, 60), libc::S_IFREG | 0o444);
        assert_eq!(u32_at(attr, 64), 1, "nlink");
        assert_eq!((u32_at(attr, 68), u32_at(attr, 72)), (1000, 1001));
    }

    #[test]
    fn sizes_are_those_of_the_kernel() {
        let length = |encode: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            encode(&mut out);
            out.len()
        };
        assert_eq!(length(&|out| entry_out(out, &node())), 128);
        assert_eq!(length(&|out| open_out(out, 1, 2)), 16);
        assert_eq!(length(&|out| size_out(out, 1)), 8);
        assert_eq!(
            length(&|out| statfs_out(out, &StatFs { bytes: 1, files: 1 })),
            80
        );
    }

    #[test]
    fn a_reply_names_its_whole_length() {
        let mut reply = Reply::new();
        reply.body().extend_from_slice(b"12345678");
        reply.set_spans(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        let (head, spans) = reply.finish(77);
        assert_eq!(u32_at(head, 0), 16 + 8 + 3);
        assert_eq!(u32_at(head, 4), 0);
        assert_eq!(u64_at(head, 8), 77);
        assert_eq!(spans.len(), 2);

        reply.fail(libc::ENOENT);
        let (head, spans) = reply.finish(78);
        assert_eq!(head.len(), 16);
        assert_eq!(u32_at(head, 0), 16);
        assert_eq!(u32_at(head, 4) as i32, -libc::ENOENT);
        assert!(spans.is_empty());
    }
}
