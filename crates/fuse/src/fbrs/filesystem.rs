//! The library as the file system that fuse-backend-rs calls, for one pass over one request.

use std::ffi::CStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use debridfs_vfs::{Answer, Attr, Client, DirEntry, ErrorKind, Kind, NodeId, ReadRequest, Vfs};
use fuse_backend_rs::abi::fuse_abi::{OpenOptions, stat64, statvfs64};
use fuse_backend_rs::api::filesystem::{
    Context, DirEntry as Line, Entry, FileSystem, GetxattrReply, ListxattrReply, ZeroCopyWriter,
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::answers::{Answers, Asked};
use crate::errno::{self, Failure};
use crate::given::{Given, Kind as KindOfAnswer};
use crate::policy::{GRACE, NAME_MAX, OPEN_FLAGS, expected, length, writes};
use crate::wire::{
    BLOCK_SIZE, DIRECTORY_BLOCK, DirectoryFormat, ENTRY_TTL, GENERATION, Opcode, STATFS_BLOCK,
    wanted,
};

/// One pass. The library calls one of its operations, once.
pub(super) struct Pass<'a> {
    vfs: &'a Arc<dyn Vfs>,
    left: Duration,
    state: Mutex<State>,
}

struct State {
    answers: Answers,
    waits: Option<BoxFuture<'static, Given>>,
    read: bool,
}

/// What is left of a pass.
pub(super) struct End {
    pub(super) answers: Answers,
    /// What the reply has to wait for; the one that was made is void.
    pub(super) waits: Option<BoxFuture<'static, Given>>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(vfs: &'a Arc<dyn Vfs>, left: Duration, answers: Answers) -> Self {
        let state = State {
            answers,
            waits: None,
            read: false,
        };
        Self {
            vfs,
            left,
            state: Mutex::new(state),
        }
    }

    /// Whether the reply goes on with the bytes among the answers, which the library did not see.
    pub(super) fn is_read(&self) -> bool {
        self.state.lock().read
    }

    pub(super) fn end(self) -> End {
        let state = self.state.into_inner();
        End {
            answers: state.answers,
            waits: state.waits,
        }
    }

    /// Asks the library and makes something of its answer.
    fn ask<T: KindOfAnswer, R>(
        &self,
        subject: Subject,
        question: impl FnOnce() -> Answer<T>,
        take: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut state = self.state.lock();
        match state.answers.ask(question) {
            Asked::Answered(Ok(answer)) => take(answer),
            Asked::Answered(Err(error)) => Err(subject.refuse(errno::of(error), error)),
            Asked::Waits(answer) => {
                state.waits = Some(answer);
                Err(waiting())
            }
        }
    }

    fn list(
        &self,
        subject: Subject,
        format: DirectoryFormat,
        size: u32,
        cookie: u64,
        add: &mut dyn FnMut(&DirEntry) -> io::Result<usize>,
    ) -> io::Result<()> {
        let (mut cookie, mut left, mut something) = (cookie, size as usize, false);
        let mut state = self.state.lock();
        loop {
            let max = wanted(format, left);
            let question = || self.vfs.read_dir(subject.node, cookie, max);
            match state.answers.ask(question) {
                Asked::Answered(Ok(lines)) => {
                    if lines.is_empty() {
                        return Ok(());
                    }
                    for line in lines {
                        match add(line)? {
                            0 => return Ok(()),
                            written => left = left.saturating_sub(written),
                        }
                        (cookie, something) = (line.cookie, true);
                    }
                }
                // Trouble after the first line is left to the next call.
                Asked::Answered(Err(_)) | Asked::Waits(_) if something => return Ok(()),
                Asked::Answered(Err(error)) => {
                    return Err(subject.refuse(errno::of(error), error));
                }
                Asked::Waits(lines) => {
                    state.waits = Some(lines);
                    return Err(waiting());
                }
            }
        }
    }
}

/// What a failure is logged about.
#[derive(Clone, Copy)]
struct Subject {
    opcode: Opcode,
    node: NodeId,
}

impl Subject {
    fn new(opcode: Opcode, node: u64) -> Self {
        let node = NodeId(node);
        Self { opcode, node }
    }

    fn refuse(self, failure: Failure, why: &dyn std::fmt::Display) -> io::Error {
        failure.log(self.opcode as u32, self.node.0, why);
        io::Error::from_raw_os_error(failure.errno)
    }
}

