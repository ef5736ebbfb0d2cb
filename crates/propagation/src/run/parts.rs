//! The parts of the test as first processes of real containers, with all that a runtime takes from
//! them: capabilities, devices, system calls.

use std::path::PathBuf;
use std::time::Duration;

use debridfs_cri::{Container as Asked, Seccomp};

use crate::code::Code;
use crate::container::{DEVICE, Propagation, VOLUME};
use crate::level::USER;
use crate::report::{Phase, Step};
use crate::roles::{RoleSettings, clean_host, set_up_host};
use crate::task::Sight;
use crate::watch::look_until;

use super::Session;
use super::runtime::{Sandbox, refusal, volume_at};

const PHASE: Phase = Phase::PermissionLevels;
/// How long a producer may take to unmount.
const GRACE: Duration = Duration::from_secs(15);

/// A container as somebody.
struct Somebody {
    name: &'static str,
    asked: fn(Asked) -> Asked,
}

fn restricted(asked: Asked) -> Asked {
    Asked {
        user: Some(USER.into()),
        drop_capabilities: vec!["ALL".into()],
        no_new_privileges: true,
        seccomp: Seccomp::RuntimeDefault,
        ..asked
    }
}

fn user(asked: Asked) -> Asked {
    Asked {
        user: Some(USER.into()),
        ..asked
    }
}

fn capable(asked: Asked) -> Asked {
    Asked {
        add_capabilities: vec!["SYS_ADMIN".into()],
        ..asked
    }
}

fn capable_with_device(asked: Asked) -> Asked {
    Asked {
        devices: vec![PathBuf::from(DEVICE)],
        ..capable(asked)
    }
}

fn with_device(asked: Asked) -> Asked {
    Asked {
        devices: vec![PathBuf::from(DEVICE)],
        ..asked
    }
}

const READERS: [Somebody; 3] = [
    Somebody {
        name: "a container as root",
        asked: |asked| asked,
    },
    Somebody {
        name: "a container as user 1000",
        asked: user,
    },
    Somebody {
        name: "a container of the level restricted",
        asked: restricted,
    },
];

const PRODUCERS: [Somebody; 4] = [
    Somebody {
        name: "a producer with nothing",
        asked: |asked| asked,
    },
    Somebody {
        name: "a producer with the device alone",
        asked: with_device,
    },
    Somebody {
        name: "a producer with SYS_ADMIN alone",
        asked: capable,
    },
    Somebody {
        name: "a producer with both and without privileged",
        asked: capable_with_device,
    },
];

impl Session {
    pub(super) async fn parts(&mut self) {
        let Some(sandbox) = self.sandbox.clone() else {
            return;
        };
        let mut settings = RoleSettings {
            helper: self.helpers.program.clone(),
            dir: self.volume(),
            share_of: self.volume(),
            is_mount_point: false,
            wait: self.settings.wait,
            allow_other: self.settings.allow_other,
        };
        // The note about the peer group; the rest has been looked at.
        let quiet = || crate::report::Recorder::new(Box::new(|_| {}));
        set_up_host(settings.clone(), quiet());
        for somebody in &PRODUCERS {
            self.lesser_producer(&sandbox, somebody).await;
        }
        self.producer_and_readers(&sandbox).await;
        // Makes the mount point again, which is removed with the rest.
        settings.wait = Duration::ZERO;
        clean_host(settings, quiet());
    }

    fn producer_asked(&self, sandbox: &Sandbox) -> Asked {
        let wait = self.settings.wait.as_secs_f64().to_string();
        let mut arguments = vec!["propagation-test", "producer", "--json", "--wait", &wait];
        arguments.extend(["--dir", VOLUME]);
        if !self.settings.allow_other {
            arguments.push("--no-allow-other");
        }
        let volume = volume_at(self.volume(), Propagation::Bidirectional);
        let asked = sandbox.asked("producer", &arguments, volume);
        Asked {
            environment: vec![("TMPDIR".into(), "/dev/shm".into())],
            ..asked
        }
    }

    /// What is refused is told; what is allowed as well, since Kubernetes asks for privileged.
    async fn lesser_producer(&mut self, sandbox: &Sandbox, somebody: &Somebody) {
        let what = somebody.name;
        let asked = (somebody.asked)(self.producer_asked(sandbox));
        let id = match sandbox.start_container(&asked).await {
            Ok(id) => id,
            Err(error) => {
                self.record.failed(PHASE, what, refusal(&error), error);
                return;
            }
        };
        let mount = self.host_mount();
        let wait = self.settings.wait;
        let serves = look_until(&self.helpers, None, &mount, wait, |sight| {
            matches!(sight, Sight::Marker(_))
        });
        tokio::select! {
            sight = serves => self.record.note(PHASE, what, format!("allowed: {sight}")),
            _ = sandbox.has_ended(&id, wait) => {
                let steps = steps(&sandbox.said(&asked));
                match steps.iter().find_map(|step| Some((step.code?, step))) {
                    Some((code, step)) => {
                        let seen = format!("refused, as expected: {} ({})", code.name(), step.seen);
                        self.record.ok(PHASE, what, seen);
                    }
                    None => self.record.note(PHASE, what, "ended without a word"),
                }
            }
        }
        self.stop(sandbox, &id, what).await;
    }

