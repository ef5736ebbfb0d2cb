//! How torrents that jobs wait for are doing: one list for all of them, instead of a call for each.

use std::collections::HashMap;
use std::time::Duration;

use debridfs_provider::{Priority, Provider, Result, TorrentId, TorrentSummary};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The newest torrents of an account: those that are waited for are among them unless they wait for long.
const PAGE: u32 = 250;

#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// By provider: when it was asked, and what it said.
    lists: Mutex<HashMap<String, (Instant, List)>>,
}

type List = HashMap<TorrentId, TorrentSummary>;

impl Watch {
    /// What the account's list says of a torrent, no older than `every`; `None` when it is not among the newest.
    pub(crate) async fn look(
        &self,
        provider: &dyn Provider,
        torrent: &TorrentId,
        every: Duration,
    ) -> Result<Option<TorrentSummary>> {
        // Held over the call, so that all who wait get the one answer.
        let mut lists = self.lists.lock().await;
        let fresh = lists
            .get(provider.name())
            .is_some_and(|(at, _)| at.elapsed() < every);
        if !fresh {
            let page = provider.torrents(Priority::Import, 0, PAGE).await?;
            let list = page
                .items
                .into_iter()
                .map(|item| (item.id.clone(), item))
                .collect();
            lists.insert(provider.name().to_owned(), (Instant::now(), list));
        }
        let list = lists.get(provider.name());
        Ok(list.and_then(|(_, list)| list.get(torrent)).cloned())
    }
}
