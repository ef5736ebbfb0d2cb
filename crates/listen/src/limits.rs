//! What is allowed to callers: how many, how long, how much.

use std::time::Duration;

/// Connections to one listener, by default. A household has some ten programs that call; a browser
/// holds 6 connections to a host, an arr 2.
const CONNECTIONS: usize = 128;
/// Of them from one address, by default: four addresses at least share a listener.
const PER_ADDRESS: usize = 32;
/// Bytes of bodies in memory, by default: one of the largest that a front takes.
const BODIES: u64 = 64 << 20;
/// Listeners that there may be: health and pages, qBittorrent, SABnzbd, HTTP files, NFS, WebDAV, and
/// the control socket.
const LISTENERS: usize = 7;
/// One part in so many of the descriptors is for callers. What is left is for CDNs (64 connections),
/// the cache's files, databases and the control socket.
const SHARE: usize = 2;

/// How long a connection may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From a request's first byte to the end of its head. Heads are a packet or two.
    pub head: Duration,
    /// Without a request. That of nginx: longer than the minute after which .NET's and most other
    /// clients give a connection up themselves, so that none is closed under a call.
    pub idle: Duration,
    /// Between two parts of a body.
    pub pause: Duration,
    /// For a whole body: 64 MiB at 0.5 MiB/s, a poor wireless network.
    pub body: Duration,
    /// Without taking anything of an answer. A player that pauses reads on by a new request.
    pub write: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            pause: Duration::from_secs(15),
            body: Duration::from_secs(120),
            write: Duration::from_secs(60),
        }
    }
}

impl Times {
    /// The shortest of them: as often an open connection is looked at.
    pub(crate) fn shortest(&self) -> Duration {
        let Self {
            head,
            idle,
            pause,
            body,
            write,
        } = *self;
        head.min(idle).min(pause).min(body).min(write)
    }
}

/// What is allowed to all who call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections to one listener, at least 1.
    pub connections: usize,
    /// Of them from one address, or one /64 of IPv6, at least 1. This machine's own addresses are
    /// not limited apart: behind them may be a proxy with everybody else.
    pub per_address: usize,
    /// Bytes of requests' bodies in memory, of all listeners together.
    pub bodies: u64,
    /// How long each may take.
    pub times: Times,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            per_address: PER_ADDRESS,
            bodies: BODIES,
            times: Times::default(),
        }
    }
}

impl Limits {
    /// The same for a process that may have `descriptors` open files: all listeners together leave
    /// half of them to others.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let most = (all / SHARE / LISTENERS).max(1);
        Self {
            connections: self.connections.min(most),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_are_left_to_others() {
        for (descriptors, connections) in [(1024, 73), (65_536, 128), (u64::MAX, 128), (1, 1)] {
            let limits = Limits::default().within(descriptors);
            assert_eq!(limits.connections, connections, "{descriptors}");
            let all = (limits.connections * LISTENERS) as u64;
            assert!(all <= descriptors / 2 || connections == 1, "{descriptors}");
        }
    }
}