    async fn producer_and_readers(&mut self, sandbox: &Sandbox) {
        let what = "a privileged producer";
        let asked = Asked {
            privileged: true,
            ..self.producer_asked(sandbox)
        };
        let id = match sandbox.start_container(&asked).await {
            Ok(id) => id,
            Err(error) => {
                self.record.failed(PHASE, what, refusal(&error), error);
                return;
            }
        };
        let (mount, wait) = (self.host_mount(), self.settings.wait);
        let serves = look_until(&self.helpers, None, &mount, wait, |sight| {
            matches!(sight, Sight::Marker(_))
        });
        let sight = tokio::select! {
            sight = serves => Some(sight),
            _ = sandbox.has_ended(&id, wait) => None,
        };
        match sight {
            Some(sight @ Sight::Marker(_)) => {
                self.record.ok(PHASE, what, format!("host: {sight}"));
                for somebody in &READERS {
                    self.reader(sandbox, somebody).await;
                }
            }
            sight => {
                let steps = steps(&sandbox.said(&asked));
                let failed = steps.iter().find_map(|step| Some((step.code?, step)));
                let (code, seen) = match (failed, sight) {
                    (Some((code, step)), _) => (code, step.seen.clone()),
                    (None, Some(sight)) => (Code::NotPropagatedToHost, sight.to_string()),
                    (None, None) => (Code::ProducerFailed, "it ended".into()),
                };
                self.record.failed(PHASE, what, code, seen);
            }
        }
        self.stop(sandbox, &id, what).await;
    }

    async fn reader(&mut self, sandbox: &Sandbox, somebody: &Somebody) {
        let what = somebody.name;
        let wait = self.settings.wait.as_secs_f64().to_string();
        let mut arguments = vec!["propagation-test", "consumer", "--json", "--wait", &wait];
        arguments.extend(["--dir", VOLUME]);
        let volume = volume_at(self.volume(), Propagation::HostToContainer);
        let asked = (somebody.asked)(sandbox.asked("consumer", &arguments, volume));
        let id = match sandbox.start_container(&asked).await {
            Ok(id) => id,
            Err(error) => {
                self.record.failed(PHASE, what, refusal(&error), error);
                return;
            }
        };
        let ended = sandbox.has_ended(&id, self.settings.wait + GRACE).await;
        let steps = steps(&sandbox.said(&asked));
        let failed = steps.iter().find_map(|step| Some((step.code?, step)));
        match failed {
            Some((code, step)) => {
                self.record.failed(PHASE, what, code, step.seen.clone());
            }
            None if ended && !steps.is_empty() => {
                let seen = format!("{} looks, all as they have to be", steps.len());
                self.record.ok(PHASE, what, seen);
            }
            None => {
                let code = Code::RuntimeFailed;
                self.record.failed(PHASE, what, code, "it said nothing");
            }
        }
        self.stop(sandbox, &id, what).await;
    }

    async fn stop(&mut self, sandbox: &Sandbox, id: &str, what: &str) {
        if let Err(error) = sandbox.stop_container(id, GRACE).await {
            let code = Code::RuntimeFailed;
            self.record.failed(PHASE, what, code, error);
        }
    }
}

/// The log of a part, from what it said; nothing when it said something else.
fn steps(said: &str) -> Vec<Step> {
    let report: Option<serde_json::Value> = serde_json::from_str(said).ok();
    let steps = report.and_then(|report| serde_json::from_value(report["steps"].clone()).ok());
    steps.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Recorder};

    #[test]
    fn the_log_of_a_part_can_be_read_again() {
        let mut record = Recorder::new(Box::new(|_| {}));
        record.ok(Phase::Producer, "volume", "shared");
        record.failed(Phase::Producer, "mounting", Code::DeviceDenied, "EPERM");
        let report = record.conclude("");
        let said = serde_json::to_string_pretty(&report).unwrap();
        let read = steps(&said);
        assert_eq!(read, report.steps);
        assert_eq!(read[1].outcome, Outcome::Failed);
        assert_eq!(steps("exec format error"), []);
    }
}
