//! WebDAV, by curl.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use debridfs_behaviour::{Capability, Front, Kind, Stat, Write};
use rustix::io::Errno;

use super::http::{Files, token};
use crate::support::{Instance, run};

/// `/dav/` of an instance.
pub struct WebDav {
    files: Files,
}

/// What is told of one node.
struct Told {
    name: String,
    kind: Kind,
    size: u64,
    modified: String,
}

impl WebDav {
    /// Makes a token and reads by it.
    pub fn of(instance: &Instance, address: SocketAddr) -> Self {
        let bearer = format!("Authorization: Bearer {}", token(instance));
        let arguments = vec!["--header".to_owned(), bearer];
        let files = Files::at(format!("http://{address}/dav/"), arguments);
        Self { files }
    }

    fn request(&self, path: &str, method: &str, headers: &[&str]) -> Result<Vec<u8>, Errno> {
        let mut arguments = vec!["--request".to_owned(), method.to_owned()];
        for header in headers {
            arguments.extend(["--header".to_owned(), (*header).to_owned()]);
        }
        self.files.ask(path, &arguments).map(|answer| answer.body)
    }

    fn propfind(&self, path: &str, depth: &str) -> Result<Vec<Told>, Errno> {
        let depth = format!("Depth: {depth}");
        let body = self.request(path, "PROPFIND", &[&depth])?;
        let body = String::from_utf8(body).map_err(|_| Errno::ILSEQ)?;
        body.split("<D:response>").skip(1).map(told).collect()
    }
}

/// What stands between two tags.
fn between<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<D:{tag}>"))?;
    rest.split_once(&format!("</D:{tag}>"))
        .map(|(value, _)| value)
}

fn told(response: &str) -> Result<Told, Errno> {
    let address = between(response, "href").ok_or(Errno::PROTO)?;
    let last = address.trim_end_matches('/').rsplit('/').next();
    let is_directory = response.contains("<D:collection/>");
    let size = between(response, "getcontentlength").unwrap_or("0");
    Ok(Told {
        name: decoded(last.unwrap_or_default())?,
        kind: match is_directory {
            true => Kind::Directory,
            false => Kind::File,
        },
        size: size.parse().map_err(|_| Errno::PROTO)?,
        modified: between(response, "getlastmodified")
            .ok_or(Errno::PROTO)?
            .to_owned(),
    })
}

fn decoded(name: &str) -> Result<String, Errno> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}

impl Front for WebDav {
    fn capabilities(&self) -> BTreeSet<Capability> {
        use Capability::{Case, List, Lost, Ranges, Times, Writes};
        [List, Ranges, Case, Times, Writes, Lost].into()
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let told = self.propfind(path, "0")?;
        let told = told.into_iter().next().ok_or(Errno::PROTO)?;
        let modified = run("date", &["-d", &told.modified, "+%s"]);
        Ok(Stat {
            kind: told.kind,
            size: told.size,
            links: None,
            mode: None,
            inode: None,
            modified: modified.trim().parse().ok(),
        })
    }

    fn list(&self, path: &str) -> Result<Vec<(String, Option<Kind>)>, Errno> {
        // The first one is the directory itself.
        let told = self.propfind(path, "1")?.into_iter().skip(1);
        Ok(told.map(|told| (told.name, Some(told.kind))).collect())
    }

    fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        self.files.read(path, offset, length)
    }

    fn write(&self, what: Write, path: &str) -> Result<(), Errno> {
        let (new, beside) = (format!("{path}/new"), "Destination: /dav/beside");
        let done = match what {
            Write::Create => self.request(&new, "PUT", &[]),
            Write::MakeDirectory => self.request(&new, "MKCOL", &[]),
            // RFC 4437 and RFC 5842.
            Write::Symlink => self.request(&new, "MKREDIRECTREF", &[]),
            Write::Link => self.request(path, "BIND", &[]),
            Write::Remove | Write::RemoveDirectory => self.request(path, "DELETE", &[]),
            Write::Rename => self.request(path, "MOVE", &[beside]),
            Write::Open => self.request(path, "PUT", &[]),
            Write::Truncate => self.request(path, "PATCH", &[]),
            Write::Chmod => self.request(path, "PROPPATCH", &[]),
        };
        done.map(drop)
    }
}
