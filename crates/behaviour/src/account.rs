//! The simulated account, which changes as if somebody did so elsewhere.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use debridfs_sim::ReleaseSpec;
use serde_json::Value;

/// The simulator's control interface (`docs/simulator.md`).
#[derive(Debug, Clone, Copy)]
pub struct Account {
    simulator: SocketAddr,
}

impl Account {
    /// That of the simulator at this address, over plain HTTP.
    pub fn new(simulator: SocketAddr) -> Self {
        Self { simulator }
    }

    /// Adds a release; the ids of its torrents.
    ///
    /// # Errors
    /// If the simulator does not answer or refuses it.
    pub fn add(&self, release: &ReleaseSpec) -> io::Result<Vec<String>> {
        let body = serde_json::to_string(release).map_err(io::Error::other)?;
        let answer = self.call("POST", "torrents", &body)?;
        let answer: Value = serde_json::from_str(&answer).map_err(io::Error::other)?;
        let ids = answer["ids"].as_array();
        let ids = ids.ok_or_else(|| io::Error::other(format!("no ids: {answer}")))?;
        Ok(ids
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect())
    }

    /// Removes a torrent.
    ///
    /// # Errors
    /// If the simulator does not answer or has no such torrent.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        self.call("DELETE", &format!("torrents/{id}"), "").map(drop)
    }

    /// One call, on a connection of its own.
    fn call(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.simulator)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let length = body.len();
        write!(
            stream,
            "{method} /control/{path} HTTP/1.0\r\nHost: simulator\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split_whitespace().nth(1) {
            Some(status) if status.starts_with('2') => Ok(body.to_owned()),
            _ => Err(io::Error::other(format!("{method} {path}: {answer}"))),
        }
    }
}
