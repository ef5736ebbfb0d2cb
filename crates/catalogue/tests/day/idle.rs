//! What it costs to watch an account in which nothing happens, and how soon it shows what does.

use std::time::Duration;

use debridfs_sim::{ReleaseSpec, Service};
use tokio::time::{Instant, sleep, timeout};

use crate::watched::{
    ALL, ALL_DEBRID, DEBRID_LINK, LOOKS_APART, MINUTE, PREMIUMIZE, REAL_DEBRID, TORBOX, Vendor,
    Watched, account, film, simulated,
};

async fn watched(vendor: Vendor) -> Watched {
    let sim = simulated(vendor.sim);
    let account = account(vendor.kind, &sim, &[]);
    Watched::new(sim, account, LOOKS_APART).await
}

#[tokio::test(start_paused = true)]
async fn an_idle_account_costs_few_calls() {
    for (vendor, most) in [
        (REAL_DEBRID, 11.4),
        (TORBOX, 7.9),
        (ALL_DEBRID, 4.0),
        (DEBRID_LINK, 7.9),
        (PREMIUMIZE, 7.9),
    ] {
        let watched = watched(vendor).await;
        watched.sim.reset_counters();
        sleep(30 * MINUTE).await;
        let calls = watched.sim.counters().calls as f64 / 30.0;
        println!("{}: {calls:.2} calls a minute", vendor.kind.word);
        assert!(calls <= most, "{}: {calls}", vendor.kind.word);
        assert!(calls > 3.0, "{}: {calls}", vendor.kind.word);
        watched.end().await;
    }
}

/// Adds `release` elsewhere, and says how long it takes to show.
async fn shows(watched: &Watched, release: &ReleaseSpec) -> Duration {
    let begun = Instant::now();
    watched.sim.add_release(0, release).unwrap();
    let mut library = watched.catalogue.library();
    let shown = library.wait_for(|library| {
        let mut entries = library.all().iter();
        entries.any(|entry| entry.name.contains(&release.name))
    });
    let shown = timeout(10 * MINUTE, shown).await;
    let shown = shown.unwrap_or_else(|_| panic!("{} never shows", release.name));
    drop(shown.unwrap());
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn what_is_new_in_an_idle_account_shows_in_time() {
    for vendor in ALL {
        let watched = watched(vendor).await;
        // As docs/benchmarks.md has it.
        let within = Duration::from_secs(match vendor.kind.word {
            "alldebrid" => 20,
            "premiumize" => 75,
            _ => 15,
        });
        let mut longest = Duration::ZERO;
        for number in 0..8 {
            // At another moment between two looks each time.
            sleep(MINUTE + number * Duration::from_millis(2100)).await;
            let took = shows(&watched, &film(&format!("New-{number}"))).await;
            assert!(took <= within, "{}: {took:?}", vendor.kind.word);
            longest = longest.max(took);
        }
        println!("{}: shows within {longest:.1?}", vendor.kind.word);
        watched.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn usenet_and_web_downloads_show_in_time() {
    let watched = watched(TORBOX).await;
    for (number, service) in [Service::Usenet, Service::Webdl]
        .repeat(3)
        .iter()
        .enumerate()
    {
        sleep(3 * MINUTE + u32::try_from(number).unwrap() * Duration::from_secs(13)).await;
        let release = ReleaseSpec {
            service: *service,
            ..film(&format!("Other-{number}"))
        };
        let took = shows(&watched, &release).await;
        assert!(took <= Duration::from_secs(90), "{took:?}");
    }
    watched.end().await;
}
