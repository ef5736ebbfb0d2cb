//! One call: who makes it, with which parameters, and which part of the API answers.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::json;

use super::{Refusal, done, extras, link, list, magnet};
use crate::account::Account;
use crate::connection::cdn_url;
use crate::random::Id13;
use crate::settings::Settings;
use crate::sim::Sim;
use crate::vendors::answer::Answer;
use crate::vendors::form::{self, Field};

const DAY_S: i64 = 86_400;

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
    /// Looks at endpoint, token, limits and account, in this order.
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
        match endpoint {
            "v4/ping" | "v4/pin/get" | "v4/pin/check" => return Ok(call),
            "v4/hosts" | "v4/hosts/domains" | "v4/hosts/priority" => return Ok(call),
            "unknown" => return Err(Refusal::of("404")),
            _ => {}
        }
        let key = form::bearer(&head.headers).or_else(|| call.text("apikey"));
        let key = key.ok_or_else(|| Refusal::of("AUTH_MISSING_APIKEY"))?;
        let account = sim.caller(key.trim(), endpoint);
        call.account = account.ok_or_else(|| Refusal::of("AUTH_BAD_APIKEY"))?;
        sim.with_account(call.account, |account| call.enter(account))??;
        Ok(call)
    }

    fn enter(&self, account: &mut Account) -> Result<(), Refusal> {
        if account.state.revoked {
            return Err(Refusal::of("AUTH_BAD_APIKEY"));
        }
        let settings = &self.settings.alldebrid;
        let minute = account
            .limiter
            .admit(self.now_ms, self.settings.calls_per_minute);
        let second = account
            .alldebrid
            .admit(self.now_ms, settings.calls_per_second);
        if !minute || !second {
            self.sim.inner.counters.above_limit();
            return Err(Refusal::Page(settings.limit_status));
        }
        match &account.state.refuse_error {
            Some(word) => Err(Refusal::of(word)),
            None => Ok(()),
        }
    }

    pub(super) fn answer(&self, endpoint: &str) -> Result<Answer, Refusal> {
        match endpoint {
            "v4/ping" => Ok(done(json!({ "ping": "pong" }))),
            "v4/user" => self.user(),
            "v4.1/magnet/status" => list::status(self),
            "v4/magnet/status" => Err(Refusal::of("DISCONTINUED")),
            "v4/magnet/files" => list::files(self),
            "v4/magnet/upload" => magnet::upload(self),
            "v4/magnet/upload/file" => magnet::upload_files(self),
            "v4/magnet/delete" => magnet::delete(self),
            "v4/magnet/restart" => magnet::restart(self),
            "v4/link/unlock" => link::unlock(self),
            "v4/link/delayed" => link::delayed(self),
            "v4/link/infos" => link::infos(self),
            _ => extras::answer(self, endpoint),
        }
    }

    fn user(&self) -> Result<Answer, Refusal> {
        let premium = self.with_account(|_, account| account.state.premium)?;
        let until = self.now_ms / 1000 / DAY_S * DAY_S + 180 * DAY_S;
        Ok(done(json!({ "user": {
            "username": "simulated",
            "email": "simulated@example.com",
            "isPremium": premium,
            "isSubscribed": false,
            "isTrial": false,
            "premiumUntil": if premium { until } else { 0 },
            "lang": "en",
            "preferedDomain": "fr",
            "fidelityPoints": 0,
            "limitedHostersQuotas": {},
            "notifications": [],
        } })))
    }

    /// Works on the caller's account and its number, with its downloads advanced to the present.
    pub(super) fn with_account<T>(
        &self,
        work: impl FnOnce(usize, &mut Account) -> T,
    ) -> Result<T, Refusal> {
        Ok(self.sim.with_account(self.account, |account| {
            account.advance(self.now_ms, &self.settings);
            work(self.account, account)
        })?)
    }

    /// The first parameter of that name; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next()
    }

    /// All parameters `name`, `name[]` and `name[0]`.
    pub(super) fn bytes(&self, name: &str) -> impl Iterator<Item = &Bytes> {
        let named = move |field: &&Field| match field.name.split_once('[') {
            Some((begin, _)) => begin == name,
            None => field.name == name,
        };
        let found = self.fields.iter().filter(named);
        found
            .map(|field| &field.value)
            .filter(|value| !value.is_empty())
    }

    /// All parameters of that name as text.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.bytes(name);
        texts
            .filter_map(|value| String::from_utf8(value.to_vec()).ok())
            .collect()
    }

    /// The torrent that `id` names.
    pub(super) fn torrent(&self, account: &Account) -> Result<Id13, Refusal> {
        let id = self.text("id").or_else(|| self.text("ids"));
        let id = id.and_then(|id| account.named(&id));
        let id = id.filter(|id| account.torrent(*id).is_some());
        id.ok_or_else(|| Refusal::of("MAGNET_INVALID_ID"))
    }
}
