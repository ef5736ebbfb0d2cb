//! What each vendor does of its own, as far as it concerns who reads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use debridfs_sim::{
    ApiFault, CdnFault, CdnFaultKind, Kind, Page, ReleaseSpec, Status, TorrentChange,
};

use super::{Home, PATIENCE, films, in_folder, name};
use crate::support::{Settings, Simulator, until};

const MIB: u64 = 1 << 20;

/// Films of one account each, and of one beside Real-Debrid.
const ALLDEBRID: u64 = 1;
const ALLDEBRID_SLOW: u64 = 9;
const TORBOX: u64 = 2;
const TORBOX_NEVER_OPENED: u64 = 3;
const TORBOX_AND_OTHER: u64 = 4;
const DEBRIDLINK: u64 = 5;
const DEBRIDLINK_AND_OTHER: u64 = 6;
const PREMIUMIZE_AND_OTHER: u64 = 7;
/// In the cloud of Premiumize, which tells no hash of it, and as a torrent.
const TWIN: u64 = 10;

fn home() -> Home {
    Home::new(
        vec![
            (
                Kind::Premiumize,
                vec![in_folder(PREMIUMIZE_AND_OTHER), films([TWIN]).remove(0)],
            ),
            (
                Kind::TorBox,
                films([TORBOX, TORBOX_NEVER_OPENED, TORBOX_AND_OTHER]),
            ),
            (Kind::AllDebrid, films([ALLDEBRID, ALLDEBRID_SLOW])),
            (Kind::DebridLink, films([DEBRIDLINK, DEBRIDLINK_AND_OTHER])),
            (
                Kind::RealDebrid,
                films([
                    TORBOX_AND_OTHER,
                    DEBRIDLINK_AND_OTHER,
                    PREMIUMIZE_AND_OTHER,
                    TWIN,
                ]),
            ),
        ],
        Settings {
            library: "refresh_interval = \"500ms\"\nfull_interval = \"2s\"".into(),
            mount: "read_deadline = \"12s\"".into(),
            ..Settings::default()
        },
    )
}

#[test]
fn habits_of_vendors_are_no_errors_of_readers() {
    let home = home();
    let before = home.tree();
    switch_on(&home);
    alldebrid(&home);
    torbox_links(&home);
    debridlink(&home);
    premiumize(&home);
    twins(&home);
    assert_eq!(home.tree(), before);
    torbox_not_present(&home);
    torbox_key(&home);
}

/// Habits that nobody is to notice at all.
fn switch_on(home: &Home) {
    home.account("ad").sim().configure(|settings| {
        settings.alldebrid.by_place = true;
        settings.alldebrid.limit_status = 503;
    });
    home.account("tb").sim().configure(|settings| {
        settings.torbox.checking_ms = 300;
        settings.torbox.progress_backwards = true;
    });
    let dl = home.account("dl").sim();
    dl.configure(|settings| settings.debridlink.seeding = true);
    home.account("pm").sim().configure(|settings| {
        settings.premiumize.magnet_in_src = true;
        settings.premiumize.no_codes = true;
    });
}

/// Hosts at 0.0.0.0, links that take a while, pages instead of answers, an endpoint that is no more.
fn alldebrid(home: &Home) {
    let before = home.tree();
    let ad = home.account("ad");
    ad.sim()
        .configure(|settings| settings.alldebrid.null_routed_percent = 2);
    home.plays("on a third host", ALLDEBRID, 0);
    assert_eq!(ad.calls_of("v4/link/unlock"), 3);
    ad.sim()
        .configure(|settings| settings.alldebrid.delayed_ms = 1000);
    home.plays("after a second", ALLDEBRID_SLOW, 0);
    assert!(ad.calls_of("v4/link/delayed") > 0);
    ad.api_fault(ApiFault {
        status: Some(429),
        page: Some(Page::Html),
        times: Some(2),
        ..ApiFault::default()
    });
    ad.api_fault(ApiFault {
        endpoint: Some("v4.1/magnet/status".into()),
        error: Some("DISCONTINUED".into()),
        ..ApiFault::default()
    });
    until("lists are refused", PATIENCE, || {
        ad.sim().faults().iter().all(|fault| fault.hits > 0)
    });
    home.plays("while lists are refused", ALLDEBRID, 64 * MIB);
    assert_eq!(home.tree(), before);
    ad.clear_faults();
    home.recovers("AllDebrid");
}

