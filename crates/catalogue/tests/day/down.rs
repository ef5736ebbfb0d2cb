//! A start while all providers are down.

use std::sync::Arc;

use debridfs_catalogue::Catalogue;
use debridfs_provider::Provider;
use debridfs_sim::{Outage, OutageMode};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::watched::{ALL, HELD, MINUTE, account, catalogue, simulated};

/// Each view: its name, whether it answers, and what is in it.
fn shown(catalogue: &Catalogue) -> Vec<(String, bool, Vec<String>)> {
    let library = catalogue.library().borrow().clone();
    let views = library.views.iter().map(|view| {
        let names = view.entries.iter().map(|entry| entry.name.to_string());
        let answers = library.answers(&view.name);
        (view.name.clone(), answers, names.collect())
    });
    views.collect()
}

#[tokio::test(start_paused = true)]
async fn a_start_while_all_providers_are_down_shows_the_last_tree() {
    let sims = ALL.map(|vendor| {
        let sim = simulated(vendor.sim);
        (account(vendor.kind, &sim, &[]), sim)
    });
    let accounts = sims
        .iter()
        .map(|(account, _)| account.clone() as Arc<dyn Provider>);
    let providers: Vec<_> = accounts.collect();
    let dir = tempfile::tempdir().unwrap();
    let first = catalogue(&dir, providers.clone(), MINUTE).await;
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(first.clone().run(shutdown.clone()));
    let mut library = first.library();
    drop(library.wait_for(|_| first.status().complete).await.unwrap());
    sleep(MINUTE).await;
    let before = shown(&first);
    assert!(before[0].2.len() >= usize::from(HELD), "{before:?}");
    shutdown.cancel();
    task.await.unwrap();
    drop((library, first));
    for (_, sim) in &sims {
        sim.set_outage(Outage {
            api: OutageMode::Unavailable,
            cdn: OutageMode::Unavailable,
        });
    }
    let second = catalogue(&dir, providers, MINUTE).await;
    assert_eq!(shown(&second), before, "at once");
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(second.clone().run(shutdown.clone()));
    sleep(180 * MINUTE).await;
    assert_eq!(shown(&second), before, "after hours of it");
    shutdown.cancel();
    task.await.unwrap();
}
