//! Logs go to stderr, as text or JSON; the last lines are kept for the pages.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};

use parking_lot::Mutex;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::failure::{Failure, USAGE};
use debridfs_config::{LogConfig, LogFormat};

/// Lines that are kept, and bytes of each: half a megabyte at most.
const KEPT: usize = 500;
const LONGEST: usize = 1024;

static TAIL: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Starts logging for the rest of the process.
pub fn start(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| {
        let help =
            "write error, warn, info, debug, trace, or directives like info,debridfs_fuse=debug";
        Failure::new(format!("`log.level`: {error}"), Some(help)).with_code(USAGE)
    })?;
    let shown = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_timer(SystemTime)
        .with_ansi(io::stderr().is_terminal());
    let shown = match config.format {
        LogFormat::Text => shown.boxed(),
        LogFormat::Json => shown.json().flatten_event(true).boxed(),
    };
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(|| Tail)
        .with_timer(SystemTime)
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(shown)
        .with(kept)
        .try_init()
        .map_err(|error| Failure::new(format!("logging: {error}"), None))
}

/// The last lines, the oldest first.
pub fn tail() -> Vec<String> {
    let tail = TAIL.lock();
    tail.iter().cloned().collect()
}

/// Keeps what is written: an event is one write.
struct Tail;

impl io::Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        keep(&mut TAIL.lock(), text.trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn keep(tail: &mut VecDeque<String>, line: &str) {
    if tail.len() == KEPT {
        tail.pop_front();
    }
    let mut end = line.len().min(LONGEST);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    tail.push_back(line[..end].to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = VecDeque::new();
        for number in 0..KEPT + 3 {
            keep(&mut tail, &number.to_string());
        }
        assert_eq!((tail.len(), tail[0].as_str()), (KEPT, "3"));
        keep(&mut tail, &"é".repeat(LONGEST));
        assert_eq!(tail.back().unwrap().len(), LONGEST);
        keep(&mut tail, &format!("x{}", "é".repeat(LONGEST)));
        assert_eq!(tail.back().unwrap().len(), LONGEST - 1);
    }
}
