//! Bytes of strangers: no call does harm, whatever it is made of.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{MemoryVfs, NodeId};
use futures_util::FutureExt;
use jiff::Timestamp;

use crate::record::{LONGEST, Records};
use crate::server::{NfsServer, Peer};
use crate::{Export, HANDLE_LEN, Squash};

pub(crate) const FSID: u64 = 7;
pub(crate) const DIR: NodeId = NodeId(1 << 20);

#[test]
fn fuzz_records() {
    bolero::check!()
        .with_type::<Vec<Vec<u8>>>()
        .for_each(|pieces| {
            let mut records = Records::default();
            let (mut came, mut taken) = (0, 0);
            for piece in pieces {
                records.input.extend_from_slice(piece);
                came += piece.len();
                loop {
                    match records.take() {
                        Ok(Some(record)) => {
                            assert!(record.len() <= LONGEST);
                            taken += record.len() + 4;
                        }
                        Ok(None) => break,
                        Err(_) => return,
                    }
                }
            }
            assert!(taken <= came);
        });
}

pub(crate) fn server() -> Arc<NfsServer> {
    let vfs = MemoryVfs::new(Timestamp::UNIX_EPOCH);
    vfs.add_directory(NodeId::ROOT, "a", DIR);
    vfs.add_bytes(DIR, "b", NodeId(DIR.0 + 1), Bytes::from_static(&[1; 99]));
    let export = Export {
        name: "a".into(),
        path: String::new(),
        fsid: FSID,
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        squash: Squash::Root,
        anonymous: (65534, 65534),
        insecure: true,
        patience: Duration::from_secs(1),
    };
    NfsServer::new(
        Arc::new(vfs),
        vec![export],
        &[7; 32],
        Duration::from_secs(1),
    )
}

#[test]
fn fuzz_calls() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let _inside = runtime.enter();
    let server = server();
    let address = "127.0.0.1".parse().unwrap();
    let peer = Arc::new(Peer {
        address,
        port: 1,
        connected: server.clients.connect(address),
    });
    let answer = |record: Vec<u8>| {
        let answer = server.clone().answer(peer.clone(), record.into());
        // All is in memory, so nothing has to be waited for.
        answer.now_or_never().expect("an answer at once")
    };
    // A call that panics ends the test.
    let answer = AssertUnwindSafe(answer);
    let handles = [
        server.seal.handle(FSID, DIR),
        server.seal.handle(FSID, NodeId(DIR.0 + 1)),
        [0; HANDLE_LEN],
    ];
    bolero::check!()
        .with_type::<(bool, u8, u8, Vec<u8>)>()
        .for_each(|(is_nfs, procedure, handle, rest)| {
            let AssertUnwindSafe(answer) = &answer;
            answer(rest.clone());
            let program = if *is_nfs { 100_003_u32 } else { 100_005 };
            let head = [9, 0, 2, program, 3, u32::from(procedure % 24), 0, 0, 0, 0];
            let mut record: Vec<u8> = head.into_iter().flat_map(u32::to_be_bytes).collect();
            if *is_nfs {
                record.extend_from_slice(&(HANDLE_LEN as u32).to_be_bytes());
                record.extend_from_slice(&handles[usize::from(*handle) % handles.len()]);
            }
            record.extend_from_slice(rest);
            let reply = answer(record).expect("a call is always answered");
            assert_eq!(reply.head[..12], [0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0]);
            assert!(reply.head.len() % 4 == 0 && reply.head.len() <= 80 << 10);
        });
}
