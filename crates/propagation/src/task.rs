//! What a helper process is told to do, and what it says: the words between the test and its
//! helpers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::container::Container;
use crate::level::Level;
use crate::marker::Marker;
use crate::server::Keep;

/// Where a helper works: in the mount namespace of this process, or where it was started.
pub(crate) type Where = Option<u32>;

/// One helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Helper {
    /// Makes a container, says `ready`, and holds it until its standard input ends.
    Contain(Container),
    /// Mounts and keeps the mount until SIGTERM; says `ready` once it is served.
    Keep(Keep, Where),
    /// Serves the marker over a keeper's connection.
    Serve {
        place: Where,
        level: Level,
        socket: PathBuf,
        marker: Marker,
    },
    /// Waits until its standard input ends, and removes what the test left by then: nothing, unless
    /// the test was killed.
    Sweep {
        base: PathBuf,
        directories: Vec<PathBuf>,
    },
    /// As `Sweep`, with a sandbox of a runtime that comes first.
    Forget(Left),
    /// Is the first process of a runtime's container, until that is killed.
    Stay,
    /// Looks for the marker; says a [`Sight`].
    Look {
        place: Where,
        level: Level,
        mount: PathBuf,
    },
    /// Tries to make a file; says a [`Written`].
    Write {
        place: Where,
        level: Level,
        dir: PathBuf,
    },
    /// Tries to mount; says an [`Attempt`].
    TryMount {
        place: Where,
        level: Level,
        dir: PathBuf,
    },
}

/// What is seen where the marker should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sight {
    Marker(Marker),
    /// Nothing is there.
    Missing,
    /// A mount that nobody serves.
    Dead,
    /// The errno, and what it would stand for if the mount lets others in.
    Denied(String, Code),
    Failed(String),
    /// No answer in time; never said by the helper itself.
    Hung,
}

impl std::fmt::Display for Sight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Marker(marker) => write!(f, "marker {}", &marker.nonce),
            Self::Missing => f.write_str("no marker"),
            Self::Dead => f.write_str("Transport endpoint is not connected"),
            Self::Denied(errno, _) => write!(f, "denied: {errno}"),
            Self::Failed(errno) => f.write_str(errno),
            Self::Hung => f.write_str("no answer in time"),
        }
    }
}

/// What came of an attempt to make a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Written {
    /// It was made (and removed again).
    Made,
    Refused(String),
}

/// What came of an attempt to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Attempt {
    Mounted,
    Refused(Code, String),
}

/// What is left of a runtime's sandbox when a test is killed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Left {
    pub socket: PathBuf,
    pub sandbox: String,
    pub logs: PathBuf,
    pub base: PathBuf,
    pub directories: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T>(what: &T) -> T
    where
        T: Serialize + serde::de::DeserializeOwned,
    {
        let text = serde_json::to_string(what).unwrap();
        assert!(!text.contains('\n'), "an answer is one line");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn answers_of_helpers_are_understood_as_they_were_meant() {
        let marker = Marker::fresh().unwrap();
        for sight in [
            Sight::Marker(marker),
            Sight::Missing,
            Sight::Dead,
            Sight::Denied("Permission denied\n".into(), Code::Selinux),
            Sight::Failed("EIO".into()),
        ] {
            assert_eq!(there_and_back(&sight), sight);
        }
        let refused = Attempt::Refused(Code::NoSysAdmin, "mount: EPERM".into());
        assert_eq!(there_and_back(&refused), refused);
        let refused = Written::Refused("read-only".into());
        assert_eq!(there_and_back(&refused), refused);
    }

    #[test]
    fn what_a_helper_is_told_is_an_argument_of_a_command() {
        let look = Helper::Look {
            place: Some(4711),
            level: Level::Own,
            mount: "/t/dfs".into(),
        };
        let Helper::Look { place, mount, .. } = there_and_back(&look) else {
            panic!("another helper");
        };
        assert_eq!((place, mount), (Some(4711), "/t/dfs".into()));
        // What a container of a runtime is started with.
        assert_eq!(serde_json::to_string(&Helper::Stay).unwrap(), "\"Stay\"");
        assert!(serde_json::from_str::<Helper>("\"Leave\"").is_err());
    }

    #[test]
    fn sights_are_told_in_words() {
        let denied = Sight::Denied("Permission denied".into(), Code::Selinux);
        for (sight, words) in [
            (Sight::Missing, "no marker"),
            (Sight::Dead, "Transport endpoint is not connected"),
            (denied, "denied: Permission denied"),
            (Sight::Failed("EIO".into()), "EIO"),
            (Sight::Hung, "no answer in time"),
        ] {
            assert_eq!(sight.to_string(), words);
        }
    }
}
