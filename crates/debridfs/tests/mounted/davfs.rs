//! The library mounted over WebDAV by Debian's davfs2.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use debridfs_sim::content::fill;
use rustix::process::{Signal, kill_process};

use crate::behaviour::token;
use crate::support::{Instance, Settings, Simulator, film, free_address, run, until};

const BYTES: u64 = (24 << 20) + 7;
const FILMS: [&str; 3] = ["First.2024", "Second.2024", "Third.2024"];
const PATIENCE: Duration = Duration::from_secs(120);

/// A mount of `/dav/`, with everything of davfs2's in a directory of its own; unmounted when dropped.
struct Davfs {
    dir: tempfile::TempDir,
}

impl Davfs {
    fn mount(address: SocketAddr, token: &str) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let at = dir.path();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        mode(at, 0o711);
        for name in ["mnt", "cache"] {
            fs::create_dir(at.join(name)).expect("directory");
        }
        // davfs2 gives root's rights up before it writes there.
        let cache = at.join("cache");
        run("chown", &["root:davfs2", cache.to_str().expect("text")]);
        mode(&cache, 0o1775);
        let url = format!("http://{address}/dav/");
        let secrets = at.join("secrets");
        fs::write(&secrets, format!("\"{url}\" suite \"{token}\"\n")).expect("written");
        mode(&secrets, 0o600);
        // What was lost on the way is asked for again at once.
        let settings = format!(
            "secrets {}\ncache_dir {}\nask_auth 0\nuse_locks 0\nretry 1\nmax_retry 1\ndir_refresh 0\ncache_size 1\n",
            secrets.display(),
            cache.display()
        );
        fs::write(at.join("davfs2.conf"), settings).expect("written");
        let mounted = Command::new("mount.davfs")
            .arg(&url)
            .arg(at.join("mnt"))
            .args([
                "-o",
                &format!("ro,conf={}", at.join("davfs2.conf").display()),
            ])
            .env("HOME", at)
            .output()
            .expect("mount.davfs runs");
        assert!(mounted.status.success(), "{mounted:?}");
        Self { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("mnt").join(path)
    }

    /// davfs2 1.6 gives EINVAL for every directory on Linux 6.18, whoever serves it (rclone, too): there the names are looked up alone.
    fn assert_listed(&self, path: &str, expected: &[&str]) {
        for name in expected {
            let kind = fs::metadata(self.path(path).join(name)).expect("there");
            assert!(kind.is_dir(), "{name}");
        }
        let names = fs::read_dir(self.path(path)).and_then(|names| {
            names
                .map(|entry| Ok(entry?.file_name().into_string().expect("text")))
                .collect::<std::io::Result<Vec<_>>>()
        });
        match names {
            Ok(mut names) => {
                names.sort();
                assert_eq!(names, expected);
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                println!("davfs2 does not list on this kernel");
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }

    fn film(&self, name: &str) -> PathBuf {
        self.path("__all__").join(name).join(format!("{name}.mkv"))
    }
}

impl Drop for Davfs {
    fn drop(&mut self) {
        // Waits for the process behind it. Lazily where the test failed in the middle of a read.
        let unmount = |more: &[&str]| {
            let mut command = Command::new("umount");
            let done = command.args(more).arg(self.path("")).output();
            done.is_ok_and(|done| done.status.success())
        };
        if !unmount(&[]) {
            unmount(&["-i", "-l"]);
        }
    }
}

fn is_film(bytes: &[u8], key: u64, offset: u64) -> bool {
    let mut expected = vec![0; bytes.len()];
    fill(key, offset, &mut expected);
    bytes == expected
}

/// Whether all of the film could be read; what was read is right.
fn read_whole(path: &Path, key: u64) -> bool {
    match fs::read(path) {
        Ok(bytes) => {
            assert_eq!(bytes.len() as u64, BYTES, "{}", path.display());
            assert!(is_film(&bytes, key, 0), "{}", path.display());
            true
        }
        Err(_) => false,
    }
}

#[test]
fn davfs2_lists_and_reads_whole_films_also_over_a_kill_of_the_engine() {
    let simulator = Simulator::start(FILMS.map(|name| film(name, BYTES)).into());
    let address = free_address();
    let settings = Settings {
        toml: format!("[http]\nlisten = \"{address}\"\n"),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let mut keys = FILMS.map(|name| (name, simulator.file(&format!("{name}.mkv")).1));
    let davfs = Davfs::mount(address, &token(&instance));

    davfs.assert_listed("__all__", &FILMS);
    let (first, key) = keys[0];
    let film = davfs.film(first);
    assert_eq!(fs::metadata(&film).expect("stat").len(), BYTES);
    assert!(read_whole(&film, key), "{first}");
    let opened = File::open(&film).expect("opened");
    for offset in [0, 1, 65_535, 4 << 20, BYTES - 4096] {
        let mut part = vec![0; 4096];
        opened.read_exact_at(&mut part, offset).expect("read");
        assert!(is_film(&part, key, offset), "at {offset}");
    }
    let mut beyond = [0; 1];
    assert_eq!(opened.read_at(&mut beyond, BYTES).expect("read"), 0);
    drop(opened);
    assert!(
        fs::write(davfs.path("new"), "x").is_err(),
        "it is read-only"
    );

    // The next film is cut off in the middle: an error or all of it, and never something else.
    let slow = 4 << 20;
    simulator.shape(0, slow);
    keys.rotate_left(1);
    let before = simulator.bytes_sent();
    let victim = instance.engine_pid();
    std::thread::scope(|scope| {
        let (name, key) = keys[0];
        let path = davfs.film(name);
        let reading = scope.spawn(move || read_whole(&path, key));
        until("it is being read", PATIENCE, || {
            simulator.bytes_sent() - before > BYTES / 4 || reading.is_finished()
        });
        assert!(!reading.is_finished(), "read before the kill");
        kill_process(victim, Signal::KILL).expect("killed");
        let _ = reading.join().expect("nothing wrong was read");
    });
    simulator.shape(0, 0);
    until("another engine serves", PATIENCE, || {
        instance.engine_pid() != victim
    });
    for (name, key) in keys {
        until(name, PATIENCE, || read_whole(&davfs.film(name), key));
    }
    davfs.assert_listed("__all__", &FILMS);
}
