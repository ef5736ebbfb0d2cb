//! `/control/…`: inspects and changes the simulation. JSON in, JSON out; never counted or limited.
//!
//! | Call | Does |
//! |---|---|
//! | `GET counters`, `DELETE counters` (or `POST counters/reset`) | [`crate::Counters`]; sets them to nothing |
//! | `GET settings`, `PATCH settings` | [`crate::Settings`]; changes those that are named |
//! | `GET clock`, `POST clock` `{"advance_ms":3600000}` | the time; moves it forward |
//! | `GET faults`, `DELETE faults`, `DELETE faults/ID` | what is set and how often it hit; ends all or one |
//! | `POST faults/api`, `POST faults/cdn` | sets an [`crate::ApiFault`] or a [`crate::CdnFault`]; answers its id |
//! | `POST transfers/end` `{"how":"close"}` | ends what is being sent: [`crate::TransferEnd`] |
//! | `GET outage`, `PUT outage` | [`crate::Outage`] |
//! | `GET torrents` | every torrent with files, keys and links |
//! | `POST torrents` | adds a [`crate::ReleaseSpec`]; answers the ids |
//! | `PATCH torrents/ID`, `DELETE torrents/ID` | [`crate::TorrentChange`]; as if somebody had done it elsewhere |
//! | `GET account`, `PUT account` | [`crate::AccountState`] |
//! | `POST account/warn` | the account gets another token, as TorBox does with a warning; answers it |
//! | `POST links/expire` `{"link":…}`, `POST links/break` `{"link":…,"code":19}` | ends direct links (all without a link); makes unrestricting fail, or work again without a code |
//! | `POST oauth/allow` `{"user_code":"…"}` | the user of the account allows the device that shows this code |
//! | `GET content?link=…&offset=0&length=100` | the true bytes behind a link (at most 64 MiB a call) |
//!
//! Anything else is answered 404, with the list of these calls.
//!
//! `?account=N` chooses the account, 0 by default.

use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::AccountState;
use crate::fault::{ApiFault, CdnFault, FaultId, Outage};
use crate::library::ReleaseSpec;
use crate::settings::Settings;
use crate::sim::{Sim, SimError, TorrentChange};
use crate::transfers::TransferEnd;

