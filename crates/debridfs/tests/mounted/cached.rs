//! The cache on disk, through a real mount and by its commands.

use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use debridfs_sim::{FileSpec, LinkMode, ReleaseSpec};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Instance, Settings, Simulator, broken, film, until};

const SIZE: u64 = (20 << 20) + 12_345;
const PATIENCE: Duration = Duration::from_secs(120);

/// All of a file, past the kernel's own cache, so that every byte is asked of the engine.
fn read(path: &Path) -> Vec<u8> {
    let mut open = std::fs::OpenOptions::new();
    let file = open
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .expect("open");
    let mut bytes = vec![0; SIZE as usize];
    let mut at = 0;
    while at < bytes.len() {
        let to = bytes.len().min(at + (1 << 20));
        let read = file.read_at(&mut bytes[at..to], at as u64).expect("read");
        assert!(read > 0, "ends at {at}");
        at += read;
    }
    bytes
}

fn command(instance: &Instance, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debridfs"));
    command
        .arg("cache")
        .args(arguments)
        .arg("--socket")
        .arg(instance.runtime().join("control.sock"));
    command
}

fn cache(instance: &Instance, arguments: &[&str]) -> Output {
    let mut command = command(instance, arguments);
    command.output().expect("debridfs cache")
}

/// A command that is still under way; ended also when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error: it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn done(instance: &Instance, arguments: &[&str]) -> String {
    let output = cache(instance, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it says when it is refused.
fn refused(instance: &Instance, arguments: &[&str]) -> String {
    let output = cache(instance, arguments);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}: {why}");
    why
}

fn listed(instance: &Instance) -> Vec<Value> {
    serde_json::from_str(&done(instance, &["ls", "--json"])).expect("a list")
}

/// The engine has bytes in its cache for which no request is sent any more.
fn wait_cached(instance: &Instance) {
    until("the file is in the cache", PATIENCE, || {
        listed(instance).iter().any(|line| line["cached"] == SIZE)
    });
}

/// The side file of each file of bytes was written after them: it tells what is believed after a kill.
fn is_on_disk(instance: &Instance) -> bool {
    let cache = instance.state().with_file_name("cache");
    let classes = ["playback", "probe"].map(|class| cache.join(class));
    let mut files = classes
        .iter()
        .flat_map(|class| std::fs::read_dir(class).expect("a class"))
        .map(|file| file.expect("listed").path())
        .filter(|file| file.extension().is_some_and(|kind| kind == "data"))
        .peekable();
    let changed = |file: &Path| std::fs::metadata(file).and_then(|of| of.modified());
    assert!(files.peek().is_some(), "nothing is kept");
    files.all(|data| {
        let written = changed(&data).expect("a file of bytes");
        changed(&data.with_extension("map")).is_ok_and(|noted| noted > written)
    })
}

