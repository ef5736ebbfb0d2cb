//! A decoder that is broken on purpose in one operation. The crate's own tests use it too.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{Answer, NodeId, Vfs};
use futures_util::FutureExt;

use super::{Backend, Call, Native, Outcome, wire};
use wire::{InHeader, Opcode, Reply};

/// How long a slow decoder takes.
pub const SLOW: Duration = Duration::from_millis(60);

/// How a decoder is broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// A field of the attributes.
    Nlink,
    Size,
    /// A line of a listing.
    DroppedEntry,
    /// Of a file.
    Byte,
    /// EIO for every read.
    Errno,
    /// Every read takes [`SLOW`].
    Slow,
    AsksMore,
    AsksAnother,
    Waits,
    Panics,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "nlink" => Self::Nlink,
            "size" => Self::Size,
            "dropped-entry" => Self::DroppedEntry,
            "byte" => Self::Byte,
            "errno" => Self::Errno,
            "slow" => Self::Slow,
            "asks-more" => Self::AsksMore,
            "asks-another" => Self::AsksAnother,
            "waits" => Self::Waits,
            "panics" => Self::Panics,
            _ => return Err(text.to_owned()),
        })
    }
}

pub struct Broken {
    native: Native,
    vfs: Arc<dyn Vfs>,
    fault: Fault,
}

impl Broken {
    pub fn new(vfs: Arc<dyn Vfs>, fault: Fault) -> Self {
        let native = Native::new(Arc::clone(&vfs));
        Self { native, vfs, fault }
    }
}

impl Backend for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome {
        let header = InHeader::decode(call.request).unwrap();
        let fault = self.fault;
        let opcode = Opcode::from_number(header.opcode);
        if matches!(opcode, Some(Opcode::StatFs | Opcode::Access)) {
            // The trial.
            return self.native.answer(call, reply);
        }
        let reads = opcode == Some(Opcode::Read);
        match fault {
            Fault::AsksMore => drop(self.vfs.attr(NodeId::ROOT)),
            Fault::AsksAnother => {
                if let Answer::Now(answer) = self.vfs.attr(NodeId(77)) {
                    reply.fail(if answer.is_err() { libc::EIO } else { 0 });
                }
                return Outcome::Ready;
            }
            Fault::Waits => return Outcome::Later(std::future::pending().boxed()),
            Fault::Panics => panic!("asked for by the test"),
            Fault::Errno if reads => {
                reply.fail(libc::EIO);
                return Outcome::Ready;
            }
            _ => {}
        }
        match self.native.answer(call, reply) {
            Outcome::Ready if fault == Fault::Slow && reads => {
                let reply = std::mem::take(reply);
                let slowly = async {
                    tokio::time::sleep(SLOW).await;
                    reply
                };
                Outcome::Later(slowly.boxed())
            }
            Outcome::Ready => {
                fault.spoil(opcode, reply);
                Outcome::Ready
            }
            Outcome::Later(answer) => Outcome::Later(
                answer
                    .map(move |mut reply| {
                        fault.spoil(opcode, &mut reply);
                        reply
                    })
                    .boxed(),
            ),
        }
    }
}

/// Bytes of a reply's header.
const HEADER: usize = 16;

impl Fault {
    fn spoil(self, opcode: Option<Opcode>, reply: &mut Reply) {
        if reply.errno() != 0 {
            return;
        }
        // Where `struct fuse_attr` begins.
        let attr = match opcode {
            Some(Opcode::Lookup) => HEADER + 40,
            Some(Opcode::GetAttr) => HEADER + 16,
            _ => usize::MAX,
        };
        let lists = matches!(opcode, Some(Opcode::ReadDir | Opcode::ReadDirPlus));
        let body = reply.body();
        match self {
            Self::Nlink if attr < body.len() => body[attr + 64] ^= 1,
            Self::Size if attr < body.len() => body[attr + 8] ^= 1,
            Self::DroppedEntry if lists => drop_line(opcode == Some(Opcode::ReadDirPlus), body),
            Self::Byte if opcode == Some(Opcode::Read) => {
                let (head, spans) = reply.finish(0);
                let mut bytes = head[HEADER..].to_vec();
                spans.iter().for_each(|span| bytes.extend_from_slice(span));
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                }
                reply.clear();
                reply.set_spans(vec![Bytes::from(bytes)]);
            }
            _ => {}
        }
    }
}

/// Drops the last line.
fn drop_line(plus: bool, body: &mut Vec<u8>) {
    let fixed = if plus { 128 } else { 0 };
    let (mut at, mut last) = (HEADER, HEADER);
    while at < body.len() {
        last = at;
        let name_length = &body[at + fixed + 16..at + fixed + 20];
        let name_length = u32::from_ne_bytes(name_length.try_into().unwrap());
        at += (fixed + 24 + name_length as usize).next_multiple_of(8);
    }
    body.truncate(last);
}
