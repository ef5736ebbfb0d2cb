//! Paths as people write them, and what the tree knows of them, without asking anybody.

use std::path::{Component, Path};
use std::sync::Arc;

use debridfs_base::NodeId;
use debridfs_catalogue::{ALL, BadReason, Copy, Layout};

use crate::snapshot::{Missing, Node, Snapshot};
use debridfs_vfs::{Error, ErrorKind, Result};

/// No answer about a directory names more files.
const MOST_FILES: usize = 200;

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path relative to the root.
    pub path: String,
    /// The release that it is, or is in; `None` for the root and views.
    pub release: Option<FoundRelease>,
    /// The file, or the files of the release below the directory, in the order of their paths.
    pub files: Vec<FoundFile>,
    /// Files that were left out as there are too many.
    pub omitted: usize,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRelease {
    /// The name shown.
    pub name: String,
    /// What names it: its info-hash, 40 hexadecimal digits, if it has one.
    pub hash: String,
    /// Providers that hold it.
    pub providers: Vec<String>,
    /// Its copies in all accounts, the preferred one first.
    pub copies: Vec<Arc<Copy>>,
    /// Why it cannot be served.
    pub bad: Option<BadReason>,
    /// Whether its files are known.
    pub known: bool,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path relative to the release.
    pub path: String,
    /// Its id, as the reader knows it.
    pub id: NodeId,
    /// Bytes.
    pub size: u64,
    /// Places it can be read from.
    pub sources: usize,
}

impl Snapshot {
    /// See [`crate::Tree::explain`].
    pub(crate) fn explain(&self, mount: &Path, path: &str) -> Result<Found> {
        let unknown = || Error::new(ErrorKind::NotFound, format!("{path} is not in the library"));
        let given = Path::new(path);
        let parts = |path: &Path| -> Option<Vec<String>> {
            let parts = path.components().filter(|part| *part != Component::CurDir);
            let names = parts.filter(|part| *part != Component::RootDir);
            names
                .map(|part| match part {
                    Component::Normal(name) => name.to_str().map(str::to_owned),
                    _ => None,
                })
                .collect()
        };
        let all = parts(given).ok_or_else(unknown)?;
        let mut readings = Vec::new();
        match given.strip_prefix(mount) {
            Ok(inside) => readings.extend(parts(inside)),
            Err(_) => {
                if given.is_relative() {
                    readings.push(all.clone());
                }
                // The same mount as another host or container sees it: whatever begins with a view.
                readings.extend((1..all.len()).map(|at| all[at..].to_vec()));
                if given.is_relative() {
                    let mut below_all = vec![ALL.to_owned()];
                    below_all.extend(all);
                    readings.push(below_all);
                }
            }
        }
        for names in readings {
            match self.walk(&names) {
                Ok(node) => return Ok(self.found(names.join("/"), node)),
                Err(Missing::Contents(_)) => {
                    // Its release is known, if not its files.
                    if let Ok(node) = self.walk(&names[..2.min(names.len())]) {
                        return Ok(self.found(names.join("/"), node));
                    }
                }
                Err(Missing::Failed(error)) if error.kind == ErrorKind::NotYet => {
                    return Err(error);
                }
                Err(Missing::Failed(_) | Missing::Node(_) | Missing::Strm) => {}
            }
        }
        Err(unknown())
    }

    fn walk(&self, names: &[String]) -> std::result::Result<Node<'_>, Missing> {
        let mut at = Node::Root;
        for name in names {
            at = self.lookup(self.attr(at).id, name.as_bytes())?;
        }
        Ok(at)
    }

    fn found(&self, path: String, node: Node<'_>) -> Found {
        let (Node::Dir(dir) | Node::File { dir, .. } | Node::Strm { dir, .. }) = node else {
            return Found {
                path,
                release: None,
                files: Vec::new(),
                omitted: 0,
            };
        };
        let release = dir.release();
        let mut files = Vec::new();
        if let Some(tree) = dir.tree() {
            let below = tree.dirs[dir.number() as usize].as_str();
            for file in &tree.files {
                let place = &tree.dirs[file.dir as usize];
                let wanted = match node {
                    Node::File { file: one, .. } | Node::Strm { file: one, .. } => {
                        one.id == file.id
                    }
                    _ => Path::new(place).starts_with(below),
                };
                if wanted {
                    files.push(FoundFile {
                        path: tree.path_of(Layout::Tree, file),
                        id: file.id,
                        size: file.size,
                        sources: tree.places_of(file).len(),
                    });
                }
            }
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let omitted = files.len().saturating_sub(MOST_FILES);
        files.truncate(MOST_FILES);
        Found {
            path,
            release: Some(FoundRelease {
                name: dir.entry.name.to_string(),
                hash: release.id.to_string(),
                providers: release.providers().map(str::to_owned).collect(),
                copies: release.copies.to_vec(),
                bad: release.bad,
                known: dir.tree().is_some(),
            }),
            files,
            omitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::Tree;
    use crate::testing::{Shelf, config, no_account, nobody, torrent};

    #[tokio::test]
    async fn paths_are_found_as_people_write_them() {
        let library = Shelf::new().of(vec![
            torrent(1, "Film", Some(&["/Film.mkv", "/Subs/English.srt"])),
            torrent(2, "Other", None),
        ]);
        let (_sender, receiver) = watch::channel(library);
        let tree = Tree::new(config(Layout::Tree), receiver, no_account(), nobody);
        let look = |path: &str| tree.explain(Path::new("/mnt/dfs"), path);
        for path in [
            "/mnt/dfs/__all__/Film/Film.mkv",
            "/host/volumes/dfs/__all__/Film/Film.mkv",
            "__all__/Film/Film.mkv",
            "./__all__//Film/Film.mkv",
            "Film/Film.mkv",
        ] {
            let found = look(path).unwrap();
            assert_eq!(found.path, "__all__/Film/Film.mkv", "{path}");
            assert_eq!(found.files.len(), 1, "{path}");
            assert_eq!(found.files[0].path, "Film.mkv");
            assert_eq!(found.release.unwrap().name, "Film");
        }
        let release = look("Film").unwrap();
        let files: Vec<_> = release.files.iter().map(|file| &*file.path).collect();
        assert_eq!(files, ["Film.mkv", "Subs/English.srt"]);
        let subs = look("/mnt/dfs/__all__/Film/Subs/").unwrap();
        assert_eq!(subs.files.len(), 1);
        for path in ["Other", "Other/Other.mkv"] {
            let unknown = look(path).unwrap();
            assert!(!unknown.release.unwrap().known, "{path}");
            assert_eq!(unknown.files, []);
        }
        assert_eq!(look("/mnt/dfs").unwrap().release, None);
        for path in [
            "Fulm",
            "/etc/passwd",
            "/mnt/dfs/Film/Film.mkv",
            "__all__/../Film",
            "__all__/Film/Film.mkv/x",
        ] {
            let kind = look(path).unwrap_err().kind;
            assert_eq!(kind, ErrorKind::NotFound, "{path}");
        }
    }
}
