//! Recordings of what is read: paths are looked up in the tree, reads come from the content.

use std::path::PathBuf;
use std::sync::Arc;

use debridfs_content::{Content, RecordError};
use debridfs_tree::{Tree, files_below};
use debridfs_web::{Beginning, TraceRefused, Traces};
use serde_json::Value;

use super::parts::Parts;

/// Files that one recording may be limited to; whoever wants more records all.
const MOST_FILES: usize = 10_000;

/// Records for those who ask over the control socket.
pub struct Recordings {
    content: Arc<Content>,
    tree: Arc<Tree>,
    mount: PathBuf,
}

impl Recordings {
    /// Records reads of `parts`, shown at `mount`.
    pub fn new(parts: &Parts, mount: PathBuf) -> Self {
        Self {
            content: parts.content.clone(),
            tree: parts.tree.clone(),
            mount,
        }
    }
}

impl Traces for Recordings {
    fn begin(&self, path: Option<PathBuf>) -> Beginning {
        let (content, tree) = (self.content.clone(), self.tree.clone());
        let mount = self.mount.clone();
        Box::pin(async move {
            let files = match path {
                None => None,
                Some(path) => {
                    let files = files_below(&*tree, &mount, &path, MOST_FILES).await;
                    let files = files.map_err(|error| TraceRefused::Path(error.to_string()))?;
                    Some(files.into_iter().map(|(_, attr)| attr.id.0).collect())
                }
            };
            content.begin_trace(files).map_err(refused)
        })
    }

    fn take(&self, recording: u64, end: bool) -> Result<Vec<Value>, TraceRefused> {
        let lines = self.content.take_trace(recording, end).map_err(refused)?;
        // A line is made of numbers and words, which always have a form.
        let values = lines.into_iter().map(serde_json::to_value);
        Ok(values.filter_map(Result::ok).collect())
    }
}

fn refused(error: RecordError) -> TraceRefused {
    match error {
        RecordError::Busy => TraceRefused::Busy,
        RecordError::Unknown => TraceRefused::Unknown,
    }
}
