//! What keeper and engine may do: `docs/security.md`, read off the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::support::{ENGINE_USER, Instance, Settings, Simulator, connection, film, run, until};

/// `CAP_*` by number, as `linux/capability.h` counts them: what `docs/security.md` lists for the keeper.
const KEEPER: u64 = 1 << 1 // DAC_OVERRIDE
    | 1 << 3 // FOWNER
    | 1 << 5 // KILL
    | 1 << 6 // SETGID
    | 1 << 7 // SETUID
    | 1 << 9 // LINUX_IMMUTABLE
    | 1 << 14 // IPC_LOCK
    | 1 << 21; // SYS_ADMIN

/// `/proc/PID/status` of every thread.
fn threads(pid: Pid) -> Vec<BTreeMap<String, String>> {
    let pid = pid.as_raw_nonzero();
    fs::read_dir(format!("/proc/{pid}/task"))
        .expect("a process of ours")
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .map(|text| {
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            pairs
                .map(|(key, value)| {
                    (
                        key.to_owned(),
                        value.split_whitespace().collect::<Vec<_>>().join(" "),
                    )
                })
                .collect()
        })
        .collect()
}

fn capabilities(thread: &BTreeMap<String, String>, set: &str) -> u64 {
    u64::from_str_radix(&thread[set], 16).expect("hexadecimal")
}

fn assert_engine_is_confined(pid: Pid, user: &str) {
    // The keeper names a process that has just been started as well; threads come after everything was given up.
    until("its threads run", Duration::from_secs(120), || {
        threads(pid).len() > 2
    });
    for thread in threads(pid) {
        let name = &thread["Name"];
        assert_eq!(thread["Uid"], [user; 4].join(" "), "{name}");
        assert_eq!(thread["Groups"], "", "{name}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(capabilities(&thread, set), 0, "{name}: {set}");
        }
        assert_eq!(thread["NoNewPrivs"], "1", "{name}");
        assert_eq!(thread["Seccomp"], "2", "{name}");
    }
}

/// Another process of the engine's user, as `nobody` has many, looks into it; `false` when it may not.
fn can_be_looked_into(engine: Pid) -> bool {
    let path = format!("/proc/{}/environ", engine.as_raw_nonzero());
    let (uid, gid) = ENGINE_USER.split_once(':').expect("both");
    let read = std::process::Command::new("setpriv")
        .args([&format!("--reuid={uid}"), &format!("--regid={gid}")])
        .args(["--clear-groups", "cat", &path])
        .output()
        .expect("setpriv runs");
    read.status.success()
}

/// Numbers of the processes that this one has started.
fn children(of: Pid) -> Vec<String> {
    let of = format!("PPid:\t{}\n", of.as_raw_nonzero());
    let all = fs::read_dir("/proc").expect("proc").flatten();
    let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|status| status.contains(&of))
        })
        .collect()
}

#[test]
fn others_of_its_user_cannot_look_into_an_engine() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let engine = instance.engine_pid();
    assert!(!can_be_looked_into(engine));
    // What it starts is no way in: neither holds its environment.
    for helper in children(engine) {
        let environment = fs::read(format!("/proc/{helper}/environ")).unwrap_or_default();
        let text = String::from_utf8_lossy(&environment);
        assert!(!text.contains("DEBRIDFS__"), "{text}");
    }
    let keeper = instance.keeper_pid();
    let limits = fs::read_to_string(format!("/proc/{}/limits", keeper.as_raw_nonzero()));
    let limits = limits.expect("proc");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.expect("a line").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    for thread in threads(keeper) {
        assert_eq!(thread["NoNewPrivs"], "1");
    }
}

#[test]
fn an_engine_has_no_privileges_and_a_keeper_few() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let engine = instance.engine_pid();
    assert_engine_is_confined(engine, "65534");
    for thread in threads(instance.keeper_pid()) {
        assert_eq!(thread["Uid"], "0 0 0 0");
        for (set, wanted) in [
            ("CapEff", KEEPER),
            ("CapPrm", KEEPER),
            ("CapBnd", KEEPER),
            ("CapInh", 0),
            ("CapAmb", 0),
        ] {
            assert_eq!(capabilities(&thread, set), wanted, "{set}");
        }
    }
    // Each capability is used in a whole life: the hang, the remount, the immutable mount point and the sockets are tests of their own.
    let socket = fs::symlink_metadata(instance.runtime().join("keeper.sock")).expect("a socket");
    let user: Vec<u32> = ENGINE_USER
        .split(':')
        .map(|id| id.parse().expect("a number"))
        .collect();
    assert_eq!((socket.uid(), socket.gid()), (user[0], user[1]));
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let control = fs::metadata(instance.runtime().join("control.sock")).expect("a socket");
    assert_eq!(control.permissions().mode() & 0o777, 0o600);
    // A restart and an upgrade change nothing about it.
    instance.signal_engine(Signal::KILL);
    until("another engine serves", Duration::from_secs(120), || {
        instance.engine_pid() != engine
    });
    assert_engine_is_confined(instance.engine_pid(), "65534");
}

