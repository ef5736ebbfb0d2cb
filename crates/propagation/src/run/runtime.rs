//! Containers of a container runtime, made as the kubelet asks for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use debridfs_base::mountinfo;
use debridfs_cri::{Container as Asked, Pod, Runtime, State, Volume};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use tokio::time::{Instant, sleep};

use crate::code::Code;
use crate::container::{Container, Propagation, SCRATCH, VOLUME};
use crate::host;
use crate::processes::{Contained, Helpers};
use crate::report::Phase;
use crate::task::Left;

use super::{GivenUp, Session};

/// By which sandboxes of this test are told from others.
const NAMESPACE: &str = "debridfs-propagation-test";
/// Where the program is in a container.
pub(super) const PROGRAM: &str = "/debridfs-propagation-test";
/// What every sandbox gives its containers to write to.
const SHARED_MEMORY: &str = "/dev/shm";
/// Names of directories in the test's own.
const LOGS: &str = "logs";
const SUB_PATH: &str = "sub-path";
/// Pause between two looks at a container.
const PAUSE: Duration = Duration::from_millis(100);

/// Which containers are used.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// The CRI socket.
    pub socket: PathBuf,
    /// An image that is there; one of those for `pause`, which every node has, when absent.
    pub image: Option<String>,
    /// This program as a file: it is bound into the containers, so it has to be static, or the
    /// image has to have its libraries.
    pub program: PathBuf,
}

/// A sandbox for the containers of a test.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    runtime: Runtime,
    pod: Pod,
    id: String,
    image: String,
    program: PathBuf,
    /// Where a mount point is bound as the kubelet does for `subPath`.
    sub_path: PathBuf,
    /// How many containers there were: each has a name of its own.
    containers: Arc<AtomicU32>,
}

impl Session {
    /// Where a container can be written to.
    pub(super) fn scratch(&self) -> PathBuf {
        match &self.sandbox {
            Some(_) => SHARED_MEMORY.into(),
            None => SCRATCH.into(),
        }
    }

    pub(super) async fn start_runtime(&mut self) -> Result<(), GivenUp> {
        let Some(settings) = self.settings.runtime.clone() else {
            return Ok(());
        };
        let (phase, what) = (Phase::HostSetUp, "container runtime");
        // The last to be removed is the base, which holds these.
        let at = self.directories.len().saturating_sub(1);
        let more = [SUB_PATH, LOGS].map(|name| self.base.join(name));
        self.directories.splice(at..at, more);
        let started = Sandbox::start(&settings, &self.base, &self.directories, &self.helpers);
        match started.await {
            Ok((sandbox, sweeper, seen)) => {
                self.runtime_sweeper = Some(sweeper);
                self.sandbox = Some(sandbox);
                self.record.ok(phase, what, seen);
                Ok(())
            }
            Err(error) => Err(self.give_up(phase, what, Code::RuntimeFailed, error)),
        }
    }
}

impl Sandbox {
    async fn start(
        settings: &RuntimeSettings,
        base: &Path,
        directories: &[PathBuf],
        helpers: &Helpers,
    ) -> Result<(Self, Contained, String), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let runtime = Runtime::connect(&settings.socket).await;
        let runtime = runtime.map_err(|error| text(&error))?;
        let version = runtime.version().await.map_err(|error| text(&error))?;
        forget_abandoned(&runtime).await;
        let image = match &settings.image {
            Some(image) => image.clone(),
            None => pause_image(runtime.images().await.map_err(|error| text(&error))?)?,
        };
        let name = base.file_name().unwrap_or_default().to_string_lossy();
        let pod = Pod {
            name: name.into_owned(),
            namespace: NAMESPACE.into(),
            uid: std::process::id().to_string(),
            log_directory: base.join(LOGS),
            privileged: true,
            // Helpers are processes of the node, and look into `/proc` in there.
            host_processes: true,
            ..Pod::default()
        };
        let sub_path = base.join(SUB_PATH);
        for dir in [&pod.log_directory, &sub_path] {
            fs::create_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        let id = runtime.run_sandbox(&pod).await;
        let id = id.map_err(|error| text(&error))?;
        let sandbox = Self {
            runtime,
            pod,
            id,
            program: settings.program.clone(),
            sub_path,
            containers: Arc::default(),
            image,
        };
        let left = Left {
            socket: settings.socket.clone(),
            sandbox: sandbox.id.clone(),
            logs: sandbox.pod.log_directory.clone(),
            base: base.into(),
            directories: directories.to_vec(),
        };
        let sweeper = match helpers.forget(left).await {
            Ok(sweeper) => sweeper,
            Err(error) => {
                let _ = sandbox.end().await;
                return Err(error);
            }
        };
        let seen = format!(
            "{} {}, image {}",
            version.name, version.version, sandbox.image
        );
        Ok((sandbox, sweeper, seen))
    }

    /// A container that runs `arguments` of this program.
    pub(super) fn asked(&self, name: &str, arguments: &[&str], volume: Volume) -> Asked {
        let number = self.containers.fetch_add(1, Relaxed);
        let mut command = vec![PROGRAM.to_owned()];
        command.extend(arguments.iter().map(|&word| word.to_owned()));
        Asked {
            name: format!("{name}-{number}"),
            image: self.image.clone(),
            command,
            volumes: vec![
                volume,
                Volume {
                    source: self.program.clone(),
                    target: PROGRAM.into(),
                    read_only: true,
                    propagation: debridfs_cri::Propagation::None,
                },
            ],
            ..Asked::default()
        }
    }

