//! The calls.

use debridfs_base::with_causes;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::spec::{Container, Pod, Propagation, Seccomp};
use crate::wire;

/// How long a call may take that has no limit of its own: kubelet's.
const LIMIT: Duration = Duration::from_secs(120);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// Nobody listens there.
    #[error("cannot reach a container runtime at {socket}: {reason}")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The runtime refused, or failed.
    #[error("{call}: {message}")]
    Call {
        /// Which call.
        call: &'static str,
        /// The runtime's words.
        message: String,
    },
    /// No answer in time.
    #[error("{call}: no answer within {} s", limit.as_secs())]
    Late {
        /// Which call.
        call: &'static str,
        /// How long was waited.
        limit: Duration,
    },
}

/// Which runtime it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Such as `containerd`.
    pub name: String,
    /// Such as `1.6.20`.
    pub version: String,
}

/// What a command in a container said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A pod that the runtime has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's own name for it.
    pub id: String,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// Tells the pod from others of the same name.
    pub uid: String,
}

/// A container that the runtime has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The runtime's own name for it.
    pub id: String,
    /// The id of its sandbox.
    pub sandbox: String,
    /// Its name in the pod.
    pub name: String,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs, or has not been started.
    Alive,
    /// It ended.
    Ended {
        /// Its exit code; 128 and the number for a signal.
        code: i32,
        /// What the runtime says about it.
        reason: String,
    },
}

/// A container runtime.
#[derive(Debug, Clone)]
pub struct Runtime {
    channel: Channel,
}

