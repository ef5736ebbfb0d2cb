//! One call: who makes it, with which parameters, and which part of the API answers.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::json;

use super::cloud::Memory;
use super::{Refusal, done, item, transfer};
use crate::account::Account;
use crate::connection::cdn_url;
use crate::random::Id13;
use crate::settings::Settings;
use crate::sim::Sim;
use crate::vendors::answer::Answer;
use crate::vendors::form::{self, Field};

const DAY_S: i64 = 86_400;
/// Bytes of a fair-use point.
const POINT: f64 = 1e9;

/// A call that was let in.
pub(super) struct Call {
    pub(super) sim: Sim,
    pub(super) settings: Arc<Settings>,
    /// Of query and form: the vendor takes parameters in both.
    fields: Vec<Field>,
    pub(super) cdn_url: String,
    account: usize,
    pub(super) now_ms: i64,
}

impl Call {
    /// Looks at token, account and limits, in this order.
    pub(super) fn admit(
        sim: &Sim,
        endpoint: &str,
        head: &Parts,
        body: Bytes,
    ) -> Result<Self, Refusal> {
        let (settings, now_ms) = (sim.settings(), sim.inner.clock.now_ms());
        let mut call = Self {
            sim: sim.clone(),
            settings,
            fields: form::parameters(head, &body),
            cdn_url: cdn_url(head),
            account: 0,
            now_ms,
        };
        if endpoint == "services/list" {
            return Ok(call);
        }
        let key = form::bearer(&head.headers).or_else(|| call.text("apikey"));
        let account = key.and_then(|key| sim.caller(key.trim(), endpoint));
        // A missing key and a wrong one are answered alike.
        call.account = account.ok_or_else(Refusal::login)?;
        sim.with_account(call.account, |account| call.enter(account))??;
        Ok(call)
    }

    fn enter(&self, account: &mut Account) -> Result<(), Refusal> {
        if account.state.revoked {
            return Err(Refusal::login());
        }
        let limit = self.settings.calls_per_minute;
        if !account.limiter.admit(self.now_ms, limit) {
            self.sim.inner.counters.above_limit();
            return Err(Refusal::of("rate_limit_reached", "Too many requests."));
        }
        match &account.state.refuse_error {
            Some(message) => Err(Refusal::of("", message)),
            None => Ok(()),
        }
    }

    pub(super) fn answer(&self, endpoint: &str) -> Result<Answer, Refusal> {
        match endpoint {
            "account/info" => self.info(),
            "cache/check" => transfer::check_cache(self),
            "folder/create" => item::create_folder(self),
            "folder/delete" => item::delete(self, false),
            "folder/list" => item::list(self),
            "folder/paste" => item::paste(self),
            "folder/rename" => item::rename(self, false),
            "folder/search" => item::search(self),
            "item/delete" => item::delete(self, true),
            "item/details" => item::details(self),
            "item/listall" => item::list_all(self),
            "item/rename" => item::rename(self, true),
            "services/list" => Ok(done(json!({
                "directdl": ["example.com"], "cache": ["example.com"], "fairusefactor": { "example.com": 1 },
            }))),
            "transfer/clearfinished" => transfer::clear_finished(self),
            "transfer/create" => transfer::create(self),
            "transfer/delete" => transfer::delete(self),
            "transfer/directdl" => transfer::direct(self),
            "transfer/list" => transfer::list(self),
            _ => Err(Refusal::not_found("Endpoint")),
        }
    }

    fn info(&self) -> Result<Answer, Refusal> {
        let until = self.now_ms / 1000 / DAY_S * DAY_S + 180 * DAY_S;
        self.with_account(|number, account| {
            let files = account.premiumize.all().filter(|(_, node)| node.is_file);
            let held = files.filter_map(|(id, _)| content_size(account, id));
            let space: u64 = held.fold(0, u64::saturating_add);
            Ok(done(json!({
                "customer_id": (100_000_000 + number).to_string(),
                "premium_until": if account.state.premium { json!(until) } else { json!(null) },
                "limit_used": self.limit_used(account),
                "space_used": space as f64,
                "booster_points": 0,
            })))
        })?
    }

    /// The share of the fair-use points that is used.
    pub(super) fn limit_used(&self, account: &Account) -> f64 {
        let settings = &self.settings.premiumize;
        if settings.points == 0 {
            return 0.0;
        }
        let fetched: u64 = account.traffic.days().values().sum();
        let used = f64::from(settings.points_used) + fetched as f64 / POINT;
        (used / f64::from(settings.points)).min(1.0)
    }

    /// Whether the account may fetch at all.
    pub(super) fn may_fetch(&self, account: &Account) -> Result<(), Refusal> {
        if !account.state.premium {
            return Err(Refusal::of("account_limit_reached", "Account not premium."));
        }
        match self.limit_used(account) < 1.0 {
            true => Ok(()),
            false => Err(Refusal::fair_use()),
        }
    }

    /// Works on the caller's account and its number, with its transfers and its cloud advanced to the present.
    pub(super) fn with_account<T>(
        &self,
        work: impl FnOnce(usize, &mut Account) -> T,
    ) -> Result<T, Refusal> {
        Ok(self.sim.with_account(self.account, |account| {
            account.advance(self.now_ms, &self.settings);
            Memory::settle(account, self.now_ms, &self.settings);
            work(self.account, account)
        })?)
    }

    /// The first parameter of that name; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next()
    }

    /// The bytes of the first parameter of that name.
    pub(super) fn bytes(&self, name: &str) -> Option<Bytes> {
        form::bytes(&self.fields, name)
    }

    /// All parameters `name`, `name[]` and `name[0]`.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let named = |field: &&Field| match field.name.split_once('[') {
            Some((begin, rest)) => begin == name && !rest.contains('['),
            None => field.name == name,
        };
        let found = self.fields.iter().filter(named);
        found
            .filter_map(|field| String::from_utf8(field.value.to_vec()).ok())
            .filter(|text| !text.is_empty())
            .collect()
    }

    /// The parameter `name` as an id of the cloud.
    pub(super) fn id(&self, name: &str) -> Option<Id13> {
        Memory::id(self.text(name).as_deref())
    }

    /// When something came, if lists tell it.
    pub(super) fn time(&self, ms: i64) -> Option<i64> {
        (!self.settings.premiumize.no_times).then_some(ms / 1000)
    }
}

/// Bytes of a file of the cloud.
pub(super) fn content_size(account: &Account, file: Id13) -> Option<u64> {
    let (torrent, position) = account.link(file)?;
    let file = torrent.selected_files().nth(position as usize)?;
    Some(file.size())
}
