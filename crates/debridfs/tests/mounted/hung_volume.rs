//! The volume of the cache hangs: writes to it end no more (`fsfreeze`), as on a network disk that is away. Readers never learn of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::support::{ENGINE_USER, Instance, Reader, Settings, Simulator, film, run, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// An ext4 file system in an image, mounted; thawed, unmounted and removed when dropped.
struct Volume {
    at: PathBuf,
    image: PathBuf,
}

impl Volume {
    fn mount(at: &Path) -> Self {
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

    fn freeze(&self) {
        run("fsfreeze", &["--freeze", text(&self.at)]);
    }

    fn thaw(&self) {
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

#[test]
fn a_volume_that_hangs_is_passed_by_even_with_an_engine_that_cannot_die() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let settings = Settings {
        cache: true,
        ..Settings::default()
    };
    let mut instance = Instance::prepare(&simulator, settings);
    let root = instance.state().parent().expect("a parent").to_owned();
    let volume = Volume::mount(&root.join("cache"));
    instance.launch();
    instance.wait_listed();
    instance.wait_synced();
    let cache = || instance.status()["content"]["cache"].clone();
    until("the cache is there", PATIENCE, || cache()["usable"] == true);
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let direct = Reader::start("direct", &path, key);
    let buffered = Reader::start("buffered", &path, key);
    until("something is cached", PATIENCE, || {
        cache()["bytes"].as_u64() > Some(0)
    });
    volume.freeze();
    until("the queue for the disk is full", PATIENCE, || {
        cache()["skipped"].as_u64() > Some(0)
    });
    // A thread of it hangs in the kernel, so that it cannot die although it was killed.
    let engine = instance.engine_child().expect("an engine");
    kill_process(engine, Signal::KILL).expect("killed");
    until("another engine serves", PATIENCE, || {
        instance.engine_child().is_some_and(|pid| pid != engine)
    });
    instance.engine_pid();
    let before = simulator.bytes_sent();
    until("it reads on", PATIENCE, || {
        simulator.bytes_sent() > before + (4 << 20)
    });
    volume.thaw();
    until("the cache is there again", PATIENCE, || {
        cache()["usable"] == true
    });
    for (who, reader) in [("direct", direct), ("buffered", buffered)] {
        let seen = reader.finish();
        println!("{who}: longest wait {:.0} ms", seen.worst_ms);
        seen.assert_clean(who);
    }
    instance.stop();
}
