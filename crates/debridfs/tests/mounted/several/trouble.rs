//! Accounts in trouble, one at a time and all at a start.

use std::time::{Duration, Instant};

use debridfs_sim::{ApiFault, Kind};

use super::{Home, PATIENCE, films};
use crate::support::{Settings, Simulator, until};

const DEADLINE: Duration = Duration::from_secs(8);
/// What a busy machine may take beside the deadline.
const SLACK: Duration = Duration::from_secs(20);
/// Well below the minute after which a refused token is tried again.
const SOON: Duration = Duration::from_secs(30);

fn settings() -> Settings {
    Settings {
        // A full list is asked for every second, so that each kind of trouble meets one.
        library: "refresh_interval = \"300ms\"\nfull_interval = \"1s\"".into(),
        provider: "calls_per_minute = 100000".into(),
        mount: format!("read_deadline = \"{}s\"", DEADLINE.as_secs()),
        ..Settings::default()
    }
}

/// The account's list has so many entries.
fn cut_lists(simulator: &Simulator, kind: &str, keep: usize) {
    let endpoint = match kind {
        "rd" => "torrents",
        _ => "torrents/mylist",
    };
    // No further page has the rest.
    simulator.api_fault(ApiFault {
        endpoint: Some("torrents".into()),
        contains: Some(format!("offset={keep}")),
        status: Some(204),
        ..ApiFault::default()
    });
    simulator.api_fault(ApiFault {
        endpoint: Some(endpoint.into()),
        keep_items: Some(keep),
        ..ApiFault::default()
    });
}

#[test]
fn an_account_in_trouble_takes_no_entry_and_films_play_on_from_the_other() {
    type Change = fn(&Simulator, &str);
    let troubles: [(&str, Change, Change); 3] = [
        (
            "down",
            |account, _| account.outage(),
            |account, _| account.outage_over(),
        ),
        (
            "empty",
            |account, name| cut_lists(account, name, 0),
            |account, _| account.clear_faults(),
        ),
        (
            "shrunken",
            |account, name| cut_lists(account, name, 4),
            |account, _| account.clear_faults(),
        ),
    ];
    let home = Home::new(
        vec![
            (Kind::TorBox, films(1..=30)),
            (Kind::RealDebrid, films(16..=45)),
        ],
        settings(),
    );
    let before = home.tree();
    // Both vendors' views, too.
    assert!(before.len() > 3 * 45, "{before:?}");
    let mut at = 0;
    for (what, begin, end) in troubles {
        for name in ["tb", "rd"] {
            let what = format!("{name} {what}");
            begin(home.account(name), name);
            until(&format!("{what}: status says so"), PATIENCE, || {
                home.is_healthy() == Some(false)
            });
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(home.tree(), before, "{what}");
            at += 64 << 20;
            home.plays(&what, 20, at);
            end(home.account(name), name);
            home.recovers(&what);
            assert_eq!(home.tree(), before, "{what}, afterwards");
        }
    }
    // A refused token is tried again after a minute, or when somebody says that it is well.
    for name in ["tb", "rd"] {
        let what = format!("{name} token refused");
        home.account(name).revoke(true);
        until(&format!("{what}: status says so"), PATIENCE, || {
            home.is_refused(name) == Some(true)
        });
        assert_eq!(home.tree(), before, "{what}");
        home.plays(&what, 20, at + (64 << 20));
        at += 64 << 20;
        home.account(name).revoke(false);
        let begun = Instant::now();
        home.recovers(&what);
        assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_start_while_all_are_down_shows_the_last_tree_and_reads_what_is_cached() {
    let mut settings = settings();
    settings.cache = true;
    let mut home = Home::new(
        vec![
            (Kind::TorBox, films(1..=4)),
            (Kind::RealDebrid, films(3..=6)),
        ],
        settings,
    );
    let before = home.tree();
    // Rows of `/downloads`: a link is made once, however often its film is opened.
    for round in 0..250u64 {
        for number in 3..=6 {
            home.plays("opened again", number, (round % 4) << 12);
        }
    }
    let links = |home: &Home| {
        let made = |name, endpoint| home.account(name).answers_of(endpoint, "200");
        let rd = made("rd", "unrestrict/link");
        (rd, made("tb", "torrents/requestdl"))
    };
    assert_eq!(links(&home), (2, 2));
    home.instance.stop();
    for (_, account) in &home.accounts {
        account.outage();
    }
    home.instance.launch();
    until("the last tree", PATIENCE, || {
        home.instance.try_status().is_some() && home.tree() == before
    });
    for number in 3..=6 {
        home.plays("from the cache", number, 0);
    }
    for number in [1, 3, 6] {
        let begun = Instant::now();
        let lost = home.read(number, 1 << 30).expect_err("all are down");
        assert_eq!(lost.raw_os_error(), Some(libc::EIO), "{number}");
        assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    }
    assert_eq!(home.tree(), before);
    for (_, account) in &home.accounts {
        account.outage_over();
    }
    for number in [1, 3, 6] {
        until("it plays by itself", PATIENCE, || {
            home.read(number, 1 << 30).is_ok()
        });
    }
    home.recovers("after the outage");
    assert_eq!(home.tree(), before);
    // The engine before made four links, which are used again; films 1 and 3 may have been stumbled over.
    let (rd, tb) = links(&home);
    assert!(rd <= 2 + 1 && tb <= 2 + 1, "{rd} and {tb} links");
}
