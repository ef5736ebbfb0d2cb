//! A node: containerd with everything it needs in a mount and a PID namespace that end with the test.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use debridfs_cri::{Container, Output, Pod, Propagation, Runtime, State, Volume};
use serde_json::Value;

use super::image;

/// A busy machine may be slow; a broken program would take for ever.
pub const LIMIT: Duration = Duration::from_secs(90);

/// How long a command in a container may take that looks at a mount.
const LOOK: Duration = Duration::from_secs(20);

/// Where our program is in every container.
pub const PROGRAM: &str = "/usr/local/bin/debridfs";

/// In the namespaces of the node. What other tests have mounted on this machine is let go, and
/// what runtimes put below `/run` stays in memory.
const BOOT: &str = r#"
grep -e ' - fuse' /proc/self/mountinfo | cut -d' ' -f5 | while read -r place; do umount -l "$place" || true; done
mount -t tmpfs none /run
mount --bind "$1/media" "$1/media"
if [ "$2" = shared ]; then mount --make-shared "$1/media"; fi
echo
containerd --config "$1/containerd.toml" >"$1/containerd.log" 2>&1 &
wait
"#;

/// How the directory for volumes is mounted on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// As systemd makes it.
    Shared,
    /// As it is without systemd.
    Private,
}

/// A machine with a container runtime; everything of it is gone when it is dropped.
pub struct Node {
    place: tempfile::TempDir,
    /// The node's first process, of which all others are descendants.
    unshare: Child,
    tokio: tokio::runtime::Runtime,
    cri: Runtime,
    pod: Pod,
    sandbox: String,
}

/// A container of a node.
#[derive(Clone, Debug)]
pub struct Running {
    pub id: String,
    pub name: String,
}

/// A pod of its own on a node.
pub struct Placed {
    pod: Pod,
    sandbox: String,
}

impl Node {
    pub fn start(media: Media) -> Self {
        let place = tempfile::Builder::new()
            .prefix("debridfs-containers-")
            .tempdir()
            .expect("directory");
        let dir = place.path();
        for name in ["media", "logs", "share"] {
            fs::create_dir(dir.join(name)).expect("directory");
        }
        fs::write(dir.join("containerd.toml"), configuration(dir)).expect("file");
        let image = image::build(dir);
        let propagation = match media {
            Media::Shared => "shared",
            Media::Private => "private",
        };
        // Whoever ends first takes the others along: the test, unshare, the node's first process.
        let mut unshare = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation"])
            .args(["private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", BOOT, "sh"])
            .arg(dir)
            .arg(propagation)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = [0];
        let stdout = unshare.stdout.as_mut().expect("piped");
        stdout.read_exact(&mut line).expect("a namespace");
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let name = dir.file_name().and_then(|name| name.to_str());
        let name = name.expect("text").to_owned();
        let pod = Pod {
            name: name.clone(),
            namespace: "test".into(),
            uid: format!("{name}-0"),
            cgroup_parent: format!("/{name}"),
            log_directory: dir.join("logs"),
            privileged: true,
            host_processes: false,
        };
        let socket = dir.join("containerd.sock");
        let cri = tokio.block_on(connect(&socket, dir));
        let socket = socket.to_str().expect("text").to_owned();
        let mut node = Self {
            place,
            unshare,
            tokio,
            cri,
            pod,
            sandbox: String::new(),
        };
        node.run(&[
            "ctr",
            "-n",
            "k8s.io",
            "-a",
            &socket,
            "images",
            "import",
            image.to_str().expect("text"),
        ]);
        let made = node.tokio.block_on(node.cri.run_sandbox(&node.pod));
        node.sandbox = made.expect("a sandbox");
        node
    }

    /// The directory that is bound by containers; `dfs` in it is where the library is mounted.
    pub fn media(&self) -> PathBuf {
        self.place.path().join("media")
    }

    /// A directory that containers share with the test, for everything else.
    pub fn share(&self) -> PathBuf {
        self.place.path().join("share")
    }

    /// Where the runtime listens.
    pub fn socket(&self) -> PathBuf {
        self.place.path().join("containerd.sock")
    }

    /// A directory like that at which the kubelet binds what a container has by `subPath`.
    pub fn sub_path(&self, container: &str) -> PathBuf {
        let pod = self.place.path().join("kubelet/pods/7f3e");
        let dir = pod.join("volume-subpaths/media").join(container).join("0");
        fs::create_dir_all(&dir).expect("directory");
        dir
    }

