//! What a release holds: the torrents of one info-hash put together.
//!
//! Links belong to selected files by order, and only when there are exactly as many: with fewer, nobody can tell which one is missing, and a guess would serve
//! wrong bytes. One link for several files is a RAR of them, whose members take the place of links once somebody has looked into it. Links may come late: for [`LATE_LINKS`] after the end a mismatch means "not known yet".

mod packed;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use debridfs_provider::TorrentStatus;
use jiff::{SignedDuration, Timestamp};

use crate::archive::Findings;
use crate::ids::IdTable;
use crate::{BadReason, Contents, Release, TorrentRecord};

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
    /// Checks confirmed that it cannot be read: said so in `__bad__`, and shown where it is.
    pub(crate) fn quarantine(&mut self) {
        if self.in_all && self.release.bad.is_none() {
            Arc::make_mut(&mut self.release).bad = Some(BadReason::Unreadable);
            self.in_bad = true;
        }
    }
}

/// Where one torrent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    /// Ready, but its files or links are not known yet.
    Unknown(Option<Timestamp>),
    Bad(BadReason),
    NotReady,
    Removed(Timestamp),
}

fn standing(record: &TorrentRecord, now: Timestamp) -> Standing {
    use TorrentStatus::{Dead, Downloaded, Error, MagnetError, Virus};
    if let Some(removed) = record.removed {
        return Standing::Removed(removed);
    }
    match record.status {
        Downloaded => {}
        Error | MagnetError | Virus | Dead => return Standing::Bad(BadReason::Failed),
        _ => return Standing::NotReady,
    }
    let Some(selected) = selected(record) else {
        return Standing::Unknown(None);
    };
    if selected > 0 && record.links.len() == selected {
        return Standing::Good;
    }
    match record.findings() {
        Some(Findings::Refused(reason)) => return Standing::Bad(*reason),
        Some(Findings::Members { .. }) if has_all_links(record) => return Standing::Good,
        // Nothing in it is what the torrent says.
        Some(Findings::Members { .. }) => return Standing::Bad(BadReason::RarDamaged),
        None => {}
    }
    let patience = record
        .ended
        .and_then(|ended| ended.checked_add(LATE_LINKS).ok());
    match patience {
        Some(end) if now < end => Standing::Unknown(Some(end)),
        _ if record.is_packed() => Standing::Bad(BadReason::PackedRar),
        _ => Standing::Bad(BadReason::MissingLinks),
    }
}

/// Number of selected files, once known.
fn selected(record: &TorrentRecord) -> Option<usize> {
    let detail = record.detail.as_ref()?;
    Some(detail.files.iter().filter(|file| file.selected).count())
}

/// Whether each selected file has its link, or lies in an archive that has one.
fn has_all_links(record: &TorrentRecord) -> bool {
    selected(record).is_some_and(|selected| selected == record.links.len())
        || !packed::placed(record).is_empty()
}

/// Whether the torrent was packed into an archive and somebody has to look into that.
pub(crate) fn owes_examination(record: &TorrentRecord, now: Timestamp) -> bool {
    // The second question is the dearer one.
    record.links.len() == 1 && standing(record, now) == Standing::Bad(BadReason::PackedRar)
}

/// Puts the torrents of one info-hash together; `records` is not empty and sorted by age, `rank` orders providers by preference. `None`: nothing to show.
pub(crate) fn assemble(
    records: &[Arc<TorrentRecord>],
    before: Before,
    rank: impl Fn(&str) -> usize,
    now: Timestamp,
    ids: &mut IdTable,
) -> Option<Assembled> {
    let standings: Vec<Standing> = records.iter().map(|record| standing(record, now)).collect();
    // Those with `standing`, the preferred first: by provider, then the youngest, as its links last longest.
    let pick = |wanted: &dyn Fn(Standing) -> bool| {
        let mut picked: Vec<&Arc<TorrentRecord>> = records
            .iter()
            .zip(&standings)
            .filter(|(_, standing)| wanted(**standing))
            .map(|(record, _)| record)
            .rev()
            .collect();
        picked.sort_by_key(|record| rank(&record.provider));
        picked
    };
    let mut tree = |of: &[&Arc<TorrentRecord>], linked: bool| {
        Contents::Known(Arc::new(tree::build(records, of, linked, ids)))
    };

    let good = pick(&|standing| standing == Standing::Good);
    let unknown = pick(&|standing| matches!(standing, Standing::Unknown(_)));
    let bad = pick(&|standing| matches!(standing, Standing::Bad(_)));
    let not_ready = pick(&|standing| standing == Standing::NotReady);
    let removed = pick(&|standing| matches!(standing, Standing::Removed(_)));

    let (held_by, reason, contents, in_all, until);
    if !good.is_empty() {
        contents = tree(&good, true);
        // A second torrent may still be waiting for its links.
        until = patience(&standings);
        (held_by, reason, in_all) = ([good, unknown].concat(), None, true);
    } else if !unknown.is_empty() {
        until = patience(&standings);
        (held_by, reason, contents, in_all) = (unknown, None, Contents::Unknown, true);
    } else if !bad.is_empty() {
        contents = tree(&bad, false);
        (held_by, reason, until) = (bad, worst(&standings), None);
        in_all = before.good;
    } else if !not_ready.is_empty() && removed.is_empty() {
        if !before.good {
            return None;
        }
        // It was ready, and is not now: it keeps its place, as the library does not shrink by a hiccup.
        contents = tree(&not_ready, false);
        (held_by, reason, until) = (not_ready, Some(BadReason::MissingLinks), None);
        in_all = true;
    } else {
        let last = standings.iter().filter_map(|standing| match standing {
            Standing::Removed(at) => Some(*at),
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
            .filter(|record| has_all_links(record))
            .collect();
        contents = if linked.is_empty() {
            tree(&removed, false)
        } else {
            tree(&linked, true)
        };
        (held_by, reason) = (removed, Some(BadReason::Removed));
        in_all = false;
    }

    let mut providers: Vec<String> = Vec::new();
    for record in &held_by {
        if !providers.contains(&record.provider) {
            providers.push(record.provider.clone());
        }
    }
    let added = records
        .iter()
        .map(|record| record.added)
        .chain(before.added)
        .min()?;
    Some(Assembled {
        release: Arc::new(Release {
            hash: held_by[0].hash,
            added,
            providers,
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
fn patience(standings: &[Standing]) -> Option<Timestamp> {
    standings
        .iter()
        .filter_map(|standing| match standing {
            Standing::Unknown(until) => *until,
            _ => None,
        })
        .min()
}

/// The reason that tells most.
fn worst(standings: &[Standing]) -> Option<BadReason> {
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
    .find(|reason| standings.contains(&Standing::Bad(*reason)))
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
