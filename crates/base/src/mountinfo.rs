//! Reads `/proc/PID/mountinfo`, to find what is mounted at a place, and how mounts travel from
//! there, without touching it.
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
    /// The directory of the file system that is its root: `/` unless it is a bind mount.
    pub root: PathBuf,
    /// Where it is mounted, seen from the root of the process whose table this is.
    pub mount_point: PathBuf,
    /// Options of this mount alone, comma-separated.
    pub options: String,
    /// Number of its peer group (`shared:`), whose members get each other's mounts. The same in
    /// every namespace.
    pub peer_group: Option<u32>,
    /// Number of the peer group it gets mounts from without giving any (`master:`).
    pub master: Option<u32>,
    /// File system type, with subtype.
    pub fstype: OsString,
    /// Mount source.
    pub source: OsString,
    /// Options of the file system, which all its mounts share, comma-separated.
    pub super_options: String,
}

impl Mount {
    /// True when what is mounted below it appears elsewhere, too.
    pub fn is_shared(&self) -> bool {
        self.peer_group.is_some()
    }

    /// True when the file system has this option.
    pub fn has_super_option(&self, option: &str) -> bool {
        self.super_options.split(',').any(|one| one == option)
    }

    /// True when some debridfs made it.
    pub fn is_ours(&self) -> bool {
        self.fstype == FSTYPE
    }

    /// True when it only keeps the place closed, and no library was ever in it.
    pub fn is_closed(&self) -> bool {
        self.is_ours() && self.source == closed_source()
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

/// All mounts of another process's namespace; mount points are as that process sees them.
///
/// # Errors
/// When the process is gone, or may not be looked at.
pub fn read_of(pid: u32) -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read(format!("/proc/{pid}/mountinfo"))?))
}

/// The mount that a path lies on, found as the kernel walks: from the root mount from mount to
/// mount. The path must be absolute and without symlinks.
pub fn containing<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let is_top = |mount: &&Mount| {
        mount.mount_point == Path::new("/")
            && !mounts
                .iter()
                .any(|other| other.id == mount.parent && other.id != mount.id)
    };
    let mut here = mounts.iter().find(is_top)?;
    // Each step goes to a child, and there are no circles; the bound is for a text that lies.
    for _ in 0..mounts.len() {
        let next = mounts
            .iter()
            .filter(|mount| mount.parent == here.id && mount.id != here.id)
            .filter(|mount| path.starts_with(&mount.mount_point))
            .min_by_key(|mount| mount.mount_point.as_os_str().len());
        match next {
            Some(mount) => here = mount,
            None => return Some(here),
        }
    }
    Some(here)
}

/// The topmost mount at exactly this path, which must be absolute and without symlinks.
///
/// # Errors
/// When `/proc` can't be read.
pub fn find(path: &Path) -> io::Result<Option<Mount>> {
    Ok(top(&layers(read()?, path)))
}

/// The topmost mount at a path whose parent may be a symlink; the path itself is not touched.
///
/// # Errors
/// When `/proc` can't be read.
pub fn at(path: &Path) -> io::Result<Option<Mount>> {
    find(&resolved(path))
}

/// File system type of the topmost mount at a path, as [`at`] finds it.
///
/// # Errors
/// When `/proc` can't be read.
pub fn type_at(path: &Path) -> io::Result<Option<String>> {
    let mount = at(path)?;
    Ok(mount.map(|mount| mount.fstype.to_string_lossy().into_owned()))
}

/// `path` as the mount table writes it: its parent resolved, the last part left alone, so that
/// the mount itself is not touched.
pub fn resolved(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !name.is_empty() => std::fs::canonicalize(parent)
            .map_or_else(|_| path.to_path_buf(), |parent| parent.join(name)),
        _ => path.to_path_buf(),
    }
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
    let root = PathBuf::from(unescape(fields.next()?));
    let mount_point = PathBuf::from(unescape(fields.next()?));
    let options = text(fields.next()?);
    let (mut peer_group, mut master) = (None, None);
    // Optional fields, as many as the kernel likes, up to a single dash.
    loop {
        let field = fields.next()?;
        if field == b"-" {
            break;
        }
        if let Some(group) = field.strip_prefix(b"shared:") {
            peer_group = number(group);
        } else if let Some(group) = field.strip_prefix(b"master:") {
            master = number(group);
        }
    }
    let fstype = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    let super_options = text(fields.next().unwrap_or_default());
    Some(Mount {
        id,
        parent,
        device,
        root,
        mount_point,
        options,
        peer_group,
        master,
        fstype,
        source,
        super_options,
    })
}

fn text(field: &[u8]) -> String {
    unescape(field).to_string_lossy().into_owned()
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
pub fn source() -> &'static OsStr {
    OsStr::new("debridfs")
}

/// The mount source of a mount that refuses everybody, root as well: what a keeper leaves in the
/// place of the library when nobody goes on with it.
pub fn closed_source() -> &'static OsStr {
    OsStr::new("debridfs-closed")
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
            here.iter()
                .map(|mount| (mount.peer_group, mount.master))
                .collect::<Vec<_>>(),
            [(Some(3), Some(1)), (None, None)]
        );
        assert_eq!(here[0].options, "rw,nosuid");
        assert!(here[1].has_super_option("user_id=0") && !here[1].has_super_option("user_id"));
        let upper = top(&here).unwrap();
        assert_eq!(
            (upper.id, upper.device, upper.is_ours()),
            (41, (0, 51), true)
        );
        let backwards: Vec<_> = here.into_iter().rev().collect();
        assert_eq!(top(&backwards).unwrap().id, 41);
    }

    #[test]
    fn the_mount_of_a_path_is_found_as_the_kernel_walks() {
        let table = b"20 1 8:1 / / rw - ext4 a rw\n\
            21 20 0:5 / /mnt/a rw shared:7 - tmpfs t rw\n\
            22 21 0:6 / /mnt/a/b/c rw - tmpfs t rw\n\
            23 20 0:7 / /mnt rw - tmpfs t rw\n\
            24 23 0:8 / /mnt rw - tmpfs t rw";
        let mounts = parse(table);
        let id = |path: &str| containing(&mounts, Path::new(path)).unwrap().id;
        assert_eq!((id("/"), id("/mnt2"), id("/mnt")), (20, 20, 24));
        // Mounted later over its parent, 24 hides what is mounted in there.
        assert_eq!(id("/mnt/a/b/c/d"), 24);
        let before: Vec<_> = mounts[..3].to_vec();
        let id = |path: &str| containing(&before, Path::new(path)).unwrap().id;
        assert_eq!((id("/mnt/a/b"), id("/mnt/a/b/c/d")), (21, 22));
        assert_eq!(containing(&[], Path::new("/")), None);
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
            let _ = containing(&mounts, Path::new("/a/b"));
            let mut line = b"1 2 0:3 / ".to_vec();
            line.extend(text.iter().filter(|byte| !b" \n".contains(byte)));
            line.extend(b" rw - t s");
            let _ = parse(&line);
        });
    }
}
