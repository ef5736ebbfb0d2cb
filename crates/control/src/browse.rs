//! The library for programs that mount nothing: directories, nodes, searches, and addresses of files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::volume::Volume;
use debridfs_catalogue::ALL;
use debridfs_dav::signed_address;
use debridfs_listen::{TokenError, TokenRights, root_of};
use debridfs_provider::Priority;
use debridfs_tree::node_at;
use debridfs_vfs::{Attr, ErrorKind, Kind, NodeId, Vfs};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{RefusalKind, Refused};
use crate::{ReleaseLine, ReleaseQuery, RunningEngine};

/// The token that signs addresses; it is made when the first one is asked for.
pub const SIGNING: &str = "signed-urls";
/// Lines of a page, and results of a search, at most.
pub const MOST_LINES: usize = 1000;
/// An address is good for a week at most.
pub const LONGEST_URL: Duration = Duration::from_secs(7 * 24 * 3600);
/// What may be asked for a link takes its turn behind readers.
const LINK_WITHIN: Duration = Duration::from_secs(30);

/// What names a node: a path, or an id that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Below the mount point, or relative to the root.
    Path(PathBuf),
    /// An id.
    Id(NodeId),
    /// A path below a directory that is the root for whoever asks: nothing leads out of it.
    Below {
        /// The directory, as [`Caller::root`](debridfs_listen::Caller::root) holds it.
        root: String,
        /// Relative to that directory. `.`, `..` and NUL are no names.
        path: String,
    },
}

/// A node that was asked for.
struct Found {
    /// Its path relative to the library's root, where that is known.
    path: Option<String>,
    /// The same as whoever asks sees it.
    shown: Option<String>,
    attr: Attr,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// A directory or file of the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its inode number in decimal digits: it has up to 64 bits, which not every JSON parser keeps as a number. It never changes.
    pub id: String,
    /// Its path relative to the root, empty for the root itself; absent when it was asked for by the id of a directory.
    pub path: Option<String>,
    /// What it is.
    pub kind: NodeKind,
    /// Bytes of a file; 4096 of a directory.
    pub size: u64,
    /// When it was modified.
    pub modified: Timestamp,
}

/// A line of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeLine {
    /// Its name in the directory.
    pub name: String,
    /// As [`Node::id`].
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// As [`Node::size`].
    pub size: u64,
    /// When it was modified.
    pub modified: Timestamp,
}

/// A part of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// The directory.
    pub node: Node,
    /// Lines of it.
    pub entries: Vec<NodeLine>,
    /// The cursor that the next part begins at; absent at the end. It stays good while the directory changes.
    pub next: Option<String>,
}

/// A release that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundLine {
    /// Its path relative to the root.
    pub path: String,
    /// What is known of it.
    #[serde(flatten)]
    pub release: ReleaseLine,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Search {
    /// How many releases were found in all.
    pub total: usize,
    /// A part of them, by name.
    pub found: Vec<FoundLine>,
    /// The cursor that the next part begins at; absent at the end.
    pub next: Option<String>,
}

/// Whose address plays a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UrlKind {
    /// Served by debridfs, with fail-over between copies, and through its cache.
    #[default]
    Own,
    /// The provider's own link, which is often bound to the address that asked for it.
    Provider,
}

/// An address that plays a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Playable {
    /// The file.
    pub node: Node,
    /// The address. Whoever has it can read the file.
    pub url: String,
    /// Whose it is.
    pub by: UrlKind,
    /// The configured name of the provider that gave it, if one did.
    pub provider: Option<String>,
    /// When it ends; absent when the provider does not tell.
    pub expires: Option<Timestamp>,
}

fn kind(attr: &Attr) -> NodeKind {
    match attr.kind {
        Kind::Directory => NodeKind::Directory,
        Kind::File => NodeKind::File,
    }
}

fn node(path: Option<String>, attr: &Attr) -> Node {
    Node {
        id: attr.id.0.to_string(),
        path,
        kind: kind(attr),
        size: attr.size,
        modified: attr.mtime,
    }
}

/// The number in a cursor; 0 without one.
fn number<T: std::str::FromStr + Default>(cursor: Option<&str>) -> Result<T, Refused> {
    cursor.map_or(Ok(T::default()), |text| {
        let words = "not a cursor that was given as `next`";
        let number = text.parse();
        number.map_err(|_| Refused::new(RefusalKind::Invalid, words))
    })
}

