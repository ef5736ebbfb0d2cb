//! The library over NFS, by clients that others wrote (libnfs), from the whole program.

use std::fs;
use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use debridfs_sim::{FileSpec, ReleaseSpec};
use rustix::process::{Pid, Signal, kill_process};

use crate::behaviour::nfs_section;
use crate::support::{Instance, Settings, Simulator, film, find, free_address, run, until};

#[test]
fn stock_clients_fetch_every_file_also_while_the_engine_is_killed() {
    let large = 24 << 20;
    let names = ["One.2001", "Two & more", "Ärger [x]"];
    let films = names.map(|name| film(name, 300_000));
    let simulator = Simulator::start([&films[..], &[film("Large.2002", large)]].concat());
    let port = free_address().port();
    let toml = format!(
        "[nfs]\nlisten = \"127.0.0.1:{port}\"\n\
         [nfs.export.media]\npath = \"/__all__\"\nnetworks = [\"127.0.0.0/8\"]\ninsecure = true\n"
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let url = |path: &str| {
        format!("nfs://127.0.0.1/media/{path}?version=3&nfsport={port}&mountport={port}")
    };
    let all = instance.mount().join("__all__");
    let paths = find(&all, "%y %P\n");
    let paths: Vec<&str> = paths
        .iter()
        .filter_map(|line| line.strip_prefix("f "))
        .collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    let listed = run("nfs-ls", &["-R", &url("").replace("/?", "?")]);
    for path in &paths {
        let name = path.rsplit('/').next().expect("a name");
        assert!(listed.contains(name), "{path} in {listed}");
        let output = Command::new("nfs-cat").arg(url(path)).output();
        let output = output.expect("nfs-cat of libnfs-utils");
        assert!(output.status.success(), "{path}: {output:?}");
        let here = fs::read(all.join(path)).expect("the same file on the mount");
        assert!(
            output.stdout == here,
            "{path}: {} bytes",
            output.stdout.len()
        );
    }
    let client = &instance.status()["nfs"]["clients"][0];
    assert_eq!(client["address"], "127.0.0.1");
    assert!(client["bytes"].as_u64() >= Some(large), "{client}");

    // A reader that is in the middle of a file reads on from the next engine.
    let path = paths
        .iter()
        .find(|path| path.contains("Large"))
        .expect("there");
    let here = fs::read(all.join(path)).expect("the same file on the mount");
    let mut reader = Cat::start(&url(path));
    reader.take(1 << 20);
    let killed = instance.engine_pid();
    assert!(instance.signal_engine(Signal::KILL));
    let rest = reader.rest();
    wait_for_another(&instance, killed);
    assert!(rest.join().expect("it ends") == here);
}

/// An `nfs-cat` whose output is taken bit by bit: it waits meanwhile.
struct Cat {
    child: Child,
    out: ChildStdout,
    read: Vec<u8>,
}

impl Cat {
    fn start(url: &str) -> Self {
        let mut child = Command::new("nfs-cat")
            .arg(url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nfs-cat of libnfs-utils");
        let out = child.stdout.take().expect("a pipe");
        let read = Vec::new();
        Self { child, out, read }
    }

    fn take(&mut self, bytes: u64) {
        let mut part = (&mut self.out).take(bytes);
        let taken = part.read_to_end(&mut self.read).expect("a part");
        assert_eq!(taken as u64, bytes);
    }

    /// Goes on to the end meanwhile. All that it has read.
    fn rest(mut self) -> JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            self.out.read_to_end(&mut self.read).expect("the rest");
            let output = self.child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{output:?}");
            self.read
        })
    }
}

fn wait_for_another(instance: &Instance, before: Pid) {
    until("another engine", Duration::from_secs(60), || {
        let now = instance.engine_child();
        now.is_some_and(|engine| engine != before)
    });
    instance.engine_pid();
}

/// An instance that exports `__all__`, and the URLs of what is below.
fn serve(simulator: &Simulator, more: Settings) -> (Instance, impl Fn(&str) -> String) {
    let address = free_address();
    let port = address.port();
    let toml = nfs_section(address) + &more.toml;
    let instance = Instance::start(simulator, Settings { toml, ..more });
    instance.wait_synced();
    let url = move |path: &str| {
        format!("nfs://127.0.0.1/library/{path}?version=3&nfsport={port}&mountport={port}")
    };
    (instance, url)
}

