//! Media servers are told what changed in the mounted library: `docs/hooks.md`.

use std::time::Duration;

use debridfs_sim::media_server::{Listener, MediaServer};
use serde_json::Value;

use crate::support::{Instance, Settings, Simulator, film, until};

#[test]
fn what_comes_and_goes_is_told_with_the_path_in_the_mount_and_the_first_sync_is_not() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let server = MediaServer::new(Listener::Jellyfin, "the-token");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = server.router();
    runtime.spawn(async move { axum::serve(listener, router).await });
    let toml = format!(
        "[hook.home]\nkind = \"jellyfin\"\nurl = \"http://{address}\"\ntoken = \"the-token\"\nviews = [\"__all__\"]\n"
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    // The first sync has to be over, and seen to be.
    until("the sync is complete", Duration::from_secs(60), || {
        instance.log().contains("the first sync is complete")
    });
    std::thread::sleep(Duration::from_secs(3));
    let id = simulator.add(film("New.2024", 1 << 20));
    let told = |count: usize| -> Vec<Value> {
        until("it is told", Duration::from_secs(120), || {
            server.told().len() >= count
        });
        let last = server.told().remove(count - 1);
        let said: Value = serde_json::from_str(&last).expect("JSON");
        said["Updates"].as_array().expect("a list").clone()
    };
    let path = instance.mount().join("__all__/New.2024");
    let updates = told(1);
    assert_eq!(updates.len(), 1, "{updates:?}");
    assert_eq!(updates[0]["Path"], path.to_str().expect("text"));
    assert_eq!(updates[0]["UpdateType"], "Modified");
    simulator.remove(&id);
    let updates = told(2);
    assert_eq!(updates[0]["Path"], path.to_str().expect("text"));
    assert_eq!(updates[0]["UpdateType"], "Deleted");
    assert_eq!(server.wrong(), [""; 0]);
    assert!(
        !instance.log().contains("the-token"),
        "the token is in the log"
    );
}
