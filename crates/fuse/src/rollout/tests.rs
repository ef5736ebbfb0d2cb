//! Rollouts of decoders that are broken on purpose, without a kernel.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{Change, MemoryVfs, NodeId, Vfs};
use futures_util::FutureExt;
use jiff::Timestamp;

use super::*;
use crate::backend::{Backend, Call, Outcome};
use crate::backend_kind::BackendKind;
use crate::broken::{Broken, Fault as Breakage, SLOW};
use crate::remembered::{Kept, remember, remembered};
use crate::selection::{Backends, MakeBackend};
use crate::wire::{ENTRY_TTL, Opcode, Reply};

const NATIVE: BackendKind = BackendKind::Native;
const FBRS: BackendKind = BackendKind::Fbrs;
/// Nodes from 2 on are files.
const FILES: u64 = 200;

fn library() -> Arc<dyn Vfs> {
    let library = MemoryVfs::new(Timestamp::UNIX_EPOCH);
    for node in 2..2 + FILES {
        let name = format!("{node}.mkv");
        let bytes = Bytes::from(node.to_string());
        library.add_bytes(NodeId::ROOT, &name, NodeId(node), bytes);
    }
    Arc::new(library)
}

/// `fbrs` is broken; and so is `native`, with `both`.
fn make(breakage: Breakage, both: bool) -> MakeBackend {
    Arc::new(move |kind, vfs| {
        let breakage = match kind {
            BackendKind::Native if !both => Breakage::None,
            _ => breakage,
        };
        Ok(Box::new(Broken::new(vfs, breakage)))
    })
}

fn backends(breakage: Breakage) -> Backends {
    made(&make(breakage, false), None)
}

/// What is compared of a decoder that is broken so: one that is slow waits for what the other does
/// not wait for, which the comparison would find first.
fn compared(breakage: Breakage) -> f64 {
    match breakage {
        Breakage::Slow => 0.0,
        _ => 100.0,
    }
}

fn made(make: &MakeBackend, kept: Option<Kept>) -> Backends {
    let backends = Backends::made_by(make, &library(), NATIVE, kept, NATIVE);
    backends.set_rollout(RolloutSettings {
        stages: stages(&["50%:0", "100%:0"]),
        least_requests: 200,
        p99: SLOW / 2,
        compare_percent: 100.0,
        ..RolloutSettings::default()
    });
    backends
}

fn stages(stages: &[&str]) -> Vec<Stage> {
    stages.iter().map(|stage| stage.parse().unwrap()).collect()
}

fn request(opcode: Opcode, node: u64, arguments: &[u8]) -> Vec<u8> {
    let length = 40 + arguments.len() as u32;
    let mut out = length.to_ne_bytes().to_vec();
    out.extend_from_slice(&(opcode as u32).to_ne_bytes());
    out.extend_from_slice(&7u64.to_ne_bytes());
    out.extend_from_slice(&node.to_ne_bytes());
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(arguments);
    out
}

/// `struct fuse_read_in` from the start, for 4096 bytes.
fn from_the_start() -> Vec<u8> {
    let mut read = vec![0; 16];
    read.extend_from_slice(&4096u32.to_ne_bytes());
    read.resize(40, 0);
    read
}

/// What a reader of each file asks, and a listing now and then.
fn round() -> Vec<Vec<u8>> {
    let of_file = |node: u64| {
        [
            request(Opcode::GetAttr, node, &[0; 16]),
            request(Opcode::Read, node, &from_the_start()),
            request(Opcode::Lookup, 1, format!("{node}.mkv\0").as_bytes()),
            request(Opcode::ReadDir, 1, &from_the_start()),
        ]
    };
    (2..2 + FILES).flat_map(of_file).collect()
}

async fn answered(backends: &Backends, request: &[u8]) -> Reply {
    let mut reply = Reply::new();
    let left = Duration::from_secs(30);
    match backends.answer(Call { request, left }, &mut reply) {
        Outcome::Ready => reply,
        Outcome::Later(answer) => answer.await,
    }
}

