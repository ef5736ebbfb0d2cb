//! What somebody has to look at while the library is served: one board for an engine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Trouble;

/// What a line of attention is about. Names are stable: scripts and alerts use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKind {
    /// No engine serves the mount.
    Engine,
    /// What is shown is not, or may not be, the whole library.
    Library,
    /// An account that does not answer, refuses the token or is out of traffic.
    Provider,
    /// A disk or share that does not answer.
    Volume,
    /// A part of the engine that does not run.
    Part,
    /// An address to listen on that cannot be had.
    Port,
    /// A certificate that cannot be used, or ends soon.
    Certificate,
    /// A file of `state_dir` that cannot be used.
    State,
    /// The cache on disk.
    Cache,
    /// A folder of downloads that cannot be written, or downloads that wait.
    Downloads,
    /// Downloads that failed.
    Grab,
    /// A program in `[arr.NAME]`.
    Arr,
    /// A program in `[hook.NAME]`.
    Hook,
    /// Releases that repair leaves alone.
    Repair,
    /// One that this version does not know: the engine is newer.
    #[serde(other)]
    Other,
}

impl AttentionKind {
    /// All that an engine of this version tells of, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
        Self::Engine,
        Self::Library,
        Self::Provider,
        Self::Volume,
        Self::Part,
        Self::Port,
        Self::Certificate,
        Self::State,
        Self::Cache,
        Self::Downloads,
        Self::Grab,
        Self::Arr,
        Self::Hook,
        Self::Repair,
    ];

    /// The word in JSON and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Library => "library",
            Self::Provider => "provider",
            Self::Volume => "volume",
            Self::Part => "part",
            Self::Port => "port",
            Self::Certificate => "certificate",
            Self::State => "state",
            Self::Cache => "cache",
            Self::Downloads => "downloads",
            Self::Grab => "grab",
            Self::Arr => "arr",
            Self::Hook => "hook",
            Self::Repair => "repair",
            Self::Other => "other",
        }
    }

    /// Whether films may be missing or unreadable meanwhile. All else goes on without them noticing.
    pub fn is_grave(self) -> bool {
        matches!(self, Self::Engine | Self::Library | Self::Provider)
    }
}

/// Something that somebody has to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// What it is about.
    pub kind: AttentionKind,
    /// Which one of them: an address, a folder, a name in the configuration.
    pub subject: String,
    /// What is wrong, in a sentence for people. Holds no secret.
    pub words: String,
    /// What to do about it; may be empty.
    pub help: String,
    /// Since when, if that is known.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Attention {
    /// One of which it is not known since when it holds.
    pub fn new(
        kind: AttentionKind,
        subject: impl Into<String>,
        words: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            subject: subject.into(),
            words: words.into(),
            help: help.into(),
            since: None,
        }
    }

    /// The same, which has held since `since`.
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.words)?;
        match self.help.is_empty() {
            true => Ok(()),
            false => write!(out, "; {}", self.help),
        }
    }
}

/// Lines of attention that come and go. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Board {
    lines: Arc<Mutex<BTreeMap<(AttentionKind, String), Attention>>>,
}

impl Board {
    /// Puts a line up, or new words in place of those about the same: the first moment stays. Whether
    /// the words are new.
    pub fn raise(&self, kind: AttentionKind, subject: &str, trouble: Trouble) -> bool {
        let mut lines = self.lines.lock();
        let key = (kind, subject.to_owned());
        let before = lines.get(&key);
        let is_new = before.is_none_or(|before| before.words != trouble.words);
        let since = before.and_then(|before| before.since);
        let line = Attention::new(kind, subject, trouble.words, trouble.help)
            .since(since.or_else(|| Some(Timestamp::now())));
        lines.insert(key, line);
        is_new
    }

    /// Takes a line down, as what it says is mended. Whether there was one.
    pub fn settle(&self, kind: AttentionKind, subject: &str) -> bool {
        let key = (kind, subject.to_owned());
        self.lines.lock().remove(&key).is_some()
    }

    /// As [`Self::raise`], and logs what is new.
    pub fn tell(&self, kind: AttentionKind, subject: &str, trouble: Trouble) {
        let Trouble { words, help } = trouble.clone();
        if self.raise(kind, subject, trouble) {
            tracing::warn!(help, "{words}");
        }
    }

    /// As [`Self::settle`], and logs it.
    pub fn is_well(&self, kind: AttentionKind, subject: &str) {
        if self.settle(kind, subject) {
            tracing::info!(subject, "is well again");
        }
    }

    /// All lines.
    pub fn lines(&self) -> Vec<Attention> {
        self.lines.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_first_moment_and_goes_when_it_is_mended() {
        let board = Board::default();
        let port = |words: &str| board.raise(AttentionKind::Port, "x", Trouble::new(words, "y"));
        assert!(port("taken"));
        let first = board.lines();
        assert!(!port("taken") && port("taken by another"));
        let [line] = &board.lines()[..] else {
            panic!("{board:?}")
        };
        assert_eq!(line.to_string(), "taken by another; y");
        assert_eq!(line.since, first[0].since);
        assert!(!board.settle(AttentionKind::Arr, "x"));
        assert!(board.settle(AttentionKind::Port, "x"));
        assert_eq!(board.lines(), []);
    }

    #[test]
    fn names_are_those_of_json_and_unknown_ones_are_read() {
        for kind in AttentionKind::ALL {
            let name = serde_json::to_value(kind).unwrap();
            assert_eq!(name, kind.label());
        }
        let newer: AttentionKind = serde_json::from_str("\"moon\"").unwrap();
        assert_eq!(newer, AttentionKind::Other);
    }
}
