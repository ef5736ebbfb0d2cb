//! How a command ends when it does not succeed.

use std::process::ExitCode;

use debridfs_base::terminal::{escaped, escaped_lines};
use debridfs_control::CallError;
use debridfs_doctor::Check;
use miette::{MietteDiagnostic, Report};

use debridfs_base::Trouble;
use debridfs_config::{ConfigError, Unusable};
use debridfs_preflight::{InUse, NotPrepared};

/// The configuration or the command line is wrong (as clap's own).
pub const USAGE: u8 = 2;
/// Nobody answers.
pub const NOBODY: u8 = 3;
/// A supervised engine was replaced by another one.
pub const REPLACED: u8 = 4;
/// Another instance has a directory that this one would work in.
pub const IN_USE: u8 = 5;
/// `debridfs engine` was told by SIGHUP that another one is to go on, and counts on being started again: as EX_TEMPFAIL of sysexits.h.
pub const AGAIN: u8 = 75;

/// What to do where no instance answers.
pub const START: &str =
    "start one with `debridfs serve`, or choose it with --socket or DEBRIDFS_CONTROL";

/// What to print, and the code to end with.
#[derive(Debug)]
pub struct Failure {
    reports: Vec<Report>,
    code: u8,
}

impl Failure {
    /// A failure in words, with what to do about it.
    pub fn new(message: impl Into<String>, help: Option<&str>) -> Self {
        let mut shown = MietteDiagnostic::new(escaped_lines(&message.into()));
        shown.help = help.map(str::to_owned);
        Self {
            reports: vec![Report::new(shown)],
            code: 1,
        }
    }

    /// Checks that failed, each with its fix; nothing when there is none.
    pub fn of_checks<'a>(checks: impl Iterator<Item = &'a Check>) -> Option<Self> {
        let report = |check: &Check| {
            let words = escaped(&format!("{}: {}", check.name, check.seen)).into_owned();
            let mut shown = MietteDiagnostic::new(words);
            shown.help = check.fix.as_deref().map(|fix| escaped(fix).into_owned());
            Report::new(shown)
        };
        let reports: Vec<Report> = checks.map(report).collect();
        (!reports.is_empty()).then_some(Self { reports, code: 1 })
    }

    /// Ends silently with `code`: everything has been said.
    pub fn silent(code: u8) -> Self {
        Self {
            reports: Vec::new(),
            code,
        }
    }

    /// With another code.
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Whether it is that nobody answered.
    pub fn is_nobody(&self) -> bool {
        self.code == NOBODY
    }

    /// Prints it.
    pub fn exit(self) -> ExitCode {
        for report in self.reports {
            eprintln!("{report:?}");
        }
        ExitCode::from(self.code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            reports: error.reports(),
            code: USAGE,
        }
    }
}

impl From<NotPrepared> for Failure {
    fn from(error: NotPrepared) -> Self {
        let help = error.help();
        Self::new(error.to_string(), Some(&help))
    }
}

impl From<InUse> for Failure {
    fn from(error: InUse) -> Self {
        let Trouble { words, help } = error.into();
        Self::new(words, Some(&help)).with_code(IN_USE)
    }
}

impl From<Unusable> for Failure {
    fn from(error: Unusable) -> Self {
        Self::new(error.to_string(), None).with_code(USAGE)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        // An engine's words, which may quote others.
        let words = escaped(&error.to_string()).into_owned();
        match error {
            CallError::Silent { .. } => {
                Self::new(format!("no instance answers: {words}"), Some(START)).with_code(NOBODY)
            }
            _ => Self::new(words, None),
        }
    }
}

/// Adds what was being done to a system error.
pub trait Doing<T> {
    /// "`what`: error".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{}: {error}", what()), None))
    }
}
