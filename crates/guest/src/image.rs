//! An initramfs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use cpio::newc::{self, Builder, ModeFileType};
use tempfile::TempDir;

use crate::modules::Modules;
use crate::{GuestError, Packages, libraries};

/// Debian's static busybox.
const BUSYBOX: &str = "/bin/busybox";
/// Modules of the devices that every machine has: the network and the source of random numbers.
const DEVICES: [&str; 3] = ["virtio_pci", "virtio_net", "virtio_rng"];

/// What a file holds.
#[derive(Debug, Clone)]
enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// The content of an initramfs: busybox and an `init` of ours, and what is added.
#[derive(Debug, Clone)]
pub struct Image {
    packages: Packages,
    modules: Vec<String>,
    /// By the path in the guest, with the permission bits.
    files: BTreeMap<PathBuf, (u32, Content)>,
}

impl Image {
    /// Busybox, the network, and a script that does nothing.
    pub fn new(packages: &Packages) -> Self {
        let mut image = Self {
            packages: packages.clone(),
            modules: DEVICES.map(str::to_owned).to_vec(),
            files: BTreeMap::new(),
        };
        let init = include_bytes!("init.sh").to_vec();
        image.add("/init", 0o755, Content::Bytes(init));
        image.add(BUSYBOX, 0o755, Content::File(BUSYBOX.into()));
        image.text(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\n_rpc:x:101:65534::/run/rpcbind:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        );
        image.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        image.text("/etc/hosts", "127.0.0.1 localhost\n");
        image.script("true");
        image
    }

    fn add(&mut self, path: impl Into<PathBuf>, mode: u32, content: Content) {
        self.files.insert(path.into(), (mode, content));
    }

    /// A file of this text.
    pub fn text(&mut self, path: impl Into<PathBuf>, text: &str) {
        self.add(path, 0o644, Content::Bytes(text.as_bytes().to_vec()));
    }

    /// What the guest runs, as root, by busybox's shell.
    pub fn script(&mut self, text: &str) {
        self.text("/script", text);
    }

    /// Loads a module, and before it what it needs. What is built in is no error.
    pub fn module(&mut self, name: &str) {
        self.modules.push(name.to_owned());
    }

    /// A program of the host with its libraries, as `path`.
    ///
    /// # Errors
    /// If one of its libraries is not there, or `ldd` cannot be run.
    pub fn program(&mut self, from: &Path, path: &str) -> Result<(), GuestError> {
        for library in libraries::of(from, &self.packages)? {
            // Where the linker looks for it, wherever it was found.
            let name = library.file_name().unwrap_or_default();
            let place = if library.starts_with("/lib64") {
                library.clone()
            } else {
                Path::new("/lib/x86_64-linux-gnu").join(name)
            };
            self.add(place, 0o755, Content::File(library));
        }
        self.add(path, 0o755, Content::File(from.to_owned()));
        Ok(())
    }

    /// A program of the packages, where it would be installed.
    ///
    /// # Errors
    /// As [`Self::program`].
    pub fn installed(&mut self, path: &str) -> Result<(), GuestError> {
        self.program(&self.packages.file(path), path)
    }

    /// A file of the packages, where it would be installed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn copy(&mut self, path: &str) -> Result<(), GuestError> {
        let from = self.packages.file(path);
        let bytes = fs::read(&from).map_err(GuestError::of(&from))?;
        self.add(path, 0o644, Content::Bytes(bytes));
        Ok(())
    }

    /// The packages it is made of.
    pub(crate) fn packages(&self) -> &Packages {
        &self.packages
    }

    /// Writes it to `path`, uncompressed: the kernel unpacks that fastest.
    ///
    /// # Errors
    /// If a module is missing or a file cannot be read or written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), GuestError> {
        let names: Vec<&str> = self.modules.iter().map(String::as_str).collect();
        let directory = self.packages.modules();
        let modules = Modules::read(&directory)?.in_order(&names)?;
        let mut files = self.files.clone();
        let mut order = String::new();
        for module in modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            let place = format!("/lib/modules/{name}");
            order += &format!("{place}\n");
            files.insert(place.into(), (0o644, Content::File(module)));
        }
        let order = Content::Bytes(order.into_bytes());
        files.insert("/etc/modules.order".into(), (0o644, order));
        let scratch = tempfile::tempdir().map_err(GuestError::of(Path::new("/tmp")))?;
        let output = File::create(path).map_err(GuestError::of(path))?;
        let mut archive = Archive::new(BufWriter::new(output), path);
        for directory in directories(files.keys()) {
            archive.directory(&directory)?;
        }
        for (place, (mode, content)) in &files {
            let read;
            let bytes = match content {
                Content::Bytes(bytes) => bytes,
                Content::File(from) => {
                    read = stripped(from, &scratch)?;
                    &read
                }
            };
            archive.file(place, *mode, bytes)?;
        }
        archive.finish()
    }
}

