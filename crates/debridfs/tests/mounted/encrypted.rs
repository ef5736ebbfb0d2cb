//! TLS of a running engine: its certificate is replaced under load, and callers who take their time are ended.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{ENGINE_USER, Instance, Settings, Simulator, film, free_address, run, until};

const TOKEN: &str = "a token of the pages";
const PATIENCE: Duration = Duration::from_secs(60);
/// `listen`'s limits, with what a busy machine may take beside them.
const HEAD: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(15);
const LATE: Duration = Duration::from_secs(60);

/// A certificate of its own authority, as text.
struct Pair {
    cert: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let cert = params.self_signed(&key).expect("signed");
        Self {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The files of a certificate as the kubelet mounts a secret: links through a link that is replaced.
struct Secret {
    dir: tempfile::TempDir,
    swaps: u32,
}

impl Secret {
    fn new(pair: &Pair) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        for name in ["tls.crt", "tls.key"] {
            let link = Path::new("..data").join(name);
            symlink(link, dir.path().join(name)).expect("a link");
        }
        let mut secret = Self { dir, swaps: 0 };
        secret.swap(&pair.cert, &pair.key);
        secret
    }

    fn swap(&mut self, cert: &str, key: &str) {
        let dir = self.dir.path();
        let version = format!("..{}", self.swaps);
        self.swaps += 1;
        fs::create_dir(dir.join(&version)).expect("directory");
        fs::write(dir.join(&version).join("tls.crt"), cert).expect("written");
        fs::write(dir.join(&version).join("tls.key"), key).expect("written");
        run("chown", &["-R", ENGINE_USER, dir.to_str().expect("text")]);
        symlink(&version, dir.join("..tmp")).expect("a link");
        fs::rename(dir.join("..tmp"), dir.join("..data")).expect("renamed");
    }

    fn settings(&self, section: &str) -> String {
        let dir = self.dir.path().display();
        format!("[{section}]\ntls_cert = \"{dir}/tls.crt\"\ntls_key = \"{dir}/tls.key\"\n")
    }
}

struct World {
    instance: Instance,
    pages: SocketAddr,
    files: SocketAddr,
    /// Where authorities are written for curl.
    dir: tempfile::TempDir,
}

impl World {
    /// curl of `url`, which believes `authorities`.
    fn curl(&self, authorities: &Path, url: &str, more: &[&str]) -> Output {
        Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "30"])
            .arg("--cacert")
            .arg(authorities)
            .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
            .args(more)
            .arg(url)
            .output()
            .expect("curl runs")
    }

    fn authorities(&self, name: &str, pairs: &[&Pair]) -> PathBuf {
        let path = self.dir.path().join(name);
        let text: String = pairs.iter().map(|pair| pair.cert.as_str()).collect();
        fs::write(&path, text).expect("written");
        path
    }

    /// Waits until both listeners serve the certificate of `authority`.
    fn wait_served(&self, authority: &Path, what: &str) {
        for address in [self.pages, self.files] {
            until(what, PATIENCE, || {
                let url = format!("https://{address}/livez");
                let said = self.curl(authority, &url, &["--output", "/dev/null"]);
                // 22: an answer, and no success.
                matches!(said.status.code(), Some(0 | 22))
            });
        }
    }

    /// What is said of the certificates.
    fn complaints(&self) -> Vec<String> {
        let status = self.instance.status();
        let lines = status["attention"].as_array().cloned().unwrap_or_default();
        let of_tls = lines.iter().filter(|line| line["kind"] == "certificate");
        of_tls.map(ToString::to_string).collect()
    }

    fn hang_up(&self) {
        assert!(self.instance.signal_engine(Signal::HUP), "an engine");
    }
}

/// A connection to the pages that begins with `text`.
fn say(
    address: SocketAddr,
    authority: &Path,
    text: &str,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(authority).expect("read") {
        roots.add(cert.expect("a certificate")).expect("added");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(LATE)).expect("set");
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(text.as_bytes()).expect("written");
    stream
}

/// Reads until the other side ends it: what was said, and how long it took.
fn ended(mut stream: StreamOwned<ClientConnection, TcpStream>) -> (String, Duration) {
    let begun = Instant::now();
    let mut said = Vec::new();
    // Without an alert the end is an error.
    let _ = stream.read_to_end(&mut said);
    (String::from_utf8_lossy(&said).into_owned(), begun.elapsed())
}

