//! Everything but reading.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use super::library::{FILES, GONE, LARGE, MANY, MANY_DIR, many_name};
use super::small_keeper::{Shape, SmallKeeper, owned};
use super::until;

pub fn walks() {
    let keeper = SmallKeeper::serve(Shape::default());
    let root = keeper.point();
    let meta = fs::metadata(root.join("now.bin")).unwrap();
    assert_eq!((meta.ino(), meta.len(), meta.nlink()), (3, LARGE, 1));
    assert_eq!(
        (meta.mode(), meta.mtime()),
        (libc::S_IFREG | 0o444, 1_700_000_000)
    );
    assert_eq!(meta.blocks(), LARGE.div_ceil(512));
    assert_eq!(fs::metadata(&root).unwrap().ino(), 1);
    assert_eq!(fs::metadata(root.join("a/b/c.txt")).unwrap().len(), 12_345);
    assert_eq!(fs::metadata(root.join("a/b/..")).unwrap().ino(), 20);
    let missing = fs::metadata(root.join("nothing")).unwrap_err();
    assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    let long = fs::metadata(root.join("x".repeat(256))).unwrap_err();
    assert_eq!(long.raw_os_error(), Some(libc::ENAMETOOLONG));
    let below = fs::metadata(root.join("one.txt/x")).unwrap_err();
    assert_eq!(below.raw_os_error(), Some(libc::ENOTDIR));

    let find = Command::new("find")
        .arg(&root)
        .args(["-printf", "%n %y %i\\n"])
        .output()
        .unwrap();
    assert!(find.status.success() && find.stderr.is_empty(), "{find:?}");
    let text = String::from_utf8(find.stdout).unwrap();
    assert_eq!(
        text.lines().count() as u64,
        1 + FILES.len() as u64 + 3 + 1 + MANY
    );
    for line in text.lines() {
        let links: u32 = line.split(' ').next().unwrap().parse().unwrap();
        assert!(links > 0, "{line}");
    }
    let list = Command::new("ls").arg("-la").arg(&root).output().unwrap();
    assert!(list.status.success() && list.stderr.is_empty(), "{list:?}");
}

pub fn parallel_listings() {
    let keeper = SmallKeeper::serve(Shape::default());
    let many = keeper.point().join("many");
    let expected: BTreeSet<_> = (0..MANY).map(many_name).collect();
    std::thread::scope(|scope| {
        for index in 0..6 {
            let (many, expected) = (&many, &expected);
            scope.spawn(move || {
                let mut names = BTreeSet::new();
                for entry in fs::read_dir(many).unwrap() {
                    let entry = entry.unwrap();
                    if index % 2 == 0 {
                        let meta = entry.metadata().unwrap();
                        assert_eq!(meta.len(), meta.ino());
                    }
                    assert!(!entry.file_type().unwrap().is_fifo());
                    let name = entry.file_name().into_string().unwrap();
                    assert!(names.insert(name), "twice: {entry:?}");
                }
                assert_eq!(names, *expected);
            });
        }
    });
    assert_eq!(fs::metadata(many).unwrap().ino(), MANY_DIR);
}

pub fn extended_attributes() {
    let keeper = SmallKeeper::serve(Shape::default());
    let file = keeper.point().join("one.txt");
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(&file, c"user.debridfs.hash", &mut value).unwrap();
    assert_eq!(&value[..length], b"0123456789abcdef");
    assert_eq!(
        rustix::fs::getxattr_query(&file, c"user.debridfs.hash"),
        Ok(16)
    );
    let short = rustix::fs::getxattr(&file, c"user.debridfs.hash", &mut [0u8; 4]).unwrap_err();
    assert_eq!(short, rustix::io::Errno::RANGE);
    let none = rustix::fs::getxattr(&file, c"user.other", &mut value).unwrap_err();
    assert_eq!(none, rustix::io::Errno::NODATA);
    let length = rustix::fs::listxattr(&file, &mut value).unwrap();
    assert_eq!(
        &value[..length],
        b"user.debridfs.hash\0user.debridfs.provider\0"
    );
    let none = keeper.point().join("now.bin");
    assert_eq!(rustix::fs::listxattr(&none, &mut value).unwrap(), 0);
}

