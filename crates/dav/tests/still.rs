//! Players that take nothing: what they hold in memory, and how they end.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/counted.rs"]
mod counted;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use counted::Counted;
use debridfs_dav::{Redirects, address, router};
use debridfs_listen::{Limits, Listeners, Logins, Times, TokenRights, Tokens, raise_descriptors};
use debridfs_vfs::{MemoryVfs, NodeId};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const SIZE: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const READERS: usize = 600;

/// The film's bytes repeat after so many, which no size of a read divides.
const REPEATS: usize = 1_000_003;

/// Some of the film, and more than a read behind it.
static SCENE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |at: usize| (at % REPEATS * 31 % 251) as u8;
    (0..REPEATS + MIB as usize).map(byte).collect()
});

fn part(offset: u64, size: usize) -> &'static [u8] {
    let at = (offset % REPEATS as u64) as usize;
    &SCENE[at..at + size]
}

struct World {
    address: SocketAddr,
    /// Bytes of the film that are in memory now.
    held: Arc<AtomicU64>,
    tokens: Vec<String>,
    _dir: tempfile::TempDir,
}

impl World {
    /// A film of 1 GiB, for those who have one of a few tokens.
    async fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(dir.path()));
        tokens.load(Timestamp::UNIX_EPOCH).unwrap();
        let new = |name: &str| {
            tokens
                .create(name, TokenRights::default(), Timestamp::UNIX_EPOCH)
                .unwrap()
        };
        let names = ["a", "b", "c", "d"].map(new).to_vec();
        let held = Arc::new(AtomicU64::new(0));
        let vfs = MemoryVfs::new(Timestamp::UNIX_EPOCH);
        let now = held.clone();
        vfs.add_file(NodeId::ROOT, "film.mkv", NodeId(11), SIZE, move |request| {
            now.fetch_add(u64::from(request.size), Ordering::SeqCst);
            let bytes = part(request.offset, request.size as usize).to_vec();
            let held = now.clone();
            Ok(vec![Bytes::from_owner(Counted { bytes, held })])
        });
        let listeners = Listeners::new(limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let attempts = listeners.attempts().clone();
        let logins = Logins::new(tokens.clone(), attempts.clone());
        let router = router(
            Arc::new(vfs),
            tokens,
            logins,
            attempts,
            Redirects::default(),
        );
        tokio::spawn(listeners.front("files").serve(listener, router));
        Self {
            address,
            held,
            tokens: names,
            _dir: dir,
        }
    }

    /// Asks for the film from `from` on.
    async fn ask(&self, token: &str, from: u64) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        // What the kernel holds of each is no matter here, and would be a gigabyte.
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let path = address(token, "film.mkv");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes={from}-\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

/// Reads the head of an answer.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_who_stand_still_hold_little_and_one_who_reads_goes_on() {
    raise_descriptors();
    // All of them, however many there may be by default.
    let limits = Limits {
        connections: READERS + 1,
        ..Limits::default()
    };
    let world = World::new(limits).await;
    let mut still = Vec::new();
    for number in 0..READERS {
        still.push(world.ask(&world.tokens[number % 3], 0).await);
    }
    let mut most = 0;
    let mut player = world.ask(&world.tokens[3], 0).await;
    let answer = head(&mut player).await;
    assert!(answer.starts_with("HTTP/1.1 206"), "{answer}");
    let mut at = 0;
    let mut buffer = vec![0; 64 << 10];
    while at < 64 * MIB {
        let read = player.read(&mut buffer).await.unwrap();
        assert!(read > 0, "at {at}");
        assert!(buffer[..read] == *part(at, read), "at {at}");
        at += read as u64;
        most = most.max(world.held.load(Ordering::SeqCst));
    }
    println!(
        "{READERS} who stand still and one who reads hold {} KiB",
        most >> 10
    );
    // 16 MiB for whoever comes first, twice 32 KiB for each of the others, of 64 for each of three tokens.
    assert!(most <= 16 * MIB + (3 * 64 + 1) * (64 << 10), "{most}");
    drop(still);
}

#[tokio::test]
async fn a_token_has_its_share() {
    let world = World::new(Limits::default()).await;
    let mut still = Vec::new();
    for _ in 0..64 {
        let mut stream = world.ask(&world.tokens[0], 0).await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 206"));
        still.push(stream);
    }
    let refused = head(&mut world.ask(&world.tokens[0], 0).await).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: "), "{refused}");
    let other = head(&mut world.ask(&world.tokens[1], 0).await).await;
    assert!(other.starts_with("HTTP/1.1 206"), "{other}");
}

#[tokio::test]
async fn whoever_stands_still_is_ended_and_goes_on_by_range() {
    let limits = Limits {
        times: Times {
            write: Duration::from_millis(300),
            ..Times::default()
        },
        ..Limits::default()
    };
    let world = World::new(limits).await;
    let mut player = world.ask(&world.tokens[0], 0).await;
    head(&mut player).await;
    let begun = Instant::now();
    // What the kernel takes is taken soon.
    tokio::time::sleep(Duration::from_millis(100)).await;
    while world.held.load(Ordering::SeqCst) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(250));
    // What was on its way is still there, and right.
    let mut got = Vec::new();
    let _ = player.read_to_end(&mut got).await;
    assert!((got.len() as u64) < SIZE);
    let mut player = world.ask(&world.tokens[0], got.len() as u64).await;
    head(&mut player).await;
    let mut more = vec![0; 1 << 20];
    player.read_exact(&mut more).await.unwrap();
    assert!(more == part(got.len() as u64, more.len()));
    for (number, chunk) in got.chunks(MIB as usize).enumerate() {
        assert!(chunk == part(number as u64 * MIB, chunk.len()));
    }
}

#[tokio::test]
async fn tokens_are_not_guessed_and_a_good_one_stays_good() {
    let world = World::new(Limits::default()).await;
    let good = head(&mut world.ask(&world.tokens[0], 0).await).await;
    assert!(good.starts_with("HTTP/1.1 206"), "{good}");
    for _ in 0..5 {
        let wrong = head(&mut world.ask("wrong", 0).await).await;
        assert!(wrong.starts_with("HTTP/1.1 403"), "{wrong}");
    }
    let waits = head(&mut world.ask("wrong", 0).await).await;
    assert!(waits.starts_with("HTTP/1.1 429"), "{waits}");
    let good = head(&mut world.ask(&world.tokens[0], 0).await).await;
    assert!(good.starts_with("HTTP/1.1 206"), "{good}");
}
