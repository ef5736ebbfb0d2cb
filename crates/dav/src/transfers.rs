//! Transfers under way: how many, and what they hold in memory.
//!
//! Bytes are handed on as the tree gives them, without a copy, and no more of them at one time than
//! two pieces for each transfer, one that is being sent and one behind it. All transfers share [`HELD`]
//! in equal parts, of which a piece is at most [`PIECE`] and at least [`LEAST`]; where readers that stand
//! still have it, the others go on by [`LEAST`]. So a reader that stands still holds little, nobody
//! waits for another's memory, and nobody has larger pieces than others. After each piece it is the turn
//! of the next transfer.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use bytes::Bytes;
use debridfs_listen::{ByteBudget, Digest32, Taken};
use debridfs_vfs::{Attr, Client, Error, ErrorKind, ReadRequest, Vfs};
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;

use crate::content::LIMIT;

/// Bytes of one read.
const PIECE: u64 = 256 << 10;
/// Bytes that the pieces of all transfers may hold together: 32 readers at full speed.
const HELD: u64 = 16 << 20;
/// Bytes of one read where these are held already.
const LEAST: u64 = 32 << 10;
/// Transfers of one caller at one time: the token of `.strm` files is everybody's at home, and a
/// player opens two or three for one film.
const PER_CALLER: usize = 64;

/// All transfers of a front.
#[derive(Debug)]
pub(crate) struct Transfers {
    held: Arc<ByteBudget>,
    by_caller: Arc<Mutex<HashMap<CallerKey, usize>>>,
    /// How many there are.
    count: Arc<AtomicU64>,
}

/// Who a caller is, by the hash of its name or token.
pub(crate) type CallerKey = Digest32;

/// One transfer's turn; over when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    caller: CallerKey,
    by_caller: Arc<Mutex<HashMap<CallerKey, usize>>>,
    count: Arc<AtomicU64>,
}

/// One section of the body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Section {
    /// This text, as it is.
    Text(Bytes),
    /// These bytes of the file.
    File(Range<u64>),
}

impl Section {
    /// In bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File(range) => range.end - range.start,
        }
    }
}

impl Default for Transfers {
    fn default() -> Self {
        Self {
            held: ByteBudget::new(HELD),
            by_caller: Arc::default(),
            count: Arc::default(),
        }
    }
}

impl Transfers {
    /// A turn for `caller`, unless it has as many as it may have.
    pub(crate) fn begin(&self, caller: CallerKey) -> Option<Turn> {
        let mut by_caller = self.by_caller.lock();
        let count = by_caller.entry(caller).or_default();
        if *count >= PER_CALLER {
            return None;
        }
        *count += 1;
        drop(by_caller);
        let (by_caller, count) = (self.by_caller.clone(), self.count.clone());
        count.fetch_add(1, Ordering::Relaxed);
        Some(Turn {
            caller,
            by_caller,
            count,
        })
    }

    /// A body of `sections`. The first bytes of the file are there when this returns, so what cannot
    /// be read at all is an error and no half answer; what fails later ends the connection before the
    /// promised length.
    pub(crate) async fn body(
        &self,
        turn: Turn,
        vfs: Arc<dyn Vfs>,
        client: Client,
        attr: Attr,
        sections: Vec<Section>,
    ) -> Result<Body, Error> {
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
            sections: sections.into_iter(),
            left: 0..0,
            ready: VecDeque::new(),
            turn,
        };
        while transfer.left.is_empty() && transfer.next_section() {}
        if !transfer.left.is_empty() {
            transfer.read().await?;
        }
        Ok(Body::from_stream(transfer.stream()))
    }
}

impl Turn {
    /// Bytes of a piece, when all transfers have as many: each holds two.
    fn share(&self) -> u64 {
        let count = self.count.load(Ordering::Relaxed).max(1);
        (HELD / (2 * count)).clamp(LEAST, PIECE)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let mut by_caller = self.by_caller.lock();
        if let Some(count) = by_caller.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                by_caller.remove(&self.caller);
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
    /// What comes after the section in hand.
    sections: std::vec::IntoIter<Section>,
    /// What has not been read yet of the section in hand.
    left: Range<u64>,
    /// What can be handed on.
    ready: VecDeque<Bytes>,
    turn: Turn,
}

impl Transfer {
    /// Takes the next section in hand; false when there is none.
    fn next_section(&mut self) -> bool {
        match self.sections.next() {
            Some(Section::Text(text)) => self.ready.push_back(text),
            Some(Section::File(range)) => self.left = range,
            None => return false,
        }
        true
    }

    /// Reads the next piece.
    async fn read(&mut self) -> Result<(), Error> {
        let share = self.turn.share();
        let taken = self.held.try_take(share).map(Arc::new);
        let most = if taken.is_some() { share } else { LEAST };
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
        match taken {
            None => self.ready.extend(pieces),
            Some(taken) => self.ready.extend(pieces.into_iter().map(|bytes| {
                Bytes::from_owner(Counted {
                    bytes,
                    _taken: taken.clone(),
                })
            })),
        }
        Ok(())
    }

    /// What is ready, then what is left.
    fn stream(self) -> impl Stream<Item = Result<Bytes, Error>> {
        stream::try_unfold(self, |mut transfer| async move {
            loop {
                if let Some(bytes) = transfer.ready.pop_front() {
                    return Ok(Some((bytes, transfer)));
                }
                if !transfer.left.is_empty() {
                    // A reader that is as fast as we are would have this thread for itself otherwise.
                    tokio::task::yield_now().await;
                    transfer.read().await?;
                } else if !transfer.next_section() {
                    return Ok(None);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use debridfs_listen::digest;

    use super::*;

    #[test]
    fn a_caller_has_so_many_transfers_and_another_one_its_own() {
        let (a, b) = (digest("a"), digest("b"));
        let transfers = Transfers::default();
        let mut turns: Vec<_> = (0..PER_CALLER)
            .map(|_| transfers.begin(a).unwrap())
            .collect();
        assert!(transfers.begin(a).is_none());
        assert!(transfers.begin(b).is_some());
        turns.pop();
        assert!(transfers.begin(a).is_some());
        drop(turns);
        assert!(transfers.by_caller.lock().is_empty());
    }

    #[test]
    fn pieces_of_all_fit_into_what_they_share() {
        let transfers = Transfers::default();
        let mut turns = Vec::new();
        for (count, share) in [(1, PIECE), (32, PIECE), (64, PIECE / 2), (600, LEAST)] {
            while turns.len() < count {
                let caller = digest(&(turns.len() / PER_CALLER).to_string());
                turns.push(transfers.begin(caller).unwrap());
            }
            assert_eq!(turns[0].share(), share, "{count}");
            assert!(share == LEAST || 2 * share * count as u64 <= HELD);
        }
    }
}
