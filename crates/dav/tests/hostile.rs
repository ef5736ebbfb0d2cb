//! Callers that ask for too much, or take their time, by plain HTTP and by TLS.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/counted.rs"]
mod counted;
#[path = "support/tls.rs"]
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use counted::Counted;
use debridfs_dav::{Redirects, router};
use debridfs_listen::{FrontReport, Limits, Listeners, Logins, Times, TokenRights, Tokens};
use debridfs_vfs::{MemoryVfs, NodeId};
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsConnector;

/// The film's bytes: more than all buffers on the way hold.
const SIZE: u64 = 1 << 40;
/// What a connection may hold of a film, by `transfers`: a piece that is sent and one behind it.
const TWO_PIECES: u64 = 512 << 10;
/// The longest head, by `listen`.
const LONGEST_HEAD: usize = 64 << 10;

const TIMES: Times = Times {
    head: Duration::from_millis(300),
    idle: Duration::from_secs(60),
    pause: Duration::from_millis(300),
    body: Duration::from_millis(900),
    write: Duration::from_millis(500),
};
/// An end that takes longer is none of these limits'.
const LATE: Duration = Duration::from_secs(20);

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

struct World {
    address: SocketAddr,
    listeners: Arc<Listeners>,
    token: String,
    /// The authority, where it is TLS.
    cert: Option<PathBuf>,
    /// Bytes of the film that are in memory now.
    held: Arc<AtomicU64>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(encrypted: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(dir.path()));
        tokens.load(Timestamp::UNIX_EPOCH).unwrap();
        let made = tokens.create("t", TokenRights::default(), Timestamp::UNIX_EPOCH);
        let held = Arc::new(AtomicU64::new(0));
        let now = held.clone();
        let vfs = MemoryVfs::new(Timestamp::UNIX_EPOCH);
        vfs.add_file(NodeId::ROOT, "film.mkv", NodeId(11), SIZE, move |read| {
            now.fetch_add(u64::from(read.size), Ordering::SeqCst);
            let bytes = vec![7; read.size as usize];
            let held = now.clone();
            Ok(vec![Bytes::from_owner(Counted { bytes, held })])
        });
        let listeners = Listeners::new(Limits {
            times: TIMES,
            ..Limits::default()
        });
        let attempts = listeners.attempts().clone();
        let logins = Logins::new(tokens.clone(), attempts.clone());
        let router = router(
            Arc::new(vfs),
            tokens,
            logins,
            attempts,
            Redirects::default(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, cert) = encrypted.then(|| tls::tls(dir.path())).unzip();
        tokio::spawn(listeners.front("test").serve_with(listener, router, tls));
        Self {
            address,
            listeners,
            token: made.unwrap(),
            cert,
            held,
            _dir: dir,
        }
    }

    async fn connect(&self) -> Box<dyn Io> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let Some(cert) = &self.cert else {
            return Box::new(stream);
        };
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(cert).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        Box::new(connector.connect(name, stream).await.unwrap())
    }

    /// A head without its end.
    fn head(&self, line: &str) -> String {
        let token = &self.token;
        format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n")
    }

    async fn say(&self, text: &str) -> Box<dyn Io> {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }

    fn report(&self) -> FrontReport {
        self.listeners.report().remove(0)
    }
}

/// The status of the answer.
async fn status(stream: &mut (impl AsyncRead + Unpin)) -> u16 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Writes a byte now and then until the other side ends it; how long that took.
async fn drip(mut stream: Box<dyn Io>) -> Duration {
    let begun = Instant::now();
    let mut answer = [0; 256];
    while begun.elapsed() < LATE {
        if stream.write_all(b"x").await.is_err() || stream.flush().await.is_err() {
            break;
        }
        let wait = Duration::from_millis(50);
        let read = tokio::time::timeout(wait, stream.read(&mut answer)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    begun.elapsed()
}

/// Waits until the other side ends it; how long that took.
async fn ended(mut stream: Box<dyn Io>) -> Duration {
    let begun = Instant::now();
    let mut left = Vec::new();
    // An end and a reset are the same to us.
    let _ = tokio::time::timeout(LATE, stream.read_to_end(&mut left)).await;
    begun.elapsed()
}

#[tokio::test]
async fn heads_and_ranges_beyond_all_measure_are_refused() {
    for encrypted in [false, true] {
        let world = World::new(encrypted).await;
        let head = world.head("GET /dav/film.mkv");
        // All of it is read, so that the answer is not lost with what was not.
        let long = format!("{head}X: {}", "x".repeat(LONGEST_HEAD - head.len() - 3));
        assert_eq!(status(&mut world.say(&long).await).await, 431);
        let many: String = (0..101)
            .map(|number| format!("X-{number}: x\r\n"))
            .collect();
        let many = format!("{head}{many}\r\n");
        assert_eq!(status(&mut world.say(&many).await).await, 431);
        let ranges = vec!["0-0"; 10_000].join(",");
        let ranges = format!("{head}Range: bytes={ranges}\r\n\r\n");
        let begun = Instant::now();
        let mut stream = world.say(&ranges).await;
        assert_eq!(status(&mut stream).await, 416);
        assert!(begun.elapsed() < Duration::from_secs(5), "no work for it");
        assert_eq!(world.held.load(Ordering::SeqCst), 0, "nothing is read");
    }
}

#[tokio::test]
async fn slow_writers_and_readers_cost_a_bounded_time_and_memory() {
    for encrypted in [false, true] {
        let world = World::new(encrypted).await;
        let head = drip(world.say("GET /dav/film.mkv HT").await);
        let propfind = world.head("PROPFIND /dav/") + "Depth: 1\r\nContent-Length: 1000\r\n\r\n";
        let dripped = drip(world.say(&propfind).await);
        let silent = ended(world.say(&propfind).await);
        let (head, dripped, silent) = tokio::join!(head, dripped, silent);
        for (what, took, limit) in [
            ("a head", head, TIMES.head),
            ("a body in drops", dripped, TIMES.body),
            ("a body that stops", silent, TIMES.pause),
        ] {
            let early = limit - Duration::from_millis(100);
            assert!((early..LATE).contains(&took), "{what}: {took:?}");
        }
        let report = world.report();
        assert_eq!((report.idle, report.slow), (1, 2), "{report:?}");

        // Whoever takes a little now and then goes on, and holds two pieces.
        let get = world.head("GET /dav/film.mkv") + "\r\n";
        let mut slow = world.say(&get).await;
        assert_eq!(status(&mut slow).await, 200);
        let begun = Instant::now();
        let mut some = vec![0; 64 << 10];
        while begun.elapsed() < 3 * TIMES.write {
            slow.read_exact(&mut some).await.unwrap();
            let held = world.held.load(Ordering::SeqCst);
            assert!(held <= TWO_PIECES, "{held}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Who takes nothing is ended, and holds nothing.
        let begun = Instant::now();
        while world.report().connections > 0 {
            assert!(begun.elapsed() < LATE, "{:?}", world.report());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let report = world.report();
        assert_eq!((report.idle, report.slow), (1, 3), "{report:?}");
        assert_eq!(world.held.load(Ordering::SeqCst), 0);
        drop(slow);
    }
}
