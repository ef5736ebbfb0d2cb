//! The library's life at each vendor but Real-Debrid, whose account the other tests have: listed, read, killed under a reader, grabbed,
//! deleted, and the same after a restart.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use debridfs_sim::arr::Item;
use debridfs_sim::{FileSpec, Kind, ReleaseSpec, Service, content};
use rustix::process::Signal;

use crate::support::{Household, Reader, Simulator, film, find, find_while_it_changes, until};

const HASH: &str = "00112233445566778899aabbccddeeff00112233";
const GRABBED: &str = "Grabbed.S01.1080p";
const SIZE: u64 = 64 << 20;
const LIMIT: Duration = Duration::from_secs(120);

/// A film, a show in directories, and what came from usenet and a web host where the vendor has that.
fn account(kind: Kind) -> Simulator {
    let show = vec![
        FileSpec::generated("/Show.S01E01.mkv", 8 << 20),
        FileSpec::generated("/Show.S01E02.mkv", 8 << 20),
        FileSpec::generated("/Subs/Show.S01E01.srt", 50_000),
    ];
    let mut releases = vec![
        film("Film.2024.1080p", SIZE),
        ReleaseSpec::new("Show.S01", show),
    ];
    if matches!(kind, Kind::TorBox | Kind::Premiumize) {
        for (name, service) in [("News.2023", Service::Usenet), ("Web.2022", Service::Webdl)] {
            releases.push(ReleaseSpec {
                service,
                ..film(name, 4 << 20)
            });
        }
    }
    let simulator = Simulator::of(kind, releases);
    let grabbed = (1..=2).map(|n| FileSpec::generated(format!("/Grabbed.S01E{n:02}.mkv"), 8 << 20));
    simulator.know(HASH, GRABBED, grabbed.collect());
    simulator
}

/// Each file of `__all__` with its inode number, size and time.
fn tree(household: &Household) -> Vec<String> {
    let all = household.instance.mount().join("__all__");
    let mut lines = find_while_it_changes(&all, "%y %i %s %T@ %P\n");
    lines.retain(|line| line.starts_with('f'));
    lines
}

/// The file of that base name, wherever the vendor's way of naming puts it.
fn path_of(household: &Household, base: &str) -> std::path::PathBuf {
    let all = household.instance.mount().join("__all__");
    let found = find(&all, "%p\n").into_iter();
    let mut found = found.filter(|path| path.ends_with(base));
    found.next().unwrap_or_else(|| panic!("no {base}")).into()
}

/// Compares the first page, one in the middle and the last, in this order.
fn assert_right(path: &Path, key: u64) {
    let file = File::open(path).expect("opened");
    let size = file.metadata().expect("metadata").len();
    for offset in [0, size / 2 + 17, size - 4096] {
        let (mut read, mut right) = ([0; 4096], [0; 4096]);
        file.read_exact_at(&mut read, offset)
            .unwrap_or_else(|error| panic!("{} at {offset}: {error}", path.display()));
        content::fill(key, offset, &mut right);
        assert!(read == right, "{} at {offset}", path.display());
    }
}

fn all_is_right(household: &Household, simulator: &Simulator, kind: Kind) {
    let mut names = vec![
        "Film.2024.1080p.mkv",
        "Show.S01E01.mkv",
        "Show.S01E02.mkv",
        "Show.S01E01.srt",
    ];
    if matches!(kind, Kind::TorBox | Kind::Premiumize) {
        names.extend(["News.2023.mkv", "Web.2022.mkv"]);
    }
    assert_eq!(tree(household).len(), names.len());
    for name in names {
        let (base, key) = simulator.file(name);
        assert_right(&path_of(household, &base), key);
    }
}

fn a_reader_survives(household: &Household, simulator: &Simulator) {
    let (base, key) = simulator.file("Film.2024.1080p.mkv");
    let path = path_of(household, &base);
    let reader = Reader::start("direct", &path, key);
    for _ in 0..2 {
        let sent = simulator.bytes_sent();
        until("bytes come", LIMIT, || simulator.bytes_sent() > sent);
        assert!(household.instance.signal_engine(Signal::KILL));
        household.instance.wait_listed();
    }
    reader.finish().assert_clean("direct");
}

fn grab(household: &Household) -> Item {
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn={GRABBED}");
    household.patiently("the grab", || household.arr.grab_magnet(&magnet));
    let item = household.completed();
    let place = household.downloads().join("tv").join(GRABBED);
    assert_eq!(item.output_path, Some(place.clone()));
    for number in 1..=2 {
        let name = format!("Grabbed.S01E{number:02}.mkv");
        let link = place.join(&name);
        let target = fs::read_link(&link).expect("a symlink");
        assert!(target.starts_with(household.instance.mount()), "{target:?}");
        assert_right(&link, content::key(HASH, &format!("/{name}")));
    }
    item
}

fn a_life_at(kind: Kind) {
    let simulator = account(kind);
    let mut household = Household::new(&simulator);
    household.instance.wait_synced();
    all_is_right(&household, &simulator, kind);
    a_reader_survives(&household, &simulator);
    let before = tree(&household);

    let item = grab(&household);
    household.patiently("the removal", || household.arr.remove(&item));
    until("it is deleted from the account", LIMIT, || {
        simulator.torrents_of(HASH) == 0
    });
    until("it is not shown any more", LIMIT, || {
        tree(&household) == before
    });

    // What has no hash is the same file to a media server after a restart.
    household.instance.stop();
    household.instance.launch();
    household.instance.wait_synced();
    assert_eq!(tree(&household), before);
    all_is_right(&household, &simulator, kind);
    let calls = simulator.all_calls();
    assert_eq!(simulator.refused(), 0, "calls above a limit: {calls}");
}

#[test]
fn a_library_lives_at_torbox() {
    a_life_at(Kind::TorBox);
}

#[test]
fn a_library_lives_at_alldebrid() {
    a_life_at(Kind::AllDebrid);
}

#[test]
fn a_library_lives_at_debrid_link() {
    a_life_at(Kind::DebridLink);
}

#[test]
fn a_library_lives_at_premiumize() {
    a_life_at(Kind::Premiumize);
}
