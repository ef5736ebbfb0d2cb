//! Clients that ask for more than they take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use debridfs_nfs::{Export, RTMAX, Seal};
use debridfs_vfs::{Answer, Attr, DirEntry, MemoryVfs, NodeId, ReadOut, ReadRequest, StatFs, Vfs};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::support::*;

/// The procedure's number.
const READ: u32 = 6;
const HUGE: NodeId = NodeId(1 << 30);
/// Bytes of replies that one client may have under way.
const WINDOW: u64 = 8 << 20;
/// For so long a client takes no reply.
const WHILE: Duration = Duration::from_secs(2);

/// Bytes of the file that are in memory now, and the most there were.
#[derive(Default)]
struct Alive {
    now: AtomicU64,
    most: AtomicU64,
    reads: AtomicU64,
}

struct Counted(Vec<u8>, Arc<Alive>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.now.fetch_sub(self.0.len() as u64, Ordering::SeqCst);
    }
}

impl Alive {
    fn bytes(self: &Arc<Self>, size: u32) -> Bytes {
        let now = self.now.fetch_add(size.into(), Ordering::SeqCst) + u64::from(size);
        self.most.fetch_max(now, Ordering::SeqCst);
        self.reads.fetch_add(1, Ordering::SeqCst);
        Bytes::from_owner(Counted(vec![7; size as usize], self.clone()))
    }
}

/// A library with a file of 64 GiB, whose bytes are counted for as long as they are held.
fn counted() -> (MemoryVfs, Arc<Alive>) {
    let (vfs, alive) = (library(), Arc::new(Alive::default()));
    let counts = alive.clone();
    vfs.add_file(NodeId::ROOT, "huge.mkv", HUGE, 64 << 30, move |request| {
        Ok(vec![counts.bytes(request.size)])
    });
    (vfs, alive)
}

/// A connection from an address of its own, which buffers little.
async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends `count` READs, and never takes a reply.
async fn ask(mut stream: TcpStream, count: u32) {
    let handle = Seal::new(&KEY).handle(Export::default_fsid("all"), HUGE);
    for number in 0..count {
        let head = [number, 0, 2, 100_003, 3, READ, 0, 0, 0, 0];
        let mut record = Vec::new();
        for word in head.into_iter().chain([handle.len() as u32]) {
            record.extend_from_slice(&word.to_be_bytes());
        }
        record.extend_from_slice(&handle);
        record.extend_from_slice(&read_arguments(number));
        let mark = record.len() as u32 | 1 << 31;
        let sent = [&mark.to_be_bytes()[..], &record].concat();
        stream.write_all(&sent).await.unwrap();
    }
    // It stays connected.
    std::future::pending::<()>().await;
}

fn read_arguments(number: u32) -> Vec<u8> {
    let offset = u64::from(number) * u64::from(RTMAX);
    [&offset.to_be_bytes()[..], &RTMAX.to_be_bytes()].concat()
}

#[tokio::test]
async fn ten_thousand_reads_whose_replies_nobody_takes_are_few_bytes() {
    let (vfs, alive) = counted();
    let served = Served::with(vfs, vec![export("all", "")]).await;
    let greedy = connect("127.0.0.2:0", served.address).await;
    let greedy = tokio::spawn(ask(greedy, 10_000));
    // Others read on meanwhile.
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    let begun = Instant::now();
    while begun.elapsed() < WHILE {
        assert!(read(&mut client, &film, 9, 99).await.unwrap() == content(108)[9..]);
    }
    let most = alive.most.load(Ordering::SeqCst);
    assert!(most <= WINDOW, "{most}");
    // What was read beyond it is in the buffers of two sockets.
    let read = alive.reads.load(Ordering::SeqCst) * u64::from(RTMAX);
    assert!(read > WINDOW && read <= 64 << 20, "{read}");
    greedy.abort();
    until_freed(&served, &alive).await;
}

/// What is under way goes with its connection.
async fn until_freed(served: &Served, alive: &Alive) {
    while alive.now.load(Ordering::SeqCst) > 0 || served.server.report().memory > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A library whose reads wait until the gate is closed, and are made then.
struct Late {
    inner: Arc<MemoryVfs>,
    gate: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
}

impl Vfs for Late {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        self.inner.lookup(parent, name)
    }
    fn attr(&self, id: NodeId) -> Answer<Attr> {
        self.inner.attr(id)
    }
    fn open(&self, id: NodeId) -> Answer<u64> {
        self.inner.open(id)
    }
    fn release(&self, handle: u64) {
        self.inner.release(handle);
    }
    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        if self.gate.is_closed() {
            return self.inner.read(request);
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let (inner, gate) = (self.inner.clone(), self.gate.clone());
        Answer::Later(Box::pin(async move {
            let _ = gate.acquire().await;
            inner.read(request).get().await
        }))
    }
    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        self.inner.read_dir(id, cookie, max)
    }
    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        self.inner.xattr(id, name)
    }
    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        self.inner.xattrs(id)
    }
    fn statfs(&self) -> StatFs {
        self.inner.statfs()
    }
    fn root(&self) -> Attr {
        self.inner.root()
    }
}

#[tokio::test]
async fn reads_that_waited_take_no_more_when_all_their_bytes_come_at_once() {
    let (vfs, alive) = counted();
    let (gate, waiting) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let late = Late {
        inner: Arc::new(vfs),
        gate: gate.clone(),
        waiting: waiting.clone(),
    };
    let served = Served::with(late, vec![export("all", "")]).await;
    let mut greedy = Vec::new();
    // All of them wait within the patience of the export: what comes later is kept for who asks again.
    for _ in 0..2 {
        let stream = connect("127.0.0.2:0", served.address).await;
        greedy.push(tokio::spawn(ask(stream, 200)));
    }
    // Of each connection the 64 calls that may be under way.
    while waiting.load(Ordering::SeqCst) < 2 * 64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The last ones give their part of the window back as well.
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.close();
    tokio::time::sleep(WHILE).await;
    let most = alive.most.load(Ordering::SeqCst);
    // One more, which is given up.
    assert!(most <= WINDOW + u64::from(RTMAX), "{most}");
    for one in greedy {
        one.abort();
    }
    until_freed(&served, &alive).await;
}
