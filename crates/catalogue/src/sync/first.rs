//! The first sync of an account: nothing of it is shown before its list and all its names are known, so that a library that is
//! half known looks like no library at all, and never like a small one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use debridfs_provider::{ContentId, TorrentId, TorrentStatus, TorrentSummary};
use jiff::Timestamp;

use super::state::State;
use crate::guard::GuardRules;
use crate::store::{Batch, SyncRow};
use crate::{Copy, FolderNaming};

/// How far an account is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its list or some of its names are not known: its view answers EIO.
    #[default]
    Unknown = 0,
    /// Its own view is shown.
    Known = 1,
    /// It was part of an `__all__` that was shown.
    Shown = 2,
}

/// What is remembered of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FirstSync {
    pub(crate) stage: Stage,
    /// The latest time in the first list, by the provider's clock: what was ready by then is not new.
    pub(crate) until: Option<Timestamp>,
    /// Torrents whose info call fails again and again for a reason of their own: nobody waits for their names.
    pub(crate) left_out: HashSet<TorrentId>,
}

impl FirstSync {
    /// Takes a list that accounts for every torrent; only the first one counts.
    pub(crate) fn begins(&mut self, lines: &[TorrentSummary]) {
        if self.until.is_none() {
            let times = lines.iter().map(|line| line.ended.unwrap_or(line.added));
            // An empty account: all that comes is new.
            self.until = Some(times.max().unwrap_or(Timestamp::UNIX_EPOCH));
        }
    }
}

/// Ready torrents that were there at the first list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) named: usize,
    pub(crate) total: usize,
    /// Of those without a name, the ones that nobody waits for.
    left_out: usize,
}

impl Naming {
    /// Whether the account can be shown. So many that cannot be named are trouble of the provider's, however it words it.
    fn is_complete(self, rules: &GuardRules) -> bool {
        let Self {
            named,
            total,
            left_out,
        } = self;
        let many = left_out > rules.releases && left_out as f64 > rules.share * total as f64;
        named + left_out == total && !many && (named > 0 || total == 0)
    }
}

impl State {
    /// What `rows` say, in their order. The version before had no such rows: what it showed stays.
    pub(super) fn stored_first_syncs(&self, rows: &[SyncRow]) -> Vec<FirstSync> {
        let before = |row: &SyncRow| row.first.is_none() && row.listed;
        let shown = rows
            .iter()
            .any(|row| before(row) && self.providers.contains_key(&row.provider));
        let first = |row: &SyncRow| {
            let (stage, until) = row.first.unwrap_or_else(|| {
                let times = self.live(&row.provider).map(|copy| ready_since(copy));
                let until = times.max();
                match row.listed || (shown && until.is_some()) {
                    true => (Stage::Shown, until),
                    false => (Stage::Unknown, None),
                }
            });
            FirstSync {
                stage,
                until,
                left_out: HashSet::new(),
            }
        };
        rows.iter().map(first).collect()
    }

    /// Whether nobody waits for what the info call of `copy` would tell.
    pub(super) fn is_left_out(&self, copy: &Copy) -> bool {
        let provider = self.providers.get(&copy.provider);
        provider.is_some_and(|provider| provider.first.left_out.contains(&copy.id))
    }

    /// Whether all that is known of the release is in accounts of which nothing is shown yet.
    pub(crate) fn is_hidden(&self, content: ContentId) -> bool {
        let stage = |copy: &Arc<Copy>| {
            self.providers
                .get(&copy.provider)
                .map(|one| one.first.stage)
        };
        let mut held = self.held(content).peekable();
        held.peek().is_some() && held.all(|copy| stage(copy) == Some(Stage::Unknown))
    }

    /// Whether `__all__` is shown.
    pub(crate) fn is_shown(&self) -> bool {
        let mut providers = self.providers.values();
        providers.any(|provider| provider.first.stage == Stage::Shown)
    }

    /// Providers of which nothing is shown yet.
    pub(crate) fn hidden(&self) -> Vec<String> {
        let hidden = self.providers.iter();
        let hidden = hidden.filter(|(_, provider)| provider.first.stage == Stage::Unknown);
        hidden.map(|(name, _)| name.clone()).collect()
    }

    /// Until when what each provider holds is not new.
    pub(crate) fn first_until(&self) -> BTreeMap<String, Timestamp> {
        let providers = self.providers.iter();
        providers
            .filter_map(|(name, provider)| Some((name.clone(), provider.first.until?)))
            .collect()
    }

    /// How far the names of `provider` are; `None` once its own view is shown.
    pub(crate) fn naming(&self, provider: &str, naming: FolderNaming) -> Option<Naming> {
        let first = &self.providers.get(provider)?.first;
        if first.stage != Stage::Unknown {
            return None;
        }
        let mut so_far = Naming::default();
        let there = self.live(provider).filter(|copy| {
            copy.status == TorrentStatus::Downloaded
                && first.until.is_some_and(|until| ready_since(copy) <= until)
        });
        for copy in there {
            so_far.total += 1;
            if copy.detail.is_some() || !naming.needs_info() {
                so_far.named += 1;
            } else if first.left_out.contains(&copy.id) {
                so_far.left_out += 1;
            }
        }
        Some(so_far)
    }

    /// Shows what can be shown by now. `given_up` are accounts that nobody waits for.
    pub(crate) fn settle(
        &mut self,
        naming: FolderNaming,
        rules: &GuardRules,
        given_up: impl Fn(&str) -> bool,
        batch: &mut Batch,
    ) {
        let names: Vec<String> = self.providers.keys().cloned().collect();
        let known = |name: &String| {
            let listed = self.providers[name].listed;
            let naming = self.naming(name, naming);
            listed && naming.is_some_and(|so_far| so_far.is_complete(rules))
        };
        let known: Vec<&String> = names.iter().filter(|name| known(name)).collect();
        let mut changed: HashSet<&String> = known.iter().copied().collect();
        for name in known {
            self.first(name, Stage::Known);
        }
        let stage = |name: &String| self.providers[name].first.stage;
        let known: Vec<&String> = names
            .iter()
            .filter(|name| stage(name) == Stage::Known)
            .collect();
        let all = || {
            let mut names = names.iter();
            names.all(|name| stage(name) != Stage::Unknown || given_up(name))
        };
        if self.is_shown() || all() {
            for name in known {
                self.first(name, Stage::Shown);
                changed.insert(name);
            }
        }
        batch
            .sync
            .extend(changed.into_iter().map(|name| self.sync_row(name)));
    }

    fn first(&mut self, provider: &str, stage: Stage) {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.first.stage = stage;
        }
    }
}

/// When it became ready, by the provider's clock.
pub(crate) fn ready_since(copy: &Copy) -> Timestamp {
    copy.ended.unwrap_or(copy.added)
}
