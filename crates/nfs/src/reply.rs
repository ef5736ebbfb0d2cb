//! A reply as it is sent: what was packed, and bytes of files as they came from the library, without a copy.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use debridfs_listen::{Busy, Taken};
use nfs3_types::rpc::fragment_header;
use tokio::sync::OwnedSemaphorePermit;

/// Parts that are handed to the kernel at one time, at most.
const SLICES: usize = 64;
const PADDING: [u8; 3] = [0; 3];

/// What a reply takes of its client's window and of the memory for replies, until it was sent.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) window: Option<OwnedSemaphorePermit>,
    pub(crate) memory: Option<Taken>,
}

/// A reply.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Packed; of a READ all but the bytes.
    pub(crate) head: Vec<u8>,
    /// Bytes of a file.
    pub(crate) body: Vec<Bytes>,
    pub(crate) held: Held,
}

impl From<Vec<u8>> for Reply {
    fn from(head: Vec<u8>) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }
}

impl Reply {
    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

/// Replies that are waiting to be sent.
#[derive(Default)]
pub(crate) struct Outgoing {
    parts: VecDeque<(Bytes, Option<(Held, Busy)>)>,
    len: usize,
}

impl Outgoing {
    /// Adds a reply; its request is under way until it was sent.
    pub(crate) fn push(&mut self, reply: Reply, busy: Busy) {
        let bytes = reply.bytes();
        let padding = bytes.next_multiple_of(4) - bytes;
        let length = reply.head.len() + bytes + padding;
        // Far below 2 GiB.
        let mark = fragment_header::new(u32::try_from(length).unwrap_or_default(), true);
        let mut head = Vec::with_capacity(4 + reply.head.len());
        head.extend_from_slice(&mark.into_xdr_buf());
        head.extend_from_slice(&reply.head);
        self.len += 4 + length;
        self.parts.push_back((head.into(), None));
        for part in reply.body.into_iter().filter(|part| !part.is_empty()) {
            self.parts.push_back((part, None));
        }
        if padding > 0 {
            self.parts
                .push_back((Bytes::from_static(&PADDING[..padding]), None));
        }
        if let Some((_, with)) = self.parts.back_mut() {
            *with = Some((reply.held, busy));
        }
    }

    /// Bytes that are waiting.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let parts = self.parts.iter().take(SLICES);
        parts.map(|(part, _)| IoSlice::new(part)).collect()
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&mut self, mut count: usize) {
        self.len -= count;
        while let Some((part, _)) = self.parts.front_mut() {
            if count < part.len() {
                let _sent = part.split_to(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}
