//! The two backends against each other: the same request and the same library make the same reply, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use debridfs_fuse::wire::{Opcode, Reply};
use debridfs_fuse::{Backend, Call, Fbrs, Native, Outcome};
use debridfs_vfs::Vfs;
use futures_util::FutureExt;
use proptest::prelude::*;

use crate::hostile::Hostile;
use crate::{f, request};

/// The whole reply of `backend`, header included.
fn reply_of(backend: &dyn Backend, request: &[u8]) -> Vec<u8> {
    let mut reply = Reply::new();
    let left = Duration::from_secs(30);
    let mut reply = match backend.answer(Call { request, left }, &mut reply) {
        Outcome::Ready => reply,
        Outcome::Later(future) => future.now_or_never().expect("the library answers"),
    };
    let (head, spans) = reply.finish(0x1234);
    let mut whole = head.to_vec();
    spans.iter().for_each(|span| whole.extend_from_slice(span));
    whole
}

fn both(whims: &[u8], request: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let vfs: Arc<dyn Vfs> = Arc::new(Hostile(whims.to_vec()));
    let native = reply_of(&Native::new(Arc::clone(&vfs)), request);
    let fbrs = reply_of(&Fbrs::new(vfs).unwrap(), request);
    (native, fbrs)
}

/// What backends are asked.
const ANSWERED: [Opcode; 11] = [
    Opcode::Lookup,
    Opcode::GetAttr,
    Opcode::Open,
    Opcode::Read,
    Opcode::ReadDir,
    Opcode::ReadDirPlus,
    Opcode::StatFs,
    Opcode::Release,
    Opcode::GetXattr,
    Opcode::ListXattr,
    Opcode::Access,
];

/// Arguments as the kernel sends them.
fn arguments(opcode: Opcode, number: u64, small: u32, name: &[u8]) -> Vec<u8> {
    match opcode {
        Opcode::Lookup => f().name(name),
        Opcode::GetAttr => f().u32(small & 1).u32(0).u64(number),
        Opcode::Open => f().u32(small & 3).u32(0),
        Opcode::Read | Opcode::ReadDir | Opcode::ReadDirPlus => {
            let (handle, size) = (7, small % (128 << 10));
            f().u64(handle)
                .u64(number)
                .u32(size)
                .u32(0)
                .u64(0)
                .u32(0)
                .u32(0)
        }
        Opcode::Release => f().u64(number).u32(0).u32(small & 3).u64(0),
        Opcode::GetXattr => f().u32(small % 64).u32(0).name(name),
        Opcode::ListXattr => f().u32(small % 64).u32(0),
        Opcode::Access => f().u32(small & 7).u32(0),
        _ => f(),
    }
    .0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_backends_answer_alike(
        kind in 0..ANSWERED.len(),
        whims in prop::collection::vec(any::<u8>(), 8),
        number in prop_oneof![0u64..300, any::<u64>()],
        small in prop_oneof![0u32..70_000, any::<u32>()],
        name in prop::collection::vec(1u8..=255, 1..300),
    ) {
        let opcode = ANSWERED[kind];
        let request = request(opcode as u32, &arguments(opcode, number, small, &name));
        let (native, fbrs) = both(&whims, &request);
        prop_assert_eq!(native, fbrs, "{}", opcode.name());
    }

    /// A request that ends too early is refused by both.
    #[test]
    fn both_backends_refuse_what_is_too_short(kind in 0..ANSWERED.len(), cut in 1usize..40) {
        let opcode = ANSWERED[kind];
        let whole = arguments(opcode, 1, 1, b"name");
        let part = &whole[..whole.len().saturating_sub(cut)];
        prop_assume!(part.len() < whole.len());
        let request = request(opcode as u32, part);
        let (native, fbrs) = both(&[0; 8], &request);
        prop_assert_eq!(native, fbrs, "{}", opcode.name());
    }
}

/// Requests that the kernel really sent.
#[test]
fn recorded_requests_are_answered_alike() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");
    let mut seen = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let file = file.unwrap();
        let answered = |opcode: &Opcode| file.file_name().to_str() == Some(opcode.name());
        if !ANSWERED.iter().any(answered) {
            continue;
        }
        let bytes = std::fs::read(file.path()).unwrap();
        for whim in 0..4 {
            let (native, fbrs) = both(&[0, 0, 200, whim, 0, 20, 9, 3], &bytes);
            assert_eq!(native, fbrs, "{:?}, whim {whim}", file.file_name());
        }
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} recorded requests");
}
