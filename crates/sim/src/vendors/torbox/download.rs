//! `requestdl`: from a file of a download to a presigned URL of the CDN.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use super::call::Call;
use super::envelope::{Refusal, done, redirect};
use super::item::{file_index, uuid_of};
use crate::account::{Account, Download};
use crate::library::Service;
use crate::random::Id13;
use crate::status::Status;
use crate::vendors::answer::Answer;

/// The part of a URL that names the file.
pub(crate) fn uuid(link: Id13) -> String {
    uuid_of(&[b"file", link.as_str().as_bytes()])
}

/// The token of a URL's query.
pub(crate) fn presigned(query: &str) -> Option<Id13> {
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    Id13::parse(&token?.1)
}

pub(super) fn request(call: &Call, service: Service) -> Result<Answer, Refusal> {
    let name = match service {
        Service::Torrents => "torrent_id",
        Service::Usenet => "usenet_id",
        Service::Webdl => "web_id",
    };
    let missing = || Refusal::of("MISSING_REQUIRED_OPTION");
    let (item, file) = (call.number(name)?, call.number("file_id")?);
    let made = call.with_account(|number, account| {
        if let Some(limited) = account.torbox.link(call.now_ms, &call.settings.torbox) {
            return Err(call.limited(limited));
        }
        // What is zipped cannot be read in part, so nothing here makes it.
        if call.flag("zip_link") {
            return Err(Refusal::of("INVALID_OPTION"));
        }
        let (item, file) = (item.ok_or_else(missing)?, file.ok_or_else(missing)?);
        make(call, number, account, (service, item), file)
    })??;
    let link = call.sim.inner.counters.link(made.link);
    link.unrestricts.fetch_add(1, Relaxed);
    call.sim.add_download(made.clone());
    let url = format!("{}/dld/{}?token={}", made.url, uuid(made.link), made.id);
    Ok(match call.flag("redirect") {
        true => redirect(&url),
        false => done("Download requested successfully.", json!(url)),
    })
}

/// The URL of a file of the account.
fn make(
    call: &Call,
    number: usize,
    account: &mut Account,
    (service, item): (Service, u64),
    file: u64,
) -> Result<Arc<Download>, Refusal> {
    let id = account
        .remote(service, item)
        .ok_or_else(|| call.unknown())?;
    let torrent = account.torrent(id).ok_or_else(|| call.unknown())?;
    let position = file_index(&torrent.release, file).ok_or_else(|| call.unknown())?;
    if torrent.status != Status::Downloaded {
        return Err(Refusal::of("DATABASE_ERROR"));
    }
    let link = torrent.all_links().nth(position as usize);
    let (link, linked) = link
        .zip(torrent.linked(position))
        .ok_or_else(|| call.unknown())?;
    if account.broken_links.contains_key(&link) {
        return Err(Refusal::of("LINK_OFFLINE"));
    }
    let (filename, path, content) = linked;
    let file = format!("{}{path}", torrent.release.hash);
    let linked = (link, filename, file, content);
    let (url, made) = (call.cdn_url.clone(), (call.now_ms, &*call.settings));
    Ok(account.make_download(number, linked, url, made))
}
