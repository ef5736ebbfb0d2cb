//! The shared libraries of a program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{GuestError, Packages};

/// What the program at `program` is linked with, the dynamic linker included; nothing for a static one.
pub(crate) fn of(program: &Path, packages: &Packages) -> Result<Vec<PathBuf>, GuestError> {
    let path = packages.libraries().map(|path| path.display().to_string());
    let output = Command::new("ldd")
        .arg(program)
        .env("LD_LIBRARY_PATH", path.join(":"))
        .output()
        .map_err(GuestError::of(Path::new("ldd")))?;
    // "not a dynamic executable", with a failure.
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let mut libraries = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line = line.trim();
        // `libc.so.6 => /lib/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`, `linux-vdso.so.1 (0x…)`.
        let (name, found) = match line.split_once(" => ") {
            Some((name, found)) => (name, found),
            None if line.starts_with('/') => (line, line),
            None => continue,
        };
        match found.split_whitespace().next() {
            Some(found) if found.starts_with('/') => libraries.push(PathBuf::from(found)),
            _ => {
                return Err(GuestError::NoLibrary {
                    program: program.to_owned(),
                    library: name.to_owned(),
                });
            }
        }
    }
    Ok(libraries)
}
