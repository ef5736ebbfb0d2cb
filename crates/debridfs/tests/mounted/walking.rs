//! Walking the tree: what is seen, and that it costs nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use crate::support::{Instance, Reader, Settings, Simulator, film, find, run};

#[test]
fn walking_costs_no_call_and_no_connection() {
    let simulator = Simulator::start_demo();
    // No poll falls into the walk.
    let settings = Settings {
        library: "refresh_interval = \"1h\"".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let mount = instance.mount();
    let root = mount.to_str().expect("text");
    let before = (
        simulator.calls(),
        simulator.cdn_requests(),
        simulator.cdn_connections(),
    );
    let listing = run("find", &[root, "-ls"]);
    assert!(listing.lines().count() > 20, "{listing}");
    run("du", &["-sb", root]);
    run("ls", &["-laR", root]);
    run(
        "sh",
        &[
            "-c",
            &format!("find {root} -print0 | xargs -0 stat >/dev/null"),
        ],
    );
    run(
        "sh",
        &[
            "-c",
            &format!("find {root} -print0 | xargs -0 getfattr -d >/dev/null"),
        ],
    );
    let after = (
        simulator.calls(),
        simulator.cdn_requests(),
        simulator.cdn_connections(),
    );
    assert_eq!(before, after);
}

#[test]
fn link_counts_and_parents_are_right() {
    let simulator = Simulator::start_demo();
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    for line in find(&instance.mount(), "%y %n %p\n") {
        let mut words = line.splitn(3, ' ');
        let (kind, links, path) = (
            words.next().unwrap(),
            words.next().unwrap(),
            words.next().unwrap(),
        );
        let links: u64 = links.parse().expect("a number");
        match kind {
            "f" => assert_eq!(links, 1, "{path}"),
            "d" => {
                let children = fs::read_dir(path).expect("listed");
                let directories = children
                    .filter(|child| {
                        child
                            .as_ref()
                            .expect("listed")
                            .file_type()
                            .expect("known")
                            .is_dir()
                    })
                    .count() as u64;
                assert_eq!(links, 2 + directories, "{path}");
                let above = fs::metadata(format!("{path}/..")).expect("..");
                let parent = std::path::Path::new(path).parent().expect("a parent");
                if path != instance.mount().to_str().expect("text") {
                    assert_eq!(
                        above.ino(),
                        fs::metadata(parent).expect("known").ino(),
                        "{path}/.."
                    );
                }
            }
            other => panic!("{other} {path}"),
        }
    }
    assert_eq!(
        fs::read_to_string(instance.mount().join("version.txt"))
            .expect("read")
            .trim(),
        concat!("debridfs ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn parallel_walks_with_open_files_find_nothing_stale() {
    let simulator = Simulator::start_generated(300, 8);
    let settings = Settings {
        provider: "calls_per_minute = 100000".into(),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let held: Vec<fs::File> = find(&instance.mount().join("__all__"), "%y %p\n")
        .iter()
        .filter_map(|line| line.strip_prefix("f "))
        .take(200)
        .map(|path| fs::File::open(path).expect("opened"))
        .collect();
    let views: Vec<_> = fs::read_dir(instance.mount())
        .expect("root")
        .map(|view| view.expect("root").path())
        .filter(|view| view.is_dir())
        .collect();
    let walkers: Vec<Reader> = (0..6)
        .map(|n| Reader::start("walk", &views[n % views.len()], 0))
        .chain([Reader::start("walk", &instance.mount(), 0)])
        .collect();
    for round in 0..5 {
        std::thread::sleep(Duration::from_millis(300));
        if round % 2 == 0 {
            fs::write("/proc/sys/vm/drop_caches", "3").expect("root");
        }
    }
    for walker in walkers {
        walker.finish().assert_clean("walk");
    }
    for file in held {
        assert_eq!(file.metadata().expect("not stale").nlink(), 1);
    }
}

#[test]
fn everything_that_writes_is_refused() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 1 << 20)]);
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let mount = instance.mount();
    let release = mount.join("__all__/Film.2024.1080p");
    let (name, _) = simulator.file("Film.2024.1080p.mkv");
    let file = release.join(name);
    let refused = |what: &str, result: std::io::Result<()>| {
        let error = result.expect_err(what);
        assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{what}: {error}");
    };
    refused("create", fs::write(mount.join("new"), "x"));
    refused("mkdir", fs::create_dir(release.join("new")));
    refused("unlink", fs::remove_file(&file));
    refused("rmdir", fs::remove_dir(&release));
    refused("rename", fs::rename(&file, release.join("other")));
    refused(
        "symlink",
        std::os::unix::fs::symlink("x", release.join("link")),
    );
    refused("link", fs::hard_link(&file, release.join("hard")));
    refused(
        "open for writing",
        fs::OpenOptions::new().write(true).open(&file).map(drop),
    );
    refused(
        "truncate",
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&file)
            .map(drop),
    );
    refused(
        "chmod",
        fs::set_permissions(&file, fs::Permissions::from_mode(0o777)),
    );
    assert!(file.exists());
}

#[test]
fn players_and_tools_read_the_clips_right() {
    let simulator = Simulator::start_demo();
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let clips: Vec<String> = simulator.clip_names();
    assert!(!clips.is_empty());
    let mut probed = 0;
    for line in find(&instance.mount().join("__all__"), "%p\n") {
        let name = line.rsplit('/').next().unwrap_or_default();
        if !clips.iter().any(|clip| clip == name) || name.ends_with(".srt") {
            continue;
        }
        let format = run(
            "ffprobe",
            &[
                "-v",
                "error",
                "-show_entries",
                "format=duration",
                "-of",
                "csv=p=0",
                &line,
            ],
        );
        assert!(
            format.trim().parse::<f64>().expect("a duration") > 0.5,
            "{line}: {format}"
        );
        run(
            "ffmpeg",
            &[
                "-v", "error", "-xerror", "-ss", "0.3", "-i", &line, "-t", "0.2", "-f", "null", "-",
            ],
        );
        probed += 1;
    }
    assert!(probed > 0, "no clip in the tree");
}
