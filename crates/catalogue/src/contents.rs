//! What a release holds: the torrents of one info-hash put together.
//!
//! Links belong to selected files by order, and only when there are exactly as many: with fewer, order does not tell which one is missing, and a guess would
//! serve wrong bytes. Then name and size, as the provider tells them of each link, tell whose it is, or nobody does. One link for several files is a RAR of them, whose members take the place of links once somebody has looked into it. Links may come late: for [`LATE_LINKS`] after the end a mismatch means "not known yet".

mod health;
mod packed;
mod proven;
#[cfg(test)]
mod tests;
mod tree;

pub use health::Health;

use std::sync::Arc;

use debridfs_provider::ContentId;
use jiff::{SignedDuration, Timestamp};

use crate::ids::IdTable;
use crate::{BadReason, Contents, Copy, Release};

/// How long after `ended` links may still be missing without that being called a fault.
pub const LATE_LINKS: SignedDuration = SignedDuration::from_mins(2);
/// How long a removed release is shown in `__bad__`.
pub const REMOVED_SHOWN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What was shown of the release before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before {
    /// It has a path.
    pub shown: bool,
    /// It was in `__all__`.
    pub good: bool,
    /// The `added` it was shown with.
    pub added: Option<Timestamp>,
}

/// A release ready to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Assembled {
    pub release: Arc<Release>,
    /// Whether `__all__`, its provider's view and custom folders have it.
    pub in_all: bool,
    /// Whether `__bad__` has it.
    pub in_bad: bool,
    /// When it has to be looked at again though no torrent changed.
    pub until: Option<Timestamp>,
}

impl Assembled {
    /// Checks confirmed that it cannot be read, for this reason: said so in `__bad__`, and shown where it is.
    pub(crate) fn quarantine(&mut self, reason: BadReason) {
        if self.in_all && self.release.bad.is_none() {
            Arc::make_mut(&mut self.release).bad = Some(reason);
            self.in_bad = true;
        }
    }
}

/// Puts the torrents of one release together, which is shown as `content`; `records` is not empty and sorted by age, `rank` orders providers by preference. `None`: nothing to show.
pub(crate) fn assemble(
    content: ContentId,
    records: &[Arc<Copy>],
    before: Before,
    rank: impl Fn(&str) -> usize,
    now: Timestamp,
    ids: &mut IdTable,
) -> Option<Assembled> {
    let healths: Vec<Health> = records.iter().map(|record| record.health(now)).collect();
    // Those with `health`, the preferred first: by provider, then the youngest, as its links last longest.
    let pick = |wanted: &dyn Fn(Health) -> bool| {
        let mut picked: Vec<&Arc<Copy>> = records
            .iter()
            .zip(&healths)
            .filter(|(_, health)| wanted(**health))
            .map(|(record, _)| record)
            .rev()
            .collect();
        picked.sort_by_key(|record| rank(&record.provider));
        picked
    };
    let mut tree = |of: &[&Arc<Copy>], linked: bool| {
        Contents::Known(Arc::new(tree::build(content, records, of, linked, ids)))
    };

    let good = pick(&|health| health == Health::Good);
    let unknown = pick(&|health| matches!(health, Health::Unknown(_)));
    let bad = pick(&|health| matches!(health, Health::Bad(_)));
    let not_ready = pick(&|health| health == Health::NotReady);
    let removed = pick(&|health| matches!(health, Health::Removed(_)));

    let (held_by, reason, contents, in_all, until);
    if !good.is_empty() {
        contents = tree(&good, true);
        // A second torrent may still be waiting for its links.
        until = patience(&healths);
        (held_by, reason, in_all) = ([&*good, &unknown].concat(), None, true);
    } else if !unknown.is_empty() {
        until = patience(&healths);
        (held_by, reason, contents, in_all) = (unknown.clone(), None, Contents::Unknown, true);
    } else if !bad.is_empty() {
        let proven = bad.iter().copied().filter(|copy| copy.has_proven_links());
        let proven: Vec<_> = proven.collect();
        contents = match proven.is_empty() {
            true => tree(&bad, false),
            false => tree(&proven, true),
        };
        in_all = before.good || !proven.is_empty();
        (held_by, reason, until) = (bad.clone(), worst(&healths), None);
    } else if !not_ready.is_empty() && removed.is_empty() {
        if !before.good {
            return None;
        }
        // It was ready, and is not now: it keeps its place, as the library does not shrink by a hiccup.
        contents = tree(&not_ready, false);
        (held_by, reason, until) = (not_ready.clone(), Some(BadReason::MissingLinks), None);
        in_all = true;
    } else {
        let last = healths.iter().filter_map(|health| match health {
            Health::Removed(at) => Some(*at),
            _ => None,
        });
        until = last.max().and_then(|at| at.checked_add(REMOVED_SHOWN).ok());
        if !before.shown || until.is_some_and(|end| end <= now) {
            return None;
        }
        // Who has such a file open goes on reading while its links live.
        let linked: Vec<_> = removed
            .iter()
            .copied()
            .filter(|record| record.has_all_links())
            .collect();
        contents = if linked.is_empty() {
            tree(&removed, false)
        } else {
            tree(&linked, true)
        };
        (held_by, reason) = (removed.clone(), Some(BadReason::Removed));
        in_all = false;
    }

    let others = [&good, &unknown, &bad, &not_ready, &removed];
    let others = others.into_iter().flatten();
    let others = others.filter(|copy| !held_by.iter().any(|holder| Arc::ptr_eq(holder, copy)));
    let copies = held_by.iter().chain(others).map(|copy| Arc::clone(copy));
    let added = records
        .iter()
        .map(|record| record.added)
        .chain(before.added)
        .min()?;
    Some(Assembled {
        release: Arc::new(Release {
            id: content,
            added,
            copies: copies.collect(),
            holders: held_by.len(),
            bytes: held_by[0].bytes,
            bad: reason,
            contents,
        }),
        in_all,
        in_bad: reason.is_some(),
        until,
    })
}

/// When the first patience with late links ends.
fn patience(healths: &[Health]) -> Option<Timestamp> {
    healths
        .iter()
        .filter_map(|health| match health {
            Health::Unknown(until) => *until,
            _ => None,
        })
        .min()
}

/// The reason that tells most.
fn worst(healths: &[Health]) -> Option<BadReason> {
    [
        BadReason::PackedRar,
        BadReason::RarCompressed,
        BadReason::RarEncrypted,
        BadReason::RarSolid,
        BadReason::RarSplit,
        BadReason::RarDamaged,
        BadReason::MissingLinks,
        BadReason::Failed,
    ]
    .into_iter()
    .find(|reason| healths.contains(&Health::Bad(*reason)))
}

/// The copy of `release` with its largest file only; `None` when its files are unknown or there is none.
pub(crate) fn biggest_only(release: &Release) -> Option<Arc<Release>> {
    let Contents::Known(tree) = &release.contents else {
        return None;
    };
    let biggest = tree::biggest(tree)?;
    Some(Arc::new(Release {
        contents: Contents::Known(Arc::new(biggest)),
        ..release.clone()
    }))
}
