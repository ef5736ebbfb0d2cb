//! Asking a provider for its whole list, and what may be concluded from the answer.

use std::collections::HashSet;

use debridfs_provider::{Priority, Provider, Result, TorrentSummary};

/// As much as a provider gives in one page.
const PAGE: u32 = u32::MAX;

/// Attempts until a list that moves between its pages is given up; the next poll begins anew.
const ATTEMPTS: u32 = 3;

/// What was told.
#[derive(Debug)]
pub(super) struct Listing {
    /// Every line that could be read, newest first, each id once.
    pub(super) lines: Vec<TorrentSummary>,
    /// The number of torrents in the account, as told.
    pub(super) total: u64,
    /// Lines that could not be read.
    pub(super) unreadable: usize,
    /// Why nothing may be concluded from what is missing; `None` for a complete list.
    pub(super) doubt: Option<String>,
    /// Every torrent of the account is accounted for, readable or not.
    pub(super) accounted: bool,
}

impl Listing {
    /// Judges lines that came with the count `total`.
    pub(super) fn of(
        mut lines: Vec<TorrentSummary>,
        total: Option<u64>,
        unreadable: usize,
    ) -> Self {
        let told = lines.len();
        let mut seen = HashSet::with_capacity(told);
        lines.retain(|line| seen.insert(line.id.clone()));
        let unique = lines.len();
        // An empty list comes without a body, and may come without a count.
        let total = total.or((told == 0 && unreadable == 0).then_some(0));
        let sum = (unique + unreadable) as u64;
        let accounted = unique == told && total == Some(sum);
        let doubt = match total {
            None => Some("the list came without a count of torrents".to_owned()),
            Some(_) if unique < told => {
                Some(format!("{} torrents were listed twice", told - unique))
            }
            Some(total) if total != sum => {
                Some(format!("the list has {sum} torrents, the account {total}"))
            }
            Some(_) if unreadable > 0 => Some(format!(
                "{unreadable} torrents of the list could not be read"
            )),
            Some(_) => None,
        };
        Self {
            lines,
            total: total.unwrap_or(sum),
            unreadable,
            doubt,
            accounted,
        }
    }
}

/// Lists the account; a list that changed between its pages is asked for again.
///
/// # Errors
/// As the provider's; an error on any page loses the whole list.
pub(super) async fn full(provider: &dyn Provider) -> Result<Listing> {
    let mut attempt = 1;
    loop {
        let listing = once(provider).await?;
        // An unreadable line stays unreadable; a count that does not fit may have been a change on the way.
        if listing.accounted || attempt == ATTEMPTS {
            return Ok(listing);
        }
        tracing::debug!(
            provider = provider.name(),
            attempt,
            doubt = listing.doubt,
            "list did not hold together"
        );
        attempt += 1;
    }
}

async fn once(provider: &dyn Provider) -> Result<Listing> {
    let first = provider.torrents(Priority::Refresh, 0, PAGE).await?;
    let total = first.total;
    let mut lines = first.items;
    let mut unreadable = first.unreadable.len();
    while let Some(total) = total {
        let have = (lines.len() + unreadable) as u64;
        if have >= total {
            break;
        }
        let page = provider.torrents(Priority::Refresh, have, PAGE).await?;
        let moved = page.total != Some(total);
        let ended = page.items.is_empty() && page.unreadable.is_empty();
        unreadable += page.unreadable.len();
        lines.extend(page.items);
        if moved {
            let mut listing = Listing::of(lines, page.total, unreadable);
            listing.accounted = false;
            listing.doubt = Some("the list changed between its pages".to_owned());
            return Ok(listing);
        }
        if ended {
            break;
        }
    }
    Ok(Listing::of(lines, total, unreadable))
}
