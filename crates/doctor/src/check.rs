//! One check: what was seen, and what to do about it.

use std::fmt;

use debridfs_base::terminal::escaped;
use serde::Serialize;

use crate::repair::Repair;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Not in the way, but worth knowing.
    Warning,
    /// In the way.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked; scripts may rely on it.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub fix: Option<String>,
    /// What `--fix` does about it.
    #[serde(skip)]
    pub repair: Option<Repair>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &str, seen: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            seen: seen.into(),
            fix: None,
            repair: None,
        }
    }

    /// Worth knowing.
    pub fn warning(name: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Warning,
            fix: Some(fix.into()),
            ..Self::ok(name, seen)
        }
    }

    /// In the way.
    pub fn failed(name: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed,
            ..Self::warning(name, seen, fix)
        }
    }
}

/// As two lines for a terminal, whatever programs and containers said of themselves.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.outcome {
            Outcome::Ok => "✓",
            Outcome::Warning => "!",
            Outcome::Failed => "✗",
        };
        write!(f, "{sign} {}: {}", self.name, escaped(&self.seen))?;
        match &self.fix {
            Some(fix) => write!(f, "\n    → {}", escaped(fix)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_its_fix_another() {
        assert_eq!(Check::ok("kernel", "6.9").to_string(), "✓ kernel: 6.9");
        let failed = Check::failed("/dev/fuse", "missing", "modprobe fuse");
        assert_eq!(
            failed.to_string(),
            "✗ /dev/fuse: missing\n    → modprobe fuse"
        );
        assert!(
            Check::warning("x", "y", "z")
                .to_string()
                .starts_with("! x: y\n")
        );
        let words = Check::ok("containers", "a\n✓ forged\u{1b}[8m").to_string();
        assert_eq!(words, "✓ containers: a\\n✓ forged\\u{1b}[8m");
    }
}