#[test]
fn a_client_sees_no_upgrade() {
    let bytes = 24 << 20;
    let simulator = Simulator::start(vec![film("Large.2002", bytes)]);
    let (instance, url) = serve(&simulator, Settings::default());
    let path = "__all__/Large.2002/Large.2002.mkv";
    let here = fs::read(instance.mount().join(path)).expect("the same file on the mount");
    let mut reader = Cat::start(&url(path));
    reader.take(1 << 20);
    let first = instance.engine_pid();
    let socket = instance.runtime().join("control.sock");
    run(
        env!("CARGO_BIN_EXE_debridfs"),
        &["upgrade", "--socket", socket.to_str().expect("text")],
    );
    wait_for_another(&instance, first);
    reader.take(8 << 20);
    let second = instance.engine_pid();
    kill_process(instance.keeper_pid(), Signal::HUP).expect("signalled");
    wait_for_another(&instance, second);
    assert!(reader.rest().join().expect("it ends") == here);
}

/// Four readers of the mount and four of NFS, each of a film of its own, at a provider that gives each connection 1 MB/s.
#[test]
fn readers_over_nfs_and_of_the_mount_have_their_shares() {
    let names = ["A", "B", "C", "D", "E", "F", "G", "H"].map(|name| format!("{name}.2002"));
    let simulator = Simulator::start(names.clone().map(|name| film(&name, 1 << 30)).into());
    simulator.shape(20, 1_000_000);
    let (instance, url) = serve(&simulator, Settings::default());
    let paths = names.map(|name| format!("__all__/{name}/{name}.mkv"));
    let counts: Vec<_> = paths.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut cats = Vec::new();
    for (number, (path, count)) in paths.iter().zip(&counts).enumerate() {
        let mut from: Box<dyn Read + Send> = match number % 2 {
            0 => Box::new(fs::File::open(instance.mount().join(path)).expect("on the mount")),
            _ => {
                let Cat { child, out, .. } = Cat::start(&url(path));
                cats.push(child);
                Box::new(out)
            }
        };
        let count = count.clone();
        std::thread::spawn(move || {
            let mut part = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut part) {
                count.fetch_add(length as u64, Ordering::Relaxed);
            }
        });
    }
    let read = || -> Vec<u64> {
        let counts = counts.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    };
    // What is read ahead at first says little.
    until("all read", Duration::from_secs(120), || {
        read().iter().all(|bytes| *bytes > 4 << 20)
    });
    let before = read();
    let least = |now: &[u64]| {
        let more = now.iter().zip(&before).map(|(now, before)| now - before);
        more.collect::<Vec<_>>()
    };
    until("much was read", Duration::from_secs(120), || {
        least(&read()).iter().sum::<u64>() > 96 << 20
    });
    let had = least(&read());
    for mut cat in cats {
        cat.kill().expect("killed");
        cat.wait().expect("it ends");
    }
    let of = |odd: usize| had.iter().skip(odd).step_by(2).sum::<u64>() as f64;
    let (mount, nfs) = (of(0), of(1));
    println!("{had:?}: the mount {mount}, NFS {nfs}");
    assert!(nfs / mount > 0.7 && mount / nfs > 0.7, "{had:?}");
    let (least, most) = (had.iter().min(), had.iter().max());
    assert!(2 * least.expect("eight") > *most.expect("eight"), "{had:?}");
}

/// Debian's ffmpeg has no `nfs:`, so it reads what a client of NFS gives it.
#[test]
fn ffmpeg_transcodes_what_comes_over_nfs() {
    let dir = tempfile::tempdir().expect("a directory");
    let clip = dir.path().join("clip.mkv");
    let clip = clip.to_str().expect("text");
    let source = "testsrc2=duration=4:size=320x180:rate=25";
    let made = [
        "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "mpeg4", clip,
    ];
    run("ffmpeg", &made);
    let bytes = fs::metadata(clip).expect("made").len();
    let file = FileSpec {
        bytes: None,
        local: Some(clip.into()),
        ..FileSpec::generated("/Clip.2002.mkv", bytes)
    };
    let simulator = Simulator::start(vec![ReleaseSpec::new("Clip.2002", vec![file])]);
    let (_instance, url) = serve(&simulator, Settings::default());
    let url = url("__all__/Clip.2002/Clip.2002.mkv");
    // Every frame, and those behind a seek to the middle.
    for (seek, frames) in [(&[][..], 100), (&["-ss", "2"], 50)] {
        let Cat { mut child, out, .. } = Cat::start(&url);
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostats", "-i", "pipe:"])
            .args(seek)
            .args([
                "-c:v",
                "mpeg2video",
                "-progress",
                "pipe:1",
                "-f",
                "null",
                "-",
            ])
            .stdin(out)
            .output()
            .expect("ffmpeg");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let mut last = said.lines().filter_map(|line| line.strip_prefix("frame="));
        assert_eq!(
            last.next_back().and_then(|text| text.trim().parse().ok()),
            Some(frames)
        );
        assert!(child.wait().expect("it ends").success());
    }
}
