//! How the instance does, while the demo runs.

use std::io::{IsTerminal, Write};

use debridfs_base::terminal::escaped;
use debridfs_control::Status;

/// One line on a terminal that says how the instance does; nothing elsewhere.
#[derive(Default)]
pub(crate) struct StatusLine {
    last: String,
}

impl StatusLine {
    pub(crate) fn show(&mut self, status: &Status) {
        let mut text = match status.engine.pid {
            Some(pid) => format!("engine {pid}"),
            None => "no engine".to_owned(),
        };
        if let Some(library) = &status.library {
            text += &format!(" · {} releases", library.releases);
            if library.unknown > 0 {
                text += &format!(" ({} still unknown)", library.unknown);
            }
        }
        for provider in &status.providers {
            text += &format!(" · {}: {} calls", provider.name, provider.calls);
        }
        if let Some(problem) = status.problems.first() {
            text += &format!(" · {problem}");
        }
        self.note(&text);
    }

    pub(crate) fn note(&mut self, text: &str) {
        if text != self.last && std::io::stderr().is_terminal() {
            let shown: String = escaped(text).chars().take(100).collect();
            eprint!("\r\x1b[K{shown}");
            // A terminal that is gone is none of our business.
            let _ = std::io::stderr().flush();
            text.clone_into(&mut self.last);
        }
    }

    pub(crate) fn clear(&mut self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        self.last.clear();
    }
}
