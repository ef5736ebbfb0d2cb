//! A consumer's part.

use debridfs_base::mountinfo;
use tokio::time::{Duration, Instant, sleep};

use crate::code::Code;
use crate::host::{ours_below, propagation_of};
use crate::level::{self, Level};
use crate::report::{Phase, Recorder, Report};
use crate::task::{Sight, Written};
use crate::watch::{is_marker, look_until, reason};

use super::{Role, RoleSettings};

/// Pause between two looks into the mount table.
const PAUSE: Duration = Duration::from_millis(100);

/// How far a consumer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Sees the marker, and checks who may read and that nobody can write.
    Marker,
    /// Then waits until the producer has stopped, and its mount is gone.
    Gone,
    /// Then waits until another producer's marker is seen.
    Restart,
}

/// Waits for the marker and looks at it.
pub async fn consume(
    settings: RoleSettings,
    until: Until,
    record: Recorder,
    stop: impl Future<Output = String>,
) -> Report {
    let mut role = Role::new(settings, record);
    let interrupted = tokio::select! {
        () = role.consume(until) => None,
        why = stop => Some(why),
    };
    if let Some(why) = interrupted {
        let code = Code::Interrupted;
        role.record.failed(Phase::Cleanup, "test", code, why);
    }
    role.conclude("")
}

impl Role {
    async fn consume(&mut self, until: Until) {
        self.is_slave_of_host();
        let Some(nonce) = self.sees_marker().await else {
            return;
        };
        self.is_read_only(&nonce).await;
        match until {
            Until::Marker => {}
            Until::Gone => self.goes().await,
            Until::Restart => self.comes_back(&nonce).await,
        }
    }

    fn is_slave_of_host(&mut self) {
        let phase = Phase::Consumer;
        let noted = self.noted();
        let Some(volume) = self.volume(phase) else {
            return;
        };
        let host = noted.map_or("unknown".into(), |group| format!("shared:{group}"));
        let seen = format!("{} seen, host {host}", propagation_of(&volume));
        let from = volume.master.or(volume.peer_group);
        // A mount of ours that was bound on its own has a peer group of its own.
        let good = from.is_some() && (volume.is_ours() || noted.is_none_or(|_| from == noted));
        if good {
            self.record.ok(phase, "consumer's volume", seen);
        } else {
            let code = Code::RuntimeDroppedPropagation;
            self.record.failed(phase, "consumer's volume", code, seen);
        }
    }

    /// The nonce of the marker, once it is seen.
    async fn sees_marker(&mut self) -> Option<String> {
        let (phase, mount, wait) = (Phase::Consumer, self.mount(), self.settings.wait);
        let sight = look_until(&self.helpers, None, &mount, wait, |sight| {
            matches!(sight, Sight::Marker(_))
        })
        .await;
        if let Sight::Marker(marker) = &sight {
            self.record.found();
            self.record.ok(phase, "consumer", sight.to_string());
            return Some(marker.nonce.clone());
        }
        let mounts = mountinfo::read().unwrap_or_default();
        let code = reason(&sight, &mounts, &mount, Code::NotPropagatedToConsumer);
        self.record.never_appeared(wait);
        self.record
            .failed(phase, "consumer", code, sight.to_string());
        None
    }

    async fn is_read_only(&mut self, nonce: &str) {
        let (phase, mount) = (Phase::PermissionLevels, self.mount());
        let mounts = mountinfo::read().unwrap_or_default();
        if level::may_change() {
            for level in [Level::User, Level::Restricted] {
                let what = format!("reading as {}", level.name());
                let sight = self.helpers.look(None, level, &mount).await;
                if is_marker(&sight, nonce) {
                    self.record.ok(phase, &what, sight.to_string());
                } else {
                    let missing = Code::NotPropagatedToConsumer;
                    let code = reason(&sight, &mounts, &mount, missing);
                    self.record.failed(phase, &what, code, sight.to_string());
                }
            }
        }
        let top = mountinfo::top(&mountinfo::layers(mounts, &mount));
        let read_only = top.is_some_and(|mount| mount.has_super_option("ro"));
        let (written, seen) = match self.helpers.write(None, Level::Own, &mount).await {
            Written::Made => (true, "a file was made".into()),
            Written::Refused(errno) if read_only => (false, errno),
            Written::Refused(errno) => (
                true,
                format!("refused by the server alone ({errno}): mounted read-write"),
            ),
        };
        if written {
            let code = Code::WritableSubmount;
            self.record.failed(phase, "writing", code, seen);
        } else {
            self.record.ok(phase, "writing", seen);
        }
    }

    async fn goes(&mut self) {
        let (phase, mount) = (Phase::Stale, self.mount());
        let end = Instant::now() + self.settings.wait;
        loop {
            let left = ours_below(&mountinfo::read().unwrap_or_default(), &mount);
            if left.is_empty() {
                self.record
                    .ok(phase, "after the producer's end", "no mount is left");
                return;
            }
            if Instant::now() >= end {
                let seen = format!("{} mounts are left", left.len());
                let what = "after the producer's end";
                self.record.failed(phase, what, Code::LeakedMount, seen);
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn comes_back(&mut self, before: &str) {
        let (phase, mount, wait) = (Phase::Recovery, self.mount(), self.settings.wait);
        let is_new =
            |sight: &Sight| matches!(sight, Sight::Marker(marker) if marker.nonce != before);
        let sight = look_until(&self.helpers, None, &mount, wait, is_new).await;
        let what = "after the producer's restart";
        if is_new(&sight) {
            self.record.ok(phase, what, sight.to_string());
        } else {
            let mounts = mountinfo::read().unwrap_or_default();
            let code = reason(&sight, &mounts, &mount, Code::StaleAfterRestart);
            self.record.failed(phase, what, code, sight.to_string());
        }
    }
}
