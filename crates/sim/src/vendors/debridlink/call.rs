//! One call: who makes it, with which parameters, and which part of the API answers.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};

use super::{Endpoint, Refusal, add, done, downloader, list};
use crate::account::Account;
use crate::connection::cdn_url;
use crate::settings::Settings;
use crate::sim::Sim;
use crate::vendors::Kind;
use crate::vendors::answer::Answer;
use crate::vendors::form::{self, Field};

const DAY_S: u64 = 86_400;

/// A call that was let in.
pub(super) struct Call {
    pub(super) sim: Sim,
    pub(super) settings: Arc<Settings>,
    /// Of query and form; empty when the body is JSON.
    fields: Vec<Field>,
    /// The body as JSON; `null` if it is none.
    json: Value,
    pub(super) cdn_url: String,
    account: usize,
    pub(super) now_ms: i64,
}

impl Call {
    /// Looks at endpoint, token, flood control and account, in this order.
    pub(super) fn admit(
        sim: &Sim,
        endpoint: Endpoint,
        head: &Parts,
        body: Bytes,
    ) -> Result<Self, Refusal> {
        if endpoint == Endpoint::Unknown {
            return Err(Refusal::of("unknowR"));
        }
        let (settings, now_ms) = (sim.settings(), sim.inner.clock.now_ms());
        let json = serde_json::from_slice(&body).ok().filter(Value::is_object);
        let form = if json.is_none() { body } else { Bytes::new() };
        let mut call = Self {
            sim: sim.clone(),
            settings,
            fields: form::parameters(head, &form),
            json: json.unwrap_or_default(),
            cdn_url: cdn_url(head),
            account: 0,
            now_ms,
        };
        if endpoint == Endpoint::Hosts {
            return Ok(call);
        }
        let token = form::bearer(&head.headers).or_else(|| call.text("access_token"));
        let name = match endpoint {
            Endpoint::List if call.text("ids").is_some() => "seedbox/list?ids",
            _ => endpoint.name(),
        };
        let account = token.and_then(|token| sim.caller(token.trim(), name));
        call.account = account.ok_or_else(|| Refusal::of("badToken"))?;
        sim.with_account(call.account, |account| call.enter(endpoint, account))??;
        Ok(call)
    }

    fn enter(&self, endpoint: Endpoint, account: &mut Account) -> Result<(), Refusal> {
        if account.state.revoked {
            return Err(Refusal::of("badToken"));
        }
        let settings = &self.settings.debridlink;
        let minute = account
            .limiter
            .admit(self.now_ms, self.settings.calls_per_minute);
        let of_endpoint = account.debridlink.admit(endpoint, self.now_ms, settings);
        if !minute || !of_endpoint {
            self.sim.inner.counters.above_limit();
            return Err(Refusal::of("floodDetected"));
        }
        match &account.state.refuse_error {
            Some(word) => Err(Refusal::of(word)),
            None if settings.server_not_allowed && endpoint != Endpoint::Infos => {
                Err(Refusal::of("serverNotAllowed"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn answer(&self, endpoint: Endpoint, ids: &str) -> Result<Answer, Refusal> {
        match endpoint {
            Endpoint::Infos => self.infos(),
            Endpoint::List => list::list(self),
            Endpoint::Activity => list::activity(self),
            Endpoint::Add => add::add(self),
            Endpoint::Remove => add::remove(self, ids),
            Endpoint::Config => add::configure(self, ids),
            Endpoint::Limits => self.limits(),
            Endpoint::Downloads => Ok(downloader::list()),
            Endpoint::AddDownload => downloader::add(self),
            Endpoint::RemoveDownloads => Ok(done(json!(ids_in(ids)))),
            Endpoint::DownloadLimits => Ok(downloader::limits()),
            Endpoint::Hosts => Ok(downloader::hosts(ids)),
            Endpoint::Unknown => Err(Refusal::of("unknowR")),
        }
    }

    fn infos(&self) -> Result<Answer, Refusal> {
        let premium = self.with_account(|_, account| account.state.premium)?;
        Ok(done(json!({
            "username": "simulated",
            "email": "s*******d@exa*****",
            "emailVerified": true,
            "accountType": u8::from(premium),
            "premiumLeft": if premium { 180 * DAY_S } else { 0 },
            "pts": 0,
            "trafficshare": 0,
            "registerDate": "2020-01-02",
            "serverDetected": self.settings.debridlink.server_not_allowed,
            "settings": { "https": true, "themeDark": false, "hideOldLinks": false, "cdn": "auto" },
        })))
    }

    fn limits(&self) -> Result<Answer, Refusal> {
        let day = self.sim.inner.clock.day(self.now_ms);
        let (active, added) = self.with_account(|_, account| {
            let active = account.active();
            let active = active
                .iter()
                .filter(|t| Kind::DebridLink.takes_slot(t.status));
            (active.count(), account.debridlink.added(&day))
        })?;
        let limit = |current: i64, value: i64| json!({ "current": current, "value": value });
        let settings = &self.settings;
        let adds = i64::from(settings.debridlink.adds_a_day);
        let largest = i64::try_from(settings.debridlink.largest).unwrap_or(i64::MAX);
        Ok(done(json!({
            "usagePercent": limit(i64::from(added) * 100 / adds.max(1), 100),
            "nextResetSeconds": limit(0, self.sim.inner.clock.left_of_day_s(self.now_ms)),
            "dayCount": limit(added.into(), adds),
            "daySize": limit(-1, -1),
            "monthCount": limit(-1, -1),
            "monthSize": limit(-1, -1),
            "torrentSize": limit(-1, largest),
            "torrentFiles": limit(-1, -1),
            "activeTransferCount": limit(active as i64, settings.active_limit.into()),
        })))
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

    /// A parameter as bytes; an empty one is none.
    pub(super) fn bytes(&self, name: &str) -> Option<Bytes> {
        form::bytes(&self.fields, name)
    }

    /// A parameter as text, of query, form or JSON.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        if let Some(Value::String(text)) = self.json.get(name) {
            return Some(text.clone()).filter(|text| !text.is_empty());
        }
        String::from_utf8(self.bytes(name)?.into()).ok()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        let json = self.json.get(name).and_then(Value::as_bool);
        let text = || matches!(self.text(name).as_deref(), Some("true" | "1"));
        json.unwrap_or_else(text)
    }

    /// A number between `least` and `most`.
    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| Refusal::of("badArguments"))
    }

    /// Ids separated by commas or as a list of JSON.
    pub(super) fn ids(&self, name: &str) -> Option<Vec<String>> {
        match self.json.get(name) {
            Some(Value::Array(ids)) => {
                let ids = ids.iter().filter_map(Value::as_str);
                Some(ids.map(str::to_owned).collect())
            }
            _ => self.text(name).map(|text| ids_in(&text)),
        }
    }
}

/// Ids separated by commas or as a list of JSON.
pub(super) fn ids_in(text: &str) -> Vec<String> {
    if let Ok(ids) = serde_json::from_str(text) {
        return ids;
    }
    let ids = text.split(',').filter(|id| !id.is_empty());
    ids.map(str::to_owned).collect()
}
