//! Real-Debrid (`https://api.real-debrid.com`, REST 1.0).
//!
//! | question | decided in |
//! |---|---|
//! | what an HTTP status or error code means | [`verdicts`] |
//! | how an answer is read | [`decode`] |
//! | which names are refused | [`names`] |

pub mod decode;
pub mod names;
pub mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;

use super::{Kind, Vendor};
use crate::account::call::{Answer, Call, Meaning};
use crate::account::caller::Api;
use crate::account::decode::DecodeError;
use crate::account::limits::ADD;
use crate::{
    Account, ActiveCount, DirectLink, DownloadPage, HosterLink, Limits, Refusals, Result,
    TorrentId, TorrentInfo, TorrentPage, TrafficDay, Verdict,
};

/// Real-Debrid.
pub static KIND: Kind = Kind {
    word: "real-debrid",
    api_url: "https://api.real-debrid.com/rest/1.0",
    token_page: "https://real-debrid.com/apitoken",
    limits: Limits {
        // Refused calls count.
        calls_per_minute: 250,
        calls_in_flight: u32::MAX,
        refusals: Refusals {
            // Refused calls count among the 250, and only masses of them block the account (vendor's
            // documentation): two a minute are no more than two calls.
            harmless: true,
            ..Refusals::CAUTIOUS
        },
        // More than 32 to one server are refused (users' reports); the rest is for other programs.
        connections_per_host: 28,
        most_connections_per_host: 32,
        connections_total: 64,
        page: 5000,
        // Seen by Debrid Media Manager.
        penalty: Duration::from_secs(30),
        // France.
        zone: "CET-1CEST,M3.5.0,M10.5.0/3",
        // Two ten seconds apart were refused six times of six, two twenty seconds apart taken six times of six (zurg's
        // notes). The refusal looks like one of the content.
        add_interval: Duration::from_secs(20),
        tells_traffic: true,
        may_add_again: true,
        ..Limits::CAUTIOUS
    },
    vendor: || Arc::new(RealDebrid),
};

/// 5000 torrents of a hundred links each stay below this.
const LARGEST_LIST: usize = 64 << 20;
/// A torrent of 100 000 files stays below this.
const LARGEST_TORRENT: usize = 32 << 20;
/// The longest id that is put into a path; the vendor's have 13 characters.
const LONGEST_ID: usize = 64;

const TORRENT: &str = "application/x-bittorrent";

/// The vendor.
struct RealDebrid;

#[async_trait]
impl Vendor for RealDebrid {
    fn meaning(&self, _: &Call, status: StatusCode, body: &[u8]) -> Option<Meaning> {
        verdicts::meaning(status, body)
    }

    async fn account(&self, api: &Api<'_>) -> Result<Account> {
        let call = Call::get("reading the account", "/user");
        api.call(&call, |answer| decode::account(&answer.body))
            .await
    }

