//! What a vendor declares of itself, for those that keep to it.

use std::time::Duration;

use jiff::tz::TimeZone;

/// A number of calls that a vendor allows in any window of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The calls that count: those that carry this word, or all calls.
    pub word: Option<&'static str>,
    /// Calls allowed in the window; at least 1.
    pub calls: u32,
    /// Length of the window.
    pub per: Duration,
    /// Calls that may be on their way at the same time; at least 1.
    pub in_flight: u32,
    /// A refusal ("too many calls") holds back the calls of this budget alone. Otherwise all calls
    /// of the key pause.
    pub pauses_alone: bool,
    /// All keys of an account have it together; otherwise each has its own.
    pub of_account: bool,
    /// What is made of a refusal.
    pub refusals: Refusals,
}

/// What a vendor's refusals ("too many calls") are believed and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// No pause after one is longer, whatever its `Retry-After` says: a proxy's page or a bad minute
    /// of the provider says anything.
    pub longest_pause: Duration,
    /// The pause after one that names none. Each further one in a row doubles it, to 5 minutes or to this if it is more.
    pub first_pause: Duration,
    /// A call that is refused during a pause counts as one call and does no other harm: then one for
    /// playback may be tried every 30 s.
    pub harmless: bool,
}

impl Refusals {
    /// For a vendor that declares nothing.
    pub const CAUTIOUS: Self = Self {
        longest_pause: Duration::from_secs(60),
        // A bucket was seen to refill in about that time.
        first_pause: Duration::from_secs(10),
        harmless: false,
    };
}

impl Budget {
    /// `calls` of all kinds in any minute, however many at the same time.
    pub const fn per_minute(calls: u32) -> Self {
        Self {
            word: None,
            calls,
            per: Duration::from_secs(60),
            in_flight: u32::MAX,
            pauses_alone: false,
            of_account: false,
            refusals: Refusals::CAUTIOUS,
        }
    }

    /// What each of `keys` keys may use of it, so that together they never exceed it.
    pub(crate) fn of_each_of(self, keys: u32) -> Self {
        let keys = keys.max(1);
        if !self.of_account || keys == 1 {
            return self;
        }
        Self {
            calls: (self.calls / keys).max(1),
            // With more keys than calls, each has one call in a longer time.
            per: self.per * keys.div_ceil(self.calls.max(1)),
            in_flight: (self.in_flight / keys).max(1),
            ..self
        }
    }
}

/// The word of calls that add something, for [`Limits::add_interval`].
pub(crate) const ADD: &str = "addition";

/// How it is learnt whether a vendor has a release already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheCheck {
    /// By a question that changes nothing ([`crate::Provider::is_cached`]).
    Asked,
    /// By [`crate::Provider::add_cached`], which leaves nothing behind if the vendor does not have it.
    AddedIfCached,
    /// By adding it as anything else is added: whoever does so looks whether it is ready soon, and
    /// deletes it if not.
    Added,
}

/// A vendor's limits. What a vendor does not declare is as cautious as it can be:
/// `Limits { page: 1000, ..Limits::CAUTIOUS }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls of one key in any minute. The configuration may set another number.
    pub calls_per_minute: u32,
    /// Calls of one key that may be on their way at the same time.
    pub calls_in_flight: u32,
    /// Further budgets, such as 60 additions an hour.
    pub budgets: &'static [Budget],
    /// The word of calls that make direct links.
    pub link_word: Option<&'static str>,
    /// What is made of a refusal of calls that no budget pauses alone for.
    pub refusals: Refusals,
    /// Connections to one CDN host when the configuration names no number…
    pub connections_per_host: usize,
    /// …and the most that it may name.
    pub most_connections_per_host: usize,
    /// Connections to all CDN hosts when the configuration names no number.
    pub connections_total: usize,
    /// Entries of the largest page of a list.
    pub page: u32,
    /// How far apart looks at an idle account's list are, in percent of `library.refresh_interval`.
    pub look_percent: u32,
    /// For this long after a call was refused for being one too many, a refusal of content may be a
    /// penalty rather than the truth.
    pub penalty: Duration,
    /// Where a day of traffic begins at midnight: a POSIX time zone, as not every machine has a
    /// database of time zones.
    pub zone: &'static str,
    /// Whether the vendor tells how much traffic a key used.
    pub tells_traffic: bool,
    /// Whether a program may add by itself what the account had before.
    pub may_add_again: bool,
    /// The least time between two additions, for vendors that refuse what comes sooner. The
    /// configuration may set another one.
    pub add_interval: Duration,
    /// How it is learnt whether the vendor has a release already.
    pub cache_check: CacheCheck,
    /// How long a direct link is used before a new one is made, if the vendor says so; otherwise until it is
    /// refused.
    pub link_life: Option<Duration>,
}

impl Limits {
    /// The limits of a vendor that declares nothing.
    pub const CAUTIOUS: Self = Self {
        calls_per_minute: 60,
        calls_in_flight: 4,
        budgets: &[],
        link_word: None,
        refusals: Refusals::CAUTIOUS,
        connections_per_host: 4,
        most_connections_per_host: 8,
        connections_total: 16,
        page: 100,
        look_percent: 100,
        penalty: Duration::from_secs(30),
        zone: "UTC0",
        tells_traffic: false,
        may_add_again: false,
        add_interval: Duration::ZERO,
        cache_check: CacheCheck::Added,
        link_life: None,
    };

    /// The longest pause that a refusal of a call with `word` may ask for.
    pub fn longest_pause(&self, word: Option<&str>) -> Duration {
        let own = self.budgets.iter();
        let own = own.filter(|budget| budget.word == word && budget.pauses_alone);
        let own = own.map(|budget| budget.refusals.longest_pause).max();
        own.unwrap_or(self.refusals.longest_pause)
    }

    /// The time zone of the vendor's days.
    pub fn time_zone(&self) -> TimeZone {
        TimeZone::posix(self.zone).unwrap_or(TimeZone::UTC)
    }
}
