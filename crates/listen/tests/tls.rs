//! TLS from files that are replaced while callers come and go.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use debridfs_base::{AttentionKind, Board};
use debridfs_listen::{Encrypted, Limits, Listeners, Times, Tls, TlsFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const SETTING: &str = "http.tls_cert";

/// A certificate of its own authority, as text.
struct Pair {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    fn new() -> Self {
        Self::until(4096)
    }

    fn until(year: i32) -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self {
            cert: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().clone(),
        }
    }
}

struct World {
    dir: tempfile::TempDir,
    address: SocketAddr,
    board: Board,
    tls: Arc<Tls>,
    listeners: Arc<Listeners>,
}

impl World {
    /// A listener whose files are as Kubernetes mounts a secret; they hold `pair`.
    async fn new(pair: &Pair, times: Times) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key"] {
            let link = Path::new("..data").join(name);
            symlink(link, dir.path().join(name)).unwrap();
        }
        let files = TlsFiles {
            cert: dir.path().join("tls.crt"),
            key: dir.path().join("tls.key"),
        };
        let (tls, board) = (Tls::new(SETTING, files), Board::default());
        let limits = Limits {
            times,
            ..Limits::default()
        };
        let listeners = Listeners::new(limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let encrypted = |request: axum::extract::Request| async move {
            format!("{:?}", request.extensions().get::<Encrypted>())
        };
        let router = Router::new().route("/", get(encrypted));
        let front = listeners.front("test");
        tokio::spawn(front.serve_with(listener, router, Some(tls.clone())));
        let (followed, on) = (tls.clone(), board.clone());
        tokio::spawn(async move { followed.follow(&on).await });
        let world = Self {
            dir,
            address,
            board,
            tls,
            listeners,
        };
        world.swap(&pair.cert, &pair.key);
        world
    }

    /// Puts both files in place at once, as the kubelet does.
    fn swap(&self, cert: &str, key: &str) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let version = format!("..{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = self.dir.path();
        fs::create_dir(dir.join(&version)).unwrap();
        fs::write(dir.join(&version).join("tls.crt"), cert).unwrap();
        fs::write(dir.join(&version).join("tls.key"), key).unwrap();
        symlink(&version, dir.join("..tmp")).unwrap();
        fs::rename(dir.join("..tmp"), dir.join("..data")).unwrap();
        self.tls.look_now();
    }

    fn file(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path().join(name)).unwrap()
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(config).connect(name, stream).await
    }

    /// The certificate that is served now to a new caller.
    async fn served(&self, pairs: &[&Pair]) -> CertificateDer<'static> {
        let stream = self.connect(client(pairs, &TLS13)).await.unwrap();
        let (_, connection) = stream.get_ref();
        connection.peer_certificates().unwrap()[0].clone()
    }

    fn words(&self) -> Option<String> {
        let lines = self.board.lines();
        let line = lines.into_iter().next()?;
        assert_eq!(
            (line.kind, line.subject.as_str()),
            (AttentionKind::Certificate, SETTING)
        );
        Some(line.words)
    }

    /// Looks again until `holds`.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            let late = begun.elapsed() > Duration::from_secs(20);
            assert!(!late, "{what}: {:?}", self.board.lines());
            self.tls.look_now();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A client that believes `pairs`, and speaks one version.
