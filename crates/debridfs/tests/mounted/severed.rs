//! The network is gone for ten seconds, for real: a link between two network namespaces is taken down.

use std::time::{Duration, Instant};

use crate::support::{Instance, Network, Reader, Settings, Simulator, film, run, until};

const CUT: Duration = Duration::from_secs(10);

#[test]
fn ten_seconds_without_a_network_are_a_pause() {
    let network = Network::new();
    let films = ["buffered", "direct", "mmap"];
    let releases = films.map(|name| film(name, 8 << 30)).into();
    let simulator = Simulator::start_on(network.host(), releases);
    let mut instance = Instance::prepare(&simulator, Settings::default());
    instance.launch_by(&network.enter());
    instance.wait_synced();
    let readers = films.map(|mode| {
        let (name, key) = simulator.file(&format!("{mode}.mkv"));
        let path = instance.mount().join("__all__").join(mode).join(name);
        (mode, Reader::start(mode, &path, key))
    });
    until("all films are read", Duration::from_secs(120), || {
        simulator.unrestricted() == 3
    });
    std::thread::sleep(Duration::from_secs(1));
    let restarts = instance.status()["keeper"]["restarts"].clone();

    network.cut();
    let cut = Instant::now();
    while cut.elapsed() < CUT {
        // Walking needs no network.
        let listed = run(
            "timeout",
            &[
                "-s",
                "KILL",
                "15",
                "ls",
                "-l",
                instance
                    .mount()
                    .join("__all__/direct")
                    .to_str()
                    .expect("text"),
            ],
        );
        assert!(listed.contains("direct.mkv"), "{listed}");
        std::thread::sleep(Duration::from_millis(500));
    }
    network.mend();
    let transfers = simulator.cdn_requests();
    until("bytes come again", Duration::from_secs(120), || {
        simulator.cdn_requests() > transfers
    });
    println!(
        "first request {:.1} s after the cut began",
        cut.elapsed().as_secs_f64()
    );
    std::thread::sleep(Duration::from_secs(1));
    let mut worst = 0.0_f64;
    for (mode, reader) in readers {
        let outcome = reader.finish();
        println!("{mode}: {outcome:?}");
        outcome.assert_clean(mode);
        worst = worst.max(outcome.worst_ms);
    }
    println!("10 s network cut: worst read {worst:.0} ms");
    assert!(
        worst > 5000.0,
        "nobody noticed that there was no network: {worst} ms"
    );
    assert_eq!(instance.status()["keeper"]["restarts"], restarts);
    until("all is well", Duration::from_secs(120), || {
        instance.status()["healthy"] == true
    });
}