#[test]
fn what_was_read_outlives_the_engine() {
    let simulator = Simulator::start(vec![film("Film", SIZE)]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let mut instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let (name, _) = simulator.file("Film.mkv");
    let path = instance.mount().join("__all__/Film").join(&name);
    let shown = format!("__all__/Film/{name}");
    let bytes = read(&path);
    wait_cached(&instance);
    assert_eq!(listed(&instance)[0]["path"], shown.as_str());
    let requests = simulator.cdn_requests();
    assert!(read(&path) == bytes);
    let status = instance.status();
    assert!(
        status["content"]["cache"]["spare"].as_u64() > Some(0)
            && status["engine"]["resident"].as_u64() > Some(1 << 20),
        "{status}"
    );
    // Killed: what is on disk is there.
    until("all is on disk", PATIENCE, || is_on_disk(&instance));
    assert!(instance.signal_engine(Signal::KILL));
    assert!(read(&path) == bytes);
    // Ended, keeper and all.
    instance.stop();
    instance.launch();
    instance.wait_listed();
    assert_eq!(instance.status()["content"]["cache"]["usable"], true);
    assert!(read(&path) == bytes);
    assert_eq!(
        simulator.cdn_requests(),
        requests,
        "all of it came from the disk"
    );
}

#[test]
fn a_release_is_warmed_pinned_and_purged() {
    let simulator = Simulator::start(vec![film("Film", SIZE), film("Other", SIZE)]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let said = done(&instance, &["warm", "__all__/Film"]);
    assert!(said.contains("1 files, 20.0 MiB in the cache"), "{said}");
    let requests = simulator.cdn_requests();
    let mounted = instance.mount().join("__all__/Film");
    let mounted = mounted.to_str().expect("text");
    assert!(done(&instance, &["pin", mounted]).contains("1 files pinned"));
    let listed_now = listed(&instance);
    assert_eq!(
        (&listed_now[0]["cached"], &listed_now[0]["pinned"]),
        (&SIZE.into(), &true.into())
    );
    let table = done(&instance, &["ls"]);
    assert!(
        table.contains("100%") && table.contains("[pinned]"),
        "{table}"
    );
    for files in [1, 0] {
        let said = done(&instance, &["unpin", mounted]);
        assert_eq!(said, format!("{files} files unpinned\n"));
    }
    done(&instance, &["warm", mounted]);
    assert_eq!(
        simulator.cdn_requests(),
        requests,
        "nothing was left to fetch"
    );
    let said = done(&instance, &["purge", mounted]);
    assert!(said.starts_with("1 files, "), "{said}");
    assert!(listed(&instance).is_empty());
    done(&instance, &["warm", "__all__/Other"]);
    done(&instance, &["purge", "--all"]);
    assert!(listed(&instance).is_empty());
    let why = refused(&instance, &["warm", "__all__/Nothing"]);
    assert!(
        why.contains("__all__/Nothing is not in the library"),
        "{why}"
    );
}

#[test]
fn paths_are_taken_as_people_write_them() {
    let simulator = Simulator::start(vec![film("Film", SIZE), film("Other", SIZE)]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let films = tempfile::tempdir().expect("a directory");
    let (name, _) = simulator.file("Film.mkv");
    let inside = instance.mount().join("__all__/Film");
    let link = films.path().join("film.mkv");
    std::os::unix::fs::symlink(inside.join(&name), &link).expect("a link");
    let run = |dir: &Path, arguments: &[&str]| {
        let mut command = command(&instance, arguments);
        let output = command.current_dir(dir).output().expect("debridfs cache");
        let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            said(&output.stdout) + &said(&output.stderr),
        )
    };
    let files = || listed(&instance).len();
    // A link of a library, the name of a release, a file where one stands.
    for (dir, path) in [
        (films.path(), "film.mkv"),
        (films.path(), "Film"),
        (&inside, name.as_str()),
        (&inside, "."),
    ] {
        let (done, said) = run(dir, &["warm", path]);
        assert!(done && said.starts_with("1 files, "), "{path}: {said}");
        assert_eq!(files(), 1, "{path}");
        let (done, said) = run(dir, &["purge", path]);
        assert!(done && said.starts_with("1 files, "), "{path}: {said}");
        assert_eq!(files(), 0, "{path}");
    }
    // Where somebody stands elsewhere `.` is not all of the mount.
    assert!(run(&inside, &["warm", "."]).0);
    let (done, said) = run(films.path(), &["purge", "."]);
    assert!(!done && said.contains("is not in the library"), "{said}");
    assert_eq!(files(), 1);
}

#[test]
fn what_cannot_be_warmed_is_told_and_holds_up_nothing_else() {
    let dead = film("A.Dead", SIZE);
    let simulator = Simulator::start(vec![dead, film("Film", SIZE), broken("Broken")]);
    simulator.break_links("A.Dead", 19);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    // Nobody needs to be asked for what the library says cannot be read.
    let why = refused(&instance, &["warm", "__bad__/Broken"]);
    assert!(
        why.contains("the rest cannot be read") && why.contains("missing-links"),
        "{why}"
    );
    // One that may be read one day comes first and fails; the other one is fetched all the same.
    let mut warming = command(&instance, &["warm", "__all__"]);
    let warming = warming.stderr(Stdio::null()).spawn();
    let _warming = Running(warming.expect("debridfs cache warm"));
    wait_cached(&instance);
}

#[test]
fn what_several_views_show_is_warmed_once() {
    let simulator = Simulator::start(vec![film("Film", SIZE)]);
    let settings = Settings {
        cache: true,
        env: vec![("DEBRIDFS__CONTENT__CACHE__SIZE".into(), "30 MiB".into())],
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    // It is in `__all__` and in the provider's view; `version.txt` is no matter of the cache.
    let mount = instance.mount();
    let said = done(&instance, &["warm", mount.to_str().expect("text")]);
    assert!(said.contains("1 files, 20.0 MiB in the cache"), "{said}");
    let larger = film("Larger", 40 << 20);
    simulator.add(larger);
    until("the larger one shows", PATIENCE, || {
        mount.join("__all__/Larger").exists()
    });
    let why = refused(&instance, &["warm", "__all__/Larger"]);
    assert!(why.contains("40.0 MiB do not fit"), "{why}");
}

#[test]
fn warming_goes_on_with_the_next_engine() {
    let simulator = Simulator::start(vec![film("Film", SIZE)]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    // Some seconds, in however many connections.
    simulator.shape(0, 4 << 20);
    let warming = command(&instance, &["warm", "__all__/Film"]).spawn();
    let mut warming = Running(warming.expect("debridfs cache warm"));
    until("a part is in the cache", PATIENCE, || {
        listed(&instance)
            .iter()
            .any(|line| line["cached"].as_u64() > Some(0))
    });
    assert!(instance.signal_engine(Signal::KILL));
    let ended = warming.0.wait().expect("a child of ours");
    assert!(ended.success(), "{ended}");
    assert_eq!(listed(&instance)[0]["cached"], SIZE);
}

#[test]
fn the_headers_of_an_archive_are_told_from_files_that_are_gone() {
    let mut packed = ReleaseSpec::new(
        "Packed",
        vec![
            FileSpec::generated("/one.mkv", 1 << 20),
            FileSpec::generated("/two.mkv", 1 << 20),
        ],
    );
    packed.links = LinkMode::Packed;
    let simulator = Simulator::start(vec![packed]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    until("the archive's headers are kept", PATIENCE, || {
        let lines = listed(&instance);
        lines
            .iter()
            .any(|line| line["archive"] == true && line["path"].is_null())
    });
    let table = done(&instance, &["ls"]);
    assert!(
        table.contains("(archive of a packed release)") && !table.contains("(not shown)"),
        "{table}"
    );
}
