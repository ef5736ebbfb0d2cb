//! Volumes that the library can do without hang, all at once: that of the downloads and that of the user's program are FUSE mounts that
//! nobody serves, as those of a network disk that is away, and those of state and cache take no writes any more (`fsfreeze`).

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::behaviour::nfs_section;
use crate::hung_volume::Volume;
use crate::support::{
    ENGINE_USER, Instance, Reader, Settings, Simulator, film, free_address, run, until,
};

const PATIENCE: Duration = Duration::from_secs(90);

/// A FUSE mount that answers nobody. Whoever waits in it is let go when it is dropped.
struct Hung {
    at: PathBuf,
    /// The connection ends with it.
    _fuse: File,
}

impl Hung {
    fn over(at: &Path) -> Self {
        use std::os::fd::AsRawFd;
        let fuse = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .expect("FUSE");
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            fuse.as_raw_fd()
        );
        let options = std::ffi::CString::new(options).expect("text");
        mount("hung", at, "fuse", MountFlags::empty(), &*options).expect("mounted");
        Self {
            at: at.to_owned(),
            _fuse: fuse,
        }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        unmount(&self.at, UnmountFlags::DETACH).expect("unmounted");
    }
}

fn silent(instance: &Instance) -> Vec<String> {
    let status = instance.try_status().unwrap_or_default();
    let volumes = status["volumes"].as_array().cloned().unwrap_or_default();
    let silent = volumes
        .iter()
        .filter(|volume| !volume["silent_since"].is_null());
    let mut names: Vec<String> = silent
        .filter_map(|volume| volume["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// An arr that logs in anew and asks for all; the room it is told of.
fn poll(address: &str) -> u64 {
    let jar = ["-s", "-m", "5", "-H", "Expect:"];
    let login = format!("http://{address}/api/v2/auth/login");
    let said = run(
        "curl",
        &[
            &jar[..],
            &["-D", "-", "-d", "username=arr&password=secret", &login],
        ]
        .concat(),
    );
    let cookie = said.lines().find_map(|line| {
        line.to_lowercase()
            .starts_with("set-cookie:")
            .then(|| line[11..].trim().to_owned())
    });
    let cookie = cookie.expect("a session");
    let all = format!("http://{address}/api/v2/sync/maindata");
    let said = run("curl", &[&jar[..], &["-b", &cookie, &all]].concat());
    let said: Value = serde_json::from_str(&said).expect("JSON");
    said["server_state"]["free_space_on_disk"]
        .as_u64()
        .expect("a number")
}

#[test]
fn volumes_that_hang_are_named_and_the_library_is_served() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let address = free_address().to_string();
    let mut instance = Instance::prepare(&simulator, Settings::default());
    let root = instance.state().parent().expect("a parent").to_owned();
    let [downloads, programs] = ["downloads", "programs"].map(|name| root.join(name));
    for dir in [&downloads, &programs] {
        std::fs::create_dir(dir).expect("directory");
    }
    run("chown", &[ENGINE_USER, downloads.to_str().expect("text")]);
    std::fs::remove_dir(instance.state()).expect("empty");
    let frozen = [instance.state(), root.join("cache")].map(|at| Volume::mount(&at));
    instance.set(Settings {
        cache: true,
        library: format!("on_library_update = \"{}/tell\"", programs.display()),
        toml: format!(
            "[acquire]\ndownloads = \"{}\"\n[qbittorrent]\nlisten = \"{address}\"\nuser = \"arr\"\npassword = \"secret\"\n",
            downloads.display()
        ),
        ..Settings::default()
    });
    instance.configure(&simulator);
    instance.launch();
    instance.wait_listed();
    instance.wait_synced();
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let reader = Reader::start("direct", &path, key);
    until("room is told", PATIENCE, || poll(&address) > 0);

    let room = poll(&address);
    let hung = [Hung::over(&downloads), Hung::over(&programs)];
    frozen.iter().for_each(Volume::freeze);
    simulator.add(film("Other.2024.1080p", 1 << 30));
    let engine = instance.engine_pid();
    let all = ["cache", "downloads", "hooks", "state"];
    until("all are named", PATIENCE, || {
        assert!(poll(&address) > room / 2, "the last figure");
        silent(&instance) == all
    });
    let problems = instance.status()["problems"].to_string();
    for name in all {
        assert!(
            problems.contains(&format!("the {name} volume")),
            "{problems}"
        );
    }
    assert!(instance.mount().join("__all__/Other.2024.1080p").exists());
    assert_eq!(instance.engine_pid(), engine, "none was ended");
    let seen = reader.finish();
    println!("longest wait {:.0} ms", seen.worst_ms);
    seen.assert_clean("the reader");
    // Nor does the next one need any of them, once the account has told it what there is.
    kill_process(engine, Signal::KILL).expect("killed");
    until("another engine serves", PATIENCE, || {
        instance.engine_child().is_some_and(|pid| pid != engine)
    });
    // The kernel knows the path from before.
    instance.wait_synced();
    let reader = Reader::start("direct", &path, key);
    let before = simulator.bytes_sent();
    until("it reads", PATIENCE, || {
        simulator.bytes_sent() > before + (4 << 20)
    });
    reader.finish().assert_clean("the next reader");

    drop(hung);
    frozen.iter().for_each(Volume::thaw);
    until("all answer again", PATIENCE, || {
        instance
            .try_status()
            .is_some_and(|status| status["volumes"].is_array())
            && silent(&instance).is_empty()
    });
    until("downloads go on", PATIENCE, || {
        std::panic::catch_unwind(|| poll(&address) > 0).unwrap_or(false)
    });
    instance.stop();
}

#[test]
fn a_key_of_nfs_on_a_hung_volume_holds_up_nfs_alone() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 20)]);
    let mut instance = Instance::prepare(&simulator, Settings::default());
    let keys = instance.state().with_file_name("keys");
    std::fs::create_dir(&keys).expect("directory");
    let file = format!("key_file = \"{}/nfs-key\"\n[nfs.export", keys.display());
    instance.set(Settings {
        toml: nfs_section(free_address()).replace("[nfs.export", &file),
        ..Settings::default()
    });
    instance.configure(&simulator);
    let hung = Hung::over(&keys);
    instance.launch();
    instance.wait_synced();
    let down = || instance.status()["down"].to_string();
    until("the setting is named", PATIENCE, || {
        down().contains("the nfs.key_file volume has not answered")
    });
    let down = instance.status()["down"].clone();
    let parts = down.as_array().expect("a list").iter();
    let parts: Vec<_> = parts.map(|down| down["part"].clone()).collect();
    assert_eq!(parts, ["NFS"], "{down}");
    assert_eq!(silent(&instance), [""; 0]);
    drop(hung);
}