impl Runtime {
    /// Connects to the socket.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(socket: &Path) -> Result<Self, CriError> {
        let path = socket.to_path_buf();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
        });
        // The authority: a path makes none (kubelet sends the same).
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| CriError::Connect {
            socket: socket.into(),
            reason: with_causes(&error),
        })?;
        Ok(Self { channel })
    }

    /// Which runtime it is.
    ///
    /// # Errors
    /// When the runtime fails or does not answer; so for all calls.
    pub async fn version(&self) -> Result<Version, CriError> {
        let call = "/runtime.v1.RuntimeService/Version";
        let answer: wire::VersionResponse = self.call(call, wire::VersionRequest {}, LIMIT).await?;
        Ok(Version {
            name: answer.runtime_name,
            version: answer.runtime_version,
        })
    }

    /// Names of the images that are there.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn images(&self) -> Result<Vec<String>, CriError> {
        let call = "/runtime.v1.ImageService/ListImages";
        let answer: wire::ListImagesResponse =
            self.call(call, wire::ListImagesRequest {}, LIMIT).await?;
        let names = answer.images.into_iter();
        Ok(names.flat_map(|image| image.repo_tags).collect())
    }

    /// Makes a sandbox; its id.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn run_sandbox(&self, pod: &Pod) -> Result<String, CriError> {
        let call = "/runtime.v1.RuntimeService/RunPodSandbox";
        let request = wire::RunPodSandboxRequest {
            config: Some(sandbox_config(pod)),
        };
        let answer: wire::PodSandboxId = self.call(call, request, LIMIT).await?;
        Ok(answer.pod_sandbox_id)
    }

    /// Ends everything in a sandbox, and removes it.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        for call in [
            "/runtime.v1.RuntimeService/StopPodSandbox",
            "/runtime.v1.RuntimeService/RemovePodSandbox",
        ] {
            let request = wire::PodSandboxId {
                pod_sandbox_id: id.into(),
            };
            let _: wire::Nothing = self.call(call, request, LIMIT).await?;
        }
        Ok(())
    }

    /// Makes a container in a sandbox that was made from `pod`, and starts it; its id.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn start(
        &self,
        sandbox: &str,
        pod: &Pod,
        container: &Container,
    ) -> Result<String, CriError> {
        let call = "/runtime.v1.RuntimeService/CreateContainer";
        let request = wire::CreateContainerRequest {
            pod_sandbox_id: sandbox.into(),
            config: Some(container_config(pod, container)),
            sandbox_config: Some(sandbox_config(pod)),
        };
        let made: wire::ContainerId = self.call(call, request, LIMIT).await?;
        let call = "/runtime.v1.RuntimeService/StartContainer";
        let started: Result<wire::Nothing, CriError> = self.call(call, made.clone(), LIMIT).await;
        if let Err(error) = started {
            // It would keep its name.
            self.remove(&made.container_id).await?;
            return Err(error);
        }
        Ok(made.container_id)
    }

    /// Ends a container: SIGTERM, and SIGKILL after `grace`, at once when that is zero.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), CriError> {
        let call = "/runtime.v1.RuntimeService/StopContainer";
        let request = wire::StopContainerRequest {
            container_id: id.into(),
            timeout: seconds(grace),
        };
        let _: wire::Nothing = self.call(call, request, grace + LIMIT).await?;
        Ok(())
    }

    /// Removes a container, alive or not.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn remove(&self, id: &str) -> Result<(), CriError> {
        let call = "/runtime.v1.RuntimeService/RemoveContainer";
        let request = wire::ContainerId {
            container_id: id.into(),
        };
        let _: wire::Nothing = self.call(call, request, LIMIT).await?;
        Ok(())
    }

    /// How a container is.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn state(&self, id: &str) -> Result<State, CriError> {
        let call = "/runtime.v1.RuntimeService/ContainerStatus";
        let request = wire::ContainerId {
            container_id: id.into(),
        };
        let answer: wire::ContainerStatusResponse = self.call(call, request, LIMIT).await?;
        let status = answer.status.unwrap_or_default();
        let ended = status.state() == wire::ContainerState::Exited;
        let texts = [status.reason, status.message];
        Ok(if ended {
            State::Ended {
                code: status.exit_code,
                reason: texts.join(" ").trim().into(),
            }
        } else {
            State::Alive
        })
    }

    /// The process id of a container's first process, in the namespace of whoever runs the runtime.
    ///
    /// # Errors
    /// As [`Runtime::version`]; also when the runtime does not tell.
    pub async fn pid(&self, id: &str) -> Result<u32, CriError> {
        let call = "/runtime.v1.RuntimeService/ContainerStatus";
        let request = wire::ContainerStatusRequest {
            container_id: id.into(),
            verbose: true,
        };
        let answer: wire::ContainerStatusResponse = self.call(call, request, LIMIT).await?;
        // Not part of the interface; containerd and CRI-O agree on it.
        let info = answer.info.get("info").map(String::as_str);
        let info: Option<serde_json::Value> = info.and_then(|text| serde_json::from_str(text).ok());
        let pid = info.and_then(|info| info["pid"].as_u64()?.try_into().ok());
        pid.ok_or_else(|| CriError::Call {
            call: "ContainerStatus",
            message: "the runtime does not tell the container's process".into(),
        })
    }

    /// The sandboxes of all pods.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn sandboxes(&self) -> Result<Vec<Sandbox>, CriError> {
        let call = "/runtime.v1.RuntimeService/ListPodSandbox";
        let answer: wire::ListPodSandboxResponse = self
            .call(call, wire::ListPodSandboxRequest {}, LIMIT)
            .await?;
        let found = answer.items.into_iter().filter_map(|item| {
            let metadata = item.metadata?;
            Some(Sandbox {
                id: item.id,
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
            })
        });
        Ok(found.collect())
    }

    /// The containers of all pods, alive or not.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    pub async fn containers(&self) -> Result<Vec<Listed>, CriError> {
        let call = "/runtime.v1.RuntimeService/ListContainers";
        let answer: wire::ListContainersResponse = self
            .call(call, wire::ListContainersRequest {}, LIMIT)
            .await?;
        let found = answer.containers.into_iter().map(|item| Listed {
            id: item.id,
            sandbox: item.pod_sandbox_id,
            name: item.metadata.unwrap_or_default().name,
        });
        Ok(found.collect())
    }

    /// Runs a command in a container and waits for its end, which comes by force after `limit`.
    ///
    /// # Errors
    /// As [`Runtime::version`]; also when the command took longer.
    pub async fn exec(
        &self,
        id: &str,
        command: &[&str],
        limit: Duration,
    ) -> Result<Output, CriError> {
        let call = "/runtime.v1.RuntimeService/ExecSync";
        let request = wire::ExecSyncRequest {
            container_id: id.into(),
            cmd: command.iter().map(|&word| word.to_owned()).collect(),
            timeout: seconds(limit),
        };
        let answer: wire::ExecSyncResponse = self.call(call, request, limit + LIMIT).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output {
            code: answer.exit_code,
            stdout: text(&answer.stdout),
            stderr: text(&answer.stderr),
        })
    }

    async fn call<Q, A>(
        &self,
        path: &'static str,
        request: Q,
        limit: Duration,
    ) -> Result<A, CriError>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let call = path.rsplit('/').next().unwrap_or(path);
        let failed = |message: String| CriError::Call { call, message };
        let mut client = Grpc::new(self.channel.clone());
        let answered = async {
            client
                .ready()
                .await
                .map_err(|error| failed(with_causes(&error)))?;
            let codec = ProstCodec::<Q, A>::default();
            let request = tonic::Request::new(request);
            let path = PathAndQuery::from_static(path);
            let answer = client.unary(request, path, codec).await;
            answer.map_err(|status| failed(status.message().into()))
        };
        match timeout(limit, answered).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(CriError::Late { call, limit }),
        }
    }
}

