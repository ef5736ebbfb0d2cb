//! A caller that has logged in: its name, the part of the library it sees, and what it may do.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// List and read files.
    Read,
    /// Change what the queue, repair, the cache and the providers do.
    Manage,
}

impl Right {
    /// Its word in settings and commands.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Read, Self::Manage];
        let found = all.into_iter().find(|right| right.word() == word);
        found.ok_or_else(|| format!("{word:?} is no right: `read` or `manage`"))
    }
}

/// A caller that showed a good login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the user or of the token, for logs and figures.
    pub name: String,
    /// The directory that is the caller's root: a path of the library without slashes at its ends,
    /// empty for all of it. It may name nothing; the caller then sees nothing.
    pub root: String,
    /// What the caller may do.
    pub may: Vec<Right>,
}

impl Caller {
    /// Whether the caller may do `right`.
    pub fn may(&self, right: Right) -> bool {
        self.may.contains(&right)
    }
}

/// A path of the library as [`Caller::root`] holds it: `/films/` is `films`. Nothing for one with
/// `.`, `..` or NUL in it, which names no directory.
pub fn root_of(path: &str) -> Option<String> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let parts = parts.try_fold(Vec::new(), |mut parts, part| {
        let is_name = !matches!(part, "." | "..") && !part.contains('\0');
        parts.push(part);
        is_name.then_some(parts)
    });
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_names_a_directory_below_that_of_the_library() {
        for (path, root) in [
            ("", Some("")),
            ("/", Some("")),
            ("/films/", Some("films")),
            ("rd//__all__", Some("rd/__all__")),
            ("/a/../b", None),
            ("./a", None),
            ("a\0", None),
        ] {
            assert_eq!(root_of(path).as_deref(), root, "{path:?}");
        }
    }
}
