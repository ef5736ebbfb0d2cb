//! `mylist` of each service.

use serde_json::Value;

use super::call::Call;
use super::envelope::{Refusal, done};
use super::item::item;
use crate::account::Account;
use crate::library::Service;
use crate::status::Status;
use crate::vendors::answer::Answer;

/// Entries of a page at most, and by default.
const PAGE: u64 = 1000;
/// How long the lists of the other services may be old.
const FRESH_S: u32 = 5;

const LISTED: &str = "List retrieved successfully.";

pub(super) fn list(call: &Call, service: Service) -> Result<Answer, Refusal> {
    let id = call.number("id")?;
    let offset = call.number("offset")?.unwrap_or(0);
    let limit = call.number("limit")?.unwrap_or(PAGE).min(PAGE);
    let items = call.with_account(|_, account| remembered(call, account, service, id))?;
    if id.is_some() {
        let item = items.into_iter().next().ok_or_else(|| call.unknown())?;
        return Ok(done(LISTED, item));
    }
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let page = items.into_iter().skip(whole(offset)).take(whole(limit));
    call.listed(LISTED, &page.collect::<Vec<_>>())
}

/// The list, or the entry of `id`, as it is now or was a while ago.
fn remembered(call: &Call, account: &mut Account, service: Service, id: Option<u64>) -> Vec<Value> {
    let stale_s = call.settings.torbox.list_stale_s;
    let stale_s = match service {
        Service::Torrents => stale_s,
        Service::Usenet | Service::Webdl => stale_s.min(FRESH_S),
    };
    let key = (service, id);
    if !call.flag("bypass_cache")
        && let Some((at_ms, items)) = account.torbox.lists.get(&key)
        && call.now_ms - at_ms < i64::from(stale_s) * 1000
    {
        return items.clone();
    }
    let mut listed: Vec<_> = account
        .newest_first()
        .filter(|torrent| torrent.release.service == service)
        // What waits in the queue is on a list of its own.
        .filter(|torrent| torrent.status != Status::Queued)
        .filter(|torrent| id.is_none_or(|id| torrent.remote == id))
        .collect();
    listed.sort_by_key(|torrent| std::cmp::Reverse(torrent.remote));
    let show = |torrent| item(torrent, account.seed, call.now_ms, &call.settings);
    let items: Vec<_> = listed.into_iter().map(show).collect();
    let known = (call.now_ms, items.clone());
    account.torbox.lists.insert(key, known);
    items
}
