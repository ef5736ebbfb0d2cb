//! What the kubelet makes of the objects in `deploy/`: pods on a node, with their volumes, as their text has it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use debridfs_cri::{Container, Propagation, Seccomp, Volume};
use serde_json::Value;

use super::image;
use super::node::{Node, PROGRAM, Placed, Running, run};

/// Objects as `kubectl apply -k` gives them to a cluster.
pub struct Bundle {
    objects: Vec<Value>,
}

impl Bundle {
    /// Builds directories of `deploy/kustomize`.
    pub fn build(dirs: &[&str]) -> Self {
        let objects = dirs.iter().flat_map(|dir| Self::objects(dir));
        Self {
            objects: objects.collect(),
        }
    }

    /// The streaming instance with these components.
    pub fn with_components(names: &[&str]) -> Self {
        let name = format!(".bundle-{}", std::process::id());
        // Beside what it refers to, as its paths are relative.
        let dir = root().join("deploy/kustomize").join(&name);
        let components = names.iter();
        let components = components.map(|name| format!("  - ../streaming/components/{name}\n"));
        let text = format!(
            "resources: [../streaming/data, ../streaming/base]\ncomponents:\n{}",
            components.collect::<String>()
        );
        fs::create_dir(&dir).expect("directory");
        fs::write(dir.join("kustomization.yaml"), text).expect("file");
        let built = std::panic::catch_unwind(|| Self::build(&[&name]));
        fs::remove_dir_all(&dir).expect("removed");
        built.expect("built")
    }

    fn objects(dir: &str) -> Vec<Value> {
        let root = root();
        let dir = root.join("deploy/kustomize").join(dir);
        // The one that `make setup` built where there was no kubectl.
        let built = root.join("target/tools/bin/kustomize");
        let text = if built.exists() {
            run(Command::new(built).arg("build").arg(dir))
        } else {
            run(Command::new("kubectl").arg("kustomize").arg(dir))
        };
        let documents = text.split("\n---\n");
        let objects = documents.map(|text| serde_saphyr::from_str(text).expect("YAML"));
        objects.collect()
    }

    /// The object of this kind whose name is, or begins with, that.
    pub fn object(&mut self, kind: &str, name: &str) -> &mut Value {
        let is = |object: &&mut Value| {
            let found = object["metadata"]["name"].as_str().unwrap_or_default();
            object["kind"] == kind && found.starts_with(name)
        };
        let found = self.objects.iter_mut().find(is);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Starts pods on one node.
pub struct Kubelet<'a> {
    node: &'a Node,
    bundle: Bundle,
    /// Files of the secrets.
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// Pods have names of their own, as their logs and directories have.
    round: u32,
}

/// A pod that was started.
pub struct Started {
    place: Placed,
    grace: Duration,
    /// In the order of the manifest: name, and the container or why there is none.
    pub containers: Vec<(String, Result<Running, String>)>,
}

impl Started {
    /// A container of this name, which has to be there.
    pub fn running(&self, name: &str) -> &Running {
        let found = self.containers.iter().find(|(one, _)| one == name);
        let (_, running) = found.expect("a container of this name");
        running.as_ref().expect("it was started")
    }
}

impl<'a> Kubelet<'a> {
    pub fn new(node: &'a Node, bundle: Bundle) -> Self {
        Self {
            node,
            bundle,
            secrets: BTreeMap::new(),
            round: 0,
        }
    }

    /// `kubectl create secret generic NAME --from-literal KEY=TEXT`.
    pub fn secret(&mut self, name: &str, key: &str, text: &str) {
        let files = self.secrets.entry(name.into()).or_default();
        files.insert(key.into(), text.into());
    }

    /// A pod of this workload. If one of its init containers fails, what that said: the real kubelet would start it again.
    pub fn try_start(&mut self, kind: &str, name: &str) -> Result<Started, String> {
        let (started, failed) = self.start_after_init(kind, name);
        match failed {
            None => Ok(started),
            Some(words) => {
                self.end(started);
                Err(words)
            }
        }
    }

    /// A pod of this workload.
    pub fn start(&mut self, kind: &str, name: &str) -> Started {
        let (started, failed) = self.start_after_init(kind, name);
        assert_eq!(failed, None, "{name}");
        started
    }

    fn start_after_init(&mut self, kind: &str, name: &str) -> (Started, Option<String>) {
        self.round += 1;
        let spec = self.bundle.object(kind, name)["spec"]["template"]["spec"].clone();
        let pod = format!("{name}-{}", self.round);
        let dir = self.node.share().join("pods").join(&pod);
        let volumes = list(&spec["volumes"]).iter().map(|volume| {
            let name = string(&volume["name"]).to_owned();
            let source = self.volume(volume, &dir.join(&name), &spec["securityContext"]);
            (name, source)
        });
        let volumes: BTreeMap<String, PathBuf> = volumes.collect();
        let place = self.node.pod(&pod, spec["hostPID"] == true);
        let start = |container: &Value| {
            let name = string(&container["name"]).to_owned();
            let made = container_of(container, &spec, &volumes, format!("{pod}-{name}"));
            (name, self.node.try_start_in(&place, made))
        };
        let failed = list(&spec["initContainers"]).iter().find_map(|init| {
            let running = start(init).1.expect("it is started");
            let code = self.node.ended(&running);
            (code != 0).then(|| self.node.log(&running))
        });
        let containers = match failed {
            None => list(&spec["containers"]).iter().map(start).collect(),
            Some(_) => Vec::new(),
        };
        let grace = spec["terminationGracePeriodSeconds"].as_u64();
        let started = Started {
            grace: Duration::from_secs(grace.unwrap_or(30)),
            containers,
            place,
        };
        (started, failed)
    }

