//! `getqueued` and `controlqueued`: downloads that wait for a slot.

use serde_json::{Value, json};

use super::call::Call;
use super::control::{id, is_all, operation};
use super::envelope::{Refusal, done};
use super::item::{auth_id, date, magnet};
use crate::account::{Account, Torrent};
use crate::library::Service;
use crate::random::Id13;
use crate::status::Status;
use crate::vendors::answer::Answer;

/// Where numbers of the queue begin; they are others than those of the lists.
const FIRST: u64 = 7_000_000;

/// The number of a download in the queue.
pub(super) fn number(torrent: &Torrent) -> u64 {
    FIRST + torrent.number
}

fn queued(account: &Account) -> impl Iterator<Item = &Torrent> {
    let all = account.newest_first();
    all.filter(|torrent| torrent.status == Status::Queued)
}

pub(super) fn list(call: &Call) -> Result<Answer, Refusal> {
    let (service, kind) = match call.query("type") {
        None | Some("torrent") => (Service::Torrents, "torrent"),
        Some("usenet") => (Service::Usenet, "usenet"),
        Some("webdl") => (Service::Webdl, "webdl"),
        Some(_) => return Err(Refusal::of("INVALID_OPTION")),
    };
    let wanted = call.number("id")?;
    let items: Vec<Value> = call.with_account(|_, account| {
        let of_service = queued(account).filter(|torrent| torrent.release.service == service);
        let wanted = of_service.filter(|torrent| wanted.is_none_or(|id| id == number(torrent)));
        let show = |torrent: &Torrent| {
            json!({
                "id": number(torrent), "auth_id": auth_id(account.seed), "created_at": date(torrent.added_ms),
                "hash": torrent.release.hash, "name": torrent.name, "type": kind, "torrent_file": null,
                "magnet": (service == Service::Torrents).then(|| magnet(torrent)),
            })
        };
        wanted.map(show).collect()
    })?;
    if wanted.is_some() {
        let item = items.into_iter().next().ok_or_else(|| call.unknown())?;
        return Ok(done("Queued download retrieved successfully.", item));
    }
    call.listed("Queued downloads retrieved successfully.", &items)
}

pub(super) fn control(call: &Call) -> Result<Answer, Refusal> {
    let operation = operation(call, &["delete", "start"])?;
    let wanted = match is_all(call) {
        true if operation == "start" => return Err(Refusal::of("INVALID_OPTION")),
        true => None,
        false => Some(id(call, "queued_id")?),
    };
    call.with_account(|_, account| {
        let targets = queued(account).filter(|t| wanted.is_none_or(|id| id == number(t)));
        let targets: Vec<Id13> = targets.map(|torrent| torrent.id).collect();
        if targets.is_empty() {
            return Err(call.unknown());
        }
        for id in targets {
            if operation == "delete" {
                account.remove(id);
            } else {
                account.alter(id, |torrent| {
                    torrent.enter(torrent.first_status(), call.now_ms);
                });
            }
        }
        Ok(done("Operation done successfully.", Value::Null))
    })?
}
