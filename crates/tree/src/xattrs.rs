//! Extended attributes `user.debridfs.*` of releases' directories and files.

use debridfs_provider::Source;

use crate::snapshot::{Node, Snapshot};
use crate::sources::FileReader;

/// Before every name.
const PREFIX: &str = "user.debridfs.";
/// The info-hash.
const HASH: &str = "hash";
/// The providers that hold the release, with commas.
const PROVIDER: &str = "provider";
/// Why the release is in `__bad__`.
const REASON: &str = "reason";
/// Seconds since the file's direct link was made, while there is one.
const LINK_AGE: &str = "link_age";

impl Snapshot {
    /// Where the bytes of a file of a release are.
    pub(crate) fn sources(&self, node: Node<'_>) -> Vec<Source> {
        match node {
            Node::File { dir, file } => dir
                .tree()
                .map(|tree| tree.sources(file).collect())
                .unwrap_or_default(),
            Node::Root | Node::Version | Node::View(_) | Node::Dir(_) => Vec::new(),
        }
    }

    /// The attribute's value; `None` if the node has no such attribute.
    pub(crate) fn xattr(
        &self,
        node: Node<'_>,
        name: &str,
        reader: &dyn FileReader,
    ) -> Option<String> {
        let (Node::Dir(dir) | Node::File { dir, .. }) = node else {
            return None;
        };
        let release = dir.release();
        match name.strip_prefix(PREFIX)? {
            HASH => Some(release.id.to_string()),
            PROVIDER => Some(release.providers().collect::<Vec<_>>().join(",")),
            REASON => release.bad.map(|reason| reason.as_str().to_owned()),
            LINK_AGE => {
                let sources = self.sources(node);
                let age = sources.iter().find_map(|source| reader.link_age(source))?;
                Some(age.as_secs().to_string())
            }
            _ => None,
        }
    }

    /// Names of the attributes that the node has.
    pub(crate) fn xattrs(&self, node: Node<'_>, reader: &dyn FileReader) -> Vec<String> {
        [HASH, PROVIDER, REASON, LINK_AGE]
            .into_iter()
            .map(|name| format!("{PREFIX}{name}"))
            .filter(|name| self.xattr(node, name, reader).is_some())
            .collect()
    }
}
