//! Which pod and container a process belongs to, as people call them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use debridfs_cri::Runtime;

use crate::host::Host;

/// Where container runtimes listen.
const SOCKETS: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
];
/// A runtime that takes longer to list its containers is not waited for.
const LIMIT: Duration = Duration::from_secs(5);
/// Digits of a container's id.
const ID: usize = 64;
/// Those that people see of it.
const SHORT: usize = 12;
/// Characters of a pod's UID.
const UID: usize = 36;

/// The pods of this machine.
#[derive(Debug, Clone, Default)]
pub struct Pods {
    /// `container NAME of pod NAMESPACE/NAME`, by the container's id.
    containers: HashMap<String, String>,
    /// `NAMESPACE/NAME`, by the pod's UID.
    pods: HashMap<String, String>,
}

impl Pods {
    /// Asks the runtimes of the machine; nothing where none answers.
    pub async fn of(host: &Host) -> Self {
        let mut all = Self::default();
        for socket in SOCKETS.iter().filter_map(|socket| host.path(socket)) {
            if socket.exists() {
                // What is not known has a number.
                let asked = all.ask(&socket);
                let _ = tokio::time::timeout(LIMIT, asked).await;
            }
        }
        all
    }

    async fn ask(&mut self, socket: &std::path::Path) -> Result<(), debridfs_cri::CriError> {
        let runtime = Runtime::connect(socket).await?;
        let mut sandboxes = HashMap::new();
        for pod in runtime.sandboxes().await? {
            let name = format!("{}/{}", pod.namespace, pod.name);
            self.pods.insert(pod.uid, name.clone());
            sandboxes.insert(pod.id, name);
        }
        for container in runtime.containers().await? {
            if let Some(pod) = sandboxes.get(&container.sandbox) {
                let words = format!("container {} of pod {pod}", container.name);
                self.containers.insert(container.id, words);
            }
        }
        Ok(())
    }

    /// The pod with this UID: its name, or the UID where nobody told.
    pub fn named<'a>(&'a self, uid: &'a str) -> &'a str {
        self.pods.get(uid).map_or(uid, String::as_str)
    }

    /// The container of a process, such as `container plex of pod media/plex-0`.
    pub fn of_process(&self, pid: u32) -> Option<String> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        self.of_groups(&groups)
    }

    fn of_groups(&self, groups: &str) -> Option<String> {
        let id = container_id(groups)?;
        if let Some(words) = self.containers.get(id) {
            return Some(words.clone());
        }
        let short = &id[..SHORT];
        Some(match pod_uid(groups) {
            Some(uid) => format!("container {short} of pod {}", self.named(&uid)),
            None => format!("container {short}"),
        })
    }
}

/// From `/kubepods/burstable/podUID/ID`, `…/cri-containerd-ID.scope`, `/docker/ID`.
fn container_id(groups: &str) -> Option<&str> {
    let mut words = groups.split(|c: char| !c.is_ascii_alphanumeric());
    words.rfind(|word| word.len() == ID && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// From `/kubepods/burstable/podUID/`; systemd has it as `kubepods-burstable-podUID.slice`, with `_` for `-`.
fn pod_uid(groups: &str) -> Option<String> {
    let mut parts = groups
        .split("pod")
        .skip(1)
        .filter_map(|rest| rest.get(..UID));
    let uid = parts.find(|uid| {
        let mut bytes = uid.bytes();
        bytes.all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'))
    })?;
    Some(uid.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINER: &str = "3f1a0c5b7e9d2f4a6c8e0b1d3f5a7c9e1b3d5f7092a4c6e8f0a2b4c6d8e0f1a3";
    const POD: &str = "7d3e1c2a-0b9f-4e8d-a6c5-1f2e3d4c5b6a";

    #[test]
    fn a_control_group_tells_container_and_pod() {
        let groups = [
            format!("4:memory:/kubepods/burstable/pod{POD}/{CONTAINER}\n0::/\n"),
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{CONTAINER}.scope\n",
                POD.replace('-', "_")
            ),
            // From a container with a control group namespace of its own.
            format!("0::/../../pod{POD}/{CONTAINER}\n"),
        ];
        let mut known = Pods::default();
        for groups in &groups {
            let words = known.of_groups(groups).unwrap();
            assert_eq!(words, format!("container 3f1a0c5b7e9d of pod {POD}"));
        }
        known.pods.insert(POD.into(), "media/plex-0".into());
        let words = known.of_groups(&groups[0]).unwrap();
        assert_eq!(words, "container 3f1a0c5b7e9d of pod media/plex-0");
        let whole = "container plex of pod media/plex-0";
        known.containers.insert(CONTAINER.into(), whole.into());
        assert_eq!(known.of_groups(&groups[1]).as_deref(), Some(whole));
    }

    #[test]
    fn not_every_container_is_in_a_pod_nor_every_process_in_a_container() {
        let none = Pods::default();
        let docker = format!("0::/system.slice/docker-{CONTAINER}.scope\n");
        let words = none.of_groups(&docker).unwrap();
        assert_eq!(words, "container 3f1a0c5b7e9d");
        assert_eq!(
            none.of_groups("0::/user.slice/podman/session-1.scope\n"),
            None
        );
        assert_eq!(none.of_groups(""), None);
    }
}
