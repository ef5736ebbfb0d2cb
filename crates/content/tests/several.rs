//! One file at several accounts: readers go on while copies die in turn, never mix copies that differ, and come back by themselves.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use debridfs_cdn::EventKind;
use debridfs_content::{Content, FileRef};
use debridfs_provider::{HosterLink, Source, TorrentId, Verdict};
use support::{Answer, Cdn, LONG, MIB, MemoryLinks, TestProvider, checked, quick, source};
use tokio::runtime::Handle;
use tokio::time::Instant;

const SIZE: u64 = 16 * MIB;
const READ: u32 = 128 << 10;
/// The provider whose links lead to the bytes of another file of that size.
const OTHER: u64 = 99;

/// An account with a CDN of its own.
struct Home {
    cdn: Arc<Cdn>,
    provider: Arc<TestProvider>,
    down: Arc<AtomicBool>,
}

impl Home {
    async fn new(name: &str, files: std::ops::RangeInclusive<u64>) -> Self {
        let sizes = files.chain([OTHER]).map(|file| (file, SIZE));
        let cdn = Arc::new(Cdn::start(sizes).await);
        let provider = Arc::new(TestProvider::new(name, cdn.address));
        let down = Arc::new(AtomicBool::new(false));
        let home = Self {
            cdn,
            provider,
            down,
        };
        home.dies_by(|_| Answer::Reset);
        home
    }

    /// While it is down no link is made, and requests end like this.
    fn dies_by(&self, death: impl Fn(&support::cdn::Request) -> Answer + Send + Sync + 'static) {
        let (dead, gone) = (self.down.clone(), self.down.clone());
        self.cdn
            .script(move |request| match dead.load(Ordering::Relaxed) {
                true => death(request),
                false => Answer::Right,
            });
        let error = self.provider.error(Verdict::Retry);
        self.provider
            .refuse(move |_| gone.load(Ordering::Relaxed).then(|| error.clone()));
    }

    fn is_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Every body breaks at this byte of the file, and nothing comes from there on.
    fn ends_at(&self, end: u64) {
        self.cdn
            .script(move |request| match request.range.start < end {
                true => Answer::Short(end - request.range.start),
                false => Answer::Reset,
            });
    }
}

async fn homes<const N: usize>(names: [&str; N]) -> [Home; N] {
    let mut homes = Vec::new();
    for name in names {
        homes.push(Home::new(name, 1..=1).await);
    }
    homes.try_into().ok().unwrap()
}

fn content_of(homes: &[Home]) -> Arc<Content> {
    let providers = homes.iter().map(|home| home.provider.clone() as _);
    let links = Arc::new(MemoryLinks::default());
    Content::new(quick(), providers.collect(), links, Handle::current())
}

fn file(id: u64, sources: &[(&str, u64)]) -> FileRef {
    let sources = sources.iter().map(|(name, link)| source(name, *link));
    FileRef {
        id,
        size: SIZE,
        sources: sources.collect(),
    }
}

