//! The simulated account, and what is told to it and asked of it while it runs.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use debridfs_measure::{Running, pin, stop, wait};
use serde_json::{Value, json};

use crate::Result;

/// How far away the server is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// Milliseconds to the first byte.
    pub(crate) first_byte: u32,
    /// Bytes a second of one connection; 0 = no limit.
    pub(crate) rate: u64,
}

/// No shaping.
pub(crate) const PLAIN: Shape = Shape {
    name: "plain",
    first_byte: 0,
    rate: 0,
};
/// Another part of the continent.
pub(crate) const MID: Shape = Shape {
    name: "mid",
    first_byte: 80,
    rate: 20_000_000,
};
/// Another continent.
pub(crate) const FAR: Shape = Shape {
    name: "far",
    first_byte: 200,
    rate: 10_000_000,
};

/// A simulated account.
pub(crate) struct Simulator {
    _running: Running,
    /// Base of the API.
    pub(crate) url: String,
    pub(crate) token: String,
    control: String,
}

impl Simulator {
    /// Starts `debridfs sim` with `library`, without the vendor's limit of calls.
    pub(crate) fn start(program: &Path, library: &str) -> Result<Self> {
        let mut command = pin::command(program, pin::SERVER);
        command
            .args(["sim", "--unlimited"])
            .arg(format!("--parent={}", std::process::id()))
            .args(["--listen", "127.0.0.1:0", "--library", library]);
        command.stdout(Stdio::piped());
        let mut running = Running::start(command, None)?;
        let output = running
            .child
            .stdout
            .take()
            .ok_or("no output of the simulator")?;
        let mut output = BufReader::new(output);
        let mut value = |name: &str| -> Result<String> {
            loop {
                let mut line = String::new();
                if output.read_line(&mut line)? == 0 {
                    return Err("the simulator ended".into());
                }
                if let Some(value) = line.strip_prefix(name) {
                    return Ok(value.trim().trim_end_matches('/').to_owned());
                }
            }
        };
        let (url, token, control) = (value("url ")?, value("token ")?, value("control ")?);
        // Whatever it prints from now on is taken from the pipe, so that it never waits.
        std::thread::spawn(move || {
            let _ = output.read_to_end(&mut Vec::new());
        });
        Ok(Self {
            _running: running,
            url,
            token,
            control,
        })
    }

    /// A call of `/control/`.
    pub(crate) fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("{}/{path}", self.control);
        let mut arguments = vec!["-X".to_owned(), method.to_owned(), url];
        if let Some(body) = body {
            arguments.extend(["-H", "content-type: application/json", "-d"].map(str::to_owned));
            arguments.push(body.to_string());
        }
        curl(&arguments)
    }

    /// From now on it answers as from there.
    pub(crate) fn shape(&self, shape: Shape) -> Result<()> {
        self.settings(&json!({"first_byte_ms": shape.first_byte, "connection_rate": shape.rate}))
    }

    /// Changes settings of the simulator's `Settings`.
    pub(crate) fn settings(&self, change: &Value) -> Result<()> {
        self.control("PATCH", "settings", Some(change)).map(drop)
    }

    /// Sets a fault of the CDN until [`Simulator::well`].
    pub(crate) fn fault(&self, fault: &Value) -> Result<()> {
        self.control("POST", "faults/cdn", Some(fault)).map(drop)
    }

    /// Ends all faults.
    pub(crate) fn well(&self) -> Result<()> {
        self.control("DELETE", "faults", None).map(drop)
    }

    /// All counters.
    pub(crate) fn counters(&self) -> Result<Value> {
        self.control("GET", "counters", None)
    }

    /// Body bytes that the CDN handed to connections since its start, those of aborted answers included.
    pub(crate) fn bytes_sent(&self) -> Result<u64> {
        Ok(self.counters()?["cdn"]["bytes"]
            .as_u64()
            .ok_or("no count of bytes")?)
    }

    /// Waits until nothing has been sent for a while, and gives the bytes sent until then.
    pub(crate) fn settled(&self) -> Result<u64> {
        /// Longer than any time to the first byte that is measured here.
        const QUIET: Duration = Duration::from_millis(600);
        let (mut last, mut since) = (self.bytes_sent()?, Instant::now());
        while since.elapsed() < QUIET {
            stop::check()?;
            wait(100);
            let now = self.bytes_sent()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(last)
    }

    /// The true bytes behind a link.
    pub(crate) fn bytes_of(&self, link: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let output = Command::new("curl")
            .args(["-fsS", "--max-time", "60", "-G", "--data-urlencode"])
            .arg(format!("link={link}"))
            .args(["-d", &format!("offset={offset}&length={length}")])
            .arg(format!("{}/content", self.control))
            .stderr(Stdio::inherit())
            .output()?;
        if output.stdout.len() != length {
            return Err("the simulator does not tell the true bytes".into());
        }
        Ok(output.stdout)
    }

    /// Direct links of all files, by the last part of each one's path.
    pub(crate) fn direct_links(&self) -> Result<HashMap<String, String>> {
        let authorization = format!("Authorization: Bearer {}", self.token);
        let torrents = self.control("GET", "torrents", None)?;
        let mut all = HashMap::new();
        for torrent in torrents.as_array().into_iter().flatten() {
            for file in torrent["files"].as_array().into_iter().flatten() {
                let path = file["path"].as_str().ok_or("a file without a path")?;
                let link = file["link"].as_str().ok_or("a file without a link")?;
                let answer = curl(&[
                    "-H".into(),
                    authorization.clone(),
                    "-d".into(),
                    format!("link={link}"),
                    format!("{}/unrestrict/link", self.url),
                ])?;
                let direct = answer["download"].as_str().ok_or("no direct link")?;
                let name = path.rsplit('/').next().unwrap_or(path);
                all.insert(name.to_owned(), direct.to_owned());
            }
        }
        Ok(all)
    }
}

/// JSON of an HTTP call.
fn curl(arguments: &[String]) -> Result<Value> {
    let output = Command::new("curl")
        .args(["-fsS", "--max-time", "60"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("curl {} failed", arguments.join(" ")).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
