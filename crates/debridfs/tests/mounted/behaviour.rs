//! The suite of `crates/behaviour` over the fronts that this machine can read without help.

mod http;
mod nfs;
mod smb;
mod webdav;

pub use http::token;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use debridfs_behaviour::{Account, Capability, Directory, Front, Skips, library, run};

use crate::backends;
use crate::support::{Instance, Samba, Settings, Simulator, free_address, until};

/// Tries `front` and says what became of each case.
fn assert_good(front: &dyn Front, simulator: &Simulator, skips: &str) {
    let skips = Skips::parse(skips).expect("a skip list");
    let report = run(front, Account::new(simulator.address()), &skips);
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

fn start(settings: Settings) -> (Simulator, Instance) {
    let simulator = Simulator::with(&library());
    let instance = Instance::start(&simulator, settings);
    wait_proven(&instance);
    (simulator, instance)
}

/// Waits until all files are known, and of the release that lacks a link which ones can be read.
pub fn wait_proven(instance: &Instance) {
    instance.wait_synced();
    let proven = instance.mount().join("__all__/Lost.2024/first.mkv");
    until("the links are proven", Duration::from_secs(60), || {
        fs::read(&proven).is_ok()
    });
}

#[test]
fn the_mount_behaves() {
    let (simulator, instance) = start(Settings::default());
    let front = Directory::new(&instance.mount(), &[]);
    let skips = include_str!("../../../behaviour/skips/fuse.txt");
    assert_good(&front, &simulator, skips);
}

#[test]
fn the_mount_behaves_with_the_second_backend() {
    let settings = Settings {
        toml: "[fuse]\nbackend = \"fbrs\"\nshadow_percent = 100.0\n".into(),
        ..Settings::default()
    };
    let (simulator, instance) = start(settings);
    assert_eq!(instance.status()["backend"], "fbrs");
    let front = Directory::new(&instance.mount(), &[]);
    let skips = include_str!("../../../behaviour/skips/fuse.txt");
    assert_good(&front, &simulator, skips);
    // The other backend ran beside it all the time.
    let compared = backends::compared(&instance);
    assert!(compared.0 > 100, "{compared:?} were compared, and differed");
    assert_eq!(compared.1, 0, "{compared:?} were compared, and differed");
    assert!(backends::backend(&instance, &["diff"]).status.success());
}

#[test]
fn files_over_http_behave() {
    let address = free_address();
    let settings = Settings {
        toml: format!("[http]\nlisten = \"{address}\"\n"),
        ..Settings::default()
    };
    let (simulator, instance) = start(settings);
    let front = http::Files::of(&instance, address);
    let skips = include_str!("../../../behaviour/skips/http.txt");
    assert_good(&front, &simulator, skips);
}

#[test]
fn webdav_behaves() {
    let address = free_address();
    let settings = Settings {
        toml: format!("[http]\nlisten = \"{address}\"\n"),
        ..Settings::default()
    };
    let (simulator, instance) = start(settings);
    let front = webdav::WebDav::of(&instance, address);
    let skips = include_str!("../../../behaviour/skips/webdav.txt");
    assert_good(&front, &simulator, skips);
}

/// `[nfs]` with one export, `library`, for programs of this machine.
pub fn nfs_section(address: SocketAddr) -> String {
    format!(
        "[nfs]\nlisten = \"{address}\"\n[nfs.export.library]\nnetworks = [\"127.0.0.0/8\"]\ninsecure = true\n"
    )
}

#[test]
fn nfs_behaves() {
    let address = free_address();
    let settings = Settings {
        toml: nfs_section(address),
        ..Settings::default()
    };
    let (simulator, _instance) = start(settings);
    let front = nfs::Export::mount(address, "/library");
    let skips = include_str!("../../../behaviour/skips/nfs.txt");
    assert_good(&front, &simulator, skips);
}

#[test]
fn samba_over_the_mount_behaves() {
    let (simulator, instance) = start(Settings::default());
    let front = smb::Client::of(Samba::start(&instance.mount()));
    let skips = include_str!("../../../behaviour/skips/samba.txt");
    assert_good(&front, &simulator, skips);
}

/// All capabilities but those.
fn all_but(lacks: &[Capability]) -> std::collections::BTreeSet<Capability> {
    let all = Capability::ALL.into_iter();
    all.filter(|capability| !lacks.contains(capability))
        .collect()
}
