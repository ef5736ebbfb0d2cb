//! The mount shared by Debian's Samba, as it is, and fetched by its client.

use std::fs;
use std::path::Path;
use std::time::Duration;

use debridfs_behaviour::{Expected, library};
use rustix::process::{Signal, kill_process};

use crate::behaviour::wait_proven;
use crate::support::{Instance, Samba, Settings, Simulator, until};

/// The names below `directory`, which has files in some depth.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).expect("listed") {
        let path = entry.expect("listed").path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

#[test]
fn samba_shares_every_file_also_over_kills_of_the_engine() {
    let simulator = Simulator::with(&library());
    simulator.calls_per_minute(0);
    // Each file needs a link, within a minute.
    let settings = Settings {
        provider: "calls_per_minute = 100000".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    wait_proven(&instance);
    let samba = Samba::start(&instance.mount());
    let expected = Expected::new();
    for kill in [false, true] {
        let place = tempfile::tempdir().expect("directory");
        let fetched = std::thread::scope(|scope| {
            let fetching = scope.spawn(|| {
                samba.client(&format!(
                    "recurse ON\nprompt OFF\nlcd {}\ncd __all__\nmget *\n",
                    place.path().display()
                ))
            });
            // Each time when some more files have come.
            for round in 1..=3 * usize::from(kill) {
                until("files come", Duration::from_secs(120), || {
                    fetching.is_finished() || files(place.path()).len() >= 20 * round
                });
                assert!(!fetching.is_finished(), "fetched before kill {round}");
                let victim = instance.engine_pid();
                kill_process(victim, Signal::KILL).expect("killed");
                until("another engine serves", Duration::from_secs(120), || {
                    instance.engine_pid() != victim
                });
            }
            fetching.join().expect("fetched")
        });
        let said = String::from_utf8_lossy(&fetched.stdout);
        let mut right = 0;
        for file in &expected.files {
            let name = file.path.strip_prefix("__all__/").expect("below");
            let path = place.path().join(name);
            // What Windows has no name for goes by another one (see the skip list), and what the provider lost by none.
            if file.dead || name.starts_with("Signs of POSIX") {
                continue;
            }
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}\n{said}"));
            assert_eq!(bytes.len() as u64, file.size, "{name}");
            assert!(bytes == file.bytes(0, bytes.len()), "{name}: wrong bytes");
            right += 1;
        }
        assert!(right > 300, "{right} files");
        let there = files(place.path()).len();
        assert!(there >= right, "{there} files, {right} of them right");
    }
}

#[test]
fn samba_refuses_everything_that_writes() {
    let simulator = Simulator::with(&library());
    let instance = Instance::start(&simulator, Settings::default());
    let samba = Samba::start(&instance.mount());
    let film = "__all__/Edges.2024/Small/a page.mkv";
    for command in [
        "put /etc/hostname new".to_owned(),
        "mkdir new".to_owned(),
        format!("rm \"{film}\""),
        format!("rename \"{film}\" \"__all__/other\""),
        "rmdir __all__/Edges.2024".to_owned(),
    ] {
        let output = samba.client(&format!("{command}\n"));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("NT_STATUS_ACCESS_DENIED")
                || said.contains("NT_STATUS_MEDIA_WRITE_PROTECTED"),
            "{command}: {said}"
        );
    }
    assert!(instance.mount().join(film).exists());
}