    /// Deletes a pod.
    pub fn end(&self, pod: Started) {
        let running = pod.containers.into_iter().filter_map(|(_, one)| one.ok());
        let running: Vec<Running> = running.collect();
        self.node.end_pod(pod.place, &running, pod.grace);
    }

    /// The directory of the node that a volume is.
    fn volume(&mut self, volume: &Value, dir: &Path, security: &Value) -> PathBuf {
        let group = security["fsGroup"].as_u64().map(|group| group as u32);
        let ours = |dir: &Path| {
            fs::create_dir_all(dir).expect("directory");
            let mode = group.map_or(0o777, |_| 0o2775);
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("mode");
            chown(dir, None, group).expect("group");
            dir.to_path_buf()
        };
        let files = |files: BTreeMap<String, String>, mode: u64| {
            ours(dir);
            for (name, text) in files {
                let file = dir.join(name);
                fs::write(&file, text).expect("file");
                // The group of the pod may read what its owner may.
                let mode = mode as u32 | group.map_or(0, |_| (mode as u32 & 0o600) >> 3);
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("mode");
                chown(&file, None, group).expect("group");
            }
            dir.to_path_buf()
        };
        if let Some(path) = volume["hostPath"]["path"].as_str() {
            match string(&volume["hostPath"]["type"]) {
                "DirectoryOrCreate" => self.node.run(&["mkdir", "-p", "-m", "755", path]),
                "Directory" => self.node.run(&["test", "-d", path]),
                kind => panic!("type {kind:?} of {path}"),
            };
            path.into()
        } else if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            self.bundle.object("PersistentVolumeClaim", claim);
            ours(&self.node.share().join("claims").join(claim))
        } else if let Some(name) = volume["configMap"]["name"].as_str() {
            let data = self.bundle.object("ConfigMap", name)["data"].clone();
            files(serde_json::from_value(data).expect("texts"), 0o644)
        } else if let Some(name) = volume["secret"]["secretName"].as_str() {
            let mode = volume["secret"]["defaultMode"].as_u64().unwrap_or(0o644);
            files(self.secrets[name].clone(), mode)
        } else if volume.get("emptyDir").is_some() {
            ours(dir)
        } else {
            panic!("a volume of another kind: {volume}")
        }
    }
}

fn container_of(
    container: &Value,
    spec: &Value,
    volumes: &BTreeMap<String, PathBuf>,
    name: String,
) -> Container {
    let security = |key: &str| {
        let own = &container["securityContext"][key];
        if own.is_null() {
            &spec["securityContext"][key]
        } else {
            own
        }
    };
    let mut mounts: Vec<Volume> = list(&container["volumeMounts"])
        .iter()
        .map(|mount| Volume {
            source: volumes[string(&mount["name"])].clone(),
            target: string(&mount["mountPath"]).into(),
            read_only: mount["readOnly"] == true,
            propagation: match mount["mountPropagation"].as_str() {
                None | Some("None") => Propagation::None,
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                Some(other) => panic!("propagation {other}"),
            },
        })
        .collect();
    for at in 0..mounts.len() {
        for inner in 0..mounts.len() {
            if let Ok(rest) = mounts[inner].target.strip_prefix(&mounts[at].target)
                && at != inner
            {
                // The kubelet makes these places, as some volumes cannot be written.
                fs::create_dir_all(mounts[at].source.join(rest)).expect("directory");
                mounts[at].read_only = true;
            }
        }
    }
    let environment = list(&container["env"]).iter().map(|one| {
        let text = |key: &str| string(&one[key]).to_owned();
        (text("name"), text("value"))
    });
    let arguments = list(&container["args"])
        .iter()
        .map(|one| string(one).to_owned());
    let texts = |value: &Value| {
        list(value)
            .iter()
            .map(|one| string(one).to_owned())
            .collect()
    };
    Container {
        name,
        image: image::NAME.into(),
        command: [PROGRAM.to_owned()].into_iter().chain(arguments).collect(),
        environment: environment.collect(),
        volumes: mounts,
        user: security("runAsUser").as_i64(),
        privileged: security("privileged") == true,
        add_capabilities: texts(&security("capabilities")["add"]),
        drop_capabilities: texts(&security("capabilities")["drop"]),
        no_new_privileges: security("allowPrivilegeEscalation") == false,
        seccomp: match security("seccompProfile")["type"].as_str() {
            Some("RuntimeDefault") => Seccomp::RuntimeDefault,
            _ => Seccomp::Unconfined,
        },
        read_only_root: security("readOnlyRootFilesystem") == true,
        ..Container::default()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
