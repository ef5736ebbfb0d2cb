//! Files over HTTP, by curl.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use debridfs_behaviour::{Capability, Front, Kind, Stat};
use rustix::io::Errno;

use crate::support::{Instance, run};

/// `/files/TOKEN/…` of an instance.
pub struct Files {
    url: String,
    /// Of curl, with each request.
    arguments: Vec<String>,
}

/// What was answered.
pub struct Answer {
    status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, whose name is in lower case here.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Makes a token.
pub fn token(instance: &Instance) -> String {
    let config = instance.config();
    let config = config.to_str().expect("text");
    let program = env!("CARGO_BIN_EXE_debridfs");
    let made = run(program, &["token", "new", "suite", "--config", config]);
    made.split_whitespace().last().expect("a token").to_owned()
}

impl Files {
    /// Makes a token and reads by it.
    pub fn of(instance: &Instance, address: SocketAddr) -> Self {
        let token = token(instance);
        Self::at(format!("http://{address}/files/{token}/"), Vec::new())
    }

    /// Reads below `url`, by a curl that is given `arguments`.
    pub fn at(url: String, arguments: Vec<String>) -> Self {
        Self { url, arguments }
    }

    /// Asks for `path`; errors are those of POSIX.
    pub fn ask(&self, path: &str, arguments: &[String]) -> Result<Answer, Errno> {
        let encoded: String = path
            .bytes()
            .map(|byte| match byte {
                b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--path-as-is"])
            .args(&self.arguments)
            .args(arguments)
            .arg(format!("{}{encoded}", self.url))
            .output()
            .expect("curl runs");
        let end = output
            .stdout
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{path}: {output:?}")) + 4;
        let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok());
        let answer = Answer {
            status: status.expect("a status"),
            head,
            body: output.stdout[end..].to_vec(),
        };
        match answer.status {
            200 | 206 | 207 | 416 if output.status.success() => Ok(answer),
            404 => Err(Errno::NOENT),
            403 | 405 => Err(Errno::ROFS),
            // A body that breaks off, and what cannot be served at all.
            _ => Err(Errno::IO),
        }
    }
}

impl Front for Files {
    fn capabilities(&self) -> BTreeSet<Capability> {
        [Capability::Ranges, Capability::Case, Capability::Times].into()
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let answer = self.ask(path, &["--head".to_owned()])?;
        let modified = answer.header("last-modified").map(|date| {
            let date = run("date", &["-d", date, "+%s"]);
            date.trim().parse().expect("a time")
        });
        Ok(Stat {
            kind: Kind::File,
            size: answer
                .header("content-length")
                .and_then(|size| size.parse().ok())
                .ok_or(Errno::PROTO)?,
            links: None,
            mode: None,
            inode: None,
            modified,
        })
    }

    fn list(&self, _: &str) -> Result<Vec<(String, Option<Kind>)>, Errno> {
        Err(Errno::NOTSUP)
    }

    fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        if length == 0 {
            // HTTP has no range of nothing.
            return self.stat(path).map(|_| Vec::new());
        }
        let range = format!("{offset}-{}", offset + length as u64 - 1);
        let answer = self.ask(path, &["--range".to_owned(), range.clone()])?;
        match answer.status {
            206 => {
                let told = answer.header("content-range").unwrap_or_default();
                let right = format!("bytes {offset}-{}/", offset + answer.body.len() as u64 - 1);
                if told.starts_with(&right) {
                    Ok(answer.body)
                } else {
                    Err(Errno::PROTO)
                }
            }
            416 => Ok(Vec::new()),
            // The whole of it, for a range that makes no sense of an empty file.
            _ => Ok(answer.body),
        }
    }
}
