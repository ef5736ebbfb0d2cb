//! From the path of a request to a node.

use debridfs_vfs::{Attr, Error, ErrorKind, Kind, Vfs};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in the part of an address between two slashes.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name as the part of an address between two slashes.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// A path of `/` and names, each of them encoded. No slash at the end.
pub(crate) fn encoded_path(path: &str) -> String {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(encoded).collect::<Vec<_>>().join("/")
}

/// The names of a path whose parts are percent-encoded, each as it is looked up.
///
/// # Errors
/// [`ErrorKind::NotFound`]: one is `.` or `..`, or holds a slash or a NUL, so it is no name. Nothing is
/// above the root, however it is written.
pub(crate) fn names(path: &str) -> Result<Vec<Vec<u8>>, Error> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let names = parts.map(|part| {
        let name: Vec<u8> = percent_decode_str(part).collect();
        let is_none =
            name == b"." || name == b".." || name.iter().any(|sign| b"/\0".contains(sign));
        match is_none {
            true => Err(Error::new(ErrorKind::NotFound, "not a name")),
            false => Ok(name),
        }
    });
    names.collect()
}

/// The node at `path` below `root`, whose names are not encoded; a slash at the end of `path` is for
/// directories alone.
///
/// # Errors
/// Those of the tree, and [`ErrorKind::NotFound`] for what is no path.
pub(crate) async fn find(vfs: &dyn Vfs, root: &str, path: &str) -> Result<Attr, Error> {
    let names = names(path)?;
    let root = root.split('/').filter(|name| !name.is_empty());
    let mut attr = vfs.root();
    for name in root
        .map(str::as_bytes)
        .chain(names.iter().map(Vec::as_slice))
    {
        attr = vfs.lookup(attr.id, name).get().await?;
    }
    if attr.kind == Kind::File && path.ends_with('/') {
        return Err(ErrorKind::NotDirectory.into());
    }
    Ok(attr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_down_and_nowhere_else() {
        let names = |path: &str| names(path).map_err(|error| error.kind);
        let two = Ok(vec![b"a b".to_vec(), b"c%\\".to_vec()]);
        assert_eq!(names("/a%20b//c%25%5c/"), two);
        assert_eq!(names("/"), Ok(Vec::new()));
        assert_eq!(names("%ff"), Ok(vec![b"\xff".to_vec()]));
        assert_eq!(names("a%zz"), Ok(vec![b"a%zz".to_vec()]));
        for path in [
            "..",
            "a/..",
            "%2e%2e",
            ".%2E/x",
            "a%2fb",
            "a%2F..%2fb",
            "%00",
            "a%00b",
            ".",
            "%2e",
        ] {
            assert_eq!(names(path), Err(ErrorKind::NotFound), "{path}");
        }
    }

    #[test]
    fn any_name_survives_an_address() {
        let path = "__all__/Ä & B #1?.mkv/100% [x] \\ ;.mkv";
        let decoded = names(&encoded_path(path)).unwrap();
        let back: Vec<_> = decoded
            .iter()
            .map(|name| str::from_utf8(name).unwrap())
            .collect();
        assert_eq!(back.join("/"), path);
    }
}
