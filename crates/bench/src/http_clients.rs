//! A crowd of HTTP clients in a process of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use debridfs_measure::{Child, pin};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// Bytes that a client reads at one time.
const BUFFER: usize = 64 << 10;

/// Clients that each read a file from its start, again and again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) address: SocketAddr,
    /// Of the file.
    pub(crate) path: String,
    /// The value of `Authorization` of each client.
    pub(crate) logins: Vec<String>,
    pub(crate) seconds: f64,
}

/// What they saw.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) seconds: f64,
    /// Of each client.
    pub(crate) bytes: Vec<u64>,
}

async fn read_until(crowd: &Crowd, login: &str, end: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(crowd.address).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: {login}\r\n\r\n",
        crowd.path, crowd.address
    );
    let (mut bytes, mut buffer) = (0, vec![0; BUFFER]);
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        let mut left = length(&mut stream).await?;
        while left > 0 && Instant::now() < end {
            let most = left.min(BUFFER as u64) as usize;
            let read = stream.read(&mut buffer[..most]).await?;
            if read == 0 {
                return Err("the server ended a body".into());
            }
            left -= read as u64;
            bytes += read as u64;
        }
    }
    Ok(bytes)
}

/// Reads the head of an answer; the length of its body.
async fn length(stream: &mut TcpStream) -> Result<u64> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?.to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(head.into());
    }
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split('\r').next());
    Ok(length.ok_or("no length")?.parse()?)
}

/// Does what `job` says.
pub(crate) fn run(job: &Path) -> Result<()> {
    let crowd: Crowd = serde_json::from_slice(&std::fs::read(job)?)?;
    let crowd: &'static Crowd = Box::leak(Box::new(crowd));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let seen: Result<Seen> = runtime.block_on(read_all(crowd));
    let seen = seen.map_err(|error| error.to_string());
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

async fn read_all(crowd: &'static Crowd) -> Result<Seen> {
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(crowd.seconds);
    let reading = crowd.logins.iter();
    let reading: Vec<_> = reading
        .map(|login| tokio::spawn(read_until(crowd, login, end)))
        .collect();
    let mut bytes = Vec::new();
    for one in reading {
        bytes.push(one.await??);
    }
    Ok(Seen {
        seconds: started.elapsed().as_secs_f64(),
        bytes,
    })
}

/// Has it done on the client's core.
pub(crate) fn ask(crowd: &Crowd) -> Result<Seen> {
    /// More than a crowd of the longest run takes.
    const LIMIT: Duration = Duration::from_secs(180);
    let mut command = pin::command(std::env::current_exe()?, pin::CLIENT);
    command.arg("http-clients");
    Ok(Child::start(command, crowd, LIMIT)?.finish(|_| ())?)
}