/// Whole seconds, rounded up: CRI knows no others, and 0 has a meaning of its own.
fn seconds(time: Duration) -> i64 {
    let part = u64::from(time.subsec_nanos() > 0);
    let whole = time.as_secs().saturating_add(part);
    i64::try_from(whole).unwrap_or(i64::MAX)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// On the node's network, which needs no plug-in.
fn namespaces(pod: &Pod) -> wire::NamespaceOption {
    let pid = if pod.host_processes {
        wire::NamespaceMode::Node
    } else {
        wire::NamespaceMode::Container
    };
    wire::NamespaceOption {
        network: wire::NamespaceMode::Node.into(),
        pid: pid.into(),
        ipc: wire::NamespaceMode::Pod.into(),
    }
}

fn sandbox_config(pod: &Pod) -> wire::PodSandboxConfig {
    let labels = [
        ("io.kubernetes.pod.name", &pod.name),
        ("io.kubernetes.pod.namespace", &pod.namespace),
        ("io.kubernetes.pod.uid", &pod.uid),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.clone()));
    wire::PodSandboxConfig {
        metadata: Some(wire::PodSandboxMetadata {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
        }),
        log_directory: text(&pod.log_directory),
        labels: HashMap::from(labels),
        linux: Some(wire::LinuxPodSandboxConfig {
            cgroup_parent: pod.cgroup_parent.clone(),
            security_context: Some(wire::LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces(pod)),
                privileged: pod.privileged,
            }),
        }),
    }
}

fn container_config(pod: &Pod, container: &Container) -> wire::ContainerConfig {
    let environment = container.environment.iter();
    let volumes = container.volumes.iter();
    let devices = container.devices.iter();
    let user = container.user.map(|value| wire::Int64Value { value });
    wire::ContainerConfig {
        metadata: Some(wire::ContainerMetadata {
            name: container.name.clone(),
        }),
        image: Some(wire::ImageSpec {
            image: container.image.clone(),
        }),
        command: container.command.clone(),
        envs: environment
            .map(|(key, value)| wire::KeyValue {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        mounts: volumes
            .map(|volume| wire::Mount {
                container_path: text(&volume.target),
                host_path: text(&volume.source),
                readonly: volume.read_only,
                propagation: propagation(volume.propagation).into(),
            })
            .collect(),
        devices: devices
            .map(|path| wire::Device {
                container_path: text(path),
                host_path: text(path),
                permissions: "rwm".into(),
            })
            .collect(),
        log_path: format!("{}.log", container.name),
        linux: Some(wire::LinuxContainerConfig {
            security_context: Some(wire::LinuxContainerSecurityContext {
                capabilities: Some(wire::Capability {
                    add_capabilities: container.add_capabilities.clone(),
                    drop_capabilities: container.drop_capabilities.clone(),
                }),
                privileged: container.privileged,
                namespace_options: Some(namespaces(pod)),
                run_as_user: user.clone(),
                readonly_rootfs: container.read_only_root,
                no_new_privs: container.no_new_privileges,
                run_as_group: user,
                seccomp: Some(wire::SecurityProfile {
                    profile_type: profile(container.seccomp).into(),
                }),
            }),
        }),
    }
}

fn propagation(propagation: Propagation) -> wire::MountPropagation {
    match propagation {
        Propagation::None => wire::MountPropagation::Private,
        Propagation::HostToContainer => wire::MountPropagation::HostToContainer,
        Propagation::Bidirectional => wire::MountPropagation::Bidirectional,
    }
}

fn profile(seccomp: Seccomp) -> wire::ProfileType {
    match seccomp {
        Seccomp::Unconfined => wire::ProfileType::Unconfined,
        Seccomp::RuntimeDefault => wire::ProfileType::RuntimeDefault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_and_none_is_lost() {
        for (millis, whole) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(millis)), whole, "{millis} ms");
        }
        assert_eq!(seconds(Duration::MAX), i64::MAX);
    }
}