/// Reads and checks `file` from `at` to `end`.
async fn read_on(content: &Content, file: &FileRef, handle: u64, mut at: u64, end: u64) {
    while at < end {
        let read = checked(content, file, handle, at, READ, LONG).await;
        at += read.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_copy_repeats_64_kib_before_it_goes_on() {
    let homes = homes(["a", "b"]).await;
    let [a, b] = &homes;
    let end = 8 * MIB + 12_345;
    a.ends_at(end);
    let content = content_of(&homes);
    let film = file(1, &[("a", 1), ("b", 1)]);
    read_on(&content, &film, 5, 0, SIZE).await;
    assert_eq!(b.cdn.log()[0].range.start, end - (64 << 10));
    assert_eq!((a.provider.calls(), b.provider.calls()), (1, 1));
    assert_eq!(content.stats().cdn.fail_overs, 1);
    // Near the start of the file there is less to repeat.
    a.ends_at(10_000);
    let content = content_of(&homes);
    let asked = b.cdn.requests();
    read_on(&content, &film, 5, 0, MIB).await;
    assert_eq!(b.cdn.log()[asked as usize].range.start, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_differs_is_found_before_its_bytes_are_used_and_never_asked_again() {
    let homes = homes(["a", "b", "c"]).await;
    let [a, b, c] = &homes;
    a.ends_at(8 * MIB);
    let content = content_of(&homes);
    let film = file(1, &[("a", 1), ("b", OTHER), ("c", 1)]);
    read_on(&content, &film, 5, 0, SIZE).await;
    let asked = b.cdn.requests();
    assert!(asked >= 1 && c.cdn.requests() >= 1);
    let stats = content.stats().cdn;
    assert_eq!((stats.copies_differing, stats.fail_overs), (1, 2));
    let history = content.history(1);
    let differs = history
        .iter()
        .find(|event| event.kind == EventKind::Differs);
    assert_eq!(differs.unwrap().provider, "b");
    // Whatever happens to the others.
    c.is_down(true);
    for handle in 10..20 {
        let at = handle * MIB / 2;
        let read = checked(
            &content,
            &film,
            handle,
            at,
            READ,
            Duration::from_millis(300),
        )
        .await;
        assert_eq!(read.is_ok(), at < 8 * MIB, "{at}");
    }
    assert_eq!(b.cdn.requests(), asked);
}

/// The next engine knows it, also where the first copy is down when it starts: nobody else could tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_differs_is_not_believed_by_the_next_engine() {
    let homes = homes(["a", "b"]).await;
    let [a, b] = &homes;
    let links = Arc::new(MemoryLinks::default());
    let content = || {
        let providers = homes.iter().map(|home| home.provider.clone() as _);
        Content::new(
            quick(),
            providers.collect(),
            links.clone(),
            Handle::current(),
        )
    };
    a.ends_at(MIB);
    let film = file(1, &[("a", 1), ("b", OTHER)]);
    let first = content();
    let short = Duration::from_secs(1);
    let lost = checked(&first, &film, 5, MIB - 4096, READ, short).await;
    lost.unwrap_err();
    assert_eq!(first.stats().cdn.copies_differing, 1);
    drop(first);
    a.is_down(true);
    a.dies_by(|_| Answer::Reset);
    let (next, asked) = (content(), b.cdn.requests());
    let read = checked(&next, &film, 6, 4 * MIB, READ, short).await;
    read.unwrap_err();
    assert_eq!(b.cdn.requests(), asked);
}

/// Two copies at one provider, both with a link: the one that needs no new connection.
#[tokio::test(flavor = "multi_thread")]
async fn within_one_provider_a_warm_host_comes_first() {
    let [cold, warm] = [Cdn::start([(1, SIZE)]).await, Cdn::start([(1, SIZE)]).await];
    let provider = TestProvider::new("a", cold.address);
    let provider = Arc::new(provider.with_links_elsewhere("warm/1", warm.address));
    let links = Arc::new(MemoryLinks::default());
    let content = Content::new(
        quick(),
        vec![provider.clone() as _],
        links,
        Handle::current(),
    );
    let at = |host: &str| Source {
        torrent: TorrentId(host.to_owned()),
        link: HosterLink(format!("https://hoster/{host}/1")),
        ..source("a", 1)
    };
    let of = |sources: [Source; 2]| FileRef {
        id: 1,
        size: SIZE,
        sources: Arc::from(sources),
    };
    // It stumbles once, so that the other link is made, and goes on.
    warm.script(|request| match request.number {
        0 => Answer::Short(100_000),
        _ => Answer::Right,
    });
    read_on(&content, &of([at("warm"), at("cold")]), 5, 0, MIB).await;
    assert_eq!((provider.calls(), cold.requests()), (2, 0));
    let asked = warm.requests();
    read_on(&content, &of([at("cold"), at("warm")]), 6, 8 * MIB, 9 * MIB).await;
    assert_eq!(cold.requests(), 0);
    assert!(warm.requests() > asked);
}

/// Nobody reads where the first copy was read: the next one is asked for what is known of elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_differs_is_found_by_who_begins_elsewhere() {
    let homes = homes(["a", "b"]).await;
    let [a, b] = &homes;
    let content = content_of(&homes);
    let film = file(1, &[("a", 1), ("b", OTHER)]);
    read_on(&content, &film, 5, MIB, 2 * MIB).await;
    a.is_down(true);
    let begun = Instant::now();
    let mut asked = 0;
    for handle in 6..9 {
        let read = checked(
            &content,
            &film,
            handle,
            9 * MIB,
            READ,
            Duration::from_secs(1),
        )
        .await;
        read.unwrap_err();
        // Who read ahead elsewhere may have asked at the same time.
        if handle == 6 {
            asked = b.cdn.requests();
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!((1..=2).contains(&asked), "{:?}", b.cdn.log());
    assert_eq!(b.cdn.requests(), asked, "{:?}", b.cdn.log());
    a.is_down(false);
    read_on(&content, &film, 9, 9 * MIB, 10 * MIB).await;
    // The right one is used from anywhere, after it has repeated what is known.
    let good = file(1, &[("a", 1), ("b", OTHER), ("c", 1)]);
    let third = Home::new("c", 1..=1).await;
    let homes: Vec<_> = homes.into_iter().chain([third]).collect();
    let content = content_of(&homes);
    read_on(&content, &good, 5, MIB, 2 * MIB).await;
    homes[0].is_down(true);
    read_on(&content, &good, 6, 9 * MIB, 10 * MIB).await;
    assert_eq!(content.stats().reads_failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_copys_link_is_made_when_the_first_one_stumbles() {
    let homes = homes(["a", "b"]).await;
    let [a, b] = &homes;
    a.cdn.script(|request| match request.number {
        0 => Answer::Short(100_000),
        _ => Answer::Right,
    });
    let content = content_of(&homes);
    let film = file(1, &[("a", 1), ("b", 1)]);
    read_on(&content, &film, 5, 0, SIZE).await;
    assert_eq!((a.provider.calls(), b.provider.calls()), (1, 1));
    assert_eq!(b.cdn.requests(), 0);
    // It is there when it is needed.
    a.is_down(true);
    a.dies_by(|_| Answer::Reset);
    read_on(&content, &film, 6, 0, SIZE).await;
    assert_eq!(b.provider.calls(), 1);
}

/// A provider that takes calls and never answers does not take a read's time.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_gives_no_link_for_long_is_not_waited_for() {
    let cdn = Home::new("b", 1..=1).await;
    let silent = TestProvider::new("a", cdn.cdn.address).with_delay(Duration::from_secs(3600));
    let providers = vec![Arc::new(silent) as _, cdn.provider.clone() as _];
    let links = Arc::new(MemoryLinks::default());
    let content = Content::new(quick(), providers, links, Handle::current());
    let film = file(1, &[("a", 1), ("b", 1)]);
    let begun = Instant::now();
    read_on(&content, &film, 5, 0, MIB).await;
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    // And by the next reader not at all.
    let begun = Instant::now();
    read_on(&content, &film, 6, 4 * MIB, 5 * MIB).await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_come_back_by_themselves_also_in_the_middle_of_a_body() {
    let homes = homes(["a", "b"]).await;
    let [a, b] = &homes;
    let content = content_of(&homes);
    let film = file(1, &[("a", 1), ("b", 1)]);
    read_on(&content, &film, 5, 0, MIB).await;
    a.is_down(true);
    // One body that takes long.
    b.cdn.script(|_| Answer::Trickle(4000));
    content.release(5);
    read_on(&content, &film, 6, 2 * MIB, 3 * MIB).await;
    let asked = a.cdn.requests();
    a.is_down(false);
    read_on(&content, &film, 6, 3 * MIB, SIZE).await;
    assert!(a.cdn.requests() > asked);
    assert!(content.stats().cdn.returns >= 1);
    let from_b = b.cdn.requests();
    read_on(&content, &film, 7, 0, 4 * MIB).await;
    assert_eq!(b.cdn.requests(), from_b);
}

/// A host that asks for a long pause is left alone only while another copy is well: this one is well again a second later, and the only one.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_copy_is_asked_again_however_long_it_asked_to_be_left_alone() {
    let homes = homes(["a", "b"]).await;
    let [a, b] = &homes;
    a.is_down(true);
    b.cdn.script(|request| match request.number {
        0 => Answer::Status(429, "Retry-After: 60\r\n"),
        _ => Answer::Right,
    });
    let content = content_of(&homes);
    let film = file(1, &[("a", 1), ("b", 1)]);
    let in_time = Duration::from_secs(15);
    let read = checked(&content, &film, 5, 0, READ, in_time).await;
    read.unwrap_or_else(|error| panic!("{error}: {:?}", content.history(1)));
}

/// While another copy is well nobody waits for a turn at a host that refuses everybody.
#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_for_a_dead_host_move_at_once() {
    let mut homes = Vec::new();
    for (name, permits) in [("a", 1), ("b", 32)] {
        let mut home = Home::new(name, 1..=30).await;
        let provider = TestProvider::new(name, home.cdn.address).with_permits(permits);
        home.provider = Arc::new(provider);
        homes.push(home);
    }
    let [a, b] = &homes[..] else { unreachable!() };
    let dead = |_: &support::cdn::Request| Answer::Status(503, "");
    a.dies_by(dead);
    a.is_down(true);
    a.provider.refuse(|_| None);
    let content = content_of(&homes);
    let read_all = |ids: std::ops::RangeInclusive<u64>| {
        let content = &content;
        let films = ids.map(|id| file(id, &[("a", id), ("b", id)]));
        let reads = films.map(|film| async move {
            let read = checked(content, &film, film.id, 0, READ, LONG).await;
            read.unwrap();
        });
        futures_util::future::join_all(reads)
    };
    read_all(1..=15).await;
    let asked = a.cdn.requests();
    assert!((1..8).contains(&asked), "{:?}", a.cdn.log());
    // Also when the other one is well only after they have begun to wait.
    b.dies_by(dead);
    b.is_down(true);
    let recovery = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        b.is_down(false);
    };
    tokio::join!(read_all(16..=30), recovery);
    let asked = a.cdn.requests() - asked;
    assert!(asked < 13, "{:?}", a.cdn.log());
}

/// What a provider does that dies, by the number of the request.
fn death(request: &support::cdn::Request) -> Answer {
    let number = request.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    match number % 8 {
        0 => Answer::Reset,
        1 => Answer::Status(503, ""),
        2 => Answer::Status(404, ""),
        3 => Answer::Stall(number % 100_000),
        4 => Answer::Whole,
        5 => Answer::Status(429, "Retry-After: 30\r\n"),
        _ => Answer::Short(number % 300_000),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_readers_see_nothing_while_providers_die_in_turn() {
    let seconds = std::env::var("DEBRIDFS_TEST_COPIES_SECONDS");
    let seconds: u64 = seconds.map_or(120, |seconds| seconds.parse().unwrap());
    let mut homes = Vec::new();
    // The last one is well all the time, and gives another file's bytes.
    for name in ["a", "b", "c", "false"] {
        let home = Home::new(name, 1..=50).await;
        home.dies_by(death);
        homes.push(home);
    }
    let content = content_of(&homes);
    let films = (1..=50u64).map(|id| {
        let copies = [("a", id), ("false", OTHER), ("b", id), ("c", id)];
        file(id, &copies)
    });
    let films: Vec<_> = films.collect();
    let known = films
        .iter()
        .map(|film| checked(&content, film, 2, 0, READ, LONG));
    for read in futures_util::future::join_all(known).await {
        read.unwrap();
    }
    let (over, bytes, reads) = (
        AtomicBool::new(false),
        AtomicU64::new(0),
        AtomicUsize::new(0),
    );
    let readers = films.iter().map(|film| async {
        let mut step = film.id;
        while !over.load(Ordering::Relaxed) {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Some megabytes from somewhere on.
            let (mut at, handle) = ((step >> 33) % SIZE, step | 1);
            let end = (at + (step >> 20) % (4 * MIB)).min(SIZE);
            while at < end && !over.load(Ordering::Relaxed) {
                let read = checked(&content, film, handle, at, READ, Duration::from_secs(30)).await;
                let read =
                    read.unwrap_or_else(|error| panic!("{error}: {:?}", content.history(film.id)));
                at += read;
                bytes.fetch_add(read, Ordering::Relaxed);
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
            content.release(handle);
        }
    });
    let killer = async {
        let begun = Instant::now();
        let mut turn = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            // The one that is well takes turns: for a moment two are.
            homes[turn % 3].is_down(false);
            tokio::time::sleep(Duration::from_millis(300)).await;
            for other in 1..3 {
                homes[(turn + other) % 3].is_down(true);
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
            turn += 1;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(futures_util::future::join_all(readers), killer);
    let stats = content.stats();
    assert_eq!(stats.reads_failed, 0);
    // Each was found to differ once, and was not believed by anybody.
    let differing = 10..=50;
    assert!(differing.contains(&stats.cdn.copies_differing), "{stats:?}");
    assert!(stats.cdn.fail_overs >= 5, "{stats:?}");
    assert!(reads.load(Ordering::Relaxed) > 100, "{reads:?}");

    // None is left: an error in time, and all is well when one is.
    homes
        .iter()
        .for_each(|home| home.dies_by(|_| Answer::Reset));
    homes.iter().for_each(|home| home.is_down(true));
    let begun = Instant::now();
    let deadline = Duration::from_secs(2);
    let lost = films
        .iter()
        .map(|film| checked(&content, film, 3, 7, READ, deadline));
    for read in futures_util::future::join_all(lost).await {
        read.unwrap_err();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "{:?}",
        begun.elapsed()
    );
    homes[2].is_down(false);
    let found = films
        .iter()
        .map(|film| checked(&content, film, 3, 7, READ, LONG));
    for read in futures_util::future::join_all(found).await {
        read.unwrap();
    }
}