/// All directories above `files`, and the mount points of `init`, each after the one it is in.
fn directories<'a>(files: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let mut all: BTreeSet<PathBuf> = [
        "/dev", "/proc", "/sys", "/tmp", "/run", "/mnt", "/root", "/bin", "/sbin", "/var",
    ]
    .map(PathBuf::from)
    .into();
    for file in files {
        let above = file.ancestors().skip(1);
        all.extend(
            above
                .filter(|path| path.parent().is_some())
                .map(Path::to_owned),
        );
    }
    all
}

/// The bytes of a file, without what is for debuggers if it is a program that is large for it.
fn stripped(from: &Path, scratch: &TempDir) -> Result<Vec<u8>, GuestError> {
    const LARGE: u64 = 16 << 20;
    let size = fs::metadata(from).map_err(GuestError::of(from))?.len();
    if size < LARGE {
        return fs::read(from).map_err(GuestError::of(from));
    }
    let to = scratch.path().join("stripped");
    let status = Command::new("strip").arg("-o").arg(&to).arg(from).status();
    if !status
        .map_err(GuestError::of(Path::new("strip")))?
        .success()
    {
        let error = io::Error::other("strip failed");
        return Err(GuestError::of(from)(error));
    }
    fs::read(&to).map_err(GuestError::of(&to))
}

/// Writes a cpio archive of the format `newc`, in which the kernel takes an initramfs.
struct Archive<'a, W> {
    output: W,
    path: &'a Path,
    /// Inode numbers tell hard links apart, so each entry has its own.
    inode: u32,
}

impl<'a, W: Write> Archive<'a, W> {
    fn new(output: W, path: &'a Path) -> Self {
        Self {
            output,
            path,
            inode: 0,
        }
    }

    fn entry(&mut self, place: &Path, entry: Builder, bytes: &[u8]) -> Result<(), GuestError> {
        self.inode += 1;
        let size = u32::try_from(bytes.len()).map_err(|_| {
            let error = io::Error::other("an initramfs holds no file of 4 GiB");
            GuestError::of(place)(error)
        })?;
        let mut writer = entry.ino(self.inode).write(&mut self.output, size);
        let written = writer.write_all(bytes).and_then(|()| writer.finish());
        written.map(drop).map_err(GuestError::of(self.path))
    }

    fn directory(&mut self, place: &Path) -> Result<(), GuestError> {
        let entry = builder(place, 0o755).nlink(2);
        self.entry(
            place,
            entry.set_mode_file_type(ModeFileType::Directory),
            &[],
        )
    }

    fn file(&mut self, place: &Path, mode: u32, bytes: &[u8]) -> Result<(), GuestError> {
        let entry = builder(place, mode).nlink(1);
        self.entry(
            place,
            entry.set_mode_file_type(ModeFileType::Regular),
            bytes,
        )
    }

    fn finish(self) -> Result<(), GuestError> {
        let mut output = newc::trailer(self.output).map_err(GuestError::of(self.path))?;
        output.flush().map_err(GuestError::of(self.path))
    }
}

/// An entry for `place`, by its path from the root.
fn builder(place: &Path, mode: u32) -> Builder {
    let name = place.to_string_lossy();
    Builder::new(name.trim_start_matches('/')).mode(mode)
}
