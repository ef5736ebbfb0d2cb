//! The front driven by a client that others wrote: `qbittorrent-api`, which `scripts/setup.sh` puts below `target/tools`.

use std::path::Path;

use debridfs_acquire::qbittorrent::{Credentials, router};
use debridfs_base::Secret;
use debridfs_listen::{Limits, Listeners};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::{HASH, World, cached};

#[tokio::test]
async fn the_package_that_tools_are_built_on_is_content() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let credentials = Credentials {
        user: "admin".to_owned(),
        password: Some(Secret::new("adminadmin")),
        ..Credentials::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listeners = Listeners::new(Limits::default());
    let router = router(
        world.acquire.clone(),
        credentials,
        listeners.attempts().clone(),
    );
    tokio::spawn(listeners.front("test").serve(listener, router));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/tools/python/bin/python");
    let said = Command::new(&python)
        .arg(root.join("tests/queue/client.py"))
        .args([port.to_string().as_str(), HASH])
        .output()
        .await;
    let said = said.unwrap_or_else(|error| {
        let python = python.display();
        panic!("{python}: {error} (scripts/setup.sh test makes it)")
    });
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{words}");
    let last = String::from_utf8_lossy(&said.stdout);
    assert_eq!(last.trim(), "all calls did as they say");
    assert!(world.acquire.jobs().is_empty());
}
