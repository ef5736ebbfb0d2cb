//! Programs that use the mount; each is a process of its own, as it may be caught in it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use debridfs_handover::packet::{self, seqpacket};
use rustix::net::SocketAddrUnix;

use crate::engine::{FILE_SIZE, content};

/// `read PATH [direct]`, `crowd PATH COUNT`, `stat PATH LIMIT_MS`, `bring PATH SOCKET ENGINE`
pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["read", path] => read(path, 0),
        ["read", path, "direct"] => read(path, libc::O_DIRECT),
        ["crowd", path, count] => crowd(path, count.parse().unwrap()),
        ["stat", path, limit] => stat(path, Duration::from_millis(limit.parse().unwrap())),
        ["bring", path, socket, engine] => bring(path, socket, engine.parse().unwrap()),
        _ => Err("usage".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Nobody may read it any more.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::FAILURE
        }
    }
}

#[repr(align(4096))]
struct Aligned([u8; 65_536]);

/// Reads the whole file and compares every byte.
fn read(path: &str, flags: i32) -> Result<(), String> {
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| format!("open {error}"))?;
    let mut buffer = Box::new(Aligned([0; 65_536]));
    let mut offset = 0;
    while offset < FILE_SIZE {
        let count = file
            .read_at(&mut buffer.0, offset)
            .map_err(|error| format!("read {error}"))?;
        if count == 0 {
            return Err(format!("end at {offset}"));
        }
        for (at, byte) in (offset..).zip(&buffer.0[..count]) {
            if *byte != content(at) {
                return Err(format!("wrong byte at {at}"));
            }
        }
        offset += count as u64;
    }
    Ok(())
}

#[repr(align(4096))]
struct Page([u8; 4096]);

/// Many threads, each waiting for a read of its own.
fn crowd(path: &str, count: usize) -> Result<(), String> {
    std::thread::scope(|scope| {
        for _ in 0..count {
            let body = || {
                let file = OpenOptions::new()
                    .read(true)
                    .custom_flags(libc::O_DIRECT)
                    .open(path);
                let mut buffer = Page([0; 4096]);
                file.and_then(|file| file.read_at(&mut buffer.0, 0))
            };
            let builder = std::thread::Builder::new().stack_size(128 * 1024);
            builder
                .spawn_scoped(scope, body)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

/// `stat` and `statfs` of the root, several times, each within the limit.
fn stat(path: &str, limit: Duration) -> Result<(), String> {
    for round in 0..5 {
        let started = Instant::now();
        let inode = rustix::fs::stat(path)
            .map_err(|error| format!("stat {error}"))?
            .st_ino;
        let stat_time = started.elapsed();
        rustix::fs::statfs(path).map_err(|error| format!("statfs {error}"))?;
        let both = started.elapsed();
        if both > limit || inode != 1 {
            return Err(format!(
                "round {round}: inode {inode}, stat {stat_time:?}, both {both:?}"
            ));
        }
    }
    Ok(())
}

/// Opens a file, stops the engine, and gives the keeper the descriptor with a question, which must
/// be answered.
fn bring(path: &str, socket: &str, engine: u32) -> Result<(), String> {
    let file = std::fs::File::open(path).map_err(|error| format!("open {error}"))?;
    let keeper = seqpacket().map_err(|error| error.to_string())?;
    let address = SocketAddrUnix::new(socket).map_err(|error| error.to_string())?;
    rustix::net::connect(&keeper, &address).map_err(|error| format!("connect {error}"))?;
    let limit = Some(Duration::from_secs(5));
    rustix::net::sockopt::set_socket_timeout(&keeper, rustix::net::sockopt::Timeout::Recv, limit)
        .map_err(|error| error.to_string())?;
    crate::world::signal(engine, rustix::process::Signal::STOP);
    packet::send(keeper.as_fd(), br#"{"type":"status"}"#, &[file.as_fd()])
        .map_err(|error| format!("send {error}"))?;
    packet::receive(keeper.as_fd()).map_err(|error| format!("no answer: {error}"))?;
    // What is asked next proves that it did not stop in the middle.
    packet::send(keeper.as_fd(), br#"{"type":"status"}"#, &[])
        .map_err(|error| format!("send {error}"))?;
    packet::receive(keeper.as_fd()).map_err(|error| format!("no answer: {error}"))?;
    Ok(())
}
