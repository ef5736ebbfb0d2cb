//! `link/unlock`, `link/delayed` and `link/infos`: from restricted links to direct ones.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::call::Call;
use super::{LINK_PREFIX, Refusal, done, error};
use crate::account::{Account, Download, Linked};
use crate::cdn::percent_encoded;
use crate::random::Id13;
use crate::vendors::answer::Answer;

/// How long is left of a link that is being made, as it is told at most.
const MOST_LEFT_S: i64 = 3600;

fn find(account: &Account, link: &str) -> Result<Linked, &'static str> {
    let id = link.strip_prefix(LINK_PREFIX).and_then(Id13::parse);
    let id = id.ok_or("LINK_HOST_NOT_SUPPORTED")?;
    let (torrent, position) = account.link(id).ok_or("LINK_DOWN")?;
    if account.broken_links.contains_key(&id) {
        return Err("LINK_DOWN");
    }
    let (name, path, content) = torrent.linked(position).ok_or("LINK_DOWN")?;
    let file = format!("{}{path}", torrent.release.hash);
    Ok((id, name, file, content))
}

pub(super) fn unlock(call: &Call) -> Result<Answer, Refusal> {
    let link = call
        .text("link")
        .ok_or_else(|| Refusal::of("LINK_IS_MISSING"))?;
    let settings = &call.settings.alldebrid;
    let (download, data) = call.with_account(|number, account| {
        if !account.state.premium {
            return Err(Refusal::of("MUST_BE_PREMIUM"));
        }
        if settings.no_server {
            return Err(Refusal::of("NO_SERVER"));
        }
        let found = find(account, &link).map_err(Refusal::of)?;
        let download = make(call, number, account, found);
        let name = percent_encoded(&download.filename);
        let url = format!("{}/dl/{}/{name}", download.url, download.id);
        let mut data = json!({
            "link": url,
            "host": "alldebrid",
            "hostDomain": "alldebrid.com",
            "filename": download.filename,
            "filesize": download.content.size(),
            "id": download.id.to_string(),
            "paws": false,
            "streaming": [],
            "path": [],
        });
        if settings.delayed_ms > 0 {
            let ready_ms = call.now_ms + i64::from(settings.delayed_ms);
            account.alldebrid.delayed.push((ready_ms, url));
            data["link"] = json!("");
            data["delayed"] = json!(account.alldebrid.delayed.len());
        }
        Ok((download, data))
    })??;
    let link = call.sim.inner.counters.link(download.link);
    link.unrestricts.fetch_add(1, Relaxed);
    call.sim.add_download(download);
    Ok(done(data))
}

/// A direct link, on another host each time: some lead nowhere.
fn make(call: &Call, number: usize, account: &mut Account, found: Linked) -> Arc<Download> {
    let lost = account.alldebrid.unlocks % 100;
    let lost = lost < u64::from(call.settings.alldebrid.null_routed_percent);
    account.alldebrid.unlocks += 1;
    let url = match lost {
        true => nowhere(&call.cdn_url),
        false => call.cdn_url.clone(),
    };
    account.make_download(number, found, url, (call.now_ms, &call.settings))
}

/// The same URL on the host 0.0.0.0.
fn nowhere(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let port = rest.rsplit_once(':').map_or("80", |(_, port)| port);
    format!("{scheme}://0.0.0.0:{port}")
}

pub(super) fn delayed(call: &Call) -> Result<Answer, Refusal> {
    let invalid = || Refusal::of("DELAYED_INVALID_ID");
    let id = call.text("id").and_then(|id| id.parse::<usize>().ok());
    let at = id.and_then(|id| id.checked_sub(1)).ok_or_else(invalid)?;
    let known = call.with_account(|_, account| account.alldebrid.delayed.get(at).cloned())?;
    let (ready_ms, url) = known.ok_or_else(invalid)?;
    let left_s = (ready_ms - call.now_ms + 999) / 1000;
    Ok(done(match left_s > 0 {
        true => json!({ "status": 1, "time_left": left_s.min(MOST_LEFT_S) }),
        false => json!({ "status": 2, "time_left": 0, "link": url }),
    }))
}

pub(super) fn infos(call: &Call) -> Result<Answer, Refusal> {
    let links = call.texts("link");
    let infos = call.with_account(|_, account| {
        let info = |link: &String| match find(account, link) {
            Err(word) => json!({ "link": link, "error": error(word) }),
            Ok((_, name, _, content)) => json!({
                "link": link,
                "filename": name,
                "size": content.size(),
                "host": "alldebrid",
                "hostDomain": "alldebrid.com",
            }),
        };
        links.iter().map(info).collect::<Vec<Value>>()
    })?;
    match infos.is_empty() {
        true => Err(Refusal::of("LINK_IS_MISSING")),
        false => Ok(done(json!({ "infos": infos }))),
    }
}
