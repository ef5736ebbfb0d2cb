//! Callers who want nothing good: idle ones, slow ones and huge ones, at all listeners at once. Players, probes and the operator do not
//! notice.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use debridfs_listen::raise_descriptors;

use crate::support::{ENGINE_USER, Instance, Reader, Settings, Simulator, film, run};

const IDLE: usize = 2000;
const SLOW: usize = 200;
const HUGE: usize = 50;
/// How long they go on.
const LONG: Duration = Duration::from_secs(12);
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// What nobody has to wait for longer than.
const PAUSE: Duration = Duration::from_secs(1);
/// The engine's memory may grow by `server.bodies`, twice while a body is joined, and by what 128 connections to each of three listeners
/// have in buffers.
const GROWTH: u64 = 192 << 20;

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Threads that call until they are told to end.
struct Crowd {
    ends: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Each thread does `call` again and again.
    fn add(
        &mut self,
        threads: usize,
        call: impl Fn(usize) -> Box<dyn FnMut()> + Send + Sync + 'static,
    ) {
        let call = Arc::new(call);
        for number in 0..threads {
            let (call, ends, calls) = (call.clone(), self.ends.clone(), self.calls.clone());
            self.threads.push(std::thread::spawn(move || {
                let mut call = call(number);
                while !ends.load(Ordering::Relaxed) {
                    call();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }

    fn end(self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it ends");
        }
        self.calls.load(Ordering::Relaxed)
    }
}

/// What a caller sends; it is nothing to us whether anybody listens.
fn send(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    let limit = Some(Duration::from_secs(5));
    stream.set_read_timeout(limit).expect("a limit");
    stream.set_write_timeout(limit).expect("a limit");
    Some(stream)
}

fn post(path: &str, length: usize) -> String {
    let kind = "application/x-www-form-urlencoded";
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// The answer to `GET path`, if there is one.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = connect(address)?;
    send(
        &mut stream,
        &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
    );
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn resident(instance: &Instance) -> u64 {
    let status = instance.status();
    status["engine"]["resident"].as_u64().expect("its memory")
}

/// So many connections that say nothing, or a part of a head; each is held until many others have been made.
fn idle(sites: [SocketAddr; 3], held: usize) -> Box<dyn FnMut()> {
    let mut open = VecDeque::new();
    let mut number = 0;
    Box::new(move || {
        if let Some(mut stream) = connect(sites[number % sites.len()]) {
            if number % 2 == 0 {
                send(&mut stream, "GET / HT");
            }
            open.push_back(stream);
        }
        number += 1;
        if open.len() > held {
            open.pop_front();
        }
        // Half a thousand a second from all threads together, once all are there.
        if number > held {
            std::thread::sleep(Duration::from_millis(8));
        }
    })
}

/// So many bodies, a letter of each in half a second.
fn slow(sites: [SocketAddr; 3], held: usize) -> Box<dyn FnMut()> {
    let paths = ["/login", "/api/v2/auth/login", "/api"];
    let mut open: Vec<Option<TcpStream>> = (0..held).map(|_| None).collect();
    Box::new(move || {
        for (number, place) in open.iter_mut().enumerate() {
            let goes_on = place
                .as_mut()
                .is_some_and(|stream| stream.write_all(b"x").is_ok());
            if !goes_on {
                let site = number % sites.len();
                *place = connect(sites[site]);
                if let Some(stream) = place {
                    send(stream, &post(paths[site], 4000));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    })
}

/// One body of 60 MiB, of somebody who has the key or has not.
fn huge(sites: [SocketAddr; 3], number: usize) -> Box<dyn FnMut()> {
    let piece = vec![b'a'; 1 << 20];
    Box::new(move || {
        let (site, path) = match number % 3 {
            0 => (sites[1], "/api/v2/auth/login".to_owned()),
            1 => (sites[2], "/api".to_owned()),
            _ => (sites[2], format!("/api?mode=addfile&apikey={KEY}")),
        };
        if let Some(mut stream) = connect(site) {
            send(&mut stream, &post(&path, 60 << 20));
            for _ in 0..59 {
                if stream.write_all(&piece).is_err() {
                    break;
                }
            }
            // Held as long as that is allowed.
            let _ = stream.read(&mut [0; 64]);
        }
        std::thread::sleep(Duration::from_millis(200));
    })
}

#[test]
fn crowds_of_callers_hold_up_no_reader_and_no_probe() {
    raise_descriptors();
    let simulator = Simulator::start(vec![film("Film.2024", 8 << 30)]);
    let downloads = tempfile::tempdir().expect("directory");
    run(
        "chown",
        &[ENGINE_USER, downloads.path().to_str().expect("text")],
    );
    let (qbittorrent, sabnzbd) = (free(), free());
    let mut toml = String::new();
    let _ = write!(
        toml,
        "[web]\ntoken = \"{KEY}\"\n[acquire]\ndownloads = \"{}\"\n\
         [qbittorrent]\nlisten = \"{qbittorrent}\"\npassword = \"x\"\n\
         [sabnzbd]\nlisten = \"{sabnzbd}\"\napi_key = \"{KEY}\"\n",
        downloads.path().display()
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let mut instance = Instance::prepare(&simulator, settings);
    // As a service manager and a shell set it.
    instance.launch_by("prlimit --nofile=1024:20000");
    instance.wait_listed();
    instance.wait_synced();
    let status = instance.status();
    let pages: SocketAddr = status["engine"]["listen"]
        .as_str()
        .expect("it listens")
        .parse()
        .expect("an address");
    let (name, key) = simulator.file("Film.2024.mkv");
    let path = instance.mount().join("__all__/Film.2024").join(name);
    let before = resident(&instance);
    let reader = Reader::start("direct", &path, key);

    let sites = [pages, qbittorrent, sabnzbd];
    let mut crowd = Crowd {
        ends: Arc::default(),
        calls: Arc::default(),
        threads: Vec::new(),
    };
    crowd.add(4, move |_| idle(sites, IDLE / 4));
    crowd.add(2, move |_| slow(sites, SLOW / 2));
    crowd.add(HUGE, move |number| huge(sites, number));
    let begun = Instant::now();
    let (mut waits, mut lost, mut most) = (Vec::new(), 0, 0);
    while begun.elapsed() < LONG {
        let asked = Instant::now();
        match get(pages, "/livez") {
            Some(answer) if answer.starts_with("HTTP/1.1 200") => {}
            other => {
                println!("/livez: {other:?}");
                lost += 1;
            }
        }
        waits.push(asked.elapsed());
        if waits.len() % 50 == 0 {
            let asked = Instant::now();
            most = most.max(resident(&instance));
            assert!(
                asked.elapsed() < Duration::from_secs(5),
                "status took {:?}",
                asked.elapsed()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let callers = instance.status()["callers"].clone();
    let seen = reader.finish();
    let calls = crowd.end();
    waits.sort();
    let last = waits[waits.len() * 99 / 100];
    println!(
        "{calls} calls; /livez {} times, p99 {last:?}, {lost} lost; reader {seen:?}; memory {} to {} MiB; {callers}",
        waits.len(),
        before >> 20,
        most >> 20
    );
    seen.assert_clean("the reader");
    assert!(seen.worst_ms < PAUSE.as_secs_f64() * 1000.0, "{seen:?}");
    assert!(last < PAUSE, "/livez: p99 {last:?}");
    assert!(
        lost * 100 <= waits.len(),
        "/livez: {lost} of {} lost",
        waits.len()
    );
    assert!(
        most < before + GROWTH,
        "{} MiB to {} MiB",
        before >> 20,
        most >> 20
    );
    for listener in callers["listeners"].as_array().expect("listeners") {
        assert!(listener["connections"].as_u64() <= Some(128), "{listener}");
        assert_eq!(listener["errors"], 0, "{listener}");
    }
    // Afterwards everything is as before.
    let answer = get(sabnzbd, &format!("/api?mode=queue&apikey={KEY}")).expect("an answer");
    assert!(answer.contains("\"queue\""), "{answer}");
}