#[test]
fn an_engine_that_is_told_to_be_root_has_no_privileges_either() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let settings = Settings {
        keeper: "engine_uid = 0".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    assert_engine_is_confined(instance.engine_pid(), "0");
    assert!(instance.log().contains("runs as root, as it was told to"));
}

/// What Docker gives with `--cap-drop ALL` and a `--cap-add` for each name in `docs/security.md`.
#[test]
fn the_listed_capabilities_are_enough() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let settings = Settings {
        keeper: "hang_limit = \"2s\"".into(),
        ..Settings::default()
    };
    let mut instance = Instance::prepare(&simulator, settings);
    let listed =
        "+sys_admin,+dac_override,+setuid,+setgid,+kill,+linux_immutable,+fowner,+ipc_lock,+chown";
    instance.launch_by(&format!(
        "setpriv --inh-caps=-all --bounding-set=-all,{listed}"
    ));
    instance.wait_synced();
    let thread = threads(instance.keeper_pid()).remove(0);
    assert_eq!(capabilities(&thread, "CapPrm"), KEEPER);
    let engine = instance.engine_pid();
    assert_engine_is_confined(engine, "65534");
    rustix::process::kill_process(engine, Signal::STOP).expect("stopped");
    until("a hung engine is ended", Duration::from_secs(120), || {
        instance.engine_child().is_some_and(|pid| pid != engine)
    });
    instance.engine_pid();
    run("umount", &["-l", instance.mount().to_str().expect("text")]);
    until("the mount is back", Duration::from_secs(120), || {
        connection(&instance.mount()).is_some()
    });
    assert!(
        !instance.log().contains("cannot make it immutable"),
        "{}",
        instance.log()
    );
    instance.stop();
}

/// The hook is somebody else's program and inherits what the engine may do.
#[test]
fn a_hook_runs_and_can_do_no_more_than_the_engine() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let settings = Settings {
        library: "refresh_interval = \"200ms\"\non_library_update = [\"sh\", \"-c\", \"curl --version > $0/curl; mount -t tmpfs none $0 2> $0/mount; \
                  unshare -U true 2> $0/unshare; date > $0/done\", \"/HERE\"]"
            .into(),
        ..Settings::default()
    };
    let mut instance = Instance::prepare(&simulator, settings);
    let text = fs::read_to_string(instance.config()).expect("configuration");
    let here = instance.state();
    fs::write(
        instance.config(),
        text.replace("/HERE", here.to_str().expect("text")),
    )
    .expect("configuration");
    instance.launch();
    instance.wait_synced();
    simulator.add(film("New.2024.1080p", 1 << 30));
    until("the hook has run", Duration::from_secs(120), || {
        here.join("done").exists()
    });
    let said = |name: &str| fs::read_to_string(here.join(name)).expect("written");
    assert!(
        said("curl").starts_with("curl "),
        "an ordinary program works"
    );
    assert!(!said("mount").is_empty(), "mount succeeded");
    assert!(
        said("unshare").contains("not implemented"),
        "{}",
        said("unshare")
    );
}

#[test]
fn the_profile_is_printed() {
    let printed = run(
        env!("CARGO_BIN_EXE_debridfs"),
        &["engine", "--print-seccomp-profile"],
    );
    let shipped = include_str!("../../../../deploy/seccomp/engine.json");
    assert_eq!(printed, shipped);
}

#[test]
fn a_symbolic_link_on_the_way_to_the_socket_is_refused() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 30)]);
    let mut instance = Instance::prepare(&simulator, Settings::default());
    let run = instance.runtime();
    let real = run.with_file_name("real");
    fs::rename(&run, &real).expect("renamed");
    std::os::unix::fs::symlink(&real, &run).expect("linked");
    instance.launch();
    until("it says why", Duration::from_secs(120), || {
        instance
            .log()
            .contains("run: a symbolic link that user 0 may have planted")
    });
    assert!(connection(&instance.mount()).is_none());
}