/// The errno of a reply that is thrown away.
fn waiting() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}

fn stat(attr: &Attr) -> stat64 {
    let nanos = attr.mtime.as_nanosecond();
    let seconds = nanos.div_euclid(1_000_000_000) as i64;
    let fraction = nanos.rem_euclid(1_000_000_000) as i64;
    let (kind, block) = match attr.kind {
        Kind::Directory => (libc::S_IFDIR, DIRECTORY_BLOCK),
        Kind::File => (libc::S_IFREG, BLOCK_SIZE),
    };
    // An empty entry has all fields of its `stat64` zero.
    let mut out = Entry::default().attr;
    out.st_ino = attr.id.0;
    out.st_size = attr.size as i64;
    out.st_blocks = attr.size.div_ceil(512) as i64;
    (out.st_atime, out.st_atime_nsec) = (seconds, fraction);
    (out.st_mtime, out.st_mtime_nsec) = (seconds, fraction);
    (out.st_ctime, out.st_ctime_nsec) = (seconds, fraction);
    out.st_mode = kind | u32::from(attr.mode & 0o7777);
    out.st_nlink = attr.nlink.into();
    out.st_uid = attr.uid;
    out.st_gid = attr.gid;
    out.st_blksize = block.into();
    out
}

fn entry(attr: &Attr) -> Entry {
    Entry {
        inode: attr.id.0,
        generation: GENERATION,
        attr: stat(attr),
        attr_flags: 0,
        attr_timeout: ENTRY_TTL,
        entry_timeout: ENTRY_TTL,
    }
}

fn line(of: &DirEntry) -> Line<'_> {
    let kind = match of.attr.kind {
        Kind::Directory => libc::DT_DIR,
        Kind::File => libc::DT_REG,
    };
    Line {
        ino: of.attr.id.0,
        offset: of.cookie,
        type_: kind.into(),
        name: of.name.as_bytes(),
    }
}

/// How a call for a value, or with `size` 0 for its length, is answered.
enum Sized {
    Whole,
    Length(u32),
}

fn sized(subject: Subject, value: &[u8], size: u32) -> io::Result<Sized> {
    match u32::try_from(value.len()) {
        Ok(length) if size == 0 => Ok(Sized::Length(length)),
        Ok(length) if length <= size => Ok(Sized::Whole),
        _ => Err(subject.refuse(errno::RANGE, &"refused")),
    }
}

