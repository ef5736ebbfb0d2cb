//! The backends by their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A backend by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// Our own codec.
    Native,
    /// The codec of fuse-backend-rs.
    Fbrs,
}

impl BackendKind {
    /// All that there are, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Native, Self::Fbrs];

    /// Its name in settings, status and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Fbrs => "fbrs",
        }
    }

    /// The one that is not this one.
    pub fn other(self) -> Self {
        match self {
            Self::Native => Self::Fbrs,
            Self::Fbrs => Self::Native,
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// No backend has this name.
#[derive(Debug, thiserror::Error)]
#[error("no backend is called {0:?}: there are native and fbrs")]
pub struct NoSuchBackend(String);

impl FromStr for BackendKind {
    type Err = NoSuchBackend;

    fn from_str(text: &str) -> Result<Self, NoSuchBackend> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| NoSuchBackend(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.name().parse::<BackendKind>().unwrap(), kind);
        }
        let error = "uring".parse::<BackendKind>().unwrap_err().to_string();
        assert_eq!(
            error,
            "no backend is called \"uring\": there are native and fbrs"
        );
    }
}
