//! An image in which debridfs serves a simulated account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_guest::{Image, Packages, Settings};
use debridfs_sim::{FileSpec, LibrarySpec, ReleaseSpec, content};

/// Where the library is mounted in the guest.
pub const MOUNT: &str = "/srv/library";

const CONFIG: &str = "\
state_dir = '/run/state'
cache_dir = '/run/cache'
runtime_dir = '/run/run'
[content.cache]
enabled = false
[mount]
path = '/srv/library'
[library]
refresh_interval = '1s'
[server]
listen = '127.0.0.1:0'
[provider.rd]
kind = 'real-debrid'
api_url = 'http://127.0.0.1:9000/rest/1.0'
";

/// Functions of the scripts. `start` waits until the library is served; `engine` tells the process id of the engine that serves, `kill_engine` kills
/// it and waits for the next one.
const FUNCTIONS: &str = r#"
fail() { echo "failed: $*"; tail -n 20 /run/log; exit 1; }
status() { debridfs status --json --socket /run/run/control.sock 2>/dev/null | tr -d ' \n'; }
until_true() { # SECONDS COMMAND…
  local left=$(($1 * 5)); shift
  until "$@"; do
    left=$((left - 1)); [ $left -gt 0 ] || fail "$*"
    sleep 0.2
  done
}
synced() { status | grep -q '"listed":true' && status | grep -q '"unknown":0[,}]'; }
start() {
  mkdir -p /run/state /run/cache /run/run /srv/library
  chown -R 65534:65534 /run/state /run/cache /run/run /srv/library
  debridfs sim --listen 127.0.0.1:9000 --library /etc/library.toml --unlimited >/run/sim 2>&1 &
  until_true 60 grep -q '^token ' /run/sim
  export DEBRIDFS__PROVIDER__RD__TOKEN=$(sed -n 's/^token //p' /run/sim)
  serve
}
serve() { debridfs serve --config /etc/debridfs.toml >>/run/log 2>&1 & until_true 60 synced; }
engine() { status | sed -n 's/.*"engine":{[^}]*"pid":\([0-9]*\).*/\1/p'; }
other_engine() { local now=$(engine); [ -n "$now" ] && [ "$now" != "$1" ]; }
kill_engine() {
  local before=$(engine); [ -n "$before" ] || fail "no engine"
  kill -9 "$before"
  until_true 60 other_engine "$before"
}
"#;

/// The films of the account, by size in bytes.
pub fn library(films: &[(&str, u64)]) -> LibrarySpec {
    let releases = films.iter().enumerate().map(|(number, (name, bytes))| {
        let mut release = ReleaseSpec::new(
            *name,
            vec![FileSpec::generated(format!("/{name}.mkv"), *bytes)],
        );
        release.hash = Some(format!("{number:040x}"));
        release
    });
    LibrarySpec {
        releases: releases.collect(),
        ..LibrarySpec::default()
    }
}

/// The path of a film of [`library`] below the mount.
pub fn path(name: &str) -> String {
    format!("__all__/{name}/{name}.mkv")
}

/// The content key of the film with this number in [`library`].
pub fn key(number: usize, name: &str) -> u64 {
    content::key(&format!("{number:040x}"), &format!("/{name}.mkv"))
}

/// A program beside the one that is tested: an example of this package.
fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_debridfs"));
    let example = program.with_file_name("examples").join(name);
    assert!(
        example.exists(),
        "cargo build --package debridfs --examples first"
    );
    example
}

/// The image: the program, its readers, an account that holds `library`, and `script`, which has the functions above.
pub fn image(library: &LibrarySpec, script: &str) -> Image {
    let packages = Packages::find().expect("`make setup` unpacks the guest");
    let mut image = Image::new(&packages);
    image.module("fuse");
    for (from, to) in [
        (
            PathBuf::from(env!("CARGO_BIN_EXE_debridfs")),
            "/bin/debridfs",
        ),
        (example("verified_reader"), "/bin/verified_reader"),
        (example("behaviour"), "/bin/behaviour"),
    ] {
        image.program(&from, to).expect("its libraries are here");
    }
    image.text("/etc/debridfs.toml", CONFIG);
    image.text(
        "/etc/skips/fuse",
        include_str!("../../../behaviour/skips/fuse.txt"),
    );
    image.text(
        "/etc/skips/knfsd",
        include_str!("../../../behaviour/skips/knfsd.txt"),
    );
    let library = toml::to_string(library).expect("a description");
    image.text("/etc/library.toml", &library);
    image.script(&format!("{FUNCTIONS}\n{script}\n"));
    image
}

/// Memory for the programs and what they read; ten minutes, for an emulated processor beside other tests.
pub fn settings() -> Settings {
    Settings {
        memory: 1024,
        limit: Duration::from_secs(600),
        ..Settings::default()
    }
}

/// A number of the environment, or what the short test does.
pub fn count(variable: &str, short: u32) -> u32 {
    std::env::var(variable).map_or(short, |text| text.parse().expect("a number"))
}
