//! Reads `/proc/self/mountinfo`, to find what is mounted at a place without touching it.
//!
//! Format: `proc_pid_mountinfo(5)`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// File system type of our mounts.
pub const FSTYPE: &str = "fuse.debridfs";

/// One mount of this process's mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Mount id; reused by the kernel after an unmount.
    pub id: u64,
    /// Id of the mount it is on; for stacked mounts that of the layer below.
    pub parent: u64,
    /// `st_dev` as major and minor; for FUSE the minor names the connection in
    /// `/sys/fs/fuse/connections`.
    pub device: (u32, u32),
    /// Where it is mounted, seen from this process's root.
    pub mount_point: PathBuf,
    /// True when it propagates to others (`shared:`).
    pub shared: bool,
    /// File system type, with subtype.
    pub fstype: OsString,
    /// Mount source.
    pub source: OsString,
}

impl Mount {
    /// True when some debridfs made it.
    pub fn is_ours(&self) -> bool {
        self.fstype == FSTYPE
    }

    /// True when it is any FUSE or network file system: such a mount was made on purpose, and
    /// looking into it may hang.
    pub fn is_live_service(&self) -> bool {
        let name = self.fstype.as_bytes();
        let prefixes: [&[u8]; 6] = [b"fuse", b"nfs", b"cifs", b"smb", b"9p", b"ceph"];
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// All mounts of this process's mount namespace.
///
/// # Errors
/// When `/proc` can't be read.
pub fn read() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The topmost mount at exactly this path, which must be absolute and without symlinks.
///
/// # Errors
/// When `/proc` can't be read.
pub fn find(path: &Path) -> io::Result<Option<Mount>> {
    Ok(top(&layers(read()?, path)))
}

/// All mounts at exactly this path.
pub fn layers(mounts: Vec<Mount>, path: &Path) -> Vec<Mount> {
    mounts
        .into_iter()
        .filter(|mount| mount.mount_point == path)
        .collect()
}

/// Of the mounts at one path, the one that hides the others.
pub fn top(layers: &[Mount]) -> Option<Mount> {
    let covered = |mount: &Mount| layers.iter().any(|other| other.parent == mount.id);
    // The last one, should the kernel's text contradict itself.
    layers
        .iter()
        .rev()
        .find(|mount| !covered(mount))
        .or(layers.last())
        .cloned()
}

/// Parses the file; lines of another shape are left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let mut device = fields.next()?.splitn(2, |byte| *byte == b':');
    let device = (number(device.next()?)?, number(device.next()?)?);
    let _root = fields.next()?;
    let mount_point = PathBuf::from(unescape(fields.next()?));
    let _options = fields.next()?;
    let mut shared = false;
    // Optional fields, as many as the kernel likes, up to a single dash.
    loop {
        let field = fields.next()?;
        if field == b"-" {
            break;
        }
        shared |= field.starts_with(b"shared:");
    }
    let fstype = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    Some(Mount {
        id,
        parent,
        device,
        mount_point,
        shared,
        fstype,
        source,
    })
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Space, tab, newline, backslash (and `#`) come as `\` and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match octal(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn octal(text: &[u8]) -> Option<u8> {
    let [b'\\', a, b, c, ..] = text else {
        return None;
    };
    let digit = |byte: &u8| (b'0'..=b'7').contains(byte).then(|| u16::from(byte - b'0'));
    u8::try_from(digit(a)? * 64 + digit(b)? * 8 + digit(c)?).ok()
}

/// True when the path names the mount point of a debridfs mount: looks at `mountinfo` only.
pub fn is_mounted(path: &Path) -> bool {
    matches!(find(path), Ok(Some(mount)) if mount.is_ours())
}

/// The mount source of our mounts.
pub(crate) fn source() -> &'static OsStr {
    OsStr::new("debridfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        40 27 0:50 / /mnt/a\\040b\\134c rw,nosuid shared:3 master:1 - fuse.debridfs debridfs ro\n\
        41 40 0:51 / /mnt/a\\040b\\134c rw - fuse.debridfs debridfs ro,user_id=0\n\
        garbage\n\n42 27 0:x / /y rw - z z z\n43 27 0:9 / /short rw shared:1";

    #[test]
    fn escapes_optional_fields_and_layers() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 3);
        let path = Path::new("/mnt/a b\\c");
        let here = layers(mounts, path);
        assert_eq!(
            here.iter().map(|mount| mount.shared).collect::<Vec<_>>(),
            [true, false]
        );
        let upper = top(&here).unwrap();
        assert_eq!(
            (upper.id, upper.device, upper.is_ours()),
            (41, (0, 51), true)
        );
        let backwards: Vec<_> = here.into_iter().rev().collect();
        assert_eq!(top(&backwards).unwrap().id, 41);
    }

    #[test]
    fn this_process_has_a_root() {
        assert!(
            find(Path::new("/proc"))
                .unwrap()
                .is_some_and(|mount| !mount.is_ours())
        );
    }

    #[test]
    fn fuzz_any_text_is_parsed_or_left_out() {
        bolero::check!().for_each(|text: &[u8]| {
            let mounts = parse(text);
            assert!(mounts.len() <= text.len());
            let _ = top(&mounts);
            let mut line = b"1 2 0:3 / ".to_vec();
            line.extend(text.iter().filter(|byte| !b" \n".contains(byte)));
            line.extend(b" rw - t s");
            let _ = parse(&line);
        });
    }
}
