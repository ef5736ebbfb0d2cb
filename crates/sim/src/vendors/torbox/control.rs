//! `controltorrent`, `controlusenetdownload`, `controlwebdownload`.

use serde_json::Value;

use super::call::Call;
use super::envelope::{Refusal, done};
use crate::account::Account;
use crate::library::Service;
use crate::random::Id13;
use crate::status::Status;
use crate::vendors::answer::Answer;

pub(super) fn control(call: &Call, service: Service) -> Result<Answer, Refusal> {
    let (name, operations): (_, &[&str]) = match service {
        Service::Torrents => ("torrent_id", &["reannounce", "delete", "resume", "pause"]),
        Service::Usenet => ("usenet_id", &["delete", "pause", "resume"]),
        Service::Webdl => ("webdl_id", &["delete"]),
    };
    let operation = operation(call, operations)?;
    let wanted = match is_all(call) {
        true => None,
        false => Some(id(call, name)?),
    };
    call.with_account(|_, account| {
        let of_service = |torrent: &&_| is_listed(torrent, service);
        let targets: Vec<Id13> = match wanted {
            None => {
                let all = account.newest_first().filter(of_service);
                all.map(|torrent| torrent.id).collect()
            }
            Some(number) => {
                let id = account.remote(service, number);
                let torrent = id.and_then(|id| account.torrent(id)).filter(of_service);
                vec![torrent.ok_or_else(|| call.unknown())?.id]
            }
        };
        for id in targets {
            carry_out(call, account, id, operation);
        }
        Ok(done("Operation done successfully.", Value::Null))
    })?
}

/// Whether `mylist` shows it.
fn is_listed(torrent: &crate::account::Torrent, service: Service) -> bool {
    torrent.release.service == service && torrent.status != Status::Queued
}

fn carry_out(call: &Call, account: &mut Account, id: Id13, operation: &str) {
    let now_ms = call.now_ms;
    match operation {
        "delete" => drop(account.remove(id)),
        "pause" => drop(account.alter(id, |torrent| {
            if !torrent.status.is_final() {
                torrent.paused_ms.get_or_insert(now_ms);
            }
        })),
        "resume" => drop(account.alter(id, |torrent| {
            if let Some(since_ms) = torrent.paused_ms.take() {
                torrent.since_ms += now_ms - since_ms;
            }
        })),
        // There are always as many peers as there are.
        _ => {}
    }
}

/// The operation of a body in JSON, which is one of `known`.
pub(super) fn operation<'a>(call: &'a Call, known: &[&str]) -> Result<&'a str, Refusal> {
    let operation = call.member("operation").and_then(Value::as_str);
    let operation = operation.ok_or_else(|| Refusal::of("MISSING_REQUIRED_OPTION"))?;
    let known = known.contains(&operation);
    known
        .then_some(operation)
        .ok_or_else(|| Refusal::of("INVALID_OPTION"))
}

/// Whether a body in JSON is about everything.
pub(super) fn is_all(call: &Call) -> bool {
    call.member("all").and_then(Value::as_bool) == Some(true)
}

/// An id of a body in JSON: a number, or one as text.
pub(super) fn id(call: &Call, name: &str) -> Result<u64, Refusal> {
    let value = call.member(name);
    let value = value.ok_or_else(|| Refusal::of("MISSING_REQUIRED_OPTION"))?;
    let number = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    number.ok_or_else(|| Refusal::of("INVALID_OPTION"))
}
