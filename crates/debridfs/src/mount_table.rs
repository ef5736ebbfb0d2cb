//! What is mounted where, read from `/proc/self/mountinfo`: the only answer that no bind mount can fool.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The file system type of our mounts.
pub const OUR_TYPE: &str = "fuse.debridfs";

/// The topmost mount at `path`: its file system type, if anything is mounted there.
pub fn type_at(path: &Path) -> std::io::Result<Option<String>> {
    Ok(type_in(&std::fs::read("/proc/self/mountinfo")?, path))
}

/// As [`type_at`], of the given table. Later lines lie over earlier ones.
fn type_in(table: &[u8], path: &Path) -> Option<String> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .filter(|(target, _)| target == path)
        .map(|(_, kind)| kind)
        .next_back()
}

/// Mount point and type of one line, as proc(5) describes it.
fn parse(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let target = unescape(fields.nth(4)?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((target, String::from_utf8_lossy(kind).into_owned()))
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 8).ok()
            });
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

/// `path` as the mount table writes it: its parent resolved, the last part left alone, so that the mount itself is not touched.
pub fn resolved(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !name.as_bytes().is_empty() => std::fs::canonicalize(parent)
            .map_or_else(|_| path.to_path_buf(), |parent| parent.join(name)),
        _ => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 0:20 / / rw shared:1 - ext4 /dev/sda rw\n\
30 22 0:30 / /mnt/with\\040space ro,nosuid shared:9 master:2 - fuse.debridfs debridfs ro\n\
31 22 0:31 / /mnt/dfs ro - fuse.debridfs debridfs ro\n\
32 31 0:32 / /mnt/dfs ro - nfs4 x:/y ro\n";

    #[test]
    fn the_topmost_mount_counts() {
        assert_eq!(
            type_in(TABLE, Path::new("/mnt/with space")).as_deref(),
            Some(OUR_TYPE)
        );
        assert_eq!(
            type_in(TABLE, Path::new("/mnt/dfs")).as_deref(),
            Some("nfs4")
        );
        assert_eq!(type_in(TABLE, Path::new("/mnt")), None);
        assert_eq!(type_in(b"garbage\n- -\n", Path::new("/mnt")), None);
    }
}
