//! Bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::engine::RECORD;
use super::library::{LARGE, content};
use super::small_keeper::{Shape, SmallKeeper};

/// How to read.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Buffered,
    Direct,
    Mapped,
}

pub const WAYS: [Way; 3] = [Way::Buffered, Way::Direct, Way::Mapped];

/// Reads all of a file and compares each byte.
pub fn verify(path: &Path, node: u64, size: u64, way: Way) -> io::Result<()> {
    let flags = if matches!(way, Way::Direct) {
        libc::O_DIRECT
    } else {
        0
    };
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if matches!(way, Way::Mapped) {
        let map = Map::new(&file, size as usize);
        let mut at = 0;
        while at < size {
            let step = (size - at).min(64 << 10) as usize;
            assert!(
                map.bytes()[at as usize..][..step] == content(node, at, step),
                "{path:?} at {at}"
            );
            at += step as u64;
        }
        return Ok(());
    }
    let mut buffer = vec![0; 300_000];
    let mut at = 0;
    loop {
        let got = file.read_at(&mut buffer, at)?;
        if got == 0 {
            break;
        }
        assert!(
            buffer[..got] == content(node, at, got),
            "{way:?} {path:?} at {at}"
        );
        at += got as u64;
    }
    assert_eq!(at, size, "{way:?} {path:?}");
    Ok(())
}

/// A file mapped for reading.
struct Map {
    start: *mut std::ffi::c_void,
    len: usize,
}

impl Map {
    fn new(file: &File, len: usize) -> Self {
        // SAFETY: a new private mapping at a place of the kernel's choice changes nothing that exists.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ,
                rustix::mm::MapFlags::PRIVATE,
                file.as_fd(),
                0,
            )
        };
        Self {
            start: start.unwrap(),
            len,
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for `len` bytes until dropped, and the file's bytes never change.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference to it outlives `self`.
        unsafe { rustix::mm::munmap(self.start, self.len) }.unwrap();
    }
}

pub fn reads_are_right() {
    let keeper = SmallKeeper::serve(Shape::default());
    let root = keeper.point();
    std::thread::scope(|scope| {
        for way in WAYS {
            for (name, node, size) in [
                ("one.txt", 2, 5000),
                ("now.bin", 3, LARGE),
                ("later.bin", 4, LARGE),
            ] {
                let path = root.join(name);
                scope.spawn(move || verify(&path, node, size, way).unwrap());
            }
        }
    });
    let file = File::open(root.join("a/b/c.txt")).unwrap();
    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes).unwrap();
    assert!(bytes == content(22, 0, 12_345));
    assert_eq!(file.read_at(&mut [0; 10], 1 << 40).unwrap(), 0);
}

pub fn wrong_answers_are_errors() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let root = keeper.point();
    // One byte less than there is: never data, and the size stays.
    for name in ["short.bin", "panic.bin", "panic-at-once.bin"] {
        for flags in [0, libc::O_DIRECT] {
            let path = root.join(name);
            let before = fs::metadata(&path).unwrap().len();
            let file = File::options()
                .read(true)
                .custom_flags(flags)
                .open(&path)
                .unwrap();
            let error = file.read_at(&mut [0; 4096], 0).expect_err(name);
            assert_eq!(error.raw_os_error(), Some(libc::EIO), "{name}");
            assert_eq!(fs::metadata(&path).unwrap().len(), before);
        }
    }
    assert!(!keeper.engine().ended());
    verify(&root.join("one.txt"), 2, 5000, Way::Buffered).unwrap();
}

/// Runs what makes the kernel send each kind that a backend answers. With `DEBRIDFS_FUSE_TEST_KEEP` the requests replace those kept in the repository.
pub fn recorded_requests() {
    let scratch = tempfile::Builder::new()
        .prefix("fuse-record-")
        .tempdir()
        .unwrap();
    let kept = std::env::var_os("DEBRIDFS_FUSE_TEST_KEEP");
    let directory = kept.as_ref().map_or(scratch.path(), |kept| Path::new(kept));
    let keeper = SmallKeeper::serve(Shape {
        read_only: false,
        env: vec![(RECORD, directory.to_str().unwrap().to_owned())],
        ..Shape::default()
    });
    let root = keeper.point();
    let file = root.join("one.txt");
    fs::metadata(&root).unwrap();
    fs::read(&file).unwrap();
    let _ = rustix::fs::getxattr(&file, c"user.debridfs.hash", &mut [0u8; 64]);
    let _ = rustix::fs::listxattr(&file, &mut [0u8; 64]);
    rustix::fs::statvfs(&root).unwrap();
    for entry in fs::read_dir(root.join("many")).unwrap() {
        entry.unwrap();
    }
    fs::write(directory.join("INIT"), &keeper.init).unwrap();
    let has = |name: &str| directory.join(name).exists();
    super::until("a file was closed", || has("RELEASE"));
    for name in [
        "GETATTR",
        "LOOKUP",
        "OPEN",
        "READ",
        "READDIRPLUS",
        "STATFS",
        "GETXATTR",
        "LISTXATTR",
    ] {
        assert!(has(name), "the kernel sent no {name}");
    }
    assert!(!has("READDIR"), "a page of names alone was asked for");
}
