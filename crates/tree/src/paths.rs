//! Paths that people type, found in the tree without touching the mount.

use std::path::{Component, Path, PathBuf};

use debridfs_vfs::{Attr, Error, ErrorKind, Kind, Result, Vfs};

/// Lines of a directory asked for at once.
const PAGE: usize = 1000;

/// The node at `path`, which lies below `mount` or is relative to the root, with its path relative to the root.
///
/// # Errors
/// There is no such path, or it cannot be told yet.
pub async fn node_at(vfs: &dyn Vfs, mount: &Path, path: &Path) -> Result<(PathBuf, Attr)> {
    let inside = path.strip_prefix(mount).unwrap_or(path);
    let mut at = (PathBuf::new(), vfs.root());
    for part in inside.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                let message = format!("{} is not below {}", path.display(), mount.display());
                return Err(Error::new(ErrorKind::NotFound, message));
            }
        };
        at.0.push(name);
        let found = vfs.lookup(at.1.id, name.as_encoded_bytes()).get().await;
        at.1 = found.map_err(|error| match error.kind {
            ErrorKind::NotFound => Error::new(
                ErrorKind::NotFound,
                format!("there is no {}", at.0.display()),
            ),
            _ => error,
        })?;
    }
    Ok(at)
}

/// The files at and below `path`, which lies below `mount` or is relative to the root, with their paths relative to the root.
///
/// # Errors
/// There is no such path, it has too many files (more than `most`), or the files of a release cannot be told.
pub async fn files_below(
    vfs: &dyn Vfs,
    mount: &Path,
    path: &Path,
    most: usize,
) -> Result<Vec<(PathBuf, Attr)>> {
    let at = node_at(vfs, mount, path).await?;
    let mut files = Vec::new();
    let mut left = vec![at];
    while let Some((path, attr)) = left.pop() {
        if attr.kind == Kind::File {
            files.push((path, attr));
            if files.len() > most {
                let message = format!("more than {most} files");
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            continue;
        }
        let mut cookie = 0;
        loop {
            let lines = vfs.read_dir(attr.id, cookie, PAGE).get().await?;
            let Some(last) = lines.last() else { break };
            cookie = last.cookie;
            for line in lines {
                if line.name != "." && line.name != ".." {
                    left.push((path.join(&line.name), line.attr));
                }
            }
        }
    }
    files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

#[cfg(test)]
mod tests {

    use debridfs_catalogue::Layout;
    use tokio::sync::watch;

    use super::*;
    use crate::Tree;
    use crate::testing::{Shelf, config, no_account, nobody, torrent};

    #[tokio::test]
    async fn what_people_type_is_found() {
        let library = Shelf::new().of(vec![
            torrent(1, "Film", Some(&["/Film.mkv", "/Subs/English.srt"])),
            torrent(2, "Other", Some(&["/Other.mkv"])),
        ]);
        let (_sender, receiver) = watch::channel(library);
        let tree = Tree::new(config(Layout::Tree), receiver, no_account(), nobody);
        let look = async |path: &str, most| {
            let mount = Path::new("/mnt/dfs");
            let found = files_below(&*tree, mount, Path::new(path), most).await;
            found.map(|files| {
                let paths = files.into_iter().map(|(path, _)| path);
                paths
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
            })
        };
        let film = ["__all__/Film/Film.mkv", "__all__/Film/Subs/English.srt"];
        assert_eq!(look("/mnt/dfs/__all__/Film", 9).await.unwrap(), film);
        assert_eq!(look("__all__/Film/", 9).await.unwrap(), film);
        assert_eq!(look("./__all__/Film/Film.mkv", 9).await.unwrap(), film[..1]);
        for (path, most, kind) in [
            ("__all__/Fulm", 9, ErrorKind::NotFound),
            ("/etc/passwd", 9, ErrorKind::NotFound),
            ("__all__/../Film", 9, ErrorKind::NotFound),
            ("__all__/Film/Film.mkv/x", 9, ErrorKind::NotDirectory),
            ("__all__", 2, ErrorKind::Invalid),
        ] {
            assert_eq!(look(path, most).await.unwrap_err().kind, kind, "{path}");
        }
    }
}