pub fn numbers_of_the_whole() {
    let keeper = SmallKeeper::serve(Shape::default());
    let numbers = rustix::fs::statvfs(keeper.point()).unwrap();
    assert_eq!(
        (numbers.f_blocks, numbers.f_bsize, numbers.f_bavail),
        (1000, 4096, 0)
    );
    assert_eq!(
        (numbers.f_files, numbers.f_ffree, numbers.f_namemax),
        (20_000, 0, 255)
    );
    let statfs = keeper.journal.published_statfs().unwrap();
    assert_eq!(statfs[..8], 1000u64.to_ne_bytes());
    let root = keeper.journal.published_root().unwrap();
    assert_eq!(root[16..24], 1u64.to_ne_bytes());
    let before = keeper.journal.heartbeat();
    until("the heart beats", || {
        keeper.journal.heartbeat() > before + 2
    });
}

/// The mount is writable as far as the kernel knows, so that every call comes to the engine.
pub fn nothing_can_be_written() {
    let keeper = SmallKeeper::serve(Shape {
        read_only: false,
        ..Shape::default()
    });
    let root = keeper.point();
    let file = root.join("one.txt");
    let os = |error: rustix::io::Errno| io::Error::from(error);
    let unit = |result: io::Result<File>| result.map(drop);
    let open = |flags: i32| unit(File::options().write(true).custom_flags(flags).open(&file));
    let to = |name: &str| root.join(name);
    let mode = fs::Permissions::from_mode(0o777);
    let xattr = rustix::fs::XattrFlags::empty();
    let calls: Vec<(&str, io::Result<()>)> = vec![
        ("open for writing", open(0)),
        ("open and truncate", open(libc::O_TRUNC)),
        (
            "open for both",
            unit(File::options().read(true).write(true).open(&file)),
        ),
        ("create", unit(File::create(to("new")))),
        ("mkdir", fs::create_dir(to("new"))),
        (
            "mknod",
            rustix::fs::mknodat(
                rustix::fs::CWD,
                to("new"),
                rustix::fs::FileType::Fifo,
                0o600.into(),
                0,
            )
            .map_err(os),
        ),
        ("symlink", std::os::unix::fs::symlink("x", to("new"))),
        ("link", fs::hard_link(&file, to("new"))),
        ("unlink", fs::remove_file(&file)),
        ("rmdir", fs::remove_dir(to("many"))),
        ("rename", fs::rename(&file, to("new"))),
        (
            "exchange",
            rustix::fs::renameat_with(
                rustix::fs::CWD,
                &file,
                rustix::fs::CWD,
                to("now.bin"),
                rustix::fs::RenameFlags::EXCHANGE,
            )
            .map_err(os),
        ),
        ("chmod", fs::set_permissions(&file, mode)),
        ("chown", std::os::unix::fs::chown(&file, Some(1), Some(1))),
        ("truncate", truncate(&file)),
        (
            "utimes",
            rustix::fs::utimensat(
                rustix::fs::CWD,
                &file,
                &rustix::fs::Timestamps {
                    last_access: rustix::fs::Timespec {
                        tv_sec: 1,
                        tv_nsec: 0,
                    },
                    last_modification: rustix::fs::Timespec {
                        tv_sec: 1,
                        tv_nsec: 0,
                    },
                },
                rustix::fs::AtFlags::empty(),
            )
            .map_err(os),
        ),
        (
            "setxattr",
            rustix::fs::setxattr(&file, c"user.x", b"v", xattr).map_err(os),
        ),
        (
            "removexattr",
            rustix::fs::removexattr(&file, c"user.debridfs.hash").map_err(os),
        ),
        (
            "tmpfile",
            unit(
                File::options()
                    .write(true)
                    .custom_flags(libc::O_TMPFILE)
                    .open(&root),
            ),
        ),
    ];
    for (name, result) in calls {
        let errno = result.expect_err(name).raw_os_error();
        assert_eq!(errno, Some(libc::EROFS), "{name}");
    }
    let reader = File::open(&file).unwrap();
    reader.sync_all().unwrap();
    let ioctl = rustix::io::ioctl_fionread(&reader);
    assert!(
        ioctl.is_ok() || ioctl == Err(rustix::io::Errno::NOTTY),
        "{ioctl:?}"
    );
    assert_eq!(
        rustix::fs::seek(&reader, rustix::fs::SeekFrom::Hole(0)),
        Ok(5000)
    );
}