/// Asks for everything once, all at a time, waits until it is compared, and has it looked at.
async fn ask_all(backends: &Backends) {
    let requests = round();
    let (before, _) = backends.compared_sums();
    let let_go = backends.compared().let_go;
    let all = requests.iter().map(|request| answered(backends, request));
    let replies = futures_util::future::join_all(all).await;
    let taken = if backends.compared().percent > 0.0 {
        replies.len() as u64
    } else {
        0
    };
    let compared = || backends.compared_sums().0 - before + backends.compared().let_go - let_go;
    while compared() < taken {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    backends.look();
}

/// The last decision of a rollout of a decoder that is broken so, after some looks.
async fn outcome(breakage: Breakage, both: bool) -> (Backends, Decision) {
    let backends = made(&make(breakage, both), None);
    backends.settings.lock().compare_percent = compared(breakage);
    backends.start_rollout(FBRS, None).unwrap();
    for _ in 0..12 {
        ask_all(&backends).await;
        if backends.rollout().running.is_none() {
            break;
        }
    }
    let last = backends.rollout().last.pop().unwrap();
    (backends, last)
}

#[tokio::test]
async fn a_broken_backend_is_rolled_back_whatever_it_does_wrong() {
    for (breakage, why) in [
        (Breakage::Nlink, "differ"),
        (Breakage::Size, "differ"),
        (Breakage::DroppedEntry, "differ"),
        (Breakage::Byte, "differ"),
        (Breakage::Errno, "fail"),
        (Breakage::Slow, "longer"),
    ] {
        let (backends, last) = outcome(breakage, false).await;
        assert_eq!(
            last.decision,
            DecisionKind::RolledBack,
            "{breakage:?} {last}"
        );
        assert!(last.reason.contains(why), "{breakage:?}: {last}");
        assert_eq!(backends.active(), NATIVE);
        // All is answered by the old one, and may be kept.
        for request in round() {
            let mut reply = answered(&backends, &request).await;
            assert_eq!(reply.errno(), 0, "{breakage:?}");
            let seconds = ENTRY_TTL.as_secs().to_ne_bytes();
            match reply.body().len() {
                144 => assert_eq!(reply.body()[32..40], seconds),
                120 => assert_eq!(reply.body()[16..24], seconds),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn what_both_do_wrong_is_no_reason_to_go_back() {
    for breakage in [Breakage::Errno, Breakage::Slow] {
        let (backends, last) = outcome(breakage, true).await;
        // At the last stage nobody else answers; what came before is still in the window.
        assert_eq!(
            last.decision,
            DecisionKind::Promoted,
            "{breakage:?}: {last}"
        );
        assert_eq!(backends.active(), FBRS);
    }
}

#[tokio::test]
async fn a_backend_that_does_well_is_promoted_stage_by_stage() {
    let (backends, _) = outcome(Breakage::None, false).await;
    let status = backends.rollout();
    let made: Vec<_> = status
        .last
        .iter()
        .map(|one| (one.decision, one.percent))
        .collect();
    assert_eq!(
        made,
        [
            (DecisionKind::Started, 50.0),
            (DecisionKind::Advanced, 100.0),
            (DecisionKind::Promoted, 100.0),
        ]
    );
    assert_eq!((backends.active(), backends.before()), (FBRS, Some(NATIVE)));
    assert_eq!(backends.compared().percent, 0.0);
    assert_eq!(status.counts.canary.errors, 0);
}

#[tokio::test]
async fn nothing_of_the_canary_is_kept_and_a_rollback_takes_it_back() {
    let backends = backends(Breakage::None);
    let mut told = backends.distrusted().unwrap();
    backends
        .start_rollout(FBRS, Some(stages(&["100%:1h"])))
        .unwrap();
    let mut found = answered(&backends, &request(Opcode::Lookup, 1, b"2.mkv\0")).await;
    assert_eq!(found.body()[32..56], [0; 24]);
    let mut attr = answered(&backends, &request(Opcode::GetAttr, 3, &[0; 16])).await;
    assert_eq!(attr.body()[16..28], [0; 12]);
    let mut open = answered(&backends, &request(Opcode::Open, 4, &[0; 8])).await;
    assert_eq!(
        u32::from_ne_bytes(open.body()[24..28].try_into().unwrap()) & 2,
        0
    );
    let late = answered(&backends, &request(Opcode::GetAttr, 5, &[0; 16])).await;
    drop((found, attr, open));
    assert!(told.try_recv().is_err());
    assert_eq!(backends.rollback().unwrap(), NATIVE);
    let mut changes = told.try_recv().unwrap();
    changes.sort_by_key(|change| format!("{change:?}"));
    let name = Change::Entry {
        parent: NodeId::ROOT,
        name: "2.mkv".into(),
    };
    let nodes = [2, 3, 4, 5].map(|node| Change::Node(NodeId(node)));
    assert_eq!(changes, [&[name][..], &nodes].concat());
    // A reply that is written after that is taken back after it.
    assert!(told.try_recv().is_err());
    drop(late);
    assert_eq!(told.try_recv().unwrap(), [Change::Node(NodeId(5))]);
}

#[test]
fn a_node_is_answered_by_one_backend_at_a_stage() {
    let backends = backends(Breakage::Size);
    backends
        .start_rollout(FBRS, Some(stages(&["50%:1h", "100%:1h"])))
        .unwrap();
    let mut by_canary = 0;
    for node in 2..2 + FILES {
        let asked = request(Opcode::GetAttr, node, &[0; 16]);
        let replies = [(); 3].map(|()| {
            let mut reply = answered(&backends, &asked).now_or_never().unwrap();
            reply.body().clone()
        });
        assert!(replies.iter().all(|reply| *reply == replies[0]));
        by_canary += u64::from(replies[0][16..24] == [0; 8]);
    }
    assert!((70..130).contains(&by_canary), "{by_canary} of {FILES}");
}

#[test]
fn a_rollout_is_steered_by_hand() {
    let backends = backends(Breakage::None);
    assert!(matches!(backends.stop_rollout(), Err(RolloutError::None)));
    assert!(matches!(
        backends.start_rollout(NATIVE, None),
        Err(RolloutError::Answers(NATIVE))
    ));
    backends.start_rollout(FBRS, None).unwrap();
    assert!(matches!(
        backends.start_rollout(FBRS, None),
        Err(RolloutError::UnderWay(FBRS))
    ));
    backends.pause_rollout(true).unwrap();
    assert!(backends.rollout().running.unwrap().paused);
    backends.promote_rollout(false).unwrap();
    let running = backends.rollout().running.unwrap();
    assert_eq!(
        (running.percent, running.stage, running.paused),
        (100.0, 2, false)
    );
    backends.stop_rollout().unwrap();
    assert_eq!((backends.active(), backends.before()), (NATIVE, None));
    backends.start_rollout(FBRS, None).unwrap();
    backends.promote_rollout(true).unwrap();
    assert_eq!((backends.active(), backends.before()), (FBRS, Some(NATIVE)));
    // A switch ends one as well.
    backends.start_rollout(NATIVE, None).unwrap();
    backends.switch(FBRS).unwrap();
    assert!(backends.rollout().running.is_none());
    assert_eq!(backends.active(), FBRS);
    backends.start_rollout(NATIVE, None).unwrap();
    backends.switch(NATIVE).unwrap();
    assert_eq!(backends.active(), NATIVE);
}

#[tokio::test]
async fn the_next_engine_goes_on_at_the_same_stage() {
    let dir = tempfile::tempdir().unwrap();
    let first = Arc::new(backends(Breakage::None));
    first
        .start_rollout(FBRS, Some(stages(&["10%:0", "50%:1h", "100%:1h"])))
        .unwrap();
    first.promote_rollout(false).unwrap();
    let driver = tokio::spawn(first.clone().drive_rollouts(Some(dir.path().into())));
    while remembered(dir.path()).is_none_or(|kept| kept.rollout.is_none()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // As a kill: nothing more is written.
    driver.abort();
    let mut kept = remembered(dir.path()).unwrap();
    let progress = kept.rollout.as_mut().unwrap();
    progress.spent = Duration::from_secs(3000);
    let second = made(&make(Breakage::None, false), Some(kept.clone()));
    let running = second.rollout().running.unwrap();
    assert_eq!((running.percent, running.stage), (50.0, 2));
    assert_eq!(running.left.as_secs(), 600);
    // What the first let the canary answer is not known: all has to be taken back.
    second.stop_rollout().unwrap();
    let mut after = second.to_keep(&second.control.lock());
    assert_eq!((after.rollout.take(), after.untold), (None, true));

    for (configured, usable) in [(FBRS, true), (NATIVE, false)] {
        let make: MakeBackend = match usable {
            true => make(Breakage::None, false),
            false => Arc::new(|kind, vfs| match kind {
                BackendKind::Native => Ok(Box::new(Broken::new(vfs, Breakage::None))),
                BackendKind::Fbrs => Err("not there".into()),
            }),
        };
        let kept = Some(kept.clone());
        let next = Backends::made_by(&make, &library(), configured, kept, NATIVE);
        let status = next.rollout();
        assert_eq!(status.running, None, "{configured}");
        assert_eq!(status.last[0].decision, DecisionKind::RolledBack);
        assert!(next.to_keep(&next.control.lock()).untold);
    }
}

#[tokio::test(start_paused = true)]
async fn the_kernel_is_told_to_forget_all_where_it_is_not_known_what() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept {
        configured: NATIVE,
        active: NATIVE,
        rollout: None,
        untold: true,
    };
    remember(dir.path(), &kept).unwrap();
    let backends = Arc::new(made(&make(Breakage::None, false), remembered(dir.path())));
    let mut told = backends.distrusted().unwrap();
    let driver = tokio::spawn(backends.clone().drive_rollouts(Some(dir.path().into())));
    let mut all = std::collections::HashSet::new();
    while all.len() < 1 + 2 * FILES as usize {
        all.extend(told.recv().await.unwrap());
    }
    while remembered(dir.path()).unwrap().untold {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    driver.abort();
}
