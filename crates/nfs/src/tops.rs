//! Where the directories of the exports are, so that not every `..` and every page of a listing resolves a path.

use std::collections::HashMap;
use std::time::Duration;

use debridfs_vfs::{Answer, Attr, ErrorKind, Kind, NodeId, Vfs};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::export::Export;
use crate::nfs::{Done, Target};
use crate::patience::told;
use crate::server::NfsServer;

/// After so long the path is looked at again: what is at it may have changed.
const FRESH: Duration = Duration::from_secs(1);

/// The node of each export, by its `fsid`, and when it was found.
#[derive(Debug, Default)]
pub(crate) struct Tops(Mutex<HashMap<u64, (NodeId, Instant)>>);

impl NfsServer {
    /// The directory that is exported.
    pub(crate) async fn top(&self, target: &Target<'_>) -> Done<Attr> {
        if let Some(id) = self.known_top(target.export)
            && let Answer::Now(Ok(attr)) = self.vfs.attr(id)
        {
            return Ok(attr);
        }
        let mut attr = self.vfs.root();
        for name in names(target.export) {
            let what = told(0, name);
            let found = self.vfs.lookup(attr.id, name.as_bytes());
            attr = self.ask(target, what, found).await?;
        }
        let found = (attr.id, Instant::now());
        self.tops.0.lock().insert(target.export.fsid, found);
        Ok(attr)
    }

    fn known_top(&self, export: &Export) -> Option<NodeId> {
        let tops = self.tops.0.lock();
        let known = tops.get(&export.fsid);
        known
            .filter(|(_, found)| found.elapsed() < FRESH)
            .map(|(id, _)| *id)
    }

    /// The exports whose path is known to lead to no directory of the library now.
    pub(crate) fn missing(&self) -> Vec<String> {
        let exports = self.exports.iter();
        let missing = exports.filter(|export| leads_nowhere(&*self.vfs, export));
        missing.map(|export| export.name.clone()).collect()
    }
}

fn names(export: &Export) -> impl Iterator<Item = &str> {
    export.path.split('/').filter(|name| !name.is_empty())
}

fn leads_nowhere(vfs: &dyn Vfs, export: &Export) -> bool {
    let mut attr = vfs.root();
    for name in names(export) {
        match vfs.lookup(attr.id, name.as_bytes()) {
            Answer::Now(Ok(found)) => attr = found,
            Answer::Now(Err(error)) => {
                return matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotDirectory);
            }
            Answer::Later(_) => return false,
        }
    }
    attr.kind != Kind::Directory
}
