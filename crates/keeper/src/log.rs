//! The keeper's log, which is root's: an engine neither fills it nor holds it up.
//!
//! A line can take its time (a terminal whose output an engine has stopped, a full pipe), and an
//! engine that attaches and dies as fast as it can causes lines without end. So a thread of its own
//! writes them, and of many at once some are left out, and counted.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::aside;
use crate::options::{Level, LogSink};

/// Lines that may come at once. A start, a death or an upgrade are up to five.
const BURST: u32 = 200;

/// Every so often there may be one more: in a day of the worst that is ten megabytes.
const REFILL: Duration = Duration::from_secs(1);

/// How long the end waits for what was not written yet.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Longest that an engine may say of its version: a tag and a commit are shorter.
const WORDS_MAX: usize = 64;

type Line = (Level, String);

#[derive(Debug)]
pub(crate) struct Log {
    budget: RefCell<Budget>,
    /// Gone once the end has begun.
    lines: Option<SyncSender<Line>>,
    /// Closed by the thread when everything is written.
    written: Receiver<()>,
}

impl Log {
    pub fn start(sink: LogSink) -> std::io::Result<Log> {
        let (lines, incoming) = sync_channel::<Line>(BURST as usize);
        let (done, written) = sync_channel(0);
        aside::thread("log", move || {
            let _until_the_end = done;
            for (level, text) in incoming {
                sink(level, &text);
            }
        })?;
        Ok(Log {
            budget: RefCell::new(Budget::new(Instant::now())),
            lines: Some(lines),
            written,
        })
    }

    /// Never waits.
    pub fn line(&self, level: Level, text: &str) {
        let mut budget = self.budget.borrow_mut();
        // To say that lines are left out takes one.
        let lines = if budget.left_out > 0 { 2 } else { 1 };
        if !budget.take(lines, Instant::now()) {
            return;
        }
        if budget.left_out > 0 {
            let text = format!(
                "{} lines are left out: too many at once, which an engine causes",
                budget.left_out
            );
            if self.send(Level::Warn, text) {
                budget.left_out = 0;
            }
        }
        if !self.send(level, text.to_owned()) {
            budget.left_out += 1;
        }
    }

    fn send(&self, level: Level, text: String) -> bool {
        let lines = self.lines.as_ref();
        lines.is_some_and(|lines| lines.try_send((level, text)).is_ok())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines = None;
        let _ = self.written.recv_timeout(END_LIMIT);
    }
}

#[derive(Debug)]
struct Budget {
    left: u32,
    refilled: Instant,
    left_out: u64,
}

impl Budget {
    fn new(now: Instant) -> Budget {
        Budget {
            left: BURST,
            refilled: now,
            left_out: 0,
        }
    }

    /// Whether so many lines may be written; one is counted as left out if not.
    fn take(&mut self, lines: u32, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled);
        let more = u32::try_from(passed.as_secs() / REFILL.as_secs()).unwrap_or(BURST);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.refilled = now;
        }
        let enough = self.left.checked_sub(lines);
        match enough {
            Some(left) => self.left = left,
            None => self.left_out += 1,
        }
        enough.is_some()
    }
}

/// What an engine says of itself, fit for a line of the log and for a terminal: printable ASCII,
/// and not much of it.
pub(crate) fn printable(words: &str) -> String {
    let shown = |one: char| match one {
        ' '..='~' => one,
        _ => '?',
    };
    words.chars().take(WORDS_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let written = (0..5000).filter(|_| budget.take(1, start)).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(budget.left_out, 5000 - u64::from(BURST));
        let later = start + 3 * REFILL;
        assert_eq!((0..10).filter(|_| budget.take(1, later)).count(), 3);
        let much_later = start + Duration::from_secs(1 << 40);
        let written = (0..5000).filter(|_| budget.take(1, much_later)).count();
        assert_eq!(written, BURST as usize);
    }

    #[test]
    fn a_sink_that_stands_holds_nobody_up_and_what_it_got_is_written_at_the_end() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let held = seen.lock().unwrap();
        let log = Log::start({
            let seen = Arc::clone(&seen);
            Box::new(move |_, text: &str| seen.lock().unwrap().push(text.to_owned()))
        })
        .unwrap();
        for number in 0..3 * BURST {
            log.line(Level::Info, &number.to_string());
        }
        drop(held);
        drop(log);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), BURST as usize);
        assert_eq!(seen.last().unwrap(), "199");
    }

    #[test]
    fn words_of_an_engine_are_short_and_plain() {
        assert_eq!(printable("0.1.0 (abc)"), "0.1.0 (abc)");
        assert_eq!(
            printable("1\n2026 ERROR\x1b[31m\u{9b}é"),
            "1?2026 ERROR?[31m??"
        );
        assert_eq!(printable(&"v".repeat(15_900)).len(), WORDS_MAX);
    }
}