fn truncate(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the pointer is a C string that lives through the call.
    match unsafe { libc::truncate(path.as_ptr(), 3) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file handle as NFS servers keep it.
#[repr(C)]
pub struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

impl Handle {
    pub fn of(path: &Path) -> Self {
        let mut handle = Self {
            bytes: 128,
            kind: 0,
            data: [0; 128],
        };
        let mut mount = 0;
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: `handle` is laid out as struct file_handle with the 128 bytes it says it has; all pointers live through the call.
        let result = unsafe {
            libc::name_to_handle_at(
                libc::AT_FDCWD,
                path.as_ptr(),
                (&raw mut handle).cast(),
                &raw mut mount,
                0,
            )
        };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        handle
    }

    pub fn open(&self, mount: impl AsFd, flags: i32) -> io::Result<OwnedFd> {
        // SAFETY: `self` is laid out as struct file_handle, was filled in by the kernel, and is only read.
        owned(unsafe {
            libc::open_by_handle_at(
                mount.as_fd().as_raw_fd(),
                (&raw const *self).cast_mut().cast(),
                flags | libc::O_CLOEXEC,
            )
        })
    }
}

pub fn handles_outlive_caches() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let root = keeper.point();
    let deep = Handle::of(&root.join("a/b/c.txt"));
    let directory = Handle::of(&root.join("a/b"));
    let top = Handle::of(&root.join("a"));
    let many = Handle::of(&root.join("many").join(many_name(77)));
    for _ in 0..3 {
        let before = keeper.engine().count("LOOKUP");
        // The first time what was used lately is only marked.
        for _ in 0..2 {
            fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        }
        let mount = File::open(&root).unwrap();
        let file = File::from(deep.open(&mount, libc::O_RDONLY).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 12_345);
        assert_eq!(
            File::from(many.open(&mount, libc::O_RDONLY).unwrap())
                .metadata()
                .unwrap()
                .ino(),
            10_077
        );
        // A directory is connected to the root by lookups of `..`.
        let place = directory
            .open(&mount, libc::O_RDONLY | libc::O_DIRECTORY)
            .unwrap();
        let path = fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).unwrap();
        assert_eq!(path, root.join("a/b"));
        let up = rustix::fs::openat(&place, "..", rustix::fs::OFlags::RDONLY, 0.into()).unwrap();
        assert_eq!(rustix::fs::fstat(&up).unwrap().st_ino, 20);
        // One below the root: `..` is the root itself, which must not be taken for another.
        let first = top
            .open(&mount, libc::O_RDONLY | libc::O_DIRECTORY)
            .unwrap();
        let up = rustix::fs::openat(&first, "..", rustix::fs::OFlags::RDONLY, 0.into()).unwrap();
        assert_eq!(rustix::fs::fstat(&up).unwrap().st_ino, 1);
        assert!(fs::metadata(root.join("one.txt")).is_ok());
        assert!(fs::read_dir(&root).unwrap().count() > 5);
        // Ids of three nodes, and the way up from two of them.
        let lookups = keeper.engine().count("LOOKUP") - before;
        assert!(lookups >= 5, "the caches kept what they had: {lookups}");
    }
}

pub fn the_kernel_is_told() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let gone = keeper.point().join(GONE);
    let listed = |keeper: &SmallKeeper| {
        fs::read_dir(keeper.point())
            .unwrap()
            .any(|entry| entry.unwrap().file_name() == GONE)
    };
    assert!(gone.exists() && listed(&keeper) && listed(&keeper));
    keeper.engine().ask("retire silently");
    assert!(gone.exists(), "the kernel keeps names for a day");
    keeper.engine().ask("retire");
    until("the name is gone", || !gone.exists());
    until("the line is gone", || !listed(&keeper));
}