impl RunningEngine {
    async fn locate(&self, at: &At) -> Result<Found, Refused> {
        let tree = &*self.parts.tree;
        match at {
            At::Id(id) => {
                let attr = tree.attr(*id).get().await?;
                let path = match *id {
                    NodeId::ROOT => Some(String::new()),
                    id => tree.path(id),
                };
                let shown = path.clone();
                Ok(Found { path, shown, attr })
            }
            At::Path(path) => {
                let (path, attr) = node_at(tree, &self.info.mount, path).await?;
                let path = Some(path.to_string_lossy().into_owned());
                let shown = path.clone();
                Ok(Found { path, shown, attr })
            }
            At::Below { root, path } => {
                // Words that name the root would tell of what is above it.
                let none = || {
                    let words = format!("there is no {path:?} below the root of this login");
                    Refused::new(RefusalKind::NotFound, words)
                };
                let shown = root_of(path).ok_or_else(none)?;
                let full = below(root, &shown);
                let found = node_at(tree, &self.info.mount, Path::new(&full)).await;
                let (_, attr) = found.map_err(|error| match error.kind {
                    ErrorKind::NotFound => none(),
                    _ => error.into(),
                })?;
                let (path, shown) = (Some(full), Some(shown));
                Ok(Found { path, shown, attr })
            }
        }
    }

    /// A directory or file.
    ///
    /// # Errors
    /// There is none, or it cannot be told yet.
    pub async fn stat(&self, at: &At) -> Result<Node, Refused> {
        let found = self.locate(at).await?;
        Ok(node(found.shown, &found.attr))
    }

