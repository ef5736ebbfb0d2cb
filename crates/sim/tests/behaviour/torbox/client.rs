//! The simulator driven by a client that others wrote, the vendor's own for Python: `torbox-api`, which `scripts/setup.sh` puts below
//! `target/tools`.

use debridfs_sim::{LibrarySpec, ServeOptions, Service};

use super::support::{HASH, film, torbox};
use crate::support::{foreign_client, served};

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_own_package_is_content() {
    let mut releases = vec![film("Held.2024"), film("Wanted.2024")];
    (releases[1].hash, releases[1].copies) = (Some(HASH.to_owned()), 0);
    for (name, service) in [("By.Nzb", Service::Usenet), ("By.Link", Service::Webdl)] {
        let mut release = film(name);
        release.service = service;
        releases.push(release);
    }
    let sim = torbox(&LibrarySpec { seed: 9, releases });
    let served = served(&sim, ServeOptions::default()).await;
    let view = sim.torrents(0).unwrap();
    let held = view.iter().find(|view| view.filename == "Held.2024");
    let link = held.unwrap().files[0].link.clone().unwrap();
    let expected = sim.expected(0, &link, 1000, 64).unwrap();
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    let arguments = [served.base_url(), &sim.token(), HASH, &expected];
    foreign_client("torbox/client.py", arguments).await;
    // What the client did shows in the account.
    assert_eq!(sim.torrents(0).unwrap().len(), 4);
    assert_eq!(sim.counters().outcome("torrents/createtorrent", "200"), 2);
}
