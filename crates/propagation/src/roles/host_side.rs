//! The host's part.

use std::fs;
use std::io;
use std::path::PathBuf;

use debridfs_base::mountinfo::{self, Mount};
use tokio::time::{Duration, Instant, sleep};

use crate::code::Code;
use crate::host::{self, ours_below, propagation_of};
use crate::report::{Phase, Recorder, Report};
use crate::watch::{look_until, reason};

use super::{NOTE_NAME, Note, Role, RoleSettings, make_directory, resolved};
use crate::task::Sight;

/// Pause between two looks into the mount table.
const PAUSE: Duration = Duration::from_millis(100);

/// Checks that the directory is shared, makes the mount point in it and notes the peer group.
pub fn set_up_host(settings: RoleSettings, record: Recorder) -> Report {
    let mut role = Role::new(settings, record);
    role.set_up();
    role.conclude("SUCCESS: the directory is shared, and the mount point is there")
}

/// Waits until the host sees the producer's marker.
pub async fn look_on_host(settings: RoleSettings, record: Recorder) -> Report {
    let mut role = Role::new(settings, record);
    let (phase, mount) = (Phase::Producer, role.mount());
    let wait = role.settings.wait;
    let sight = look_until(&role.helpers, None, &mount, wait, |sight| {
        matches!(sight, Sight::Marker(_))
    })
    .await;
    if matches!(sight, Sight::Marker(_)) {
        role.record.found();
        role.record.ok(phase, "host", sight.to_string());
    } else {
        let mounts = mountinfo::read().unwrap_or_default();
        let code = reason(&sight, &mounts, &mount, Code::NotPropagatedToHost);
        role.record.never_appeared(wait);
        role.record.failed(phase, "host", code, sight.to_string());
    }
    role.conclude("")
}

/// Sets up, waits for `stop`, gives the producer time to unmount, and removes what is left, the directory itself included when it is empty.
pub async fn stay_on_host(
    settings: RoleSettings,
    record: Recorder,
    stop: impl Future<Output = String>,
) -> Report {
    let mut role = Role::new(settings, record);
    role.set_up();
    if role.record.has_failed() {
        return role.conclude("");
    }
    let why = stop.await;
    role.record.note(Phase::HostSetUp, "waiting", why);
    // Both are told to stop at the same time.
    let end = Instant::now() + role.settings.wait;
    let mount = role.mount();
    while Instant::now() < end
        && !ours_below(&mountinfo::read().unwrap_or_default(), &mount).is_empty()
    {
        sleep(PAUSE).await;
    }
    role.clean();
    // Made by this part or the producer. One that holds anything else stays, and so does a mount.
    let _ = fs::remove_dir(&role.dir);
    role.conclude("SUCCESS: nothing is left")
}

/// Removes whatever the parts of the test left in the directory.
pub fn clean_host(settings: RoleSettings, record: Recorder) -> Report {
    let mut role = Role::new(settings, record);
    role.clean();
    role.conclude("SUCCESS: nothing is left")
}

impl Role {
    /// The directory that has to be shared, and the mount that it lies on.
    fn shared(&self) -> io::Result<(PathBuf, Mount)> {
        // Without symlinks itself, too: it is no mount of ours.
        let below = resolved(&self.settings.share_of.join(host::MOUNT_POINT));
        let shared = below.parent().unwrap_or(&below).to_path_buf();
        let on = host::mount_of(&shared)?;
        Ok((shared, on))
    }

    fn clean(&mut self) {
        let mut left = host::remove(&self.mount(), &[self.mount()]);
        if let Err(error) = fs::remove_file(self.dir.join(NOTE_NAME))
            && error.kind() != io::ErrorKind::NotFound
        {
            left.push(format!("{NOTE_NAME}: {error}"));
        }
        let phase = Phase::Cleanup;
        if left.is_empty() {
            self.record.ok(phase, "host", "no mount or file is left");
        } else {
            let code = Code::CleanupIncomplete;
            self.record.failed(phase, "host", code, left.join("; "));
        }
    }

    fn set_up(&mut self) {
        let phase = Phase::HostSetUp;
        let Some(volume) = self.volume(phase) else {
            return;
        };
        let (shared, on) = match self.shared() {
            Ok(found) => found,
            Err(error) => {
                let code = Code::ProducerFailed;
                self.record
                    .failed(phase, "propagation", code, error.to_string());
                return;
            }
        };
        let peer_group = match on.peer_group {
            Some(peer_group) if volume.id == on.id => peer_group,
            Some(_) => {
                let code = Code::HostNotShared;
                let seen = host::mount_of_its_own(&volume, &shared);
                self.record.failed(phase, "propagation", code, seen);
                return;
            }
            None => {
                let seen = host::not_shared(&shared, &on);
                self.record
                    .failed(phase, "propagation", Code::HostNotShared, seen);
                return;
            }
        };
        let seen = format!(
            "{} lies on {}, {}",
            shared.display(),
            on.mount_point.display(),
            propagation_of(&on)
        );
        self.record.ok(phase, "propagation", seen);
        if let Err(error) = make_directory(&self.dir) {
            let seen = format!("{}: {error}", self.dir.display());
            let code = Code::ProducerFailed;
            self.record.failed(phase, "directory", code, seen);
            return;
        }
        let mount = self.mount();
        let immutable = match host::make_mount_point(&mount) {
            // From an earlier time; what is in it is not looked at, it may be mounted.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => {
                let (seen, code) = (
                    format!("{}: {error}", mount.display()),
                    Code::ProducerFailed,
                );
                self.record.failed(phase, "mount point", code, seen);
                return;
            }
            Ok(immutable) => immutable,
        };
        match immutable {
            Ok(()) => {
                let seen = format!("{} is closed", mount.display());
                self.record.ok(phase, "mount point", seen);
            }
            Err(error) => {
                let seen = format!("{} cannot be immutable: {error}", mount.display());
                let code = Code::WritesReachHostRoot;
                self.record.warning(phase, "mount point", code, seen);
            }
        }
        let note = serde_json::to_vec(&Note { peer_group }).unwrap_or_default();
        if let Err(error) = fs::write(self.dir.join(NOTE_NAME), note) {
            let code = Code::ProducerFailed;
            self.record
                .failed(phase, NOTE_NAME, code, error.to_string());
        }
    }
}