impl IntoResponse for SimError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoAccount(_) | Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Library(_) | Self::Settings(_) => StatusCode::BAD_REQUEST,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Which account is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Which {
    account: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ending {
    how: TransferEnd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkChange {
    link: Option<String>,
    code: Option<i32>,
}

#[derive(Debug, Deserialize)]
struct Range {
    link: String,
    #[serde(default)]
    offset: u64,
    length: usize,
    #[serde(default)]
    account: usize,
}

/// The most bytes that `content` gives at once.
const MAX_CONTENT: usize = 64 << 20;

/// All of them, for whoever asks for another.
const CALLS: [&str; 26] = [
    "GET counters",
    "DELETE counters",
    "POST counters/reset",
    "GET settings",
    "PATCH settings",
    "GET clock",
    "POST clock",
    "GET faults",
    "DELETE faults",
    "DELETE faults/ID",
    "POST faults/api",
    "POST faults/cdn",
    "POST transfers/end",
    "GET outage",
    "PUT outage",
    "GET torrents",
    "POST torrents",
    "PATCH torrents/ID",
    "DELETE torrents/ID",
    "GET account",
    "PUT account",
    "POST account/warn",
    "POST links/expire",
    "POST links/break",
    "POST oauth/allow",
    "GET content",
];

type Result<T> = std::result::Result<T, SimError>;

pub(crate) fn router() -> Router<Sim> {
    Router::new()
        .route(
            "/counters",
            get(async |State(sim): State<Sim>| Json(sim.counters())).delete(reset_counters),
        )
        .route("/counters/reset", post(reset_counters))
        .route(
            "/settings",
            get(async |State(sim): State<Sim>| Json((*sim.settings()).clone()))
                .patch(change_settings),
        )
        .route("/clock", get(clock).post(advance))
        .route(
            "/faults",
            get(async |State(sim): State<Sim>| Json(sim.faults())).delete(clear_faults),
        )
        .route("/faults/{id}", delete(clear_fault))
        .route("/faults/api", post(fail_api))
        .route("/faults/cdn", post(fail_cdn))
        .route(
            "/outage",
            get(async |State(sim): State<Sim>| Json(sim.outage())).put(set_outage),
        )
        .route("/transfers/end", post(end_transfers))
        .route("/torrents", get(torrents).post(add_release))
        .route(
            "/torrents/{id}",
            patch(alter_torrent).delete(remove_torrent),
        )
        .route("/account", get(account).put(set_account))
        .route("/account/warn", post(warn))
        .route("/links/expire", post(expire_links))
        .route("/links/break", post(break_link))
        .route("/content", get(content))
        .route("/oauth/allow", post(allow_device))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
}

/// What is no call: which there are.
pub(crate) async fn unknown(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let error = format!("there is no call {method} {path} in /control/");
    let said = json!({ "error": error, "calls": CALLS });
    (StatusCode::NOT_FOUND, Json(said)).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowance {
    user_code: String,
}

async fn allow_device(
    State(sim): State<Sim>,
    Query(which): Query<Which>,
    Json(Allowance { user_code }): Json<Allowance>,
) -> Result<Json<Value>> {
    let now_ms = sim.inner.clock.now_ms();
    match sim.inner.devices.allow(&user_code, which.account, now_ms) {
        true => Ok(done()),
        false => Err(SimError::Unknown(user_code)),
    }
}

fn done() -> Json<Value> {
    Json(json!({ "ok": true }))
}

async fn reset_counters(State(sim): State<Sim>) -> Json<Value> {
    sim.reset_counters();
    done()
}

async fn change_settings(
    State(sim): State<Sim>,
    Json(change): Json<Value>,
) -> Result<Json<Settings>> {
    Ok(Json(sim.patch_settings(change)?))
}

async fn clock(State(sim): State<Sim>) -> Json<Value> {
    Json(json!({ "now": sim.clock().now().to_string() }))
}

async fn advance(State(sim): State<Sim>, Json(by): Json<Advance>) -> Json<Value> {
    sim.advance(Duration::from_millis(by.advance_ms));
    clock(State(sim)).await
}

async fn clear_faults(State(sim): State<Sim>) -> Json<Value> {
    sim.clear_faults();
    done()
}

async fn clear_fault(State(sim): State<Sim>, Path(id): Path<u64>) -> Result<Json<Value>> {
    sim.clear_fault(FaultId(id))?;
    Ok(done())
}

async fn fail_api(State(sim): State<Sim>, Json(fault): Json<ApiFault>) -> Json<Value> {
    Json(json!({ "id": sim.fail_api(fault) }))
}

async fn fail_cdn(State(sim): State<Sim>, Json(fault): Json<CdnFault>) -> Json<Value> {
    Json(json!({ "id": sim.fail_cdn(fault) }))
}

async fn end_transfers(State(sim): State<Sim>, Json(ending): Json<Ending>) -> Json<Value> {
    sim.end_transfers(ending.how);
    done()
}

async fn set_outage(State(sim): State<Sim>, Json(outage): Json<Outage>) -> Json<Outage> {
    sim.set_outage(outage);
    Json(outage)
}

async fn torrents(State(sim): State<Sim>, Query(which): Query<Which>) -> Result<Response> {
    Ok(Json(sim.torrents(which.account)?).into_response())
}

async fn add_release(
    State(sim): State<Sim>,
    Query(which): Query<Which>,
    Json(release): Json<ReleaseSpec>,
) -> Result<Json<Value>> {
    Ok(Json(
        json!({ "ids": sim.add_release(which.account, &release)? }),
    ))
}

async fn alter_torrent(
    State(sim): State<Sim>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    Json(change): Json<TorrentChange>,
) -> Result<Json<Value>> {
    sim.alter_torrent(which.account, &id, change)?;
    Ok(done())
}

async fn remove_torrent(
    State(sim): State<Sim>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Value>> {
    sim.remove_torrent(which.account, &id)?;
    Ok(done())
}

async fn account(State(sim): State<Sim>, Query(which): Query<Which>) -> Result<Json<AccountState>> {
    Ok(Json(sim.account(which.account)?))
}

async fn set_account(
    State(sim): State<Sim>,
    Query(which): Query<Which>,
    Json(state): Json<AccountState>,
) -> Result<Json<AccountState>> {
    sim.set_account(which.account, state.clone())?;
    Ok(Json(state))
}

async fn warn(State(sim): State<Sim>, Query(which): Query<Which>) -> Result<Json<Value>> {
    Ok(Json(json!({ "token": sim.warn(which.account)? })))
}

async fn expire_links(State(sim): State<Sim>, Json(change): Json<LinkChange>) -> Json<Value> {
    sim.expire_links(change.link.as_deref());
    done()
}

async fn break_link(
    State(sim): State<Sim>,
    Query(which): Query<Which>,
    Json(change): Json<LinkChange>,
) -> Result<Json<Value>> {
    let link = change
        .link
        .ok_or_else(|| SimError::Unknown(String::new()))?;
    sim.break_link(which.account, &link, change.code)?;
    Ok(done())
}

async fn content(State(sim): State<Sim>, Query(range): Query<Range>) -> Result<Vec<u8>> {
    sim.expected(
        range.account,
        &range.link,
        range.offset,
        range.length.min(MAX_CONTENT),
    )
}
