//! A CDN over raw TCP whose every answer a test decides, and which checks nothing for its client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes `range` of the file `id`: every 8-byte word tells its place, so that no two places look alike.
pub fn content(id: u64, range: Range<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity((range.end - range.start) as usize + 16);
    let first = range.start / 8;
    for word in first..range.end.div_ceil(8) {
        let mixed = (word ^ (id << 48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        out.extend_from_slice(&mixed.to_le_bytes());
    }
    let skip = (range.start % 8) as usize;
    out.drain(..skip);
    out.truncate((range.end - range.start) as usize);
    out
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// As it should be.
    Right,
    /// This status with these header lines and no body.
    Status(u16, &'static str),
    /// 200 with the whole file.
    Whole,
    /// 206 that tells this `Content-Range`, with the bytes of the file's start.
    Claims(String),
    /// 206 with a gzip encoding.
    Encoded,
    /// Only so many bytes of the body, then the end of the connection.
    Short(u64),
    /// So many bytes of the body, then silence.
    Stall(u64),
    /// More bytes than were asked, in a chunked body.
    Long,
    /// So long nothing, then as it should be.
    Slow(Duration),
    /// The connection is reset without an answer.
    Reset,
    /// Silence from the start.
    Silent,
    /// 302 to this path or address.
    Redirect(String),
    /// As it should be, but so many bytes a tick of 5 ms.
    Trickle(usize),
    /// So long nothing, then so many bytes a tick of 5 ms.
    Paced(Duration, usize),
    /// As it should be, in pieces of these sizes in turn, one a tick of 5 ms.
    Bursts(&'static [usize]),
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path, such as `/f/7/1`: file 7, link generation 1.
    pub path: String,
    /// Asked bytes.
    pub range: Range<u64>,
    /// How many requests came before.
    pub number: u64,
    /// Transfers under way besides this.
    pub transfers: usize,
}

type Script = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// The server.
pub struct Cdn {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    sizes: HashMap<u64, u64>,
    script: Mutex<Arc<Script>>,
    requests: AtomicU64,
    connections: AtomicU64,
    transfers: AtomicUsize,
    sent: Mutex<u64>,
    log: Mutex<Vec<Request>>,
}

impl Cdn {
    /// Serves files with these sizes.
    pub async fn start(sizes: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            sizes: sizes.into_iter().collect(),
            script: Mutex::new(Arc::new(Box::new(|_: &Request| Answer::Right))),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            transfers: AtomicUsize::new(0),
            sent: Mutex::new(0),
            log: Mutex::default(),
        });
        let accepting = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                stream.set_nodelay(true).ok();
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        Self {
            address,
            shared,
            task,
        }
    }

    /// Decides the answers from now on.
    pub fn script(&self, script: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(Box::new(script));
    }

    /// Bytes of bodies handed to the kernel: whoever has read a byte finds it counted.
    pub fn sent(&self) -> u64 {
        *self.shared.sent.lock().unwrap()
    }

    /// Waits until no answer is being sent.
    pub async fn rest(&self) {
        while self.shared.transfers.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().clone()
    }
}

impl Drop for Cdn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a transfer as long as it lives.
struct Transfer<'a>(&'a AtomicUsize);

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                let mut part = [0; 4096];
                match stream.read(&mut part).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => buffer.extend_from_slice(&part[..read]),
                }
            };
            let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
            if !self.answer(&mut stream, &head).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Returns whether the connection may be used again.
    async fn answer(&self, stream: &mut TcpStream, head: &str) -> std::io::Result<bool> {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let file: u64 = path.split('/').nth(2).unwrap().parse().unwrap();
        let size = self.sizes[&file];
        let range = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("range: bytes=")
                    .map(str::to_owned)
            })
            .expect("a ranged request");
        let (first, last) = range.split_once('-').unwrap();
        let range = first.parse().unwrap()..last.parse::<u64>().unwrap() + 1;
        let transfers = self.transfers.fetch_add(1, Ordering::Relaxed);
        let _transfer = Transfer(&self.transfers);
        let request = Request {
            path,
            range: range.clone(),
            number: self.requests.fetch_add(1, Ordering::Relaxed),
            transfers,
        };
        self.log.lock().unwrap().push(request.clone());
        let script = self.script.lock().unwrap().clone();
        let answer = script(&request);
        let right = format!(
            "Content-Range: bytes {}-{}/{size}\r\nContent-Length: {}\r\n",
            range.start,
            range.end - 1,
            range.end - range.start
        );
        let partial = |lines: &str| format!("HTTP/1.1 206 Partial Content\r\n{lines}\r\n");
        match answer {
            Answer::Right => {
                stream.write_all(partial(&right).as_bytes()).await?;
                self.body(stream, file, range, usize::MAX).await?;
            }
            Answer::Slow(time) => {
                tokio::time::sleep(time).await;
                stream.write_all(partial(&right).as_bytes()).await?;
                self.body(stream, file, range, usize::MAX).await?;
            }
            Answer::Bursts(sizes) => {
                stream.write_all(partial(&right).as_bytes()).await?;
                let mut at = range.start;
                for size in sizes.iter().cycle() {
                    if at >= range.end {
                        break;
                    }
                    let to = range.end.min(at + *size as u64);
                    self.send(stream, &content(file, at..to)).await?;
                    at = to;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Answer::Trickle(bytes) => {
                stream.write_all(partial(&right).as_bytes()).await?;
                self.body(stream, file, range, bytes).await?;
            }
            Answer::Paced(time, bytes) => {
                tokio::time::sleep(time).await;
                stream.write_all(partial(&right).as_bytes()).await?;
                self.body(stream, file, range, bytes).await?;
            }
            Answer::Status(status, lines) => {
                let head = format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n{lines}\r\n");
                stream.write_all(head.as_bytes()).await?;
            }
            Answer::Redirect(to) => {
                let head =
                    format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {to}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
            }
            Answer::Whole => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                self.body(stream, file, 0..size, usize::MAX).await?;
            }
            Answer::Claims(content_range) => {
                let length = range.end - range.start;
                let lines =
                    format!("Content-Range: {content_range}\r\nContent-Length: {length}\r\n");
                stream.write_all(partial(&lines).as_bytes()).await?;
                self.body(stream, file, 0..length.min(size), usize::MAX)
                    .await?;
                return Ok(false);
            }
            Answer::Encoded => {
                let head = partial(&format!("{right}Content-Encoding: gzip\r\n"));
                stream.write_all(head.as_bytes()).await?;
                self.body(stream, file, 0..range.end - range.start, usize::MAX)
                    .await?;
            }
            Answer::Short(bytes) => {
                stream.write_all(partial(&right).as_bytes()).await?;
                let end = range.end.min(range.start + bytes);
                self.body(stream, file, range.start..end, usize::MAX)
                    .await?;
                return Ok(false);
            }
            Answer::Stall(bytes) => {
                stream.write_all(partial(&right).as_bytes()).await?;
                let end = range.end.min(range.start + bytes);
                self.body(stream, file, range.start..end, usize::MAX)
                    .await?;
                until_closed(stream).await;
                return Ok(false);
            }
            Answer::Long => {
                let content_range = right.lines().next().unwrap();
                let head = partial(&format!(
                    "{content_range}\r\nTransfer-Encoding: chunked\r\n"
                ));
                stream.write_all(head.as_bytes()).await?;
                let bytes = content(file, range.start..range.end + 1000);
                stream
                    .write_all(format!("{:x}\r\n", bytes.len()).as_bytes())
                    .await?;
                stream.write_all(&bytes).await?;
                stream.write_all(b"\r\n0\r\n\r\n").await?;
            }
            Answer::Reset => {
                stream.set_zero_linger()?;
                return Ok(false);
            }
            Answer::Silent => {
                until_closed(stream).await;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes and counts in one step, so that the count is never behind what the other side has read.
    async fn send(&self, stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            stream.writable().await?;
            let mut sent = self.sent.lock().unwrap();
            match stream.try_write(bytes) {
                Ok(written) => {
                    *sent += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn body(
        &self,
        stream: &mut TcpStream,
        file: u64,
        range: Range<u64>,
        tick: usize,
    ) -> std::io::Result<()> {
        let step = (tick as u64).min(256 << 10);
        let mut at = range.start;
        while at < range.end {
            let to = range.end.min(at + step);
            self.send(stream, &content(file, at..to)).await?;
            at = to;
            if tick != usize::MAX {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

async fn until_closed(stream: &mut TcpStream) {
    let mut part = [0; 64];
    while !matches!(stream.read(&mut part).await, Ok(0) | Err(_)) {}
}
