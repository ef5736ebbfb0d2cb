//! Media servers are told what changed in the mounted library: `docs/hooks.md`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use debridfs_sim::media_server::{Listener, MediaServer};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Instance, Server, Settings, Simulator, film, until};

/// A Jellyfin, and an instance that tells it what changes in `__all__`; its first sync is over.
struct Home {
    server: MediaServer,
    instance: Instance,
    // Dropped last.
    _serving: Server,
}

impl Home {
    fn new(simulator: &Simulator) -> Self {
        let server = MediaServer::new(Listener::Jellyfin, "the-token");
        let serving = Server::start(server.router());
        let toml = format!(
            "[hook.home]\nkind = \"jellyfin\"\nurl = \"http://{}\"\ntoken = \"the-token\"\nviews = [\"__all__\"]\n",
            serving.address
        );
        let settings = Settings {
            toml,
            ..Settings::default()
        };
        let instance = Instance::start(simulator, settings);
        // The first sync has to be over, and seen to be.
        until("the library is kept", Duration::from_secs(60), || {
            instance.state().join("hooks.json").exists()
        });
        Self {
            server,
            instance,
            _serving: serving,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.instance.mount().join("__all__").join(name)
    }

    /// What the server was told by now, in its order: path and kind.
    fn told(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for body in self.server.told() {
            let said: Value = serde_json::from_str(&body).expect("JSON");
            for update in said["Updates"].as_array().expect("a list") {
                let text = |key: &str| update[key].as_str().expect("text").to_owned();
                all.push((text("Path"), text("UpdateType")));
            }
        }
        all
    }

    fn until_told(&self, name: &str, kind: &str) {
        let path = self.path(name).to_str().expect("text").to_owned();
        let what = format!("{name} is told");
        until(&what, Duration::from_secs(120), || {
            self.told().contains(&(path.clone(), kind.to_owned()))
        });
    }
}

#[test]
fn what_comes_and_goes_is_told_with_the_path_in_the_mount_and_the_first_sync_is_not() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let home = Home::new(&simulator);
    let id = simulator.add(film("New.2024", 1 << 20));
    home.until_told("New.2024", "Modified");
    simulator.remove(&id);
    home.until_told("New.2024", "Deleted");
    assert_eq!(home.told().len(), 2, "{:?}", home.told());
    assert_eq!(home.server.wrong(), [""; 0]);
    let log = home.instance.log();
    assert!(!log.contains("the-token"), "the token is in the log");
}

#[test]
fn what_waited_when_the_engine_was_killed_and_what_changed_while_there_was_none_is_told() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let mut home = Home::new(&simulator);
    home.server.fail_next(&[503; 1000]);
    let id = simulator.add(film("New.2024", 1 << 20));
    // Stored and shown, and not told: all that is known of the change dies with the engine.
    until("it is shown", Duration::from_secs(60), || {
        home.path("New.2024").exists()
    });
    let engine = home.instance.engine_pid();
    assert!(home.instance.signal_engine(Signal::KILL));
    until("another engine", Duration::from_secs(60), || {
        home.instance.engine_pid() != engine
    });
    // Long enough for a call: what is refused waits once more.
    until("it was tried", Duration::from_secs(120), || {
        home.instance
            .log()
            .contains("cannot be told of changes yet")
    });
    home.instance.stop();
    simulator.remove(&simulator.id("First.2024"));
    simulator.add(film("Later.2024", 1 << 20));
    home.server.fail_next(&[]);
    home.instance.launch();
    home.until_told("New.2024", "Modified");
    home.until_told("Later.2024", "Modified");
    home.until_told("First.2024", "Deleted");
    simulator.remove(&id);
    home.until_told("New.2024", "Deleted");
    let paths: BTreeSet<_> = home.told().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert_eq!(home.server.wrong(), [""; 0]);
}