    /// A program in the namespaces of the node.
    pub fn command(&self, program: &str) -> Command {
        let first = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        let init = children.expect("the node lives");
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--pid", "--target"])
            .arg(init.trim())
            .arg(program);
        command
    }

    /// Runs a program on the node; what it said.
    pub fn run(&self, words: &[&str]) -> String {
        run(self.command(words[0]).args(&words[1..]))
    }

    /// Runs our program on the node, whatever it ends with; its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self
            .command(env!("CARGO_BIN_EXE_debridfs"))
            .args(arguments)
            .output();
        let output = output.expect("debridfs runs");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Starts a container, or says why the runtime would not.
    pub fn try_start(&self, container: Container) -> Result<Running, String> {
        self.start_at(&self.sandbox, &self.pod, container)
    }

    fn start_at(&self, sandbox: &str, pod: &Pod, container: Container) -> Result<Running, String> {
        let name = container.name.clone();
        let container = with_program(container);
        let started = self.cri.start(sandbox, pod, &container);
        let id = self
            .tokio
            .block_on(started)
            .map_err(|error| error.to_string())?;
        Ok(Running { id, name })
    }

    /// Makes a pod, in whose containers something may be privileged.
    pub fn pod(&self, name: &str, host_processes: bool) -> Placed {
        let pod = Pod {
            name: name.into(),
            uid: format!("{}-{name}", self.pod.name),
            host_processes,
            ..self.pod.clone()
        };
        let made = self.tokio.block_on(self.cri.run_sandbox(&pod));
        let sandbox = made.expect("a sandbox");
        Placed { pod, sandbox }
    }

    /// Starts a container in a pod, or says why the runtime would not.
    pub fn try_start_in(&self, place: &Placed, container: Container) -> Result<Running, String> {
        self.start_at(&place.sandbox, &place.pod, container)
    }

    /// SIGTERM for all these containers of a pod at once, as the kubelet does it, and SIGKILL after `grace`; then
    /// removes them and the pod.
    pub fn end_pod(&self, place: Placed, containers: &[Running], grace: Duration) {
        self.tokio.block_on(async {
            let stops = containers.iter().map(|one| self.cri.stop(&one.id, grace));
            for stopped in futures_util::future::join_all(stops).await {
                stopped.expect("stopped");
            }
            let removed = self.cri.remove_sandbox(&place.sandbox).await;
            removed.expect("removed");
        });
    }

