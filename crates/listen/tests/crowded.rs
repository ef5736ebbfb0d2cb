//! Callers who say nothing, who are slow, and who send too much, beside some who only want an answer.
//! The limits are those of the program, scaled down so that the tests are quick.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use debridfs_listen::{FrontReport, Limits, Listeners, Times, peer, raise_descriptors, unix};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

const MIB: usize = 1 << 20;

struct World {
    listeners: Arc<Listeners>,
    address: SocketAddr,
}

fn router() -> Router {
    let said = |request: axum::extract::Request| async move {
        format!("{:?}", peer(request.extensions()))
    };
    let endless = || async {
        let piece = Bytes::from(vec![b'x'; MIB]);
        let pieces = std::iter::repeat_n(Ok::<_, std::convert::Infallible>(piece), 1000);
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        "late"
    };
    Router::new()
        .route("/", get(said))
        .route(
            "/length",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/endless", get(endless))
        .route("/slow", get(slow))
        .layer(DefaultBodyLimit::max(4 * MIB))
}

impl World {
    async fn new(limits: Limits) -> Self {
        let listeners = Listeners::new(limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listeners.front("test").serve(listener, router()));
        Self { listeners, address }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    fn report(&self) -> FrontReport {
        self.listeners.report().remove(0)
    }

    /// Looks again until `holds`.
    async fn until(&self, what: &str, holds: impl Fn(&FrontReport) -> bool) {
        let begun = Instant::now();
        while !holds(&self.report()) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what}: {:?}",
                self.report()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn short() -> Times {
    Times {
        head: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        pause: Duration::from_millis(300),
        body: Duration::from_millis(900),
        write: Duration::from_millis(300),
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    try_ask(stream, path).await.unwrap()
}

async fn try_ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Reads until the other side ends it; how long that took.
async fn ended(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut left = Vec::new();
    // An end and a reset are the same to us.
    let _ = stream.read_to_end(&mut left).await;
    begun.elapsed()
}

#[tokio::test]
async fn requests_carry_the_address_of_their_connection() {
    let world = World::new(Limits::default()).await;
    let answer = ask(world.connect().await, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("Some(127.0.0.1)"), "{answer}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let front = world.listeners.front("socket");
    tokio::spawn(front.serve(unix(&path).unwrap(), router()));
    let answer = ask(UnixStream::connect(path).await.unwrap(), "/").await;
    assert!(answer.ends_with("None"), "{answer}");
}

#[tokio::test]
async fn the_idle_the_slow_and_those_who_do_not_read_are_ended() {
    let world = World::new(Limits {
        times: short(),
        ..Limits::default()
    })
    .await;
    let times = short();
    let mut silent = world.connect().await;
    let mut head = world.say("GET / HT").await;
    let post = "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let mut body = world.say(post).await;
    let drip = tokio::spawn({
        let mut stream = world.say(post).await;
        async move {
            let begun = Instant::now();
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            begun.elapsed()
        }
    });
    let unread = world.say("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // Work of ours has no limit, and what is used stays.
    let mut works = world
        .say("GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let (head, body, silent) = tokio::join!(ended(&mut head), ended(&mut body), ended(&mut silent));
    for (took, limit) in [
        (head, times.head),
        (body, times.pause),
        (silent, times.idle),
    ] {
        assert!(
            took >= limit - Duration::from_millis(50),
            "{took:?} {limit:?}"
        );
    }
    assert!(silent > head && silent > body);
    assert!(drip.await.unwrap() >= times.body);
    world
        .until("all have ended", |report| report.connections == 0)
        .await;
    let report = world.report();
    assert_eq!((report.idle, report.slow), (2, 3), "{report:?}");
    let mut late = String::new();
    works.read_to_string(&mut late).await.unwrap();
    assert!(late.ends_with("late"), "{late}");
    drop(unread);
}

#[tokio::test]
async fn idle_ones_make_room_and_those_in_use_are_never_ended_for_it() {
    let world = World::new(Limits {
        connections: 8,
        ..Limits::default()
    })
    .await;
    let mut works = world
        .say("GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(world.connect().await);
    }
    let answer = ask(world.connect().await, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let report = world.report();
    assert!(report.connections <= 8 && report.refused == 0, "{report:?}");
    assert!(report.made_room >= 32, "{report:?}");
    let mut late = String::new();
    works.read_to_string(&mut late).await.unwrap();
    assert!(late.ends_with("late"), "{late}");
}

#[tokio::test]
async fn one_too_many_is_told_so_at_once() {
    let world = World::new(Limits {
        connections: 4,
        ..Limits::default()
    })
    .await;
    let slow = "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut working = Vec::new();
    for _ in 0..4 {
        working.push(world.say(slow).await);
    }
    world
        .until("all are there", |report| report.connections == 4)
        .await;
    let begun = Instant::now();
    let answer = ask(world.connect().await, "/").await;
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: 5\r\n") && answer.contains("too many connections"));
    assert_eq!(world.report().refused, 1);
    for mut stream in working {
        let mut late = String::new();
        stream.read_to_string(&mut late).await.unwrap();
        assert!(late.ends_with("late"), "{late}");
    }
    let answer = ask(world.connect().await, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn bodies_of_all_callers_share_a_budget() {
    let world = World::new(Limits {
        bodies: 4 * MIB as u64,
        ..Limits::default()
    })
    .await;
    let post = format!(
        "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        3 * MIB
    );
    let mut first = world.say(&post).await;
    let most = vec![b'x'; 3 * MIB - 1];
    first.write_all(&most).await.unwrap();
    let bodies = world.listeners.bodies();
    let begun = Instant::now();
    while bodies.used() < most.len() as u64 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{}",
            bodies.used()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut second = world.say(&post).await;
    let _ = second.write_all(&most).await;
    let mut answer = vec![0; 12];
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 503");
    drop(second);
    // The first one gets what it came for, and then all is given back.
    first.write_all(b"x").await.unwrap();
    let mut answer = vec![0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    world
        .until("all is given back", |_| bodies.used() == 0)
        .await;
    assert!(
        ask(world.connect().await, "/")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn a_head_that_does_not_end_takes_little_memory() {
    let world = World::new(Limits::default()).await;
    let mut stream = world.say("GET / HTTP/1.1\r\nX: ").await;
    let letters = vec![b'x'; 100 << 10];
    let _ = stream.write_all(&letters).await;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 431");
}

/// A smaller form of what `crates/debridfs/tests/mounted/crowded.rs` does to the whole program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_want_nothing_do_not_keep_out_one_who_does() {
    // Both ends are this process's.
    let most = usize::try_from(raise_descriptors() / 2).unwrap();
    let world = Arc::new(World::new(Limits::default()).await);
    let post = "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nx";
    let crowd = tokio::spawn({
        let world = world.clone();
        async move {
            let mut held = Vec::new();
            for number in 0..most.min(2000) {
                let mut stream = world.connect().await;
                let said = if number % 10 == 0 { post } else { "GET / HT" };
                // It may have had to make room already.
                let _ = stream.write_all(said.as_bytes()).await;
                held.push(stream);
            }
            held
        }
    });
    let mut waits = Vec::new();
    let mut lost = 0;
    while waits.len() < 100 || !crowd.is_finished() {
        let begun = Instant::now();
        match try_ask(world.connect().await, "/").await {
            Ok(answer) => assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}"),
            // It said nothing for too long, as this machine was busy.
            Err(_) => lost += 1,
        }
        waits.push(begun.elapsed());
    }
    waits.sort();
    let last = waits[waits.len() * 99 / 100];
    assert!(last < Duration::from_secs(1), "p99 {last:?}");
    assert!(
        lost <= waits.len() / 100,
        "{lost} of {} were lost",
        waits.len()
    );
    let report = world.report();
    assert!(
        report.connections <= 128 && report.refused == 0,
        "{report:?}"
    );
    drop(crowd.await.unwrap());
}

/// A protocol that is not HTTP: it says by itself when it has a request.
#[tokio::test]
async fn any_protocol_can_be_served() {
    let listeners = Listeners::new(Limits {
        connections: 1,
        ..Limits::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let front = listeners.front("echo");
    tokio::spawn(
        front.accept(listener, "full", |mut stream, guest| async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                let _busy = guest.begin();
                tokio::time::sleep(Duration::from_millis(300)).await;
                let _ = stream.write_all(&byte).await;
            }
        }),
    );
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"a").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    let mut said = String::new();
    second.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "full");
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"a");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _third = TcpStream::connect(address).await.unwrap();
    assert_eq!(first.read(&mut byte).await.unwrap_or(0), 0, "it made room");
}
