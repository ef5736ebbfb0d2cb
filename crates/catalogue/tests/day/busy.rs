//! A busy day at each vendor: no call above a limit. The same without our limits, to see that the
//! simulated vendor counts what is above them.

use std::time::Duration;

use debridfs_provider::vendors::Kind;
use debridfs_provider::{Limits, Priority, Provider, Result, TorrentStatus, Verdict};
use debridfs_sim::{Counters, Sim};
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::watched::{
    ALL_DEBRID, CACHED, DEBRID_LINK, FURTHER, HELD, MINUTE, PREMIUMIZE, REAL_DEBRID, TORBOX,
    Vendor, Watched, account, magnet, simulated,
};

/// Grabs at once in the storm.
const GRABS: u8 = 140;
/// Opened files at once in the storm.
const OPENED: usize = 200;

/// A vendor that declares no limit.
fn without_limits(kind: &'static Kind) -> &'static Kind {
    let mut kind = kind.clone();
    kind.limits = Limits {
        calls_per_minute: 100_000,
        calls_in_flight: 10_000,
        budgets: &[],
        add_interval: Duration::ZERO,
        ..kind.limits
    };
    Box::leak(Box::new(kind))
}

impl Watched {
    /// Adds what is cached, selects its files where that is to be done, looks at it, and deletes it.
    async fn grab(&self, priority: Priority, number: u8) -> Result<()> {
        let added = self.account.add_magnet(priority, &magnet(number)).await;
        let id = match added {
            // Our own scheduler says so: the vendor was not asked.
            Err(error) if error.verdict == Verdict::BackOff && error.http_status.is_none() => {
                return Ok(());
            }
            added => added?,
        };
        sleep(Duration::from_secs(5)).await;
        let info = self.account.torrent(priority, &id).await?;
        if info.summary.status == TorrentStatus::WaitingFilesSelection {
            self.account.select_files(priority, &id, &[]).await?;
        }
        sleep(MINUTE).await;
        self.account.delete(Priority::User, &id).await?;
        self.catalogue.look_now();
        Ok(())
    }

    /// Confirms that a release is read, and adds it again where that is allowed.
    async fn repair(&self, number: u8) -> Result<()> {
        self.link(Priority::Repair, number.into()).await?;
        match self.account.may_add_again() {
            true => self.grab(Priority::Repair, HELD + number).await,
            false => Ok(()),
        }
    }

    async fn link(&self, priority: Priority, number: usize) -> Result<()> {
        let link = &self.held[number % self.held.len()];
        self.account.unrestrict(priority, link).await.map(drop)
    }

    /// An arr that grabs whole seasons, a scan that opens every file, and repair, all at once.
    async fn storm(&self) -> Vec<Result<()>> {
        let grabs = (0..GRABS).map(|number| self.grab(Priority::Import, HELD + number));
        let opened = (0..OPENED).map(|number| self.link(Priority::Playback, number));
        let repairs = (0..10).map(|number| self.repair(CACHED - 10 + number));
        let (grabs, opened, repairs) =
            tokio::join!(join_all(grabs), join_all(opened), join_all(repairs));
        [grabs, opened, repairs].concat()
    }

    async fn day(&self) {
        for hour in 0..24 {
            if hour == 3 {
                for done in self.storm().await {
                    done.unwrap();
                }
                continue;
            }
            self.grab(Priority::Import, HELD + hour).await.unwrap();
            self.repair(hour).await.unwrap();
            for number in 0..20 {
                self.link(Priority::Playback, number).await.unwrap();
                sleep(3 * MINUTE).await;
            }
        }
    }
}

async fn watched(vendor: Vendor, kind: &'static Kind, sim: Sim, further: &[&str]) -> Watched {
    for token in further {
        sim.add_token(0, token).unwrap();
    }
    let account = account(kind, &sim, further);
    // What changes is looked for when it changes.
    let watched = Watched::new(sim, account, 2 * MINUTE).await;
    assert_eq!(
        watched.held.len(),
        usize::from(HELD),
        "{}",
        vendor.kind.word
    );
    watched
}

/// Calls that the vendor refused for being one too many.
fn refused(counters: &Counters) -> u64 {
    let outcomes = counters.endpoints.values().flatten();
    let refused = outcomes.filter(|(outcome, _)| {
        outcome.starts_with("429") || outcome.starts_with("503") || outcome.ends_with("/35")
    });
    refused.map(|(_, calls)| calls).sum()
}

async fn no_call_is_above_a_limit(vendor: Vendor, further: &[&str], set: impl Fn(&Sim)) {
    let sim = simulated(vendor.sim);
    set(&sim);
    let kept = watched(vendor, vendor.kind, sim, further).await;
    kept.day().await;
    let counters = kept.sim.counters();
    assert_eq!(counters.above_limit, 0, "{counters:?}");
    assert_eq!(refused(&counters), 0, "{counters:?}");
    kept.end().await;
    let sim = simulated(vendor.sim);
    set(&sim);
    let loose = watched(vendor, without_limits(vendor.kind), sim, further).await;
    // The vendor's refusals are what is wanted here.
    drop(loose.storm().await);
    let counters = loose.sim.counters();
    assert!(counters.above_limit > 0, "{counters:?}");
    loose.end().await;
}

#[tokio::test(start_paused = true)]
async fn real_debrid_is_never_asked_too_much() {
    no_call_is_above_a_limit(REAL_DEBRID, &[], |sim| {
        sim.configure(|settings| settings.realdebrid.adds_apart_ms = 20_000);
    })
    .await;
}

/// Two keys share the links of the account: one too many locks it.
#[tokio::test(start_paused = true)]
async fn torbox_is_never_asked_too_much() {
    no_call_is_above_a_limit(TORBOX, &[FURTHER], |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn all_debrid_is_never_asked_too_much() {
    no_call_is_above_a_limit(ALL_DEBRID, &[], |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn debrid_link_is_never_asked_too_much() {
    no_call_is_above_a_limit(DEBRID_LINK, &[], |_| {}).await;
}

/// It publishes no limit, so that the declared one is taken.
#[tokio::test(start_paused = true)]
async fn premiumize_is_never_asked_too_much() {
    no_call_is_above_a_limit(PREMIUMIZE, &[], |sim| {
        let declared = PREMIUMIZE.kind.limits.calls_per_minute;
        sim.configure(|settings| settings.calls_per_minute = declared);
    })
    .await;
}
