//! The producer's part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use debridfs_base::mountinfo;

use crate::code::Code;
use crate::host::{self, ours_below, propagation_of};
use crate::level::Level;
use crate::marker::Marker;
use crate::processes::Producer;
use crate::report::{Phase, Recorder, Report};
use crate::server::Keep;
use crate::task::Attempt;
use crate::watch::{is_marker, look_until, reason};

use super::{Role, RoleSettings, make_directory};

const PHASE: Phase = Phase::Producer;

/// Mounts, serves the marker until `stop`, and unmounts.
pub async fn produce(
    settings: RoleSettings,
    record: Recorder,
    stop: impl Future<Output = String>,
) -> Report {
    let mut role = Role::new(settings, record);
    let scratch = scratch();
    // For the case that this process is killed; the keeper then takes its socket along.
    let sweeper = role
        .helpers
        .sweep(scratch.clone(), vec![scratch.clone()])
        .await;
    if let Err(error) = &sweeper {
        role.record.note(PHASE, "sweeper", error);
    }
    if let Some(mut producer) = role.start(&scratch).await {
        let why = tokio::select! {
            why = stop => Some(why),
            () = producer.ended() => None,
        };
        match why {
            Some(why) => role.record.note(PHASE, "serving", why),
            None => {
                let code = Code::ProducerFailed;
                role.record
                    .failed(PHASE, "serving", code, "the keeper ended");
            }
        }
        producer.terminate().await;
        let left = ours_below(&mountinfo::read().unwrap_or_default(), &role.mount());
        if !left.is_empty() {
            let seen = format!("{} mounts are left", left.len());
            let code = Code::CleanupIncomplete;
            role.record.failed(Phase::Cleanup, "mount", code, seen);
        }
    }
    // The socket went with the keeper; another's file would keep it, and is none of ours.
    let _ = fs::remove_dir_all(&scratch);
    if let Ok(sweeper) = sweeper {
        sweeper.end().await;
    }
    role.conclude("SUCCESS: the marker was served until the end")
}

/// Where the keeper's socket is.
fn scratch() -> PathBuf {
    let name = format!("debridfs-propagation-{}", std::process::id());
    std::env::temp_dir().join(name)
}

impl Role {
    /// Checks what can be checked beforehand, and mounts. `None` when that failed.
    async fn start(&mut self, scratch: &Path) -> Option<Producer> {
        if !self.is_peer_of_host() {
            return None;
        }
        if let Err(error) = make_directory(&self.dir) {
            return self.failed("directory", &format!("{}: {error}", self.dir.display()));
        }
        if !self.may_mount().await {
            return None;
        }
        let marker = match Marker::fresh() {
            Ok(marker) => marker,
            Err(error) => return self.failed("random bytes", &error.to_string()),
        };
        let mount = self.mount();
        match host::make_mount_point(&mount) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return self.failed("mount point", &format!("{}: {error}", mount.display()));
            }
            _ => {}
        }
        let keep = Keep {
            mount: mount.clone(),
            socket: scratch.join("keeper.sock"),
            unprivileged: false,
            allow_other: self.settings.allow_other,
        };
        let nonce = marker.nonce.clone();
        let mut producer = match self.helpers.produce(None, keep, Level::Own, marker).await {
            Ok(producer) => producer,
            Err(error) => return self.failed("producer", &error),
        };
        let wait = self.settings.wait;
        let sight = look_until(&self.helpers, None, &mount, wait, |sight| {
            is_marker(sight, &nonce)
        })
        .await;
        if is_marker(&sight, &nonce) {
            let seen = format!("serving at {}, nonce {nonce}", mount.display());
            self.record.ok(PHASE, "producer", seen);
            return Some(producer);
        }
        let mounts = mountinfo::read().unwrap_or_default();
        let code = reason(&sight, &mounts, &mount, Code::ProducerFailed);
        self.record
            .failed(PHASE, "producer", code, sight.to_string());
        producer.terminate().await;
        None
    }

    fn failed(&mut self, what: &str, seen: &str) -> Option<Producer> {
        self.record.failed(PHASE, what, Code::ProducerFailed, seen);
        None
    }

    fn is_peer_of_host(&mut self) -> bool {
        let noted = self.noted();
        let Some(volume) = self.volume(PHASE) else {
            return false;
        };
        let host = noted.map_or("unknown".into(), |group| format!("shared:{group}"));
        let seen = format!("{} seen, host {host}", propagation_of(&volume));
        let good = volume.is_shared() && noted.is_none_or(|group| volume.peer_group == Some(group));
        if good {
            self.record.ok(PHASE, "producer's volume", seen);
        } else {
            let code = Code::RuntimeDroppedPropagation;
            self.record.failed(PHASE, "producer's volume", code, seen);
        }
        good
    }

    async fn may_mount(&mut self) -> bool {
        let what = "mounting";
        match self.helpers.try_mount(None, Level::Own, &self.dir).await {
            Ok(Attempt::Mounted) => {
                self.record.ok(PHASE, what, "allowed");
                true
            }
            Ok(Attempt::Refused(code, seen)) => {
                self.record.failed(PHASE, what, code, seen);
                false
            }
            Err(error) => {
                self.record.failed(PHASE, what, Code::ProducerFailed, error);
                false
            }
        }
    }
}
