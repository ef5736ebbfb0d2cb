//! Transfers under way: how many, and what they hold in memory.
//!
//! Bytes are handed on as the tree gives them, without a copy, and no more of them at one time than
//! two pieces for each transfer, one that is being sent and one behind it: of [`PIECE`] while [`HELD`]
//! has room, of [`LEAST`] beyond it. So a reader that stands still holds little, and nobody waits for
//! another's memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use debridfs_listen::{ByteBudget, Digest32, Taken, digest};
use debridfs_vfs::{Attr, Client, Error, ErrorKind, ReadRequest, Vfs};
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;

use crate::files::LIMIT;

/// Bytes of one read.
const PIECE: u64 = 256 << 10;
/// Bytes that the pieces of all transfers may hold together: 64 readers at full speed.
const HELD: u64 = 16 << 20;
/// Bytes of one read where these are held already.
const LEAST: u64 = 32 << 10;
/// Transfers by one token at one time: that of `.strm` files is everybody's at home, and a player
/// opens two or three for one film.
const PER_TOKEN: usize = 64;

/// All transfers of a front.
#[derive(Debug)]
pub(crate) struct Transfers {
    held: Arc<ByteBudget>,
    /// How many there are by the hash of their token.
    by_token: Arc<Mutex<HashMap<Digest32, usize>>>,
}

/// One transfer's turn; over when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    token: Digest32,
    by_token: Arc<Mutex<HashMap<Digest32, usize>>>,
}

impl Default for Transfers {
    fn default() -> Self {
        Self {
            held: ByteBudget::new(HELD),
            by_token: Arc::default(),
        }
    }
}

impl Transfers {
    /// A turn for whoever shows `token`, unless it has as many as it may have.
    pub(crate) fn begin(&self, token: &str) -> Option<Turn> {
        let token = digest(token);
        let mut by_token = self.by_token.lock();
        let count = by_token.entry(token).or_default();
        if *count >= PER_TOKEN {
            return None;
        }
        *count += 1;
        drop(by_token);
        let by_token = self.by_token.clone();
        Some(Turn { token, by_token })
    }

    /// The bytes of `range`. The first ones are there when this returns, so what cannot be read at all is an error and no half answer;
    /// what fails later ends the connection before the promised length.
    pub(crate) async fn body(
        &self,
        turn: Turn,
        vfs: Arc<dyn Vfs>,
        client: Client,
        attr: Attr,
        range: Range<u64>,
    ) -> Result<Body, Error> {
        if range.is_empty() {
            return Ok(Body::empty());
        }
        let handle = vfs.open(attr.id).get().await?;
        let open = Open {
            vfs,
            attr,
            handle,
            client,
        };
        let mut transfer = Transfer {
            open,
            held: self.held.clone(),
            left: range,
            piece: Vec::new().into_iter(),
            _turn: turn,
        };
        transfer.read().await?;
        Ok(Body::from_stream(transfer.stream()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut by_token = self.by_token.lock();
        if let Some(count) = by_token.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                by_token.remove(&self.token);
            }
        }
    }
}

/// An open file; closed when dropped.
struct Open {
    vfs: Arc<dyn Vfs>,
    attr: Attr,
    handle: u64,
    client: Client,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.vfs.release(self.handle);
    }
}

/// Bytes that count until the last of them has been sent.
struct Counted {
    bytes: Bytes,
    _taken: Arc<Taken>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is left of one answer.
struct Transfer {
    open: Open,
    held: Arc<ByteBudget>,
    /// What has not been read yet.
    left: Range<u64>,
    /// What has been read and not handed on.
    piece: std::vec::IntoIter<Bytes>,
    _turn: Turn,
}

impl Transfer {
    /// Reads the next piece.
    async fn read(&mut self) -> Result<(), Error> {
        let taken = self.held.try_take(PIECE).map(Arc::new);
        let most = if taken.is_some() { PIECE } else { LEAST };
        let size = most.min(self.left.end - self.left.start);
        let request = ReadRequest {
            id: self.open.attr.id,
            handle: self.open.handle,
            offset: self.left.start,
            // A piece at most.
            size: size as u32,
            deadline: LIMIT,
            client: self.open.client,
        };
        let pieces = self.open.vfs.read(request).get().await?;
        if pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() != size {
            let words = "fewer bytes than there should be";
            return Err(Error::new(ErrorKind::Unavailable, words));
        }
        self.left.start += size;
        self.piece = match taken {
            None => pieces,
            Some(taken) => {
                let counted = pieces.into_iter().map(|bytes| Counted {
                    bytes,
                    _taken: taken.clone(),
                });
                counted.map(Bytes::from_owner).collect()
            }
        }
        .into_iter();
        Ok(())
    }

    /// What was read, then what is left.
    fn stream(self) -> impl Stream<Item = Result<Bytes, Error>> {
        stream::try_unfold(self, |mut transfer| async move {
            loop {
                if let Some(bytes) = transfer.piece.next() {
                    return Ok(Some((bytes, transfer)));
                }
                if transfer.left.is_empty() {
                    return Ok(None);
                }
                transfer.read().await?;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_so_many_transfers_and_another_one_its_own() {
        let transfers = Transfers::default();
        let mut turns: Vec<_> = (0..PER_TOKEN)
            .map(|_| transfers.begin("a").unwrap())
            .collect();
        assert!(transfers.begin("a").is_none());
        assert!(transfers.begin("b").is_some());
        turns.pop();
        assert!(transfers.begin("a").is_some());
        drop(turns);
        assert!(transfers.by_token.lock().is_empty());
    }
}
