//! The volume of the cache hangs: writes to it end no more (`fsfreeze`), as on a network disk that is away. Readers never learn of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::support::{
    ENGINE_USER, Instance, Reader, ServiceManager, Settings, Simulator, connection, film, run,
    until,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// An ext4 file system in an image, mounted; thawed, unmounted and removed when dropped.
pub struct Volume {
    at: PathBuf,
    image: PathBuf,
}

impl Volume {
    pub fn mount(at: &Path) -> Self {
        let volume = Self {
            at: at.to_owned(),
            image: at.with_extension("image"),
        };
        std::fs::create_dir(at).expect("directory");
        let image = File::create(&volume.image).expect("image");
        image.set_len(512 << 20).expect("image");
        run("mkfs.ext4", &["-q", text(&volume.image)]);
        run("mount", &["-o", "loop", text(&volume.image), text(at)]);
        run("chown", &[ENGINE_USER, text(at)]);
        volume
    }

    pub fn freeze(&self) {
        run("fsfreeze", &["--freeze", text(&self.at)]);
    }

    pub fn thaw(&self) {
        run("fsfreeze", &["--unfreeze", text(&self.at)]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let quietly = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            // It may be thawed already; engines that hung in it may need it for a moment longer.
            let _ = command.args(arguments).output();
        };
        quietly("fsfreeze", &["--unfreeze", text(&self.at)]);
        quietly("umount", &["--lazy", text(&self.at)]);
        let _ = std::fs::remove_file(&self.image);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A library whose cache lies on a volume, not started yet.
fn prepare() -> (Simulator, Instance, Volume) {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::prepare(&simulator, settings);
    let root = instance.state().parent().expect("a parent").to_owned();
    let volume = Volume::mount(&root.join("cache"));
    (simulator, instance, volume)
}

fn cache(instance: &Instance) -> Value {
    instance.status()["content"]["cache"].clone()
}

/// Readers, and then an engine with a thread that hangs in the kernel, so that it cannot end although it is killed.
fn hang(
    simulator: &Simulator,
    instance: &Instance,
    volume: &Volume,
) -> Vec<(&'static str, Reader)> {
    instance.wait_listed();
    instance.wait_synced();
    until("the cache is there", PATIENCE, || {
        cache(instance)["usable"] == true
    });
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let readers = ["direct", "buffered"].map(|mode| (mode, Reader::start(mode, &path, key)));
    until("something is cached", PATIENCE, || {
        cache(instance)["bytes"].as_u64() > Some(0)
    });
    volume.freeze();
    until("the queue for the disk is full", PATIENCE, || {
        cache(instance)["skipped"].as_u64() > Some(0)
    });
    readers.into()
}

fn read_on_and_thaw(
    simulator: &Simulator,
    instance: &Instance,
    volume: &Volume,
    readers: Vec<(&str, Reader)>,
) {
    let before = simulator.bytes_sent();
    until("it reads on", PATIENCE, || {
        simulator.bytes_sent() > before + (4 << 20)
    });
    volume.thaw();
    until("the cache is there again", PATIENCE, || {
        cache(instance)["usable"] == true
    });
    for (who, reader) in readers {
        let seen = reader.finish();
        println!("{who}: longest wait {:.0} ms", seen.worst_ms);
        seen.assert_clean(who);
    }
}

#[test]
fn a_volume_that_hangs_is_passed_by_even_with_an_engine_that_cannot_die() {
    let (simulator, mut instance, volume) = prepare();
    instance.launch();
    let readers = hang(&simulator, &instance, &volume);
    let engine = instance.engine_child().expect("an engine");
    kill_process(engine, Signal::KILL).expect("killed");
    until("another engine serves", PATIENCE, || {
        instance.engine_child().is_some_and(|pid| pid != engine)
    });
    instance.engine_pid();
    read_on_and_thaw(&simulator, &instance, &volume, readers);
    instance.stop();
}

#[test]
fn a_service_manager_keeps_the_mount_even_from_an_engine_that_cannot_die() {
    let (simulator, mut instance, volume) = prepare();
    let manager = ServiceManager::start();
    instance.launch_under(&manager);
    let readers = hang(&simulator, &instance, &volume);
    let mount = connection(&instance.mount());
    for _ in 0..2 {
        instance.kill_all();
        instance.launch_under(&manager);
        instance.engine_pid();
        assert_eq!(connection(&instance.mount()), mount, "the same one");
    }
    assert!(instance.log().contains("Going on without it"));
    read_on_and_thaw(&simulator, &instance, &volume, readers);
    crate::kept::stop(&mut instance);
}
