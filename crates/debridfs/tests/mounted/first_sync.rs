//! The first sync is not a small library: what is half named looks like nothing at all.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use debridfs_sim::ApiFault;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::supervised::probed;
use crate::support::{Instance, Settings, Simulator, film, until};

const RELEASES: u32 = 200;

fn named(instance: &Instance) -> Option<u64> {
    instance.try_status()?["library"]["first_sync"][0]["named"].as_u64()
}

fn readyz(instance: &Instance) -> (u16, String) {
    let listen = instance.status()["engine"]["listen"].clone();
    let address: SocketAddr = listen.as_str().expect("it listens").parse().expect("one");
    probed(address, "/readyz")
}

/// Names in `__all__`, or the error.
fn listing(instance: &Instance) -> Result<usize, Errno> {
    let listed = fs::read_dir(instance.mount().join("__all__")).and_then(|all| {
        let lines: Result<Vec<_>, _> = all.collect();
        Ok(lines?.len())
    });
    listed.map_err(|error| Errno::from_io_error(&error).expect("an error of the system"))
}

#[test]
fn names_that_need_a_call_each_show_all_at_once_and_are_not_new() {
    let films = (0..RELEASES).map(|number| film(&format!("Film.{number:03}.2024"), 60 << 20));
    let simulator = Simulator::start(films.collect());
    simulator.calls_per_minute(0);
    simulator.api_fault(ApiFault {
        endpoint: Some("torrents/info".to_owned()),
        delay_ms: 250,
        ..ApiFault::default()
    });
    let settings = Settings {
        library: "folder_naming = \"original_no_ext\"\n".to_owned(),
        provider: "calls_per_minute = 100000\n".to_owned(),
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start_unready(&simulator, settings);
    let limit = Duration::from_secs(120);
    until("some are named", limit, || {
        named(&instance).is_some_and(|named| named > 20)
    });
    assert_eq!(listing(&instance), Err(Errno::IO));
    let (code, reasons) = readyz(&instance);
    assert_eq!(code, 503, "{reasons}");
    assert!(reasons.contains("of 200 named"), "{reasons}");
    let status = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["status", "--socket"])
        .arg(instance.runtime().join("control.sock"))
        .output()
        .expect("debridfs status runs");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains("first sync of rd: ") && status.contains(" of 200 named"),
        "{status}"
    );

    assert!(instance.signal_engine(Signal::KILL));
    let mut looks = 0;
    until("all is shown", limit, || match listing(&instance) {
        Ok(names) => {
            assert_eq!(names, RELEASES as usize, "after {looks} looks");
            true
        }
        Err(error) => {
            assert_eq!(error, Errno::IO);
            looks += 1;
            false
        }
    });
    assert!(looks > 0, "the next engine began where the first one was");
    until("it is ready", limit, || readyz(&instance).0 == 200);
    instance.wait_synced();

    // None of them was new, and one that comes is.
    simulator.clear_faults();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(simulator.bytes_sent(), 0);
    simulator.add(film("New.2026", 60 << 20));
    until("the new one is fetched ahead", limit, || {
        simulator.bytes_sent() > 2 << 20
    });
    assert!(simulator.bytes_sent() < 10 << 20);
}
