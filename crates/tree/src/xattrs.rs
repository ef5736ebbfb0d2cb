//! Extended attributes `user.debridfs.*` of releases' directories and files.

use std::time::Duration;

use debridfs_provider::Source;

use crate::snapshot::{Node, Snapshot};

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
    /// The attribute's value; `None` if the node has no such attribute. `link_age` tells how old the
    /// direct link of a source is, if there is one.
    pub(crate) fn xattr(
        &self,
        node: Node<'_>,
        name: &str,
        link_age: impl Fn(&Source) -> Option<Duration>,
    ) -> Option<String> {
        let (Node::Dir(dir) | Node::File { dir, .. } | Node::Strm { dir, .. }) = node else {
            return None;
        };
        let release = dir.release();
        match name.strip_prefix(PREFIX)? {
            HASH => Some(release.id.to_string()),
            PROVIDER => Some(release.providers().collect::<Vec<_>>().join(",")),
            REASON => release.bad.map(|reason| reason.as_str().to_owned()),
            LINK_AGE => {
                let Node::File { dir, file } = node else {
                    return None;
                };
                let age = dir
                    .tree()?
                    .sources(file)
                    .find_map(|source| link_age(&source))?;
                Some(age.as_secs().to_string())
            }
            _ => None,
        }
    }

    /// Names of the attributes that the node has.
    pub(crate) fn xattrs(
        &self,
        node: Node<'_>,
        link_age: impl Fn(&Source) -> Option<Duration>,
    ) -> Vec<String> {
        [HASH, PROVIDER, REASON, LINK_AGE]
            .into_iter()
            .map(|name| format!("{PREFIX}{name}"))
            .filter(|name| self.xattr(node, name, &link_age).is_some())
            .collect()
    }
}