#[test]
fn certificates_are_replaced_under_load_and_slow_callers_are_ended() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let (old, new) = (Pair::new(), Pair::new());
    let mut secret = Secret::new(&old);
    let files = free_address();
    let toml = format!(
        "{}token = \"{TOKEN}\"\n{}listen = \"{files}\"\n",
        secret.settings("web"),
        secret.settings("http")
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let listen = instance.status()["engine"]["listen"].clone();
    let world = World {
        pages: listen
            .as_str()
            .and_then(|at| at.parse().ok())
            .expect("an address"),
        files,
        instance,
        dir: tempfile::tempdir().expect("directory"),
    };
    let both = world.authorities("both", &[&old, &new]);
    let old_alone = world.authorities("old", &[&old]);
    let new_alone = world.authorities("new", &[&new]);
    world.wait_served(&old_alone, "the first certificate");
    let engine = world.instance.engine_pid();

    let api = format!("https://{}/api/v1/browse?path=__all__", world.pages);
    let (stop, calls) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| slow_callers(&world, &both));
        // A panic here must not leave the load running.
        let over = Over(&stop);
        let load: Vec<_> = [api.clone(), format!("https://{}/livez", world.pages)]
            .map(|url| {
                let (world, both, stop, calls) = (&world, &both, &stop, &calls);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let said = world.curl(both, &url, &[]);
                        assert!(said.status.success(), "{url}: {said:?}");
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .into();
        // By itself, then told to look.
        secret.swap(&new.cert, &new.key);
        world.wait_served(&new_alone, "a link is replaced");
        secret.swap(&old.cert, &old.key);
        world.hang_up();
        world.wait_served(&old_alone, "SIGHUP");
        assert_eq!(world.complaints(), Vec::<String>::new());

        // Those that do not belong together, and half of one.
        let half = &new.cert[..new.cert.len() / 2];
        for (cert, why) in [
            (&*new.cert, "the key is of another certificate"),
            (half, "tls.crt"),
        ] {
            secret.swap(cert, &old.key);
            world.hang_up();
            until(why, PATIENCE, || {
                let said = world.complaints();
                said.len() == 2 && said.iter().all(|words| words.contains(why))
            });
            let said = world.complaints();
            assert!(said[0].contains("that of before is served"), "{said:?}");
            world.wait_served(&old_alone, "the pair of before");
        }
        secret.swap(&new.cert, &new.key);
        world.hang_up();
        world.wait_served(&new_alone, "mended");
        until("nothing is wrong", PATIENCE, || {
            world.complaints().is_empty()
        });
        drop(over);
        for caller in load {
            caller.join().expect("each call was answered");
        }
        slow.join().expect("slow callers are ended");
    });
    assert!(calls.into_inner() >= 20);
    assert_eq!(
        world.instance.engine_pid(),
        engine,
        "the same engine all along"
    );
    let log = world.instance.log();
    assert!(log.contains("the key is of another certificate"), "{log}");
}

/// Ends the load also when an assertion fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Callers of the API that ask for too much, or take their time.
fn slow_callers(world: &World, authorities: &Path) {
    let head = format!(
        "POST /api/v1/queue HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    );
    let say = |text: &str| say(world.pages, authorities, text);
    let long = format!("{head}X: {}", "x".repeat((64 << 10) - head.len() - 3));
    let (said, _) = ended(say(&long));
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    let ranges = vec!["0-0"; 10_000].join(",");
    let ranges = format!("Range: bytes={ranges}");
    let url = format!("https://{}/api/v1/browse", world.pages);
    let said = world.curl(authorities, &url, &["--header", &ranges]);
    assert!(said.status.success(), "no range is meant: {said:?}");
    let body = format!("{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{");
    std::thread::scope(|scope| {
        let head = scope.spawn(|| ended(say(&head)).1);
        let body = scope.spawn(|| ended(say(&body)).1);
        for (what, took, limit) in [
            ("a head that stops", head.join(), HEAD),
            ("a body that stops", body.join(), PAUSE),
        ] {
            let took = took.expect("ended");
            let early = limit - Duration::from_secs(1);
            assert!((early..LATE).contains(&took), "{what}: {took:?}");
        }
    });
}