    /// At most `limit` lines of a directory after `cursor`, which a part before gave as `next`.
    ///
    /// # Errors
    /// It is none, the cursor is none, or its lines cannot be told yet.
    pub async fn browse(
        &self,
        at: &At,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing, Refused> {
        let mut cookie: u64 = number(cursor)?;
        let limit = limit.clamp(1, MOST_LINES);
        let Found { shown, attr, .. } = self.locate(at).await?;
        let mut entries = Vec::new();
        let mut is_over = false;
        while entries.len() < limit && !is_over {
            let wanted = limit - entries.len();
            // `.` and `..` may come first.
            let lines = self.parts.tree.read_dir(attr.id, cookie, wanted + 2).get();
            let lines = lines.await?;
            is_over = lines.len() < wanted + 2;
            let named = lines
                .into_iter()
                .filter(|line| !matches!(&*line.name, "." | ".."));
            for line in named.take(wanted) {
                cookie = line.cookie;
                entries.push(NodeLine {
                    name: line.name,
                    id: line.attr.id.0.to_string(),
                    kind: kind(&line.attr),
                    size: line.attr.size,
                    modified: line.attr.mtime,
                });
            }
        }
        // Another look is cheaper than a last part without lines.
        let more = !self
            .parts
            .tree
            .read_dir(attr.id, cookie, 1)
            .get()
            .await?
            .is_empty();
        Ok(Listing {
            node: node(shown, &attr),
            next: (more && !entries.is_empty()).then(|| cookie.to_string()),
            entries,
        })
    }

    /// Releases of a view by words of their names or by info-hash, at most `limit` after `cursor`, which a part before gave
    /// as `next`. The view `view`, and the paths of what is found, are relative to `root`, the directory that whoever asks
    /// sees. Without `view` it is `root` itself if that is a view, and `__all__` otherwise. May look at every release, so it
    /// is to be called on the blocking pool.
    ///
    /// # Errors
    /// There is no such view, or the cursor is none.
    pub fn search(
        &self,
        root: &str,
        view: Option<&str>,
        text: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Search, Refused> {
        let skip: usize = number(cursor)?;
        let limit = limit.clamp(1, MOST_LINES);
        let none = || {
            let words = match view {
                Some(view) => format!("there is no view {view:?}"),
                None => "there is no view to be searched: name one".to_owned(),
            };
            Refused::new(RefusalKind::NotFound, words)
        };
        let names: Vec<_> = self.views().into_iter().map(|view| view.name).collect();
        let (view, shown) = searched(&names, root, view).ok_or_else(none)?;
        let query = ReleaseQuery {
            view,
            text: text.to_owned(),
            newest_first: false,
            skip,
            limit,
        };
        let list = self.releases(&query).ok_or_else(none)?;
        let end = skip.saturating_add(list.lines.len());
        let found = list.lines.into_iter().map(|release| FoundLine {
            path: below(&shown, &release.name),
            release,
        });
        Ok(Search {
            total: list.total,
            found: found.collect(),
            next: (end < list.total).then(|| end.to_string()),
        })
    }

    /// An address of ours that plays the file `at`, and ends after `lasts`, at most [`LONGEST_URL`].
    ///
    /// # Errors
    /// There is no such file, or files are not served over HTTP.
    pub async fn own_url(&self, at: &At, lasts: Duration) -> Result<Playable, Refused> {
        let (path, node) = self.file(at).await?;
        let http = &self.parts.tokens;
        if !http.served || http.url.is_empty() {
            let words = "files are not served over HTTP: set `http.listen` and `http.url`";
            return Err(Refused::new(RefusalKind::NotConfigured, words));
        }
        let lasts = SignedDuration::try_from(lasts.min(LONGEST_URL)).unwrap_or_default();
        let until = Timestamp::now() + lasts;
        let address = match signed_address(&http.tokens, SIGNING, &path, until) {
            Err(TokenError::Unknown(_)) => {
                self.make_signing().await?;
                signed_address(&http.tokens, SIGNING, &path, until)
            }
            signed => signed,
        }?;
        Ok(Playable {
            node,
            url: format!("{}{address}", http.url),
            by: UrlKind::Own,
            provider: None,
            expires: Some(until),
        })
    }

    async fn make_signing(&self) -> Result<(), Refused> {
        let tokens = self.parts.tokens.tokens.clone();
        let dir = tokens.dir().to_owned();
        let create = move || tokens.create(SIGNING, TokenRights::default(), Timestamp::now());
        match Volume::state().run(&dir, create).await? {
            // Another call was first.
            Ok(_) | Err(TokenError::Exists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A provider's own address of the file `at`.
    ///
    /// # Errors
    /// There is no such file, it is a part of an archive, or no provider gives a link now.
    pub async fn provider_url(&self, at: &At) -> Result<Playable, Refused> {
        let Found { shown, attr, .. } = self.found_file(at).await?;
        let sources = self.parts.tree.sources(attr.id);
        let mut last = Refused::new(
            RefusalKind::Conflict,
            "no provider has a link of its own for it",
        );
        for source in sources.iter().filter(|source| source.part.is_none()) {
            let all = &self.parts.providers;
            let Some(provider) = all.iter().find(|one| one.name() == source.provider) else {
                continue;
            };
            let asked = provider.unrestrict(Priority::User, &source.link);
            match tokio::time::timeout(LINK_WITHIN, asked).await {
                Ok(Ok(link)) => {
                    return Ok(Playable {
                        node: node(shown, &attr),
                        url: link.url,
                        by: UrlKind::Provider,
                        provider: Some(source.provider.clone()),
                        expires: None,
                    });
                }
                Ok(Err(error)) => {
                    last = Refused::new(
                        RefusalKind::Unavailable,
                        format!("{}: {error}", source.provider),
                    );
                }
                Err(_) => {
                    last = Refused::new(
                        RefusalKind::TimedOut,
                        format!("{} gave no link in time", source.provider),
                    );
                }
            }
        }
        Err(last)
    }

    /// A file of the library, with its path relative to the library's root.
    async fn file(&self, at: &At) -> Result<(String, Node), Refused> {
        let Found { path, shown, attr } = self.found_file(at).await?;
        let words = "a file whose path is not known: ask for it by its path";
        let path = path.ok_or_else(|| Refused::new(RefusalKind::Conflict, words))?;
        Ok((path, node(shown, &attr)))
    }

    async fn found_file(&self, at: &At) -> Result<Found, Refused> {
        let found = self.locate(at).await?;
        match found.attr.kind {
            Kind::File => Ok(found),
            Kind::Directory => {
                let shown = found.shown.unwrap_or_default();
                let words = format!("{shown:?} is a directory; name a file");
                Err(Refused::new(RefusalKind::Conflict, words))
            }
        }
    }
}

/// The view that is searched, and its path as whoever sees `root` sees it.
fn searched(names: &[String], root: &str, view: Option<&str>) -> Option<(String, String)> {
    let is_view = |path: &String| names.contains(path);
    let shown = match view {
        Some(view) => root_of(view)?,
        None if is_view(&root.to_owned()) => String::new(),
        None => ALL.to_owned(),
    };
    let view = below(root, &shown);
    is_view(&view).then_some((view, shown))
}

/// `path` below `root`; either may be empty.
fn below(root: &str, path: &str) -> String {
    match (root.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => root.to_owned(),
        (false, false) => format!("{root}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_stays_below_the_root_of_who_asks() {
        let names = ["__all__", "films", "rd"].map(str::to_owned);
        let found = |view: &str, shown: &str| Some((view.to_owned(), shown.to_owned()));
        for (root, view, expected) in [
            ("", None, found("__all__", "__all__")),
            ("", Some("films"), found("films", "films")),
            ("", Some("/films/"), found("films", "films")),
            ("", Some("none"), None),
            ("films", None, found("films", "")),
            ("films", Some(""), found("films", "")),
            ("films", Some("rd"), None),
            ("films", Some("../rd"), None),
            ("films", Some("/rd"), None),
            ("films/Film.2024", None, None),
            ("films/Film.2024", Some(".."), None),
            ("none", None, None),
        ] {
            assert_eq!(searched(&names, root, view), expected, "{root:?} {view:?}");
        }
    }
}
