//! `/unrestrict/…` and `/downloads/…`: from restricted links to direct ones.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::LINK_PREFIX;
use super::answer::{Answer, VendorError};
use super::call::Call;
use super::names;
use crate::account::Download;
use crate::cdn::{mime_type, percent_encoded};
use crate::clock::iso;
use crate::random::Id13;
use crate::sim::link_id;

/// Connections at once that the vendor allows for a link.
const CHUNKS: u32 = 32;
const HOST: &str = "real-debrid.com";
const HOST_ICON: &str = "https://fcdn.real-debrid.com/0830/images/hosters/realdebrid.png";

/// The link of the form, if it is one of ours; everything after its 39 characters is ignored.
fn asked_link(call: &Call) -> Result<Id13, VendorError> {
    let link = call
        .form("link")
        .filter(|link| !link.is_empty())
        .ok_or(VendorError(1))?;
    let (scheme, rest) = link.split_once("://").ok_or(VendorError(2))?;
    let (host, _) = rest.split_once('/').ok_or(VendorError(2))?;
    let ours =
        matches!(scheme, "http" | "https") && host.strip_prefix("www.").unwrap_or(host) == HOST;
    if !ours {
        return Err(VendorError(16));
    }
    link_id(&link).ok_or(VendorError(7))
}

#[derive(Serialize)]
struct Checked {
    host: &'static str,
    link: String,
    filename: String,
    filesize: u64,
    supported: u8,
}

pub(super) fn check(call: &Call) -> Result<Answer, VendorError> {
    let link = asked_link(call)?;
    // No token is needed: links of all accounts are known here.
    let account = call.sim.account_of_link(link).ok_or(VendorError(24))?;
    let found = call.sim.with_account(account, |account| {
        if account.broken_links.contains_key(&link) {
            return None;
        }
        let (torrent, position) = account.link(link)?;
        torrent.linked(position)
    });
    let (filename, _, content) = found.ok().flatten().ok_or(VendorError(24))?;
    Ok(Answer::json(
        200,
        &Checked {
            host: HOST,
            link: format!("{LINK_PREFIX}{link}"),
            filename,
            filesize: content.size(),
            supported: 1,
        },
    ))
}

#[derive(Serialize)]
struct Unrestricted {
    id: Id13,
    filename: String,
    #[serde(rename = "mimeType")]
    mime_type: &'static str,
    filesize: u64,
    link: String,
    host: &'static str,
    host_icon: &'static str,
    chunks: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc: Option<u8>,
    download: String,
    streamable: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<String>,
}

fn show(download: &Download) -> Unrestricted {
    let mime_type = mime_type(&download.filename);
    Unrestricted {
        id: download.id,
        filename: download.filename.clone(),
        mime_type,
        filesize: download.content.size(),
        link: format!("{LINK_PREFIX}{}", download.link),
        host: HOST,
        host_icon: HOST_ICON,
        chunks: CHUNKS,
        crc: None,
        download: format!(
            "{}/d/{}/{}",
            download.url,
            download.id,
            percent_encoded(&download.filename)
        ),
        streamable: mime_type.starts_with("video/").into(),
        generated: None,
    }
}

pub(super) fn link(call: &Call) -> Result<Answer, VendorError> {
    let link = asked_link(call)?;
    call.penalty()?;
    let day = call.sim.inner.clock.day(call.now_ms);
    let cap = call.settings.traffic_cap;
    // Whoever has an account may unrestrict a link of any; it costs his calls and his traffic.
    let owner = call.sim.account_of_link(link).ok_or(VendorError(7));
    let shown = owner.and_then(|owner| {
        let found = call.sim.with_account(owner, |account| {
            account.advance(call.now_ms, &call.settings);
            let broken = account.broken_links.get(&link).copied();
            let (torrent, position) = account.link(link).ok_or(VendorError(7))?;
            let linked = torrent.linked(position).ok_or(VendorError(24));
            let refuses = call.settings.realdebrid.refuse_names;
            if refuses && names::is_refused(&torrent.name) {
                return Err(VendorError(35));
            }
            let hash = torrent.release.hash.clone();
            match broken {
                Some(code) => Err(VendorError(code)),
                None => linked.map(|linked| (hash, linked)),
            }
        });
        found.map_err(|_| VendorError(7))?
    });
    let download = call.with_account_number(|number, account| {
        if !account.state.premium {
            return Err(VendorError(20));
        }
        if cap > 0 && account.traffic.on(&day) >= cap {
            return Err(VendorError(call.settings.traffic_code));
        }
        let (hash, (filename, path, content)) = shown?;
        let linked = (link, filename, format!("{hash}{path}"), content);
        let (url, made) = (call.cdn_url.clone(), (call.now_ms, &*call.settings));
        Ok(account.make_download(number, linked, url, made))
    })??;
    call.sim
        .inner
        .counters
        .link(link)
        .unrestricts
        .fetch_add(1, Relaxed);
    call.sim.add_download(download.clone());
    let mut shown = show(&download);
    shown.crc = Some(1);
    Ok(Answer::json(200, &shown))
}

/// Folders belong to hosters that the simulation does not have.
pub(super) fn folder(call: &Call) -> Result<Answer, VendorError> {
    asked_link(call)?;
    Ok(Answer::json::<[String; 0]>(200, &[]))
}

pub(super) fn downloads(call: &Call) -> Result<Answer, VendorError> {
    let (offset, limit) = call.page()?;
    let (items, total) = call.with_account(|account| {
        let items: Vec<_> = account
            .downloads
            .iter()
            .rev()
            .skip(offset)
            .take(limit)
            .map(|download| {
                let mut shown = show(download);
                shown.generated = Some(iso(download.generated_ms));
                shown
            })
            .collect();
        (items, account.downloads.len())
    })?;
    Ok(Answer::list(&items, total))
}

pub(super) fn delete_download(call: &Call) -> Result<Answer, VendorError> {
    let id = Id13::parse(&call.argument)
        .filter(|_| call.argument.len() == 13)
        .ok_or(VendorError(7))?;
    let found = call.with_account(|account| {
        let before = account.downloads.len();
        account.downloads.retain(|download| download.id != id);
        account.downloads.len() != before
    })?;
    if !found {
        return Err(VendorError(7));
    }
    call.sim.remove_download(id);
    Ok(Answer::empty(204))
}