impl FileSystem for &Pass<'_> {
    type Inode = u64;
    type Handle = u64;

    fn lookup(&self, _: &Context, parent: u64, name: &CStr) -> io::Result<Entry> {
        let subject = Subject::new(Opcode::Lookup, parent);
        let name = name.to_bytes();
        if name.len() > NAME_MAX {
            let failure = errno::of_kind(ErrorKind::NameTooLong);
            return Err(subject.refuse(failure, &"refused"));
        }
        let question = || self.vfs.lookup(subject.node, name);
        self.ask(subject, question, |attr| Ok(entry(attr)))
    }

    fn getattr(&self, _: &Context, inode: u64, _: Option<u64>) -> io::Result<(stat64, Duration)> {
        let subject = Subject::new(Opcode::GetAttr, inode);
        let question = || self.vfs.attr(subject.node);
        self.ask(subject, question, |attr| Ok((stat(attr), ENTRY_TTL)))
    }

    fn open(
        &self,
        _: &Context,
        inode: u64,
        flags: u32,
        _: u32,
    ) -> io::Result<(Option<u64>, OpenOptions, Option<u32>)> {
        let subject = Subject::new(Opcode::Open, inode);
        if writes(flags) {
            return Err(subject.refuse(errno::READ_ONLY, &"open for writing"));
        }
        // SAFETY: `OpenOptions` is a set of bits over u32 without an invariant; the library only
        // writes them into its answer. It does not know FOPEN_NOFLUSH, which came after its ABI.
        let options = unsafe { OpenOptions::from_bits_unchecked(OPEN_FLAGS) };
        let question = || self.vfs.open(subject.node);
        self.ask(subject, question, |handle| {
            Ok((Some(*handle), options, None))
        })
    }

    fn read(
        &self,
        context: &Context,
        inode: u64,
        handle: u64,
        _: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
        _: Option<u64>,
        _: u32,
    ) -> io::Result<usize> {
        let subject = Subject::new(Opcode::Read, inode);
        let request = ReadRequest {
            id: subject.node,
            handle,
            offset,
            size,
            deadline: self.left.saturating_sub(GRACE),
            client: Client::Process(context.pid as u32),
        };
        let question = || self.vfs.read(request);
        let got = self.ask(subject, question, |spans| Ok(length(spans)))?;
        if got != u64::from(size) {
            let question = || self.vfs.attr(subject.node);
            let expected = self.ask(subject, question, |attr| Ok(expected(attr, &request)))?;
            if got != expected {
                let why = format_args!("{got} bytes instead of {expected}");
                return Err(subject.refuse(errno::WRONG_LENGTH, &why));
            }
        }
        // The library writes the header only.
        self.state.lock().read = true;
        Ok(got as usize)
    }

    fn readdir(
        &self,
        _: &Context,
        inode: u64,
        _: u64,
        size: u32,
        offset: u64,
        add: &mut dyn FnMut(Line<'_>) -> io::Result<usize>,
    ) -> io::Result<()> {
        let subject = Subject::new(Opcode::ReadDir, inode);
        let mut add = |of: &DirEntry| add(line(of));
        self.list(subject, DirectoryFormat::Plain, size, offset, &mut add)
    }

    fn readdirplus(
        &self,
        _: &Context,
        inode: u64,
        _: u64,
        size: u32,
        offset: u64,
        add: &mut dyn FnMut(Line<'_>, Entry) -> io::Result<usize>,
    ) -> io::Result<()> {
        let subject = Subject::new(Opcode::ReadDirPlus, inode);
        let mut add = |of: &DirEntry| {
            // The kernel counts no lookup for these two, and takes node 0 as "not looked up".
            let dots = matches!(of.name.as_str(), "." | "..");
            let entry = if dots {
                Entry::default()
            } else {
                entry(&of.attr)
            };
            add(line(of), entry)
        };
        self.list(subject, DirectoryFormat::Plus, size, offset, &mut add)
    }

    fn statfs(&self, _: &Context, _: u64) -> io::Result<statvfs64> {
        let numbers = self.vfs.statfs();
        // SAFETY: a C struct of integers, for which zeros are values.
        let mut out: statvfs64 = unsafe { std::mem::zeroed() };
        out.f_blocks = numbers.bytes.div_ceil(u64::from(STATFS_BLOCK));
        out.f_files = numbers.files;
        out.f_bsize = u64::from(STATFS_BLOCK);
        out.f_frsize = u64::from(STATFS_BLOCK);
        out.f_namemax = NAME_MAX as u64;
        Ok(out)
    }

    fn release(
        &self,
        _: &Context,
        _: u64,
        _: u32,
        handle: u64,
        _: bool,
        _: bool,
        _: Option<u64>,
    ) -> io::Result<()> {
        self.vfs.release(handle);
        Ok(())
    }

    fn releasedir(&self, _: &Context, _: u64, _: u32, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn access(&self, _: &Context, inode: u64, mask: u32) -> io::Result<()> {
        if mask & libc::W_OK as u32 != 0 {
            let subject = Subject::new(Opcode::Access, inode);
            return Err(subject.refuse(errno::READ_ONLY, &"access for writing"));
        }
        // Permissions are checked by the kernel (default_permissions).
        Ok(())
    }

    fn getxattr(
        &self,
        _: &Context,
        inode: u64,
        name: &CStr,
        size: u32,
    ) -> io::Result<GetxattrReply> {
        let subject = Subject::new(Opcode::GetXattr, inode);
        let question = || self.vfs.xattr(subject.node, name.to_bytes());
        self.ask(subject, question, |value| {
            Ok(match sized(subject, value, size)? {
                Sized::Whole => GetxattrReply::Value(value.clone()),
                Sized::Length(length) => GetxattrReply::Count(length),
            })
        })
    }

    fn listxattr(&self, _: &Context, inode: u64, size: u32) -> io::Result<ListxattrReply> {
        let subject = Subject::new(Opcode::ListXattr, inode);
        let question = || self.vfs.xattrs(subject.node);
        self.ask(subject, question, |names| {
            let ended = |name: &String| [name.as_bytes(), &[0]].concat();
            let list: Vec<u8> = names.iter().flat_map(ended).collect();
            Ok(match sized(subject, &list, size)? {
                Sized::Whole => ListxattrReply::Names(list),
                Sized::Length(length) => ListxattrReply::Count(length),
            })
        })
    }
}