    async fn torrents(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<TorrentPage> {
        let call = page("listing torrents", "/torrents", offset, limit);
        api.call(&call, |answer| {
            decode::torrents(list(answer), total(answer))
        })
        .await
    }

    async fn torrent(&self, api: &Api<'_>, id: &TorrentId) -> Result<TorrentInfo> {
        let what = "reading a torrent";
        let path = format!("/torrents/info/{}", checked(api, what, id)?);
        let call = Call {
            max_body: LARGEST_TORRENT,
            ..Call::get(what, path)
        };
        api.call(&call, |answer| {
            let info = decode::torrent(&answer.body)?;
            match info.summary.id == *id {
                true => Ok(info),
                false => Err(DecodeError("it is about another torrent".to_owned())),
            }
        })
        .await
    }

    async fn direct_link(&self, api: &Api<'_>, link: &HosterLink) -> Result<DirectLink> {
        let fields = [("link", &*link.0)];
        let call = Call::form("making a direct link", "/unrestrict/link", &fields);
        api.call(&call, |answer| decode::direct_link(&answer.body, api.now()))
            .await
    }

    /// The same hash twice makes two torrents.
    async fn add_magnet(&self, api: &Api<'_>, magnet: &str) -> Result<TorrentId> {
        let fields = [("magnet", magnet)];
        let call = Call {
            word: Some(ADD),
            ..Call::form("adding a magnet", "/torrents/addMagnet", &fields)
        };
        api.call(&call, |answer| decode::added(&answer.body)).await
    }

    /// The same hash twice makes two torrents.
    async fn add_torrent(&self, api: &Api<'_>, torrent: Bytes) -> Result<TorrentId> {
        let call = Call {
            word: Some(ADD),
            method: Method::PUT,
            body: Some((TORRENT.into(), torrent)),
            ..Call::get("adding a torrent", "/torrents/addTorrent")
        };
        api.call(&call, |answer| decode::added(&answer.body)).await
    }

    async fn delete(&self, api: &Api<'_>, id: &TorrentId) -> Result<()> {
        let what = "deleting a torrent";
        let path = format!("/torrents/delete/{}", checked(api, what, id)?);
        let call = Call {
            method: Method::DELETE,
            ..Call::get(what, path)
        };
        api.call(&call, |_| Ok(())).await
    }

    async fn select_files(&self, api: &Api<'_>, id: &TorrentId, files: &[u32]) -> Result<()> {
        let what = "selecting files";
        let path = format!("/torrents/selectFiles/{}", checked(api, what, id)?);
        let numbers: Vec<String> = files.iter().map(u32::to_string).collect();
        let chosen = match files {
            [] => "all".to_owned(),
            _ => numbers.join(","),
        };
        let call = Call::form(what, path, &[("files", &chosen)]);
        api.call(&call, |_| Ok(())).await
    }

    fn refuses_name(&self, name: &str) -> bool {
        names::is_refused(name)
    }

    async fn traffic(&self, api: &Api<'_>) -> Result<Vec<TrafficDay>> {
        let call = Call::get("reading the traffic", "/traffic/details");
        api.call(&call, |answer| decode::traffic(&answer.body))
            .await
    }

    async fn active_count(&self, api: &Api<'_>) -> Result<ActiveCount> {
        let call = Call::get("counting active torrents", "/torrents/activeCount");
        api.call(&call, |answer| decode::active_count(&answer.body))
            .await
    }

    async fn downloads(&self, api: &Api<'_>, offset: u64, limit: u32) -> Result<DownloadPage> {
        let call = page("listing downloads", "/downloads", offset, limit);
        api.call(&call, |answer| {
            decode::downloads(list(answer), total(answer))
        })
        .await
    }

    async fn server_time(&self, api: &Api<'_>) -> Result<Timestamp> {
        let call = Call::get("reading the provider's clock", "/time/iso");
        api.call(&call, |answer| decode::server_time(&answer.body))
            .await
    }
}

fn page(what: &'static str, path: &str, offset: u64, limit: u32) -> Call {
    Call {
        max_body: LARGEST_LIST,
        ..Call::get(what, format!("{path}?offset={offset}&limit={limit}"))
    }
}

/// The body of a list: "no content" is how an empty one is told. An empty body with another status
/// is not a list.
fn list(answer: &Answer) -> &[u8] {
    match answer.status {
        StatusCode::NO_CONTENT => b"[]",
        _ => &answer.body,
    }
}

/// `X-Total-Count`.
fn total(answer: &Answer) -> Option<u64> {
    let header = answer.headers.get("x-total-count")?;
    header.to_str().ok()?.trim().parse().ok()
}

/// `id` as part of a path.
fn checked<'a>(api: &Api<'_>, what: &str, id: &'a TorrentId) -> Result<&'a str> {
    match is_id(&id.0) {
        true => Ok(&id.0),
        false => Err(api.error(
            what,
            Verdict::BadRequest,
            "not a torrent id of this provider",
        )),
    }
}

/// Whether `id` is safe in a path.
fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
