//! The three lists as one: which is asked for when, and whether what is missing is believed.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{List, decode};
use crate::account::call::Call;
use crate::account::caller::Api;
use crate::{Result, TorrentId, TorrentPage, TorrentSummary, Verdict};

/// Lines of the largest page of one list.
const PAGE: u64 = 1000;
/// 1000 torrents of 200 files stay below this.
const LARGEST_LIST: usize = 128 << 20;
/// A list that changes between its pages is read this often at most.
const ATTEMPTS: u32 = 3;
/// Looks ask for usenet and web downloads this much apart: with a look at the torrents every 10 s
/// that makes 7.5 calls a minute.
const SELDOM: Duration = Duration::from_secs(75);
/// A complete list that lacks more than this of the one before is read once more. Answers of the
/// service may be older than what it told before.
const MOST_MISSING: usize = 100;
/// So long after the first reading.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// What the lists said.
#[derive(Default)]
pub(super) struct Lists {
    /// Of the lists that are asked for more seldom, what they said last.
    seldom: Mutex<HashMap<List, Seldom>>,
    /// What was in the last complete list.
    complete: Mutex<HashSet<TorrentId>>,
}

/// The newest lines of a list at one time.
struct Seldom {
    asked: Instant,
    wanted: u64,
    found: Newest,
}

/// The newest lines of one list, or of all.
#[derive(Clone, Default)]
struct Newest {
    items: Vec<TorrentSummary>,
    unreadable: Vec<String>,
    /// These are all.
    ended: bool,
}

impl Lists {
    /// The three lists as one, the newest first, without the first `offset` lines. It has a total
    /// when all of it was read.
    pub(super) async fn page(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage> {
        let wanted = offset.saturating_add(u64::from(limit));
        let mut all = self.newest(api, wanted).await?;
        if all.ended && wanted >= PAGE {
            let lacking = self.lacking(&all);
            if lacking > MOST_MISSING {
                tracing::warn!(
                    lacking,
                    "the list lacks much of what it had: it is read again"
                );
                sleep(READ_AGAIN).await;
                all = self.newest(api, wanted).await?;
            }
            let ids = all.items.iter().map(|item| item.id.clone());
            *self.complete.lock() = ids.collect();
        }
        let mut page = TorrentPage {
            total: all
                .ended
                .then_some((all.items.len() + all.unreadable.len()) as u64),
            items: all.items,
            goes_on: !all.ended,
            unreadable: all.unreadable,
        };
        page.items.sort_by_key(|item| Reverse(item.added));
        let skipped = page.items.len().min(offset as usize);
        page.items.drain(..skipped);
        page.items.truncate(limit as usize);
        Ok(page)
    }

    /// Something of `list` was changed: the next look asks for it.
    pub(super) fn changed(&self, list: List) {
        self.seldom.lock().remove(&list);
    }

    /// How much of the last complete list is not in `all`.
    fn lacking(&self, all: &Newest) -> usize {
        let ids: HashSet<_> = all.items.iter().map(|item| &item.id).collect();
        let known = self.complete.lock();
        known.iter().filter(|id| !ids.contains(id)).count()
    }

    async fn newest(&self, api: &Api<'_>, wanted: u64) -> Result<Newest> {
        let (torrents, usenet, web) = tokio::try_join!(
            newest(api, List::Torrents, wanted),
            self.seldom(api, List::Usenet, wanted),
            self.seldom(api, List::Web, wanted),
        )?;
        let mut all = Newest {
            ended: true,
            ..Newest::default()
        };
        for list in [torrents, usenet, web] {
            all.items.extend(list.items);
            all.unreadable.extend(list.unreadable);
            all.ended &= list.ended;
        }
        Ok(all)
    }

    /// As [`newest`]; of a list that was asked for lately, what it said then. A complete list is
    /// always asked for.
    async fn seldom(&self, api: &Api<'_>, list: List, wanted: u64) -> Result<Newest> {
        let asked = Instant::now();
        if wanted < PAGE
            && let Some(known) = self.seldom.lock().get(&list)
            && known.wanted == wanted
            && known.asked + SELDOM > asked
        {
            return Ok(known.found.clone());
        }
        let found = newest(api, list, wanted).await?;
        let known = Seldom {
            asked,
            wanted,
            found: found.clone(),
        };
        self.seldom.lock().insert(list, known);
        Ok(found)
    }
}

/// The torrents of the first page, the newest first.
pub(super) async fn newest_torrents(api: &Api<'_>) -> Result<Vec<TorrentSummary>> {
    Ok(newest(api, List::Torrents, PAGE).await?.items)
}

/// The newest `wanted` lines of `list`. A plan without usenet or web downloads has none of them.
async fn newest(api: &Api<'_>, list: List, wanted: u64) -> Result<Newest> {
    for _ in 0..ATTEMPTS {
        match read(api, list, wanted).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) if list != List::Torrents && error.verdict == Verdict::Disabled => {
                return Ok(Newest {
                    ended: true,
                    ..Newest::default()
                });
            }
            Err(error) => return Err(error),
        }
    }
    let words = "the list changes while it is read";
    Err(api.error("listing torrents", Verdict::Retry, words))
}

/// As [`newest`]; `None` when lines went while they were read, so that some may have been passed over. To tell, a
/// page begins with the last line of the page before.
async fn read(api: &Api<'_>, list: List, wanted: u64) -> Result<Option<Newest>> {
    let mut found = Newest::default();
    let mut seen = HashSet::new();
    let mut from = 0;
    loop {
        let limit = PAGE.min(wanted - from);
        let page = page(api, list, from, limit).await?;
        let follows = match page.items.first() {
            Some(first) => seen.contains(&first.id) || !page.unreadable.is_empty(),
            None => false,
        };
        if from > 0 && !follows {
            return Ok(None);
        }
        let lines = (page.items.len() + page.unreadable.len()) as u64;
        let new = page.items.into_iter();
        found
            .items
            .extend(new.filter(|item| seen.insert(item.id.clone())));
        found.unreadable.extend(page.unreadable);
        found.ended = lines < limit;
        if found.ended || from + lines >= wanted {
            return Ok(Some(found));
        }
        from += lines - 1;
    }
}

/// `limit` lines of `list` from the line `offset` on. An empty list is told as an error.
async fn page(api: &Api<'_>, list: List, offset: u64, limit: u64) -> Result<TorrentPage> {
    let folder = list.folder();
    let call = Call {
        max_body: LARGEST_LIST,
        may_be_none: true,
        ..Call::get(
            "listing torrents",
            // Without it, an answer may be a quarter of an hour old.
            format!("/{folder}/mylist?bypass_cache=true&offset={offset}&limit={limit}"),
        )
    };
    match api
        .call(&call, |answer| decode::list(list, &answer.body))
        .await
    {
        Err(error) if error.verdict == Verdict::NotFound => Ok(TorrentPage {
            items: Vec::new(),
            total: None,
            goes_on: false,
            unreadable: Vec::new(),
        }),
        page => page,
    }
}
