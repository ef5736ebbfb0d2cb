//! The first sync is not a small library: nothing is shown before all that is there has its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use debridfs_catalogue::{CatalogueConfig, FolderConfig, FolderNaming, Library, ViewRules};
use debridfs_provider::Verdict;
use sqlx::{ConnectOptions, Connection};

use crate::bench::{Bench, Run, all, known, pass, view};
use crate::fake::{Fake, Fault, hash, id, name, torrent};

/// With names that need an info call for each torrent, and a folder.
fn original(bench: &Bench) -> CatalogueConfig {
    let mut config = bench.config();
    let names = std::iter::once("rd").chain(bench.others.iter().map(|_| "ad"));
    let folder: FolderConfig = serde_json::from_value(serde_json::json!({
        "filters": { "include": "Release" }
    }))
    .unwrap();
    let folders = BTreeMap::from([("films".to_owned(), folder)]);
    let names = names.map(str::to_owned).collect();
    config.views = ViewRules::new(FolderNaming::OriginalNoExt, names, &folders).unwrap();
    config
}

/// Two accounts of `each` torrents of their own.
fn two(each: u32) -> Bench {
    let ad = Fake::named("ad");
    for number in 1000..1000 + each {
        ad.add(torrent(number, 2));
    }
    let mut bench = Bench::new(Fake::with(each));
    bench.others.push(ad);
    bench
}

fn waiting(library: &Library) -> Vec<&str> {
    library.waiting.iter().map(String::as_str).collect()
}

