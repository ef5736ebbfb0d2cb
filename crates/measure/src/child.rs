//! A process of its own that does a job and says on its standard output what came of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::{Running, stop};

/// A process at work. It ends with this value.
pub struct Child {
    // Ended before its job file goes.
    _running: Running,
    lines: Receiver<String>,
    limit: Duration,
    started: Instant,
    heeds_signals: bool,
    _job: tempfile::NamedTempFile,
}

impl Child {
    /// Starts `command` with the name of a file that holds `job` as its last argument. It is killed when it takes longer than `limit`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, job: &impl Serialize, limit: Duration) -> Result<Self> {
        // A file, as an argument has at most 128 KiB.
        let mut file = tempfile::NamedTempFile::new()?;
        serde_json::to_writer(&mut file, job)?;
        command.arg(file.path()).stdout(Stdio::piped());
        let mut running = Running::start(command, None)?;
        let output = running.child.stdout.take();
        let output = output.ok_or_else(|| Error::Child("no output".into()))?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output)
                .lines()
                .map_while(std::io::Result::ok)
            {
                // Nobody listens any more.
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            _running: running,
            lines,
            limit,
            started: Instant::now(),
            heeds_signals: true,
            _job: file,
        })
    }

    /// It is waited for although this program is told to end: it cleans up.
    pub(crate) fn regardless_of_signals(mut self) -> Self {
        self.heeds_signals = false;
        self
    }

    /// Waits for its end and gives its last line, which holds the result or, in words, why there is none; `each` sees the lines before it.
    ///
    /// # Errors
    /// Its own, when it takes too long, or ends without a word.
    pub fn finish<T: DeserializeOwned>(self, mut each: impl FnMut(&str)) -> Result<T> {
        let mut last: Option<String> = None;
        loop {
            if self.heeds_signals {
                stop::check()?;
            }
            match self.lines.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => {
                    if let Some(before) = last.replace(line) {
                        each(&before);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if self.started.elapsed() < self.limit => {
                    // Progress is shown as it comes; a result is followed by the end.
                    if let Some(line) = last.as_deref() {
                        each(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = self.limit.as_secs();
                    return Err(Error::Child(format!("no answer within {seconds} s")));
                }
            }
        }
        let silent = || Error::Child("the process that measures ended without a word".into());
        let said: std::result::Result<T, String> =
            serde_json::from_str(&last.ok_or_else(silent)?).map_err(|_| silent())?;
        said.map_err(Error::Child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(script: &str, milliseconds: u64) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]);
        Child::start(command, &7, Duration::from_millis(milliseconds)).unwrap()
    }

    #[test]
    fn a_job_goes_in_and_its_last_line_comes_out() {
        let mut seen = Vec::new();
        let said = child("echo 1; echo 2; printf '{\"Ok\": %s}' $(cat $1)", 20_000);
        let said: u32 = said.finish(|line| seen.push(line.to_owned())).unwrap();
        assert_eq!(said, 7);
        seen.dedup();
        assert_eq!(seen, ["1", "2"]);
        let failed = child("echo '{\"Err\": \"no such place\"}'", 20_000);
        let failed = failed.finish::<u32>(|_| ()).unwrap_err();
        assert_eq!(failed.to_string(), "no such place");
    }

    #[test]
    fn one_that_hangs_or_dies_is_an_error() {
        let started = Instant::now();
        let hung = child("echo 1; exec sleep 60", 1000).finish::<u32>(|_| ());
        assert_eq!(hung.unwrap_err().to_string(), "no answer within 1 s");
        assert!(started.elapsed() < Duration::from_secs(30));
        let dead = child("kill -9 $$", 20_000).finish::<u32>(|_| ());
        assert!(dead.unwrap_err().to_string().contains("without a word"));
    }
}
