//! What is wrong with a configuration, where, and what to write instead.
//!
//! No text of the file is quoted: the line may hold a token.

use std::path::{Path, PathBuf};

use miette::{MietteDiagnostic, Report};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file, at this line (from 1).
    Line(usize),
    /// By a variable.
    Variable(String),
    /// Nowhere in particular.
    Unknown,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where.
    pub origin: Origin,
}

impl Problem {
    /// What is wrong, with its place in front.
    pub fn located(&self, file: Option<&Path>) -> String {
        match (&self.origin, file) {
            (Origin::Line(line), Some(path)) => {
                format!("{}, line {line}: {}", path.display(), self.message)
            }
            (Origin::Variable(name), _) => format!("environment, {name}: {}", self.message),
            (_, Some(path)) => format!("{}: {}", path.display(), self.message),
            _ => self.message.clone(),
        }
    }
}

/// A setting that turns out to be of no use when the engine starts, such as the file of a secret
/// that is not there; in words for people.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

impl<T: Into<String>> From<T> for Unusable {
    fn from(words: T) -> Self {
        Self(words.into())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Unreadable {
        /// The configuration file, or a file of a secret.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}", problems.iter().map(|problem| problem.located(file.as_deref())).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// The file, if one was read.
        file: Option<PathBuf>,
        /// All that was found.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// One report for each problem, to be printed.
    pub fn reports(self) -> Vec<Report> {
        match self {
            Self::Unreadable {
                ref path,
                ref error,
            } => {
                let path = path.display();
                let help = if error.kind() == std::io::ErrorKind::PermissionDenied {
                    let user = rustix::process::geteuid().as_raw();
                    format!(
                        "user {user} has to be able to read it and to enter the directories above it: \
                         `chown {user} {path}`, or run it as another user (PUID)"
                    )
                } else {
                    format!("check that {path} exists and may be read")
                };
                vec![Report::new(
                    MietteDiagnostic::new(self.to_string()).with_help(help),
                )]
            }
            Self::Invalid { file, problems } => problems
                .into_iter()
                .map(|problem| {
                    let mut shown = MietteDiagnostic::new(problem.located(file.as_deref()));
                    shown.help = problem.help;
                    Report::new(shown)
                })
                .collect(),
        }
    }
}
