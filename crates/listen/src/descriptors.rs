//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is of no use: a thousand connections to each listener, and ten thousand files of the cache.
const MOST: u64 = 65_536;

/// Raises the soft limit of open files towards the hard one, and tells what holds now. The soft one
/// is 1024 under systemd, containerd and a shell, for programs that still call `select(2)`.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    // None means that there is no limit.
    let soft = limit.current.unwrap_or(u64::MAX);
    let wanted = hard.min(MOST);
    if soft >= wanted {
        return soft;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files stays as it is: set LimitNOFILE= or `ulimit -n`");
            soft
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_comes_up_to_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit {
            current: Some(256),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        let raised = raise_descriptors();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, Some(raised));
        assert_eq!(raised, before.maximum.unwrap_or(u64::MAX).min(MOST));
        assert_eq!(now.maximum, before.maximum);
        assert_eq!(raise_descriptors(), raised);
    }
}
