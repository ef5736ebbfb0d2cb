//! Lists that lie and providers that fail: the tree stays, and the status says so.

use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::Verdict;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, all, known, pass};
use crate::fake::{Fake, Fault, hash, name, torrent};

/// 100 torrents on pages of 30; one goes and one comes while `fault` lasts for ten minutes.
async fn nothing_goes_during(fault: Fault) {
    let fake = Fake::with(100);
    fake.inside().page = 30;
    let bench = Bench::new(fake);
    let run = bench.start().await;
    run.until_complete().await;
    let before = all(&run.library());
    assert_eq!(before.len(), 100);
    bench.fake.remove(40);
    bench.fake.add(torrent(100, 1));
    bench.fake.inside().fault = Some(fault);
    let since = bench.clock.now();
    let calls = {
        let inside = bench.fake.inside();
        inside.lists as usize + inside.infos.len()
    };
    for _ in 0..60 {
        pass(10).await;
        assert!(all(&run.library()).is_superset(&before), "{fault:?}");
    }
    let status = run.catalogue.status();
    let trouble = status.providers[0]
        .trouble
        .clone()
        .unwrap_or_else(|| panic!("{fault:?}: {status:#?}"));
    let seen_after = trouble.since.duration_since(since).as_secs();
    assert!((0..=30).contains(&seen_after), "{fault:?}: {trouble:?}");
    assert!(trouble.last.duration_since(since).as_secs() > 500 || fault == Fault::Unreadable);
    assert!(status.listed && status.releases >= 100);
    let calls = {
        let inside = bench.fake.inside();
        inside.lists as usize + inside.infos.len() - calls
    };
    assert!(calls < 1000, "{fault:?}: {calls} calls in ten minutes");

    bench.fake.inside().fault = None;
    // A restart in trouble must be no worse; it may list at once.
    pass(400).await;
    assert!(!all(&run.library()).contains(&name(40)), "{fault:?}");
    assert!(known(&run.library(), hash(100)), "{fault:?}");
    let status = run.catalogue.status();
    assert_eq!(status.providers[0].trouble, None, "{fault:?}");
    assert!(status.providers[0].last_error.is_some());
    run.stop().await;
}

macro_rules! nothing_goes_during {
    ($($name:ident: $fault:expr;)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            nothing_goes_during($fault).await;
        })*
    };
}

nothing_goes_during! {
    a_list_cut_in_half: Fault::Cut;
    a_line_that_cannot_be_read: Fault::Unreadable;
    a_count_that_moves_between_pages: Fault::TotalMoves;
    pages_that_repeat: Fault::SamePage;
    a_list_without_a_count: Fault::NoCount;
    an_outage: Fault::Fails(Verdict::Retry);
    a_wrong_token: Fault::Fails(Verdict::AccountRefused);
    throttling: Fault::Fails(Verdict::BackOff);
    an_answer_in_html: Fault::Fails(Verdict::Malformed);
}

#[tokio::test(start_paused = true)]
async fn an_outage_from_the_start_shows_the_store() {
    let bench = Bench::new(Fake::with(50));
    let run = bench.start().await;
    run.until_complete().await;
    run.stop().await;
    bench.fake.inside().fault = Some(Fault::Fails(Verdict::Retry));
    let run = bench.start().await;
    pass(600).await;
    assert_eq!(all(&run.library()).len(), 50);
    let status = run.catalogue.status();
    assert!(status.listed && status.complete);
    assert_eq!(status.age_seconds, None, "never heard in this run");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn before_the_first_complete_list_nothing_counts_as_listed() {
    for fault in [
        Fault::Cut,
        Fault::TotalMoves,
        Fault::SamePage,
        Fault::NoCount,
        Fault::Fails(Verdict::Retry),
        Fault::Fails(Verdict::AccountRefused),
    ] {
        let fake = Fake::with(100);
        fake.inside().page = 30;
        fake.inside().fault = Some(fault);
        let bench = Bench::new(fake);
        let run = bench.start().await;
        pass(300).await;
        assert!(!run.library().listed, "{fault:?}");
        assert!(run.catalogue.status().providers[0].trouble.is_some());
        bench.fake.inside().fault = None;
        run.until("listed", |library| {
            library.listed && all(library).len() == 100
        })
        .await;
        run.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_with_an_unreadable_line_is_still_shown() {
    let fake = Fake::with(100);
    fake.inside().fault = Some(Fault::Unreadable);
    let bench = Bench::new(fake);
    let run = bench.start().await;
    run.until("listed", |library| library.listed).await;
    assert_eq!(all(&run.library()).len(), 99);
    let lists = bench.fake.inside().lists;
    pass(3600).await;
    let status = run.catalogue.status();
    assert_eq!(status.providers[0].unreadable, 1);
    assert!(bench.fake.inside().lists - lists <= 360 + 20);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_is_believed_after_a_second_call() {
    let bench = Bench::new(Fake::with(0));
    let run = bench.start().await;
    run.until("listed", |library| library.listed).await;
    assert_eq!(bench.fake.inside().lists, 2);
    assert!(run.catalogue.status().complete);
    bench.fake.add(torrent(1, 1));
    run.until("shown", |library| known(library, hash(1))).await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_panicked_is_run_again_and_owes_nothing() {
    let mut fake = Fake::with(20);
    Arc::get_mut(&mut fake).unwrap().latency = Duration::from_secs(3);
    let bench = Bench::new(fake);
    let catalogue = bench.open().await;
    let shutdown = CancellationToken::new();
    let first = tokio::spawn(catalogue.clone().run(shutdown.clone()));
    // Info calls are on their way when the next list meets the defect.
    pass(4).await;
    bench.fake.inside().panics = true;
    catalogue.look_now();
    assert!(first.await.unwrap_err().is_panic());
    assert!(!shutdown.is_cancelled(), "the process goes on");
    assert!(!catalogue.status().complete);
    let again = tokio::spawn(catalogue.clone().run(shutdown.clone()));
    let mut library = catalogue.library();
    while !catalogue.status().complete {
        library.changed().await.unwrap();
    }
    bench.fake.add(torrent(20, 1));
    library
        .wait_for(|library| known(library, hash(20)))
        .await
        .unwrap();
    pass(60).await;
    shutdown.cancel();
    again.await.unwrap();
    drop((catalogue, library));
    assert_eq!(all(&bench.open().await.library().borrow()).len(), 21);
}
