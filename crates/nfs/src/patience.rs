//! How long a request waits, and what its client is told then.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use debridfs_listen::Taken;
use debridfs_vfs::{Answer, Error, ErrorKind, ReadOut, ReadRequest, Result};
use futures_util::FutureExt;
use futures_util::future::abortable;
use nfs3_types::nfs3::nfsstat3;
use tokio::time::{Instant, timeout};

use crate::delayed::{Asked, What};
use crate::nfs::Target;
use crate::server::NfsServer;
use crate::status::of_kind;

/// What came of a read that went on while its client waited to ask again.
pub(crate) struct Finished {
    /// `None` where there was no room for the bytes: they are read again, most likely from memory.
    result: Option<Result<ReadOut>>,
    _kept: Option<Taken>,
}

/// What was asked, apart from the node, in few bytes.
pub(crate) fn told(procedure: u32, arguments: impl Hash) -> What {
    let mut hasher = DefaultHasher::new();
    (procedure, arguments).hash(&mut hasher);
    What::Told(hasher.finish())
}

impl NfsServer {
    /// The answer, if it is there before the export's patience ends. While the library is not known its client asks again for as
    /// long as it takes; what is slow for another reason fails once the deadline of a read has passed.
    pub(crate) async fn ask<T>(
        &self,
        target: &Target<'_>,
        what: What,
        answer: Answer<T>,
    ) -> std::result::Result<T, nfsstat3> {
        let later = match answer {
            Answer::Now(answer) => return answer.map_err(|error| failed(&error)),
            Answer::Later(later) => later,
        };
        let asked = target.asked(what);
        let first = self
            .delayed
            .find(&asked, 0)
            .map_or_else(Instant::now, |(first, _)| first);
        let left = self.read_deadline.saturating_sub(first.elapsed());
        match timeout(target.export.patience.min(left), later).await {
            Ok(Ok(value)) => {
                self.delayed.forget(&asked);
                Ok(value)
            }
            Ok(Err(error)) if error.kind != ErrorKind::TimedOut => {
                self.delayed.forget(&asked);
                Err(failed(&error))
            }
            _ if first.elapsed() >= self.read_deadline => {
                self.delayed.forget(&asked);
                Err(nfsstat3::NFS3ERR_IO)
            }
            _ => {
                self.delayed.keep(asked, first, None);
                Err(nfsstat3::NFS3ERR_JUKEBOX)
            }
        }
    }

    /// The bytes of a read, if they are there before the export's patience ends. After it the reading goes on, for when its client
    /// asks again.
    pub(crate) async fn read_patiently(
        &self,
        target: &Target<'_>,
        request: ReadRequest,
    ) -> std::result::Result<ReadOut, nfsstat3> {
        let asked = target.asked(What::Read(request.offset));
        let known = self.delayed.find(&asked, request.size);
        let (first, before) = known.unwrap_or_else(|| (Instant::now(), None));
        let left = self.read_deadline.saturating_sub(first.elapsed());
        if left.is_zero() {
            self.delayed.forget(&asked);
            return Err(nfsstat3::NFS3ERR_IO);
        }
        let waits = target.export.patience.min(left);
        let until = Instant::now() + waits;
        if let Some(before) = before {
            match timeout(waits, before).await {
                Ok(finished) => {
                    if let Some(result) = finished.result.clone() {
                        return self.read_ended(&asked, first, result);
                    }
                }
                Err(_) => return Err(self.not_yet(&asked, first)),
            }
        }
        let deadline = self.read_deadline.saturating_sub(first.elapsed());
        let mut later = match self.vfs.read(ReadRequest {
            deadline,
            ..request
        }) {
            Answer::Now(result) => return self.read_ended(&asked, first, result),
            Answer::Later(later) => later,
        };
        let waits = until.saturating_duration_since(Instant::now());
        if let Ok(result) = timeout(waits, &mut later).await {
            return self.read_ended(&asked, first, result);
        }
        if first.elapsed() >= self.read_deadline {
            return Err(self.not_yet(&asked, first));
        }
        let (kept, limit) = (self.kept.clone(), self.read_deadline);
        let (work, stop) = abortable(async move {
            let read = timeout(limit, later).await;
            let result = read.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
            let size = result
                .as_ref()
                .map_or(0, |bytes| bytes.iter().map(Bytes::len).sum());
            let taken = kept.try_take(size as u64);
            Arc::new(Finished {
                result: taken.is_some().then_some(result),
                _kept: taken,
            })
        });
        let given_up = || {
            Arc::new(Finished {
                result: Some(Err(ErrorKind::Interrupted.into())),
                _kept: None,
            })
        };
        let work = work.map(move |ended| ended.unwrap_or_else(|_| given_up()));
        let work = work.boxed().shared();
        tokio::spawn(work.clone());
        self.delayed
            .keep(asked, first, Some((request.size, work, stop)));
        Err(nfsstat3::NFS3ERR_JUKEBOX)
    }

    fn read_ended(
        &self,
        asked: &Asked,
        first: Instant,
        result: Result<ReadOut>,
    ) -> std::result::Result<ReadOut, nfsstat3> {
        match result {
            Ok(bytes) => {
                self.delayed.forget(asked);
                Ok(bytes)
            }
            // It is not the file's fault, so its reader waits for as long as for any read.
            Err(error) if error.kind == ErrorKind::NotYet => Err(self.not_yet(asked, first)),
            Err(error) => {
                self.delayed.forget(asked);
                Err(failed(&error))
            }
        }
    }

    /// There is no answer: its client asks again unless the deadline has passed.
    fn not_yet(&self, asked: &Asked, first: Instant) -> nfsstat3 {
        if first.elapsed() >= self.read_deadline {
            self.delayed.forget(asked);
            return nfsstat3::NFS3ERR_IO;
        }
        self.delayed.note(*asked, first);
        nfsstat3::NFS3ERR_JUKEBOX
    }
}

/// The status of a failure, which is told in the log.
pub(crate) fn failed(error: &Error) -> nfsstat3 {
    let status = of_kind(error.kind);
    tracing::debug!(%status, %error, "a request over NFS failed");
    status
}
