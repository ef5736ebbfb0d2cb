//! The codec against requests built by hand from the kernel's structs, and against arbitrary bytes.

#[cfg(feature = "fbrs")]
mod alike;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use debridfs_fuse::wire::{
    DecodeError, DirectoryFormat, DirectoryWriter, ForgetOne, InHeader, Opcode, Operation, Reply,
    Request,
};
use debridfs_fuse::{Backend, Call, Native, Outcome};
use debridfs_vfs::{DirEntry, NodeId};
use hostile::Hostile;
use proptest::prelude::*;

/// Appends fields as the kernel lays them out.
#[derive(Default, Clone)]
struct Fields(Vec<u8>);

impl Fields {
    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn name(mut self, name: &[u8]) -> Self {
        self.0.extend_from_slice(name);
        self.0.push(0);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn request(self, opcode: Opcode) -> Vec<u8> {
        request(opcode as u32, &self.0)
    }
}

fn request(opcode: u32, arguments: &[u8]) -> Vec<u8> {
    Fields::default()
        .u32((40 + arguments.len()) as u32)
        .u32(opcode)
        .u64(0x1234)
        .u64(7)
        .u32(1000)
        .u32(1001)
        .u32(4242)
        .u32(0)
        .bytes(arguments)
        .0
}

fn f() -> Fields {
    Fields::default()
}

/// One request of each kind, and what it is.
fn all_kinds() -> Vec<(Opcode, Vec<u8>, Operation<'static>)> {
    let read = f().u64(1).u64(2).u32(3).u32(4).u64(5).u32(6).u32(0);
    let release = f().u64(1).u32(2).u32(3).u64(4);
    let fsync = f().u64(1).u32(2).u32(0);
    let lock = f().u64(1).u64(2).u64(3).u64(4).u32(5).u32(6).u32(7).u32(0);
    let create = f().u32(1).u32(2).u32(3).u32(4).name(b"n");
    let copy = f().u64(1).u64(2).u64(3).u64(4).u64(5).u64(6).u64(7);
    let copied = Operation::CopyFileRange {
        handle: 1,
        offset: 2,
        to_node: 3,
        to_handle: 4,
        to_offset: 5,
        len: 6,
        flags: 7,
    };
    let item: &'static [[u8; 16]] = &[[0; 16]];
    use Operation as O;
    let kinds: Vec<(Opcode, Fields, Operation<'static>)> = vec![
        (
            Opcode::Lookup,
            f().name(b"name"),
            O::Lookup { name: b"name" },
        ),
        (Opcode::Forget, f().u64(3), O::Forget { lookups: 3 }),
        (
            Opcode::GetAttr,
            f().u32(1).u32(0).u64(9),
            O::GetAttr {
                flags: 1,
                handle: 9,
            },
        ),
        (
            Opcode::SetAttr,
            f().u32(1)
                .u32(0)
                .u64(2)
                .u64(3)
                .bytes(&[0; 32 + 12])
                .u32(4)
                .u32(0)
                .u32(5)
                .u32(6)
                .u32(0),
            O::SetAttr(debridfs_fuse::wire::SetAttr {
                valid: 1,
                handle: 2,
                size: 3,
                mode: 4,
                uid: 5,
                gid: 6,
            }),
        ),
        (Opcode::ReadLink, f(), O::ReadLink),
        (
            Opcode::Symlink,
            f().name(b"n").name(b"target"),
            O::Symlink {
                name: b"n",
                target: b"target",
            },
        ),
        (
            Opcode::MkNod,
            f().u32(1).u32(2).u32(3).u32(0).name(b"n"),
            O::MkNod {
                name: b"n",
                mode: 1,
                device: 2,
                umask: 3,
            },
        ),
        (
            Opcode::MkDir,
            f().u32(1).u32(2).name(b"n"),
            O::MkDir {
                name: b"n",
                mode: 1,
                umask: 2,
            },
        ),
        (Opcode::Unlink, f().name(b"n"), O::Unlink { name: b"n" }),
        (Opcode::RmDir, f().name(b"n"), O::RmDir { name: b"n" }),
        (
            Opcode::Rename,
            f().u64(5).name(b"a").name(b"b"),
            O::Rename {
                to_parent: 5,
                flags: 0,
                name: b"a",
                to_name: b"b",
            },
        ),
        (
            Opcode::Link,
            f().u64(5).name(b"n"),
            O::Link {
                node: 5,
                name: b"n",
            },
        ),
        (Opcode::Open, f().u32(3).u32(0), O::Open { flags: 3 }),
        (
            Opcode::Read,
            read.clone(),
            O::Read {
                handle: 1,
                offset: 2,
                size: 3,
                flags: 6,
            },
        ),
        (
            Opcode::Write,
            f().u64(1)
                .u64(2)
                .u32(3)
                .u32(4)
                .u64(5)
                .u32(6)
                .u32(0)
                .bytes(b"abc"),
            O::Write {
                handle: 1,
                offset: 2,
                flags: 4,
                data: b"abc",
            },
        ),
        (Opcode::StatFs, f(), O::StatFs),
        (
            Opcode::Release,
            release.clone(),
            O::Release {
                handle: 1,
                flags: 2,
            },
        ),
        (
            Opcode::FSync,
            fsync.clone(),
            O::FSync {
                handle: 1,
                flags: 2,
            },
        ),
        (
            Opcode::SetXattr,
            f().u32(2).u32(1).name(b"n").bytes(b"vv"),
            O::SetXattr {
                name: b"n",
                value: b"vv",
                flags: 1,
            },
        ),
        (
            Opcode::GetXattr,
            f().u32(64).u32(0).name(b"user.x"),
            O::GetXattr {
                name: b"user.x",
                size: 64,
            },
        ),
        (
            Opcode::ListXattr,
            f().u32(64).u32(0),
            O::ListXattr { size: 64 },
        ),
        (
            Opcode::RemoveXattr,
            f().name(b"n"),
            O::RemoveXattr { name: b"n" },
        ),
        (
            Opcode::Flush,
            f().u64(1).u32(0).u32(0).u64(2),
            O::Flush { handle: 1 },
        ),
        (
            Opcode::Init,
            f().u32(7)
                .u32(45)
                .u32(131_072)
                .u32(3)
                .u32(1)
                .bytes(&[0; 44]),
            O::Init {
                major: 7,
                minor: 45,
                max_readahead: 131_072,
                flags: 1 << 32 | 3,
            },
        ),
        (Opcode::OpenDir, f().u32(3).u32(0), O::OpenDir { flags: 3 }),
        (
            Opcode::ReadDir,
            read.clone(),
            O::ReadDir {
                handle: 1,
                cookie: 2,
                size: 3,
            },
        ),
        (Opcode::ReleaseDir, release, O::ReleaseDir { handle: 1 }),
        (
            Opcode::FSyncDir,
            fsync,
            O::FSyncDir {
                handle: 1,
                flags: 2,
            },
        ),
        (
            Opcode::GetLk,
            lock.clone(),
            O::GetLk {
                handle: 1,
                owner: 2,
                start: 3,
                end: 4,
                kind: 5,
            },
        ),
        (
            Opcode::SetLk,
            lock.clone(),
            O::SetLk {
                handle: 1,
                owner: 2,
                start: 3,
                end: 4,
                kind: 5,
            },
        ),
        (
            Opcode::SetLkW,
            lock,
            O::SetLkW {
                handle: 1,
                owner: 2,
                start: 3,
                end: 4,
                kind: 5,
            },
        ),
        (Opcode::Access, f().u32(4).u32(0), O::Access { mask: 4 }),
        (
            Opcode::Create,
            create.clone(),
            O::Create {
                name: b"n",
                flags: 1,
                mode: 2,
                umask: 3,
            },
        ),
        (Opcode::Interrupt, f().u64(77), O::Interrupt { unique: 77 }),
        (
            Opcode::BMap,
            f().u64(1).u32(512).u32(0),
            O::BMap {
                block: 1,
                block_size: 512,
            },
        ),
        (Opcode::Destroy, f(), O::Destroy),
        (
            Opcode::IoCtl,
            f().u64(1).u32(2).u32(3).u64(4).u32(2).u32(6).bytes(b"in"),
            O::IoCtl {
                handle: 1,
                flags: 2,
                command: 3,
                argument: 4,
                out_size: 6,
                data: b"in",
            },
        ),
        (
            Opcode::Poll,
            f().u64(1).u64(2).u32(3).u32(4),
            O::Poll {
                handle: 1,
                kernel_handle: 2,
                flags: 3,
                events: 4,
            },
        ),
        (
            Opcode::NotifyReply,
            f().u64(0).u64(9).u32(1).u32(0).u64(0).u64(0).bytes(b"x"),
            O::NotifyReply {
                offset: 9,
                data: b"x",
            },
        ),
        (
            Opcode::BatchForget,
            f().u32(1).u32(0).bytes(&[0; 16]),
            O::BatchForget { items: item },
        ),
        (
            Opcode::FAllocate,
            f().u64(1).u64(2).u64(3).u32(4).u32(0),
            O::FAllocate {
                handle: 1,
                offset: 2,
                length: 3,
                mode: 4,
            },
        ),
        (
            Opcode::ReadDirPlus,
            read,
            O::ReadDirPlus {
                handle: 1,
                cookie: 2,
                size: 3,
            },
        ),
        (
            Opcode::Rename2,
            f().u64(5).u32(1).u32(0).name(b"a").name(b"b"),
            O::Rename {
                to_parent: 5,
                flags: 1,
                name: b"a",
                to_name: b"b",
            },
        ),
        (
            Opcode::LSeek,
            f().u64(1).u64(2).u32(3).u32(0),
            O::LSeek {
                handle: 1,
                offset: 2,
                whence: 3,
            },
        ),
        (Opcode::CopyFileRange, copy.clone(), copied),
        (
            Opcode::SetupMapping,
            f().u64(1).u64(2).u64(3).u64(4).u64(5),
            O::SetupMapping {
                handle: 1,
                offset: 2,
                len: 3,
                flags: 4,
                memory_offset: 5,
            },
        ),
        (
            Opcode::RemoveMapping,
            f().u32(1).bytes(&[0; 16]),
            O::RemoveMapping { items: item },
        ),
        (Opcode::SyncFs, f().u64(0), O::SyncFs),
        (
            Opcode::TmpFile,
            create,
            O::TmpFile {
                name: b"n",
                flags: 1,
                mode: 2,
                umask: 3,
            },
        ),
        (
            Opcode::StatX,
            f().u32(1).u32(0).u64(2).u32(3).u32(4),
            O::StatX {
                flags: 1,
                handle: 2,
                statx_flags: 3,
                mask: 4,
            },
        ),
        (Opcode::CopyFileRange64, copy, copied),
        (
            Opcode::CuseInit,
            f().u32(7).u32(45).u32(0).u32(1),
            O::CuseInit {
                major: 7,
                minor: 45,
                flags: 1,
            },
        ),
    ];
    kinds
        .into_iter()
        .map(|(opcode, fields, operation)| (opcode, fields.request(opcode), operation))
        .collect()
}

#[test]
fn every_kind_is_decoded() {
    let kinds = all_kinds();
    let covered: Vec<_> = kinds.iter().map(|(opcode, ..)| *opcode).collect();
    assert_eq!(covered, Opcode::ALL);
    for (opcode, bytes, operation) in kinds {
        let request = Request::decode(&bytes).unwrap();
        assert_eq!(request.operation, operation, "{}", opcode.name());
        let header = request.header;
        assert_eq!((header.unique, header.node, header.pid), (0x1234, 7, 4242));
        assert_eq!((header.uid, header.gid), (1000, 1001));
    }
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    for (opcode, whole, _) in all_kinds() {
        for end in 0..whole.len() {
            let mut cut = whole[..end].to_vec();
            if end >= 4 {
                cut[..4].copy_from_slice(&(end as u32).to_ne_bytes());
            }
            // INIT had fewer fields before 7.36, and none of the last 11 words is needed.
            let tolerated = opcode == Opcode::Init && end >= 40 + 20;
            assert_eq!(
                Request::decode(&cut).is_ok(),
                tolerated,
                "{} cut to {end}",
                opcode.name()
            );
        }
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let mut bytes = request(1, b"x\0");
    bytes.push(0);
    assert_eq!(
        Request::decode(&bytes),
        Err(DecodeError::Length {
            named: 42,
            read: 43
        })
    );
    assert_eq!(
        Request::decode(&request(54, b"")),
        Err(DecodeError::UnknownOpcode(54))
    );
    assert_eq!(
        Request::decode(&request(1, b"x")),
        Err(DecodeError::NameWithoutEnd)
    );
    let mut extended = request(1, b"x\0");
    // total_extlen of 1 unit: more than there is after the header.
    extended[36] = 1;
    assert_eq!(Request::decode(&extended), Err(DecodeError::TooShort));
}

#[test]
fn extensions_are_left_out() {
    let mut bytes = f().name(b"n").bytes(&[9; 8]).request(Opcode::Unlink);
    bytes[36..38].copy_from_slice(&1u16.to_ne_bytes());
    let request = Request::decode(&bytes).unwrap();
    assert_eq!(request.header.extensions, 1);
    assert_eq!(request.operation, Operation::Unlink { name: b"n" });
}

#[test]
fn forgotten_nodes() {
    let mut item = [0; 16];
    item[..8].copy_from_slice(&5u64.to_ne_bytes());
    item[8..].copy_from_slice(&6u64.to_ne_bytes());
    assert_eq!(
        ForgetOne::decode(&item),
        ForgetOne {
            node: 5,
            lookups: 6
        }
    );
}

/// Whatever the bytes, the codec gives an error or an operation, the backend a reply that is well formed.
fn no_bytes_do_harm(bytes: &[u8]) {
    let (whims, bytes) = bytes.split_at(bytes.len().min(8));
    let mut bytes = bytes.to_vec();
    // The length is right most of the time, or nothing would be reached.
    if let Ok(length) = u32::try_from(bytes.len())
        && bytes.len() >= 4
        && whims.first().is_none_or(|whim| *whim < 240)
    {
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
    }
    // So is the kind, or nearly all would be unknown ones. Recorded requests begin with whims of zero and stay as they are.
    if bytes.len() >= 8 && whims.get(1).is_some_and(|whim| *whim >= 32) {
        let opcode = Opcode::ALL[usize::from(bytes[4]) % Opcode::ALL.len()];
        bytes[4..8].copy_from_slice(&(opcode as u32).to_ne_bytes());
    }
    let _ = Request::decode(&bytes);
    let backend = Native::new(Arc::new(Hostile(whims.to_vec())));
    let mut reply = Reply::new();
    let call = Call {
        request: &bytes,
        left: Duration::ZERO,
    };
    let mut reply = match backend.answer(call, &mut reply) {
        Outcome::Ready => reply,
        Outcome::Later(future) => futures_util::FutureExt::now_or_never(future).unwrap_or_default(),
    };
    let errno = reply.errno();
    assert!((0..4096).contains(&errno));
    let (head, spans) = reply.finish(1);
    let length = head.len() + spans.iter().map(|span| span.len()).sum::<usize>();
    assert_eq!(head[..4], (length as u32).to_ne_bytes());
    assert!(errno == 0 || length == 16);
    // Never more than was asked for.
    if let Ok(Request { operation, .. }) = Request::decode(&bytes) {
        match operation {
            Operation::Read { size, .. }
            | Operation::ReadDir { size, .. }
            | Operation::ReadDirPlus { size, .. } => {
                assert!(length - 16 <= size as usize);
            }
            Operation::GetXattr { size, .. } | Operation::ListXattr { size } if size > 0 => {
                assert!(length - 16 <= size as usize);
            }
            _ => {}
        }
    }
}

#[test]
fn fuzz_requests() {
    bolero::check!().for_each(no_bytes_do_harm);
}

#[test]
fn recorded_requests_are_decoded() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");
    let mut seen = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let request = Request::decode(&bytes).unwrap();
        let header = InHeader::decode(&bytes).unwrap();
        let name = Opcode::from_number(header.opcode).unwrap().name();
        assert_eq!(file.file_name().to_str(), Some(name));
        // Decoding reached what the kernel put there.
        match request.operation {
            Operation::Lookup { name } => assert_eq!(name, b"one.txt"),
            Operation::GetXattr { name, .. } => assert!(name.starts_with(b"user.")),
            Operation::Read { size, .. } => assert!(size % 4096 == 0 && size > 0),
            Operation::ReadDir { size, .. } | Operation::ReadDirPlus { size, .. } => {
                assert!(size >= 4096);
            }
            Operation::Open { flags } => assert!(flags & libc::O_ACCMODE as u32 == 0),
            _ => {}
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} recorded requests");
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-zA-Z0-9 ._äß-]{1,120}", 0..60)
}