fn client(pairs: &[&Pair], version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der.clone()).unwrap();
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap())
        .with_no_client_auth();
    Arc::new(config)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<String> {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_load_and_no_request_fails() {
    let (old, new) = (Pair::new(), Pair::new());
    let world = Arc::new(World::new(&old, Times::default()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = [&TLS12, &TLS13, &TLS12, &TLS13]
        .map(|version| {
            let (world, stop) = (world.clone(), stop.clone());
            let config = client(&[&old, &new], version);
            tokio::spawn(async move {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    let stream = world.connect(config.clone()).await.unwrap();
                    let answer = ask(stream).await.unwrap();
                    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
                    assert!(answer.ends_with("Some(Encrypted)"), "{answer}");
                    answers += 1;
                }
                answers
            })
        })
        .into();
    let pairs = [&old, &new];
    world
        .until("the first", async || world.served(&pairs).await == old.der)
        .await;
    let kept = world.connect(client(&pairs, &TLS13)).await.unwrap();
    let begun = Instant::now();
    for pair in [&new, &old, &new] {
        world.swap(&pair.cert, &pair.key);
        world
            .until("the next", async || world.served(&pairs).await == pair.der)
            .await;
    }
    // It is told to look. By itself it looks every five seconds: the second and third would take ten.
    assert!(begun.elapsed() < Duration::from_secs(10));
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    let answer = ask(kept).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK"),
        "what was open goes on"
    );
    assert_eq!(world.words(), None);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_of_and_the_pair_of_before_is_served() {
    let (old, new) = (Pair::new(), Pair::new());
    let world = World::new(&old, Times::default()).await;
    let pairs = [&old, &new];
    world
        .until("the first", async || world.words().is_none())
        .await;
    assert_eq!(world.served(&pairs).await, old.der);
    let half = &new.cert[..new.cert.len() / 2];
    for (cert, key, why) in [
        (
            new.cert.as_str(),
            old.key.as_str(),
            "the key is of another certificate",
        ),
        (half, &new.key, "tls.crt"),
        ("", &new.key, "holds no certificate"),
        (&new.cert, "", "holds no private key"),
        (&new.cert, &new.cert, "holds no private key"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &new.key,
            "not a certificate",
        ),
    ] {
        world.swap(cert, key);
        let told = async || world.words().is_some_and(|words| words.contains(why));
        world.until(why, told).await;
        let words = world.words().unwrap();
        assert!(words.contains("that of before is served"), "{words}");
        assert_eq!(world.served(&pairs).await, old.der);
    }
    fs::remove_file(world.file("tls.key")).unwrap();
    let told = async || {
        world
            .words()
            .is_some_and(|words| words.contains("No such file"))
    };
    world.until("no key", told).await;
    world.swap(&new.cert, &new.key);
    world
        .until("mended", async || world.words().is_none())
        .await;
    assert_eq!(world.served(&pairs).await, new.der);

    // In place, one after the other.
    fs::write(world.file("tls.crt"), &old.cert).unwrap();
    fs::write(world.file("tls.key"), &old.key).unwrap();
    let renewed = async || world.served(&pairs).await == old.der;
    world.until("written in place", renewed).await;
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_served_and_told_of() {
    let world = World::new(&Pair::until(2020), Times::default()).await;
    let told = async || {
        world
            .words()
            .is_some_and(|words| words.contains("ended at 2020-01-01"))
    };
    world.until("the end", told).await;
    let new = Pair::new();
    world.swap(&new.cert, &new.key);
    world
        .until("renewed", async || world.words().is_none())
        .await;
    assert_eq!(world.served(&[&new]).await, new.der);
}

#[tokio::test]
async fn without_a_pair_callers_wait_for_one() {
    let new = Pair::new();
    let none = Pair {
        cert: String::new(),
        key: String::new(),
        der: new.der.clone(),
    };
    let world = World::new(&none, Times::default()).await;
    let told = async || {
        world
            .words()
            .is_some_and(|words| words.starts_with("no TLS"))
    };
    world.until("nothing to serve with", told).await;
    let waiting = world.connect(client(&[&new], &TLS13));
    let mended = async {
        world.swap(&new.cert, &new.key);
        world
            .until("mended", async || world.words().is_none())
            .await;
    };
    let (stream, ()) = tokio::join!(waiting, mended);
    let answer = ask(stream.unwrap()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

/// Ends a handshake, and begins the head of a request in the same packet.
fn begin_with_the_handshake(address: SocketAddr, config: Arc<ClientConfig>) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = rustls::ClientConnection::new(config, name).unwrap();
    while tls.wants_write() {
        tls.write_tls(&mut stream).unwrap();
    }
    while tls.is_handshaking() {
        tls.read_tls(&mut stream).unwrap();
        tls.process_new_packets().unwrap();
    }
    tls.writer().write_all(b"GET / HT").unwrap();
    let mut packet = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut packet).unwrap();
    }
    stream.write_all(&packet).unwrap();
    stream
}

#[tokio::test]
async fn plain_http_is_told_so_and_slow_handshakes_end() {
    let pair = Pair::new();
    let times = Times {
        head: Duration::from_millis(300),
        idle: Duration::from_secs(60),
        ..Times::default()
    };
    let world = World::new(&pair, times).await;
    let plain = TcpStream::connect(world.address).await.unwrap();
    let answer = ask(plain).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
    assert!(answer.contains("https://"), "{answer}");

    // The beginning of a handshake, and no more of it.
    let mut slow = TcpStream::connect(world.address).await.unwrap();
    slow.write_all(b"\x16\x03\x01\x02\x00").await.unwrap();
    let mut said = Vec::new();
    // Closed, with or without an alert.
    let _ = slow.read_to_end(&mut said).await;
    let [report] = &world.listeners.report()[..] else {
        panic!("{:?}", world.listeners.report());
    };
    assert_eq!(
        (report.accepted, report.idle),
        (2, 1),
        "it has its seat from the beginning"
    );

    // Nor does a head that begins in the packet of the handshake's last word take any longer.
    let (address, config) = (world.address, client(&[&pair], &TLS13));
    let begun = tokio::task::spawn_blocking(move || begin_with_the_handshake(address, config));
    let mut slow = begun.await.unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let wait = Some(Duration::from_secs(20));
        slow.set_read_timeout(wait).unwrap();
        // Tickets of the session come first, and an alert perhaps last.
        std::io::copy(&mut slow, &mut std::io::sink()).map_or_else(
            |error| error.kind() == std::io::ErrorKind::ConnectionReset,
            |_| true,
        )
    });
    assert!(ended.await.unwrap(), "it is still open after 20 s");
    assert_eq!(world.listeners.report()[0].idle, 2);

    // After its handshake a caller may say nothing for as long as on any connection.
    let kept = world.connect(client(&[&pair], &TLS13)).await.unwrap();
    tokio::time::sleep(2 * times.head).await;
    let answer = ask(kept).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
