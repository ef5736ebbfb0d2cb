//! Brings files into the cache before anybody reads them.

use std::collections::HashSet;
use std::time::Duration;

use debridfs_cache::{Cache, FileId};
use debridfs_vfs::{Answer, Client, NodeId, ReadRequest, Vfs};
use tokio::time::Instant;

use crate::Tree;

/// Bytes read at once, and before the disk is waited for: half of what may wait for it.
const STEP: u64 = 1 << 20;
const BEFORE_DISK: u64 = 8 << 20;

/// What came of warming for a while.
#[derive(Default)]
pub struct Warming {
    /// Bytes that were read.
    pub fetched: u64,
    /// Why the first read that failed did.
    pub trouble: Option<String>,
    /// Files that the library itself refuses to read, so that nobody was asked for their bytes.
    pub unreadable: HashSet<u64>,
}

impl Tree {
    /// Reads what `cache` lacks of `files`, for about `time`, as the reader `handle`. A file that
    /// makes trouble is left for the next call.
    pub async fn warm(
        &self,
        cache: &Cache,
        files: &[FileId],
        handle: u64,
        time: Duration,
    ) -> Warming {
        let end = Instant::now() + time;
        let mut warming = Warming::default();
        let mut waiting = 0;
        for file in files {
            let mut at = 0;
            while let Some(part) = cache.absent(*file, &(at..file.size)) {
                let size = (part.end - part.start).min(STEP);
                let request = ReadRequest {
                    id: NodeId(file.id),
                    handle,
                    offset: part.start,
                    // At most a step.
                    size: size as u32,
                    deadline: time * 2,
                    client: Client::Own,
                };
                let answer = match self.read(request) {
                    Answer::Now(answer) => {
                        if answer.is_err() {
                            warming.unreadable.insert(file.id);
                        }
                        answer
                    }
                    Answer::Later(answer) => answer.await,
                };
                if let Err(error) = answer {
                    warming.trouble.get_or_insert(error.to_string());
                    break;
                }
                at = part.start + size;
                waiting += size;
                warming.fetched += size;
                if Instant::now() >= end {
                    break;
                }
                if waiting >= BEFORE_DISK {
                    if let Err(error) = cache.flush().await {
                        warming.trouble.get_or_insert(error.to_string());
                        break;
                    }
                    waiting = 0;
                }
            }
            self.release(handle);
            if Instant::now() >= end {
                break;
            }
        }
        if let Err(error) = cache.flush().await {
            warming.trouble.get_or_insert(error.to_string());
        }
        warming
    }
}