proptest! {
    #[test]
    fn names_and_numbers_come_through(
        name in prop::collection::vec(1u8..=255, 0..300),
        size: u32,
        offset: u64,
    ) {
        let bytes = f().u32(size).u32(0).name(&name).request(Opcode::GetXattr);
        let decoded = Request::decode(&bytes).unwrap().operation;
        prop_assert_eq!(decoded, Operation::GetXattr { name: &name, size });
        let bytes = f().u64(!offset).u64(offset).u32(size).u32(0).u64(0).u32(0).u32(0)
            .request(Opcode::Read);
        let decoded = Request::decode(&bytes).unwrap().operation;
        prop_assert_eq!(decoded, Operation::Read { handle: !offset, offset, size, flags: 0 });
    }

    #[test]
    fn directory_lines_come_through(names in names(), size in 0u32..20_000, plus: bool) {
        let format = if plus { DirectoryFormat::Plus } else { DirectoryFormat::Plain };
        let hostile = Hostile(Vec::new());
        let lines: Vec<_> = names.iter().enumerate().map(|(index, name)| DirEntry {
            name: name.clone(),
            attr: Hostile::attr(&hostile, NodeId(index as u64 + 2)),
            cookie: index as u64 + 1,
        }).collect();
        let mut writer = DirectoryWriter::new(format, size);
        let mut out = Vec::new();
        let written = lines.iter().take_while(|line| writer.push(&mut out, line)).count();
        prop_assert!(out.len() <= size as usize);
        prop_assert_eq!(out.len() % 8, 0);
        if let Some(next) = lines.get(written) {
            let room = (if plus { 152 } else { 24 } + next.name.len()).next_multiple_of(8);
            prop_assert!(out.len() + room > size as usize, "one more would have fitted");
        }
        let mut rest = &out[..];
        for line in &lines[..written] {
            if plus {
                let dots = matches!(line.name.as_str(), "." | "..");
                let node = if dots { 0 } else { line.attr.id.0 };
                prop_assert_eq!(&rest[..8], node.to_ne_bytes());
                rest = &rest[128..];
            }
            prop_assert_eq!(&rest[..8], line.attr.id.0.to_ne_bytes());
            prop_assert_eq!(&rest[8..16], line.cookie.to_ne_bytes());
            prop_assert_eq!(&rest[16..20], (line.name.len() as u32).to_ne_bytes());
            prop_assert_eq!(&rest[24..24 + line.name.len()], line.name.as_bytes());
            rest = &rest[(24 + line.name.len()).next_multiple_of(8)..];
        }
        prop_assert!(rest.is_empty());
    }
}
