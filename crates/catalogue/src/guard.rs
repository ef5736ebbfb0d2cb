//! The shrink guard: decides whether torrents missing in a complete list are gone.
//!
//! A few missing torrents are gone at once. A loss of many is held until enough later lists agree on it: media servers delete
//! their metadata when a library is suddenly empty.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use debridfs_provider::{ContentId, TorrentId};
use jiff::{SignedDuration, Timestamp};

/// When a loss is too large to be believed at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardRules {
    /// Share of a provider's releases, 0 to 1; more than this and more than `releases` is held. Default 0.1.
    pub share: f64,
    /// Number of releases. Default 20.
    pub releases: usize,
    /// Further complete lists that have to agree. Default 2.
    pub lists: u32,
    /// Time between such lists. Default 10 minutes.
    pub apart: Duration,
}

impl Default for GuardRules {
    fn default() -> Self {
        Self {
            share: 0.1,
            releases: 20,
            lists: 2,
            apart: Duration::from_secs(600),
        }
    }
}

/// Torrents of a provider whose loss is not believed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) entries: BTreeMap<TorrentId, HeldTorrent>,
    /// When a list was last counted as a confirmation, or the loss was first seen.
    pub(crate) counted: Option<Timestamp>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldTorrent {
    /// When it was first missing.
    pub(crate) since: Timestamp,
    /// Later lists that agreed.
    pub(crate) confirmations: u32,
}

impl Held {
    /// When the next list counts; `None` when nothing is held.
    pub(crate) fn next_check(&self, rules: &GuardRules) -> Option<Timestamp> {
        if self.entries.is_empty() {
            return None;
        }
        let apart = SignedDuration::try_from(rules.apart).ok()?;
        self.counted?.checked_add(apart).ok()
    }

    /// Whether a list at `now` counts. A clock that went back counts as well, or a loss might be held for years.
    pub(crate) fn due(&self, rules: &GuardRules, now: Timestamp) -> bool {
        self.next_check(rules).is_some_and(|next| now >= next)
            || self.counted.is_some_and(|counted| now < counted)
    }
}

/// What a complete list lacks.
pub(crate) struct Loss<'a> {
    /// Missing torrents, with their hashes, whose release is nowhere else in the list.
    pub(crate) missing: &'a [(TorrentId, ContentId)],
    /// Releases of the provider before, held ones among them.
    pub(crate) releases: usize,
    /// The list is empty; that is held however small the library was.
    pub(crate) emptied: bool,
}

/// The torrents that are gone, and what is held from now on.
pub(crate) fn judge(
    rules: &GuardRules,
    held: &Held,
    loss: &Loss<'_>,
    now: Timestamp,
) -> (Vec<TorrentId>, Held) {
    let lost: HashSet<ContentId> = loss.missing.iter().map(|(_, content)| *content).collect();
    let many =
        lost.len() > rules.releases && lost.len() as f64 > rules.share * loss.releases as f64;
    if lost.is_empty() || !(many || loss.emptied) {
        let gone = loss.missing.iter().map(|(id, _)| id.clone()).collect();
        return (gone, Held::default());
    }
    let counts = held.due(rules, now);
    let mut gone = Vec::new();
    let mut entries = BTreeMap::new();
    for (id, _) in loss.missing {
        let entry = match held.entries.get(id) {
            Some(before) => HeldTorrent {
                since: before.since,
                confirmations: before.confirmations + u32::from(counts),
            },
            None => HeldTorrent {
                since: now,
                confirmations: 0,
            },
        };
        if entry.confirmations >= rules.lists {
            gone.push(id.clone());
        } else {
            entries.insert(id.clone(), entry);
        }
    }
    let counted = if entries.is_empty() {
        None
    } else if counts || held.entries.is_empty() {
        Some(now)
    } else {
        held.counted
    };
    (gone, Held { entries, counted })
}

#[cfg(test)]
mod tests {
    use debridfs_provider::InfoHash;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn missing(range: std::ops::Range<u8>) -> Vec<(TorrentId, ContentId)> {
        range
            .map(|number| {
                (
                    TorrentId(format!("T{number:03}")),
                    InfoHash([number; 20]).into(),
                )
            })
            .collect()
    }

    fn loss(missing: &[(TorrentId, ContentId)], releases: usize) -> Loss<'_> {
        Loss {
            missing,
            releases,
            emptied: missing.len() == releases,
        }
    }

    #[test]
    fn both_limits_must_be_passed() {
        let rules = GuardRules::default();
        let cases = [
            (20, 100, false), // 20 % but not more than 20
            (21, 100, true),
            (21, 210, false), // 10 % but not more
            (21, 209, true),
            (3, 3, true), // everything
            (0, 3, false),
        ];
        for (lost, releases, held) in cases {
            let missing = missing(0..lost);
            let (gone, after) = judge(&rules, &Held::default(), &loss(&missing, releases), at(0));
            assert_eq!(!after.entries.is_empty(), held, "{lost} of {releases}");
            assert_eq!(gone.len(), if held { 0 } else { lost.into() });
        }
    }

    #[test]
    fn two_lists_ten_minutes_apart_confirm() {
        let rules = GuardRules::default();
        let missing = missing(0..50);
        let mut held = Held::default();
        for (minute, gone) in [(0, 0), (1, 0), (9, 0), (10, 0), (19, 0), (20, 50)] {
            let (now_gone, after) = judge(&rules, &held, &loss(&missing, 100), at(minute));
            assert_eq!(now_gone.len(), gone, "minute {minute}");
            held = after;
        }
        assert_eq!(held, Held::default());
    }

    #[test]
    fn what_comes_back_is_no_longer_held() {
        let rules = GuardRules::default();
        let all = missing(0..50);
        let (_, held) = judge(&rules, &Held::default(), &loss(&all, 100), at(0));
        let (gone, held) = judge(&rules, &held, &loss(&all[..30], 100), at(10));
        assert!(gone.is_empty());
        assert_eq!(held.entries.len(), 30);
        let (gone, held) = judge(&rules, &held, &loss(&[], 100), at(11));
        assert!(gone.is_empty() && held.entries.is_empty());
    }

    #[test]
    fn a_growing_loss_confirms_each_torrent_on_its_own() {
        let rules = GuardRules::default();
        let all = missing(0..80);
        let (_, held) = judge(&rules, &Held::default(), &loss(&all[..30], 100), at(0));
        let (_, held) = judge(&rules, &held, &loss(&all[..30], 100), at(10));
        let (gone, held) = judge(&rules, &held, &loss(&all, 100), at(20));
        assert_eq!(gone.len(), 30);
        assert_eq!(held.entries.len(), 50);
        assert!(held.entries.values().all(|entry| entry.confirmations == 0));
        assert_eq!(held.next_check(&rules), Some(at(30)));
    }

    #[test]
    fn a_clock_set_back_does_not_hold_for_ever() {
        let rules = GuardRules::default();
        let all = missing(0..30);
        let (_, held) = judge(&rules, &Held::default(), &loss(&all, 100), at(1_000_000));
        assert!(held.due(&rules, at(0)));
    }
}
