//! Fifty readers of the mount while accounts of three vendors die in turn.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use debridfs_sim::{CdnFault, CdnFaultKind, Kind, Outage, OutageMode};

use super::{Home, SIZE, films, in_folder};
use crate::support::{Settings, Simulator, until};

const READERS: u64 = 50;
const DEADLINE: Duration = Duration::from_secs(20);
const SLACK: Duration = Duration::from_secs(20);

/// Numbers that look like chance, the same in every run.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *state >> 33
}

/// The account's CDN and API end, in one of several ways, at a byte by chance.
fn die(account: &Simulator, chance: &mut u64) {
    let bytes = next(chance) % 400_000;
    let status = |status, retry_after| CdnFaultKind::Status {
        status,
        x_error: None,
        retry_after,
    };
    let kinds = [
        CdnFaultKind::ResetAfter { bytes },
        CdnFaultKind::CloseAfter { bytes },
        CdnFaultKind::StallAfter { bytes },
        CdnFaultKind::Reset,
        CdnFaultKind::Hang,
        CdnFaultKind::IgnoreRange,
        status(503, None),
        status(404, None),
        status(429, Some(30)),
    ];
    let kind = kinds[(next(chance) % kinds.len() as u64) as usize].clone();
    account.fault(CdnFault::everywhere(kind));
    account.sim().set_outage(Outage {
        api: OutageMode::Reset,
        cdn: OutageMode::None,
    });
}

fn live(account: &Simulator) {
    account.clear_faults();
    account.outage_over();
}

#[test]
fn fifty_readers_of_the_mount_see_nothing_while_accounts_die_in_turn() {
    let seconds = std::env::var("DEBRIDFS_TEST_COPIES_SECONDS");
    let seconds = seconds.map_or(12, |seconds| seconds.parse().expect("seconds"));
    let home = Home::new(
        vec![
            (Kind::AllDebrid, films(1..=READERS)),
            (Kind::RealDebrid, films(1..=READERS)),
            (Kind::Premiumize, (1..=READERS).map(in_folder).collect()),
        ],
        Settings {
            provider: "calls_per_minute = 100000".into(),
            mount: format!("read_deadline = \"{}s\"", DEADLINE.as_secs()),
            ..Settings::default()
        },
    );
    for (_, account) in &home.accounts {
        account.sim().configure(|settings| {
            settings.max_parallel = 0;
            settings.premiumize.points = 0;
            settings.alldebrid.calls_per_second = 0;
        });
    }
    let (over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let read_on = |number: u64| {
        let mut chance = number;
        while !over.load(Ordering::Relaxed) {
            let mut at = (next(&mut chance) % (SIZE >> 20)) << 20;
            for _ in 0..next(&mut chance) % 16 {
                at = at.min(SIZE - (1 << 20));
                home.plays("while others die", number, at);
                reads.fetch_add(1, Ordering::Relaxed);
                at += 128 << 10;
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let read_on = &read_on;
        let readers = (1..=READERS).map(|number| scope.spawn(move || read_on(number)));
        let readers: Vec<_> = readers.collect();
        let (begun, mut turn, mut chance) = (Instant::now(), 0, 7);
        let accounts: Vec<_> = home.accounts.iter().map(|(_, account)| account).collect();
        while begun.elapsed() < Duration::from_secs(seconds)
            && !readers.iter().any(|reader| reader.is_finished())
        {
            // The one that is well takes turns: for a moment two are.
            live(accounts[turn % 3]);
            std::thread::sleep(Duration::from_millis(500));
            for other in 1..3 {
                live(accounts[(turn + other) % 3]);
                die(accounts[(turn + other) % 3], &mut chance);
            }
            std::thread::sleep(Duration::from_millis(1500));
            turn += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 100, "{reads:?} reads");
    // None is well: an error in time. Then one is.
    let all = |action: fn(&Simulator)| home.accounts.iter().for_each(|(_, it)| action(it));
    all(live);
    all(Simulator::outage);
    let begun = Instant::now();
    let lost = home.read(1, SIZE - (1 << 20)).expect_err("none is well");
    assert_eq!(lost.raw_os_error(), Some(libc::EIO));
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    home.accounts[2].1.outage_over();
    until("it plays by itself", Duration::from_secs(120), || {
        home.read(1, SIZE - (1 << 20)).is_ok()
    });
}
