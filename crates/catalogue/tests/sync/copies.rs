//! Copies of one release in several accounts, and what their providers say of them.

use debridfs_catalogue::{ALL, Catalogue, Contents, Health, Library};
use debridfs_provider::{DifferingCopy, Error, Source, TorrentStatus, Verdict};

use crate::bench::{Bench, all, pass};
use crate::fake::{Fake, Fault, hash, id, name, torrent};

fn refusal(verdict: Verdict) -> Error {
    Error {
        provider: "rd".into(),
        verdict,
        http_status: None,
        code: None,
        retry_after: None,
        message: format!("it says {}", verdict.label()),
    }
}

/// The first source of the release.
fn source(catalogue: &Catalogue) -> Source {
    let library = catalogue.library().borrow().clone();
    let release = &library.release(hash(3)).unwrap().release;
    let Contents::Known(tree) = &release.contents else {
        panic!("its files are not known")
    };
    tree.sources(&tree.files[0]).next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_release_in_two_accounts_is_one_with_two_copies() {
    let (rd, ad) = (Fake::with(5), Fake::named("ad"));
    let mut other = torrent(3, 2);
    other.summary.id.0 = "other".to_owned();
    // As a vendor that never heard of leading slashes writes it.
    for file in &mut other.files {
        file.path = file.path.replace('/', "\\");
    }
    ad.add(other);
    let mut coming = torrent(3, 2);
    coming.summary.id.0 = "coming".to_owned();
    coming.summary.status = TorrentStatus::Downloading;
    coming.summary.links.clear();
    ad.add(coming);
    let mut bench = Bench::new(rd.clone());
    bench.others.push(ad);
    let run = bench.start().await;
    run.until_complete().await;
    run.until("all", |library| all(library).len() == 5).await;
    let library = run.library();
    let entry = library.release(hash(3)).unwrap();
    let release = &entry.release;
    assert_eq!(release.providers().collect::<Vec<_>>(), ["rd", "ad"]);
    let copies = release.copies.iter();
    let copies: Vec<_> = copies.map(|copy| run.catalogue.report_of(copy)).collect();
    let shown: Vec<_> = copies
        .iter()
        .map(|copy| (&*copy.provider, &*copy.id.0, copy.health))
        .collect();
    assert_eq!(
        shown,
        [
            ("rd", &*id(3).0, Health::Good),
            ("ad", "other", Health::Good),
            ("ad", "coming", Health::NotReady),
        ]
    );
    let tree = release.tree().unwrap();
    assert_eq!(tree.files.len(), 2);
    for file in &tree.files {
        let sources: Vec<_> = tree.sources(file).map(|source| source.provider).collect();
        assert_eq!(sources, ["rd", "ad"]);
    }
    let status = run.catalogue.status().copies;
    assert_eq!((status.total, status.spared, status.refused), (7, 1, 0));

    // The first account lets go of it: the same files, from the other one.
    let before: Vec<_> = tree.files.iter().map(|file| file.id).collect();
    rd.remove(3);
    run.until("one copy less", |library| {
        let release = &library.release(hash(3)).unwrap().release;
        release.held().count() == 2
    })
    .await;
    let library = run.library();
    let tree = library.release(hash(3)).unwrap().release.tree().unwrap();
    let after: Vec<_> = tree.files.iter().map(|file| file.id).collect();
    assert_eq!(after, before);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_verdict_on_a_copy_outlives_a_restart_until_it_is_taken_back() {
    let bench = Bench::new(Fake::with(5));
    let run = bench.start().await;
    run.until_complete().await;
    let source = source(&run.catalogue);
    let copy = run.catalogue.copies(hash(3)).await.remove(0);
    let links = run.catalogue.links();
    links.asked(&source, Ok(()));
    links.asked(&source, Err(&refusal(Verdict::Retry)));
    assert_eq!(run.catalogue.report_of(&copy).verdict, None);
    links.asked(&source, Err(&refusal(Verdict::Infringing)));
    let status = run.catalogue.status().copies;
    assert_eq!((status.refused, &status.lines[0].0), (1, &name(3)));
    let said = run.catalogue.report_of(&copy).verdict.unwrap();
    assert_eq!(said.verdict.as_deref(), Some("infringing"));
    pass(1).await;
    run.stop().await;

    let run = bench.start().await;
    let again = run.catalogue.report_of(&copy).verdict.unwrap();
    assert_eq!(again, said);
    run.catalogue.links().asked(&source, Ok(()));
    // A stop stores what was noted last.
    run.stop().await;
    let run = bench.start().await;
    let last = run.catalogue.report_of(&copy).verdict.unwrap();
    assert_eq!(last.verdict, None);
    assert_eq!(run.catalogue.status().copies.refused, 0);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_mark_of_a_copy_that_differs_outlives_a_restart() {
    let bench = Bench::new(Fake::with(5));
    let run = bench.start().await;
    run.until_complete().await;
    let library = run.library();
    let tree = library.release(hash(3)).unwrap().release.tree().unwrap();
    let mark = DifferingCopy {
        file: tree.files[0].id.0,
        provider: "rd".into(),
        torrent: id(3),
    };
    let links = run.catalogue.links();
    assert_eq!(links.differing(), []);
    links.differs(mark.clone());
    links.differs(mark.clone());
    pass(1).await;
    run.stop().await;
    let run = bench.start().await;
    assert_eq!(run.catalogue.links().differing(), [mark]);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_info_call_that_is_refused_is_a_verdict() {
    let fake = Fake::with(2);
    fake.inside()
        .broken_infos
        .insert(id(1), (1, Verdict::NotFound));
    let bench = Bench::new(fake);
    let run = bench.start().await;
    run.until_complete().await;
    let copy = run.catalogue.copies(hash(1)).await.remove(0);
    let said = run.catalogue.report_of(&copy).verdict.unwrap();
    assert_eq!(said.verdict, None, "answered, after it had been refused");
    let other = run.catalogue.copies(hash(0)).await.remove(0);
    assert_eq!(run.catalogue.report_of(&other).verdict, None);
    run.stop().await;
}

/// Whichever account is in trouble, and both at a start, every view shows what it did.
#[tokio::test(start_paused = true)]
async fn an_account_in_trouble_loses_neither_entries_nor_copies() {
    let (rd, ad) = (Fake::with(60), Fake::named("ad"));
    for number in 40..100 {
        let mut other = torrent(number, 1);
        other.summary.id.0 = format!("ad{number}");
        ad.add(other);
    }
    let mut bench = Bench::new(rd.clone());
    bench.others.push(ad.clone());
    let run = bench.start().await;
    run.until_complete().await;
    run.until("all", |library| all(library).len() == 100).await;
    let shown = |library: &Library| {
        let views = [ALL, "rd", "ad"].map(|name| library.view(name).unwrap().entries.clone());
        views.map(|entries| {
            let entries = entries.iter();
            let shown = entries.map(|entry| (entry.name.clone(), entry.release.held().count()));
            shown.collect::<Vec<_>>()
        })
    };
    let before = shown(&run.library());
    assert_eq!(before.each_ref().map(Vec::len), [100, 60, 60]);
    let faults = [
        Fault::Fails(Verdict::AccountRefused),
        Fault::Fails(Verdict::Retry),
        Fault::Empty,
        Fault::Half,
    ];
    for fault in faults {
        for account in [&rd, &ad] {
            account.inside().fault = Some(fault);
            for _ in 0..30 {
                pass(10).await;
                assert_eq!(shown(&run.library()), before, "{fault:?}");
            }
            account.inside().fault = None;
            pass(60).await;
        }
    }
    for account in [&rd, &ad] {
        account.inside().fault = Some(Fault::Fails(Verdict::Retry));
    }
    run.kill().await;
    let run = bench.start().await;
    assert_eq!(shown(&run.library()), before);
    pass(600).await;
    assert_eq!(shown(&run.library()), before);
    run.stop().await;
}
