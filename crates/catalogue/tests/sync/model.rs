//! The sync against a reference: whatever happens, what the account holds is never taken away, and in the end the library is the
//! account.

use std::collections::BTreeSet;

use debridfs_provider::{TorrentStatus, Verdict};
use proptest::prelude::*;

use crate::bench::{Bench, all, pass};
use crate::fake::{Fake, Fault, name, torrent};

/// Before anything happens. Removing all that [`Step`]s remove leaves so many that half of them is a loss to be held.
const AT_FIRST: u32 = 70;

#[derive(Debug, Clone)]
enum Step {
    Add,
    /// In the order of the list, which is circular.
    Remove(usize),
    /// Its state is another one for a while: being downloaded anew, or failed.
    Status(usize, bool),
    /// Every torrent is ready again.
    Ready,
    /// For so many seconds.
    Fault(Fault, u64),
    Pass(u64),
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Cut),
        Just(Fault::Half),
        Just(Fault::Empty),
        Just(Fault::Unreadable),
        Just(Fault::TotalMoves),
        Just(Fault::SamePage),
        Just(Fault::NoCount),
        Just(Fault::Fails(Verdict::Retry)),
        Just(Fault::Fails(Verdict::AccountRefused)),
    ];
    prop_oneof![
        3 => Just(Step::Add),
        2 => any::<usize>().prop_map(Step::Remove),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, fails)| Step::Status(which, fails)),
        1 => Just(Step::Ready),
        3 => (fault, 1u64..600).prop_map(|(fault, seconds)| Step::Fault(fault, seconds)),
        3 => (1u64..100).prop_map(Step::Pass),
        1 => Just(Step::Kill),
    ]
}

fn held(fake: &Fake) -> BTreeSet<String> {
    fake.inside()
        .torrents
        .iter()
        .map(|torrent| torrent.summary.filename.clone())
        .collect()
}

async fn follow(steps: Vec<Step>, page: usize) {
    let fake = Fake::with(AT_FIRST);
    fake.inside().page = page;
    let bench = Bench::new(fake.clone());
    let mut run = bench.start().await;
    run.until_complete().await;
    let mut shown = all(&run.library());
    assert_eq!(shown.len(), AT_FIRST as usize);
    let mut next = AT_FIRST;
    let mut removed = 0;
    for step in steps {
        match &step {
            Step::Add => {
                fake.add(torrent(next, 1));
                next += 1;
            }
            Step::Remove(which) if removed < 15 => {
                let mut inside = fake.inside();
                let which = which % inside.torrents.len();
                inside.torrents.remove(which);
                removed += 1;
            }
            Step::Remove(_) => {}
            Step::Status(which, fails) => {
                let mut inside = fake.inside();
                let which = which % inside.torrents.len();
                let summary = &mut inside.torrents[which].summary;
                summary.status = if *fails {
                    TorrentStatus::Error
                } else {
                    TorrentStatus::Downloading
                };
            }
            Step::Ready => {
                for torrent in &mut fake.inside().torrents {
                    torrent.summary.status = TorrentStatus::Downloaded;
                }
            }
            Step::Fault(fault, seconds) => {
                fake.inside().fault = Some(*fault);
                pass(*seconds).await;
                fake.inside().fault = None;
                // A fault that comes back at once cannot be told from one that lasts.
                pass(65).await;
            }
            Step::Pass(seconds) => pass(*seconds).await,
            Step::Kill => {
                run.kill().await;
                run = bench.start().await;
            }
        }
        let library = all(&run.library());
        let account = held(&fake);
        let lost: Vec<_> = shown
            .intersection(&account)
            .filter(|name| !library.contains(*name))
            .collect();
        assert!(lost.is_empty(), "{step:?} took {lost:?}");
        shown.extend(library);
    }
    for torrent in &mut fake.inside().torrents {
        torrent.summary.status = TorrentStatus::Downloaded;
    }
    // Larger losses than the guard lets through need their two lists; a change deep in the list its full one.
    pass(6 * 3600 + 1800).await;
    assert_eq!(all(&run.library()), held(&fake));
    let status = run.catalogue.status();
    assert!(status.complete && status.held.is_empty(), "{status:#?}");
    assert_eq!(status.providers[0].trouble, None);
    assert!(!all(&run.library()).contains(&name(next)));
    run.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    })]
    #[test]
    fn nothing_held_is_ever_taken_away_and_the_end_is_the_account(
        steps in proptest::collection::vec(step(), 1..14),
        page in prop_oneof![Just(20usize), Just(5000)],
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(follow(steps, page));
    }
}
