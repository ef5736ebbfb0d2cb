//! READ: the bytes asked for, or all there are up to the end of the file, or an error.

use std::sync::Arc;

use debridfs_vfs::{Answer, Attr, ReadOut, ReadRequest, Vfs};

use super::Subject;
use crate::backend::Outcome;
use crate::errno;
use crate::policy::{expected, length};
use crate::wire::Reply;

pub(super) fn read(
    vfs: &Arc<dyn Vfs>,
    subject: Subject,
    wanted: ReadRequest,
    reply: &mut Reply,
) -> Outcome {
    match vfs.read(wanted) {
        Answer::Now(Ok(spans)) if length(&spans) == u64::from(wanted.size) => {
            reply.set_spans(spans);
            Outcome::Ready
        }
        Answer::Now(Ok(spans)) => match vfs.attr(wanted.id) {
            Answer::Now(attr) => {
                end(subject, wanted, spans, attr, reply);
                Outcome::Ready
            }
            Answer::Later(attr) => Outcome::Later(Box::pin(async move {
                let mut reply = Reply::new();
                end(subject, wanted, spans, attr.await, &mut reply);
                reply
            })),
        },
        Answer::Now(Err(error)) => {
            subject.fail_with(reply, &error);
            Outcome::Ready
        }
        Answer::Later(future) => {
            let vfs = Arc::clone(vfs);
            Outcome::Later(Box::pin(async move {
                let mut reply = Reply::new();
                match future.await {
                    Ok(spans) if length(&spans) == u64::from(wanted.size) => {
                        reply.set_spans(spans);
                    }
                    Ok(spans) => {
                        let attr = match vfs.attr(wanted.id) {
                            Answer::Now(attr) => attr,
                            Answer::Later(attr) => attr.await,
                        };
                        end(subject, wanted, spans, attr, &mut reply);
                    }
                    Err(error) => subject.fail_with(&mut reply, &error),
                }
                reply
            }))
        }
    }
}

/// Answers with the bytes, if they are as many as there have to be.
fn end(
    subject: Subject,
    wanted: ReadRequest,
    spans: ReadOut,
    attr: debridfs_vfs::Result<Attr>,
    reply: &mut Reply,
) {
    match attr {
        Ok(attr) => {
            let expected = expected(&attr, &wanted);
            let got = length(&spans);
            if got == expected {
                reply.set_spans(spans);
            } else {
                let why = format_args!("{got} bytes instead of {expected}");
                subject.fail(reply, errno::WRONG_LENGTH, &why);
            }
        }
        Err(error) => subject.fail_with(reply, &error),
    }
}