/// Every library that is published until `over`, none of which may show a part.
async fn never_partial(run: &Run, whole: usize) {
    let mut library = run.catalogue.library();
    loop {
        let now: Arc<Library> = library.borrow_and_update().clone();
        if now.listed {
            assert_eq!(all(&now).len(), whole);
            return assert_eq!(waiting(&now), [""; 0]);
        }
        assert_eq!(waiting(&now), ["__all__", "__bad__", "films", "rd"]);
        library.changed().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_need_a_call_each_show_all_at_once_also_after_a_kill_half_way() {
    let bench = Bench::new(Fake::with(800));
    let run = bench.start_with(original(&bench)).await;
    pass(90).await;
    let status = run.catalogue.status();
    assert!(!status.listed && status.releases == 0, "{status:?}");
    let first = status.providers[0].first_sync.unwrap();
    assert_eq!(first.total, 800);
    assert!((480..500).contains(&first.named), "{first:?}");
    let left = first.seconds_left.unwrap();
    assert!((30..=90).contains(&left), "{left}: 300 at 250 a minute");
    assert!(
        run.catalogue.demand(hash(1)).await.is_err(),
        "nobody waits for it"
    );
    run.kill().await;
    let run = bench.start_with(original(&bench)).await;
    let again = run.catalogue.status().providers[0].first_sync.unwrap();
    assert_eq!(again.total, 800);
    // A kill may lose what was on its way.
    assert!(again.named + 8 >= first.named, "{again:?}");
    never_partial(&run, 800).await;
    let library = run.library();
    assert!(
        library
            .all()
            .iter()
            .all(|entry| library.was_there_first(&entry.release))
    );
    assert_eq!(run.catalogue.status().providers[0].first_sync, None);
    bench.fake.add(torrent(800, 2));
    run.until("the new one", |library| known(library, hash(800)))
        .await;
    let library = run.library();
    let new = library.release(hash(800)).unwrap();
    assert!(!library.was_there_first(&new.release));
    run.stop().await;
    // Shown once, it is shown at once ever after.
    bench.fake.inside().fault = Some(Fault::Fails(Verdict::Retry));
    let run = bench.start_with(original(&bench)).await;
    never_partial(&run, 801).await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn all_accounts_of_the_first_start_are_waited_for() {
    let bench = two(50);
    bench.others[0].inside().fault = Some(Fault::Fails(Verdict::Retry));
    for _ in 0..2 {
        let run = bench.start_with(original(&bench)).await;
        let own = |library: &Library| view(library, "rd").len() == 50;
        run.until("its own view", own).await;
        pass(600).await;
        let library = run.library();
        assert!(!library.listed && library.answers("rd"));
        assert_eq!(waiting(&library), ["__all__", "__bad__", "ad", "films"]);
        run.kill().await;
    }
    bench.others[0].inside().fault = None;
    let run = bench.start_with(original(&bench)).await;
    run.until("all", |library| library.listed).await;
    assert_eq!(all(&run.library()).len(), 100);
    assert_eq!(waiting(&run.library()), [""; 0]);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_one_account_holds_the_others_up_for_an_hour_and_no_longer() {
    let bench = two(50);
    bench.others[0].inside().fault = Some(Fault::Fails(Verdict::Retry));
    let run = bench.start_with(original(&bench)).await;
    pass(3500).await;
    let patience = || {
        run.catalogue.status().providers[1]
            .first_sync
            .unwrap()
            .patience
    };
    assert!(!run.library().listed);
    assert!(
        (80..=100).contains(&patience().unwrap()),
        "{:?}",
        patience()
    );
    // An answer, be it a useless one, is no outage: the time starts over.
    bench.others[0].inside().fault = None;
    bench.others[0]
        .inside()
        .broken_infos
        .extend((1000..1050).map(|number| (id(number), (1_000_000, Verdict::Malformed))));
    pass(200).await;
    assert!(!run.library().listed && patience().is_none(), "it answers");
    bench.others[0].inside().fault = Some(Fault::Fails(Verdict::Retry));
    pass(3500).await;
    assert!(!run.library().listed);
    pass(200).await;
    for run in [run, bench.start_with(original(&bench)).await] {
        let library = run.library();
        assert!(library.listed);
        assert_eq!(waiting(&library), ["ad"]);
        assert_eq!(all(&library).len(), 50);
        run.kill().await;
    }
    bench.others[0].inside().fault = None;
    bench.others[0].inside().broken_infos.clear();
    let run = bench.start_with(original(&bench)).await;
    run.until("its view", |library| library.answers("ad")).await;
    assert_eq!(all(&run.library()).len(), 100, "it comes as a whole");
    let library = run.library();
    assert!(library.was_there_first(&library.release(hash(1001)).unwrap().release));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_refused_for_good_lets_its_own_view_wait_alone() {
    let bench = two(50);
    let refused = Some(Fault::Fails(Verdict::AccountRefused));
    bench.others[0].inside().fault = refused;
    let run = bench.start_with(original(&bench)).await;
    pass(50).await;
    assert!(!run.library().listed, "one refusal may be a mistake");
    pass(30).await;
    for run in [run, bench.start_with(original(&bench)).await] {
        let library = run.library();
        assert!(library.listed);
        assert_eq!(waiting(&library), ["ad"]);
        assert_eq!(all(&library).len(), 50);
        run.kill().await;
    }
    // A token that is right at last.
    bench.others[0].inside().fault = None;
    let run = bench.start_with(original(&bench)).await;
    let mut library = run.catalogue.library();
    while !library.borrow().waiting.is_empty() {
        assert_eq!(all(&library.borrow()).len(), 50, "it comes as a whole");
        library.changed().await.unwrap();
    }
    let library = run.library();
    assert_eq!((all(&library).len(), view(&library, "ad").len()), (100, 50));
    assert!(library.was_there_first(&library.release(hash(1001)).unwrap().release));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_comes_later_blanks_nothing() {
    let mut bench = Bench::new(Fake::with(50));
    let run = bench.start_with(original(&bench)).await;
    run.until("all", |library| library.listed).await;
    run.stop().await;
    bench.others = two(50).others;
    bench.others[0].inside().fault = Some(Fault::Fails(Verdict::Retry));
    let run = bench.start_with(original(&bench)).await;
    pass(60).await;
    assert_eq!(waiting(&run.library()), ["ad"]);
    assert_eq!(all(&run.library()).len(), 50);
    assert_eq!(view(&run.library(), "films").len(), 50);
    bench.others[0].inside().fault = None;
    run.until("its view", |library| library.answers("ad")).await;
    assert_eq!(all(&run.library()).len(), 100);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_version_before_showed_is_shown_at_once() {
    let bench = Bench::new(Fake::with(800));
    let run = bench.start_with(original(&bench)).await;
    pass(90).await;
    run.kill().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path());
    let mut store = options.connect().await.unwrap();
    sqlx::query("DELETE FROM first_sync")
        .execute(&mut store)
        .await
        .unwrap();
    store.close().await.unwrap();
    let run = bench.start_with(original(&bench)).await;
    let library = run.library();
    assert!(library.listed);
    let shown = all(&library).len();
    assert!((470..500).contains(&shown), "{shown}");
    run.until_complete().await;
    let library = run.library();
    assert!(
        library
            .all()
            .iter()
            .all(|entry| library.was_there_first(&entry.release))
    );
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_torrent_that_is_never_told_holds_nothing_up() {
    let bench = Bench::new(Fake::with(100));
    let never = (12, Verdict::Malformed);
    bench.fake.inside().broken_infos.insert(id(7), never);
    let run = bench.start_with(original(&bench)).await;
    run.until("all others", |library| library.listed).await;
    assert_eq!(all(&run.library()).len(), 99);
    assert!(
        run.catalogue.status().complete,
        "hooks wait for it no longer"
    );
    run.until("it comes at last", |library| {
        all(library).contains(&name(7))
    })
    .await;
    let library = run.library();
    assert!(library.was_there_first(&library.release(hash(7)).unwrap().release));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_tells_of_no_torrent_is_no_small_library() {
    let bench = Bench::new(Fake::with(100));
    for number in 0..40 {
        let broken = (12, Verdict::Malformed);
        bench.fake.inside().broken_infos.insert(id(number), broken);
    }
    let run = bench.start_with(original(&bench)).await;
    pass(600).await;
    assert!(!run.library().listed, "40 of 100 are not few");
    run.until("all", |library| library.listed).await;
    assert!(all(&run.library()).len() > 79);
    run.stop().await;
}