/// A URL that expires in the middle of a body, and the lock of the whole account after too many links.
fn torbox_links(home: &Home) {
    let tb = home.account("tb");
    let links = || tb.calls_of("torrents/requestdl");
    tb.fault(CdnFault {
        times: Some(1),
        ..CdnFault::everywhere(CdnFaultKind::ExpireAfter { bytes: 300_000 })
    });
    for part in 0..32 {
        home.plays("over the end of its URL", TORBOX, part * 128 * 1024);
    }
    assert_eq!(links(), 2, "one more when it had expired");
    let lock = |limit| {
        tb.sim()
            .configure(|settings| settings.torbox.links_per_5_minutes = limit);
    };
    lock(2);
    let begun = Instant::now();
    home.plays("from the other account", TORBOX_AND_OTHER, 0);
    home.plays("by the URL that is kept", TORBOX, 256 * MIB);
    home.plays("from the other account", TORBOX_AND_OTHER, 64 * MIB);
    assert!(begun.elapsed() < Duration::from_secs(40));
    let lost = home.read(TORBOX_NEVER_OPENED, 0);
    let lost = lost.expect_err("no link and no other copy");
    assert_eq!(lost.raw_os_error(), Some(libc::EIO));
    // It asked a few times, not in a storm.
    assert!(links() <= 12, "{} calls", links());
    lock(0);
    tb.sim().advance(Duration::from_secs(301));
    home.recovers("TorBox");
    until("it plays when the lock has ended", PATIENCE, || {
        home.read(TORBOX_NEVER_OPENED, 0).is_ok()
    });
}

/// A flood closes one endpoint: known URLs serve on, other copies do.
fn debridlink(home: &Home) {
    let before = home.tree();
    let dl = home.account("dl");
    home.plays("at first", DEBRIDLINK, 0);
    dl.sim()
        .configure(|settings| settings.debridlink.flood_calls = 1);
    let flooded = || {
        let lists = dl.sim().counters().endpoints;
        let lists = lists.get("seedbox/list");
        lists.is_some_and(|outcomes| outcomes.contains_key("503/floodDetected"))
    };
    until("the list is closed", PATIENCE, flooded);
    home.plays("by the URL that is kept", DEBRIDLINK, 64 * MIB);
    dl.sim().expire_links(None);
    home.plays("from the other account", DEBRIDLINK_AND_OTHER, 64 * MIB);
    assert_eq!(home.tree(), before);
    dl.sim()
        .configure(|settings| settings.debridlink.flood_calls = 0);
    dl.sim().advance(Duration::from_secs(3601));
    home.recovers("Debrid-Link");
}

/// A folder that is called by its hash, beside a torrent of that hash: its points end, and the other account goes on.
fn premiumize(home: &Home) {
    let pm = home.account("pm");
    home.plays("from the folder", PREMIUMIZE_AND_OTHER, 0);
    assert!(pm.transfers() > 0);
    pm.outage();
    for part in 1..4 {
        home.plays("from the torrent", PREMIUMIZE_AND_OTHER, part * 64 * MIB);
    }
    pm.outage_over();
    home.recovers("Premiumize");
}

/// The same file without a common hash: it was played, compared, and is read from the other account then.
fn twins(home: &Home) {
    let accounts = ["pm", "rd"].map(|name| home.account(name));
    let film = File::open(home.path(TWIN)).expect("a film");
    let before = accounts.map(Simulator::transfers);
    let mut at = 0;
    until("it is compared", PATIENCE, || {
        // Somebody plays it.
        let mut bytes = vec![0; 1 << 20];
        film.read_exact_at(&mut bytes, at).expect("bytes");
        at += MIB;
        let transfers = accounts.map(Simulator::transfers);
        transfers
            .iter()
            .zip(before)
            .all(|(now, then)| *now >= then + 2)
    });
    for (account, part) in accounts.into_iter().zip([600, 700]) {
        account.outage();
        until("it plays from the other one", PATIENCE, || {
            home.read(TWIN, part * MIB).is_ok()
        });
        account.outage_over();
        home.recovers("Premiumize and Real-Debrid");
    }
}

/// A warning rotates the key: known URLs serve on, other copies do, and nothing leaves the library.
fn torbox_key(home: &Home) {
    let before = home.tree();
    let tb = home.account("tb");
    tb.sim().warn(0).expect("account 0");
    until("the key is refused", PATIENCE, || {
        home.is_refused("tb") == Some(true)
    });
    home.plays("by the URL that is kept", TORBOX, 512 * MIB);
    home.plays("from an account that is well", TORBOX_AND_OTHER, 128 * MIB);
    assert_eq!(home.tree(), before);
}

/// For 17 seconds a download is finished and not there: it is neither shown as broken nor forgotten.
fn torbox_not_present(home: &Home) {
    let tb = home.account("tb");
    let (number, mount) = (8, home.instance.mount());
    let shown = |view: &str| mount.join(view).join(name(number)).exists();
    let id = tb.add(ReleaseSpec {
        status: Status::Uploading,
        ..films([number]).remove(0)
    });
    let lists = || tb.calls_of("torrents/mylist");
    let before = lists();
    until("it was listed", PATIENCE, || lists() > before + 3);
    assert!(!shown("__bad__") && !shown("__all__"));
    let present = TorrentChange {
        status: Some(Status::Downloaded),
        ..TorrentChange::default()
    };
    tb.sim().alter_torrent(0, &id, present).expect("a torrent");
    until("it is there", PATIENCE, || shown("__all__"));
    home.plays("then", number, 0);
    assert!(!shown("__bad__"));
}