    /// Starts a container.
    pub fn container(&self, container: Container) -> Running {
        let name = container.name.clone();
        self.try_start(container)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A container that stays, as a consumer.
    pub fn consumer(&self, name: &str, volumes: Vec<Volume>) -> Running {
        self.container(Container {
            name: name.into(),
            image: image::NAME.into(),
            command: vec!["/bin/sleep".into(), "1000000".into()],
            volumes,
            ..Container::default()
        })
    }

    /// Ends a container in order, or at once, and removes it.
    pub fn end(&self, running: &Running, grace: Duration) {
        self.tokio.block_on(async {
            self.cri.stop(&running.id, grace).await.expect("stopped");
            self.cri.remove(&running.id).await.expect("removed");
        });
    }

    /// Runs a command in a container.
    pub fn exec(&self, running: &Running, command: &[&str]) -> Output {
        let ran = self.cri.exec(&running.id, command, LOOK);
        let ran = self.tokio.block_on(ran);
        ran.unwrap_or_else(|error| panic!("{}: {error}", running.name))
    }

    /// Waits until a container has ended; its exit code.
    pub fn ended(&self, running: &Running) -> i32 {
        let mut ended = None;
        until(&format!("{} ends", running.name), || {
            let state = self.tokio.block_on(self.cri.state(&running.id));
            if let State::Ended { code, .. } = state.expect("a state") {
                ended = Some(code);
            }
            ended.is_some()
        });
        ended.expect("just seen")
    }

    /// What a container has said, without the times that the runtime adds.
    pub fn log(&self, running: &Running) -> String {
        let file = self.place.path().join(format!("logs/{}.log", running.name));
        let text = fs::read_to_string(file).unwrap_or_default();
        // Time, stream, whether the line is whole, line.
        let lines = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Waits until a container has said this.
    pub fn says(&self, running: &Running, text: &str) {
        until(&format!("{} says {text}", running.name), || {
            let said = self.log(running);
            said.contains(text) || {
                let state = self.tokio.block_on(self.cri.state(&running.id));
                let alive = state.is_ok_and(|state| state == State::Alive);
                // It may have said it with its last breath.
                assert!(
                    alive || self.log(running).contains(text),
                    "{}: {said}",
                    running.name
                );
                false
            }
        });
    }

    /// Mounts of ours on the node.
    pub fn mounts(&self) -> Vec<String> {
        let table = self.run(&["cat", "/proc/self/mountinfo"]);
        let ours = table.lines().filter(|line| line.contains("fuse.debridfs"));
        ours.map(str::to_owned).collect()
    }

    /// Ends the node in order, and checks that nothing of it is left.
    pub fn finish(self) {
        self.tokio
            .block_on(self.cri.remove_sandbox(&self.sandbox))
            .expect("removed");
        assert_eq!(self.mounts(), [""; 0], "mounts are left");
        until("no process is left but the node's own", || {
            let names = self.run(&["sh", "-c", "cat /proc/[0-9]*/comm || true"]);
            let own = ["sh", "cat", "containerd"];
            names.lines().all(|name| own.contains(&name))
        });
        // A keeper leaves it, closed.
        let point = self.media().join("dfs");
        if point.exists() {
            run(Command::new("chattr").arg("-i").arg(&point));
            fs::remove_dir(&point).expect("empty");
        }
        let volumes = fs::read_dir(self.media()).expect("directory").count();
        assert_eq!(volumes, 0, "something is left in the volume");
        self.vanish();
    }

    /// Ends the node, and checks that nothing of it is left.
    pub fn vanish(self) {
        let (place, groups) = self.traces();
        assert!(!groups.is_empty());
        drop(self);
        assert_gone(&place, &groups);
    }

    /// Where everything of the node is, and its control groups.
    pub fn traces(&self) -> (PathBuf, Vec<PathBuf>) {
        (self.place.path().to_path_buf(), self.groups())
    }

    /// The node's control groups, in every hierarchy.
    fn groups(&self) -> Vec<PathBuf> {
        let name = self.pod.cgroup_parent.trim_start_matches('/');
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
        let mut groups: Vec<PathBuf> = hierarchies.map(|entry| entry.path().join(name)).collect();
        // Where there is one hierarchy only.
        groups.push(root.join(name));
        groups.retain(|group| group.is_dir());
        groups
    }

    /// Kills what runs, and with the last process its mounts go.
    fn tear_down(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        // The kernel may still be taking processes out of them.
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            let groups = self.groups();
            if groups.is_empty() {
                break;
            }
            for group in groups {
                remove_group(&group);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // What is immutable could not be removed with the directory.
        let _ = Command::new("chattr")
            .args(["-R", "-f", "-i"])
            .arg(self.media())
            .output();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for entry in fs::read_dir(self.place.path().join("logs"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                eprintln!("--- {}\n{text}", entry.path().display());
            }
        }
        self.tear_down();
    }
}

/// That directory, processes and control groups of a node are gone.
///
/// # Panics
/// If anything is left.
pub fn assert_gone(place: &Path, groups: &[PathBuf]) {
    assert!(!place.exists(), "{} is left", place.display());
    let left: Vec<&PathBuf> = groups.iter().filter(|group| group.exists()).collect();
    assert!(left.is_empty(), "control groups are left: {left:?}");
    let place = place.to_str().expect("text");
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        assert!(!command.contains(place), "a process is left: {command}");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(!mounts.contains(place), "a mount is left: {mounts}");
}

/// The groups of a hierarchy have no files that could be removed, only groups.
fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

fn with_program(mut container: Container) -> Container {
    container.volumes.push(Volume {
        source: env!("CARGO_BIN_EXE_debridfs").into(),
        target: PROGRAM.into(),
        read_only: true,
        propagation: Propagation::None,
    });
    container
}

async fn connect(socket: &Path, dir: &Path) -> Runtime {
    let started = Instant::now();
    loop {
        if let Ok(runtime) = Runtime::connect(socket).await
            && let Ok(version) = runtime.version().await
        {
            assert_eq!(version.name, "containerd");
            return runtime;
        }
        let log = || fs::read_to_string(dir.join("containerd.log")).unwrap_or_default();
        assert!(started.elapsed() < LIMIT, "no containerd: {}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"
version = 2
root = "{dir}/containerd"
state = "{dir}/state"
[grpc]
  address = "{dir}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  # Where a test may not lower it, sandboxes would not start.
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{dir}/cni"
  conf_dir = "{dir}/cni"
"#,
        image = image::NAME
    )
}

/// Runs a program and returns what it said.
///
/// # Panics
/// If it cannot be run or fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
