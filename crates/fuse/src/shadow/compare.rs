//! Two replies to one request, what differs, and the book that is kept of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use debridfs_handover::InHeader;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backend_kind::BackendKind;
use crate::wire::{Opcode, Reply};

/// Divergences that are kept whole, the newest.
const KEPT: usize = 32;

/// Bytes of a reply that are kept of a divergence.
const KEPT_BYTES: usize = 4096;

/// A whole reply: its header with a fixed number, what was encoded, and the bytes of a read.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    head: Vec<u8>,
    spans: Vec<Bytes>,
}

impl Whole {
    pub(super) fn of(reply: &mut Reply) -> Self {
        let (head, spans) = reply.finish(0);
        Self {
            head: head.to_vec(),
            spans: spans.to_vec(),
        }
    }

    pub(super) fn span_bytes(&self) -> usize {
        self.spans.iter().map(Bytes::len).sum()
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        let spans = self.spans.iter().flat_map(|span| span.iter());
        self.head.iter().chain(spans).copied()
    }

    fn shown(&self) -> String {
        let start: Vec<u8> = self.bytes().take(KEPT_BYTES).collect();
        HEXLOWER.encode(&start)
    }
}

impl PartialEq for Whole {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Bytes, &Bytes)| a.len() == b.len() && a.as_ptr() == b.as_ptr();
        // Bytes of a file are mostly the same memory on both sides.
        let same_spans =
            self.spans.len() == other.spans.len() && self.spans.iter().zip(&other.spans).all(same);
        self.head == other.head && (same_spans || self.bytes().eq(other.bytes()))
    }
}

/// How two backends differ about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Difference {
    /// The replies.
    Reply {
        /// The primary's, in hexadecimal; the first 4096 bytes.
        primary: String,
        /// The secondary's.
        secondary: String,
        /// The first byte that differs, counted from 0.
        at: usize,
    },
    /// The library was asked something else.
    Asked {
        /// By the primary; `None`: it asked nothing more.
        primary: Option<String>,
        /// By the secondary.
        secondary: String,
    },
    /// The secondary left out what the primary asked the library.
    NotAsked {
        /// The question.
        question: String,
    },
    /// The secondary waits for what the primary did not wait for.
    Waits,
    /// The secondary panicked.
    Panicked,
}

impl Difference {
    pub(super) fn reply(primary: &Whole, secondary: &Whole) -> Self {
        let mut pairs = primary.bytes().zip(secondary.bytes());
        let shorter = primary.bytes().count().min(secondary.bytes().count());
        let at = pairs.position(|(a, b)| a != b).unwrap_or(shorter);
        Self::Reply {
            primary: primary.shown(),
            secondary: secondary.shown(),
            at,
        }
    }
}

/// A request about which two backends differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Divergence {
    /// When it was found.
    pub at: Timestamp,
    /// Kind of request, by its name in the protocol.
    pub operation: String,
    /// The node that is asked about.
    pub node: u64,
    /// Who answered the kernel.
    pub primary: BackendKind,
    /// Who was compared.
    pub secondary: BackendKind,
    /// What differs.
    pub difference: Difference,
}

/// What was compared, of one kind of request and one pair of backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedKind {
    /// Kind of request.
    pub operation: String,
    /// Who answered the kernel.
    pub primary: BackendKind,
    /// Who was compared.
    pub secondary: BackendKind,
    /// Requests.
    pub compared: u64,
    /// Of these, about which they differ.
    pub diverged: u64,
}

/// How it stands with the parallel run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Compared {
    /// Share of the requests that are compared, in percent.
    pub percent: f64,
    /// By kind of request.
    pub kinds: Vec<ComparedKind>,
    /// Requests that were to be compared and were let go: the comparison was too slow.
    pub let_go: u64,
    /// The newest divergences, the newest last.
    pub last: Vec<Divergence>,
}

type Key = (u32, &'static str, &'static str);

/// What was compared.
#[derive(Default)]
pub(super) struct Book {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kinds: BTreeMap<Key, ComparedKind>,
    let_go: u64,
    last: VecDeque<Divergence>,
}

impl Book {
    pub(super) fn let_go(&self) {
        self.inner.lock().let_go += 1;
    }

    pub(super) fn note(
        &self,
        request: &[u8],
        primary: BackendKind,
        secondary: BackendKind,
        difference: Option<Difference>,
    ) {
        let header = InHeader::decode(request);
        let (opcode, node) = header.map_or((0, 0), |header| (header.opcode, header.node));
        let operation = Opcode::from_number(opcode).map_or("unknown", Opcode::name);
        let mut inner = self.inner.lock();
        let key = (opcode, primary.name(), secondary.name());
        let kind = inner.kinds.entry(key).or_insert_with(|| ComparedKind {
            operation: operation.to_owned(),
            primary,
            secondary,
            compared: 0,
            diverged: 0,
        });
        kind.compared += 1;
        let Some(difference) = difference else { return };
        kind.diverged += 1;
        tracing::warn!(operation, node, %primary, %secondary, "the backends differ: see `debridfs backend diff`");
        if inner.last.len() == KEPT {
            inner.last.pop_front();
        }
        inner.last.push_back(Divergence {
            at: Timestamp::now(),
            operation: operation.to_owned(),
            node,
            primary,
            secondary,
            difference,
        });
    }

    /// Requests that were compared, and those of them that diverged.
    pub(super) fn sums(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        let sum = |of: fn(&ComparedKind) -> u64| inner.kinds.values().map(of).sum();
        (sum(|kind| kind.compared), sum(|kind| kind.diverged))
    }

    pub(super) fn compared(&self, percent: f64) -> Compared {
        let inner = self.inner.lock();
        Compared {
            percent,
            kinds: inner.kinds.values().cloned().collect(),
            let_go: inner.let_go,
            last: inner.last.iter().cloned().collect(),
        }
    }
}