    /// Starts a container that stays, for helpers to work in.
    pub(super) async fn contain(&self, container: &Container) -> Result<Contained, (Code, String)> {
        let failed = |error: String| (refusal(&error), error);
        let source = if container.recursive {
            container.volume.clone()
        } else {
            let bound = mount_bind(&container.volume, &self.sub_path);
            bound.map_err(|errno| failed(format!("subPath: {errno}")))?;
            self.sub_path.clone()
        };
        let asked = Asked {
            privileged: container.device,
            ..self.asked(
                "namespace",
                &["propagation-helper", "\"Stay\""],
                volume_at(source, container.propagation),
            )
        };
        let started = self.start_container(&asked).await;
        if !container.recursive {
            // The container has its own by now.
            let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            unmount(&self.sub_path, flags).map_err(|errno| failed(format!("subPath: {errno}")))?;
        }
        let id = started.map_err(failed)?;
        match self.runtime.pid(&id).await {
            Ok(pid) => Ok(Contained::by_runtime(self.runtime.clone(), id, pid)),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    pub(super) async fn start_container(&self, asked: &Asked) -> Result<String, String> {
        let started = self.runtime.start(&self.id, &self.pod, asked).await;
        started.map_err(|error| error.to_string())
    }

    /// Waits until a container ends; false when it takes longer than `limit`.
    pub(super) async fn has_ended(&self, id: &str, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Ok(State::Ended { .. }) = self.runtime.state(id).await {
                return true;
            }
            sleep(PAUSE).await;
        }
        false
    }

    /// SIGTERM, and SIGKILL after `grace`.
    pub(super) async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), String> {
        let stopped = self.runtime.stop(id, grace).await;
        stopped.map_err(|error| error.to_string())
    }

    /// What a container has said on its standard output, without what the runtime adds to a line:
    /// time, stream, and whether it is whole.
    pub(super) fn said(&self, asked: &Asked) -> String {
        let log = self.pod.log_directory.join(format!("{}.log", asked.name));
        let text = fs::read_to_string(log).unwrap_or_default();
        let mut said = String::new();
        for line in text.lines() {
            let mut fields = line.splitn(4, ' ').skip(1);
            if let (Some("stdout"), Some(tag), Some(rest)) =
                (fields.next(), fields.next(), fields.next())
            {
                said.push_str(rest);
                // "P" is for a part of a line that was too long.
                if tag != "P" {
                    said.push('\n');
                }
            }
        }
        said
    }

    /// Removes it with all its containers, and their logs.
    pub(super) async fn end(self) -> Result<(), String> {
        let removed = self.runtime.remove_sandbox(&self.id).await;
        let mounts = mountinfo::read().unwrap_or_default();
        if mounts
            .iter()
            .any(|mount| mount.mount_point == self.sub_path)
        {
            let _ = unmount(&self.sub_path, UnmountFlags::DETACH);
        }
        remove_logs(&self.pod.log_directory);
        removed.map_err(|error| error.to_string())
    }
}

/// The test's volume in a container.
pub(super) fn volume_at(source: PathBuf, propagation: Propagation) -> Volume {
    Volume {
        source,
        target: VOLUME.into(),
        read_only: false,
        propagation: propagation.of_runtime(),
    }
}

/// What a runtime means that starts no container. containerd looks at the mount of the host that
/// the volume is on, and says so in these words.
pub(super) fn refusal(words: &str) -> Code {
    if words.contains("but it is not a shared") {
        Code::HostNotShared
    } else {
        Code::RuntimeFailed
    }
}

/// Sandboxes of tests that were killed together with whoever was to remove them.
async fn forget_abandoned(runtime: &Runtime) {
    let found = runtime.sandboxes().await.unwrap_or_default().into_iter();
    for one in found.filter(|one| one.namespace == NAMESPACE) {
        // The uid is the test's process.
        if !Path::new("/proc").join(&one.uid).exists() {
            let _ = runtime.remove_sandbox(&one.id).await;
        }
    }
}

fn pause_image(images: Vec<String>) -> Result<String, String> {
    // registry.k8s.io/pause:3.10, rancher/mirrored-pause:3.6
    let named = |image: &String| {
        let name = image.rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        name == "pause" || name.ends_with("-pause")
    };
    let found = images.into_iter().find(named);
    found.ok_or_else(|| "no image for `pause` is there: name another one by --image".into())
}

fn remove_logs(dir: &Path) {
    for log in fs::read_dir(dir).into_iter().flatten().flatten() {
        // Whatever is left is named when the directory cannot be removed.
        let _ = fs::remove_file(log.path());
    }
}

/// Removes all that may be left.
pub(crate) fn forget(left: &Left) -> Result<(), String> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let removed = tokio.block_on(async {
        let runtime = Runtime::connect(&left.socket).await?;
        // No error when it is gone already.
        runtime.remove_sandbox(&left.sandbox).await
    });
    remove_logs(&left.logs);
    if left.base.exists() {
        host::remove_soon(&left.base, &left.directories);
    }
    removed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_every_node_has() {
        let chosen = |images: &[&str]| pause_image(images.iter().map(|&one| one.into()).collect());
        let k3s = "docker.io/rancher/mirrored-pause:3.6";
        assert_eq!(chosen(&["docker.io/library/plex:1", k3s]), Ok(k3s.into()));
        let plain = "registry.k8s.io/pause:3.10";
        assert_eq!(
            chosen(&["docker.io/library/pauser:1", plain]),
            Ok(plain.into())
        );
        assert!(chosen(&["docker.io/library/busybox:1"]).is_err());
    }

    #[test]
    fn a_private_root_in_the_words_of_containerd() {
        let words = "path \"/mnt\" is mounted on \"/\" but it is not a shared or slave mount";
        assert_eq!(refusal(words), Code::HostNotShared);
        assert_eq!(refusal("no such image"), Code::RuntimeFailed);
    }
}
