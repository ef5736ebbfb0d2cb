//! One connection: calls are taken from it, carried out beside each other, and answered in the order in which they are done.

use std::future::Future;
use std::io;

use bytes::Bytes;
use debridfs_listen::{Busy, Guest};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::record::Records;
use crate::reply::{Outgoing, Reply};

/// Calls of one connection that are carried out at one time; Linux sends up to 65 536 of them.
const CALLS: usize = 64;
/// Bytes of replies that wait to be sent, above which no further call is taken.
const UNSENT: usize = 1 << 20;
/// Room for what comes in.
const INPUT: usize = 16 << 10;

/// Serves one connection until it ends. `answer` gives nothing for what is no call: then the connection is of no use.
pub(crate) async fn serve<S, F>(stream: S, guest: Guest, mut answer: impl FnMut(Bytes) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Option<Reply>>,
{
    let (mut input, mut output) = tokio::io::split(stream);
    let mut records = Records::default();
    let mut calls = FuturesUnordered::new();
    let mut outgoing = Outgoing::default();
    loop {
        while calls.len() < CALLS && outgoing.len() < UNSENT {
            match records.take() {
                Ok(Some(record)) => calls.push(carry_out(guest.begin(), answer(record.freeze()))),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(peer = ?guest.peer, %error, "a connection over NFS was closed");
                    return;
                }
            }
        }
        let takes_more = calls.len() < CALLS && outgoing.len() < UNSENT;
        records.input.reserve(INPUT);
        // Nothing is lost where another branch is first: a read or write that was not done moved no byte.
        tokio::select! {
            biased;
            sent = write_some(&mut output, &outgoing), if outgoing.len() > 0 => match sent {
                Ok(count) if count > 0 => outgoing.sent(count),
                _ => return,
            },
            Some((reply, busy)) = calls.next(), if !calls.is_empty() => match reply {
                Some(reply) => outgoing.push(reply, busy),
                None => return,
            },
            read = input.read_buf(&mut records.input), if takes_more => match read {
                Ok(count) if count > 0 => {}
                _ => return,
            },
        }
    }
}

async fn carry_out(
    busy: Busy,
    answer: impl Future<Output = Option<Reply>>,
) -> (Option<Reply>, Busy) {
    (answer.await, busy)
}

async fn write_some(
    output: &mut (impl AsyncWrite + Unpin),
    outgoing: &Outgoing,
) -> io::Result<usize> {
    output.write_vectored(&outgoing.slices()).await
}
