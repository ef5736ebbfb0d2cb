//! How careful repair is.

use std::time::Duration;

/// [`Rules::let_go_after`], in times of [`Rules::apart`]: two hours by default, as a search and a download take their time.
const LET_GO_AFTER: u32 = 8;

/// [`Rules::unhurried`], in times of [`Rules::apart`]: a day by default.
const UNHURRIED: u32 = 96;

/// How careful repair is.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Failed checks, each at least [`Self::apart`] after the one before, until a release is called bad. At least 2.
    pub confirmations: u32,
    /// Between checks of one release, and before the first of them. Longer than the outages that are to leave no trace.
    pub apart: Duration,
    /// After a provider was in trouble, nothing is believed of it for so long.
    pub settle: Duration,
    /// Between the end of a treatment and the check of it: the library has to see what was added.
    pub recovery: Duration,
    /// How often readers and the library are asked what is wrong.
    pub look_every: Duration,
    /// Treatments in any hour.
    pub per_hour: usize,
    /// More suspects of one provider than this share of the library (and than [`Self::mass_least`]) are its fault and not theirs.
    pub mass_share: f64,
    /// Never called a mass.
    pub mass_least: usize,
    /// While a provider is suspected, one check after this time; after a good one the next follows at once.
    pub held_apart: Duration,
    /// What nothing helped is looked at again after this time.
    pub look_again: Duration,
    /// What other copies serve is treated so long after that was confirmed, if nobody else needs the hour's treatments.
    pub unhurried: Duration,
    /// Whether arrs are asked for another release when nothing else helped. Their file of it, which cannot be read, is deleted first.
    pub ask_arrs: bool,
    /// Whether a release that an arr replaced is let go, once all of its replacement is there.
    pub let_go: bool,
    /// How long after the arr was asked that is looked at, and how often.
    pub let_go_after: Duration,
}

impl Rules {
    /// The defaults, with other times: `apart` between checks, and the rest as far below it as by default.
    pub fn with_apart(apart: Duration) -> Self {
        let usual = Self::default();
        let least = Duration::from_millis(200);
        Self {
            settle: usual.settle.min(apart),
            recovery: usual.recovery.min(apart),
            let_go_after: apart * LET_GO_AFTER,
            unhurried: apart * UNHURRIED,
            look_every: usual.look_every.min(apart / 2).max(least),
            apart,
            ..usual
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            confirmations: 3,
            apart: Duration::from_secs(15 * 60),
            settle: Duration::from_secs(10 * 60),
            recovery: Duration::from_secs(60),
            look_every: Duration::from_secs(30),
            per_hour: 6,
            mass_share: 0.02,
            mass_least: 5,
            held_apart: Duration::from_secs(5 * 60),
            look_again: Duration::from_secs(7 * 24 * 3600),
            unhurried: Duration::from_secs(15 * 60) * UNHURRIED,
            ask_arrs: true,
            let_go: false,
            let_go_after: Duration::from_secs(15 * 60) * LET_GO_AFTER,
        }
    }
}
