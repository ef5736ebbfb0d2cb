//! One call: who makes it, with which parameters, and which part of the API answers.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::envelope::{Refusal, done};
use super::memory::Limited;
use super::{control, create, download, info, list, queue, user};
use crate::account::Account;
use crate::connection::cdn_url;
use crate::settings::Settings;
use crate::sim::Sim;
use crate::vendors::answer::Answer;
use crate::vendors::form::{self, Field};

/// A call that was let in.
pub(super) struct Call {
    pub(super) sim: Sim,
    pub(super) settings: Arc<Settings>,
    endpoint: Endpoint,
    query: Vec<(String, String)>,
    /// Fields of a form; empty when the body is JSON.
    fields: Vec<Field>,
    /// The body as JSON; `null` if it is none.
    json: Value,
    pub(super) cdn_url: String,
    /// `None` for a public endpoint.
    account: Option<usize>,
    pub(super) now_ms: i64,
}

impl Call {
    /// Looks at token, account, limits and method, in this order.
    pub(super) fn admit(
        sim: &Sim,
        endpoint: Endpoint,
        head: &Parts,
        body: Bytes,
    ) -> Result<Self, Refusal> {
        let query = head.uri.query().unwrap_or("");
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let (settings, now_ms) = (sim.settings(), sim.inner.clock.now_ms());
        let account = match endpoint.is_public() {
            true => None,
            false => Some(known(sim, endpoint, head, &query)?),
        };
        if let Some(account) = account {
            sim.with_account(account, |account| enter(sim, account, &settings, now_ms))??;
        }
        if endpoint == Endpoint::Unknown {
            return Err(Refusal::of("ENDPOINT_NOT_FOUND"));
        }
        if !endpoint.allows(&head.method) {
            return Err(Refusal::method());
        }
        let json = serde_json::from_slice(&body).ok().filter(Value::is_object);
        let fields = match &json {
            Some(_) => Vec::new(),
            None => fields(&head.headers, &body),
        };
        Ok(Self {
            sim: sim.clone(),
            settings,
            endpoint,
            query,
            fields,
            json: json.unwrap_or_default(),
            cdn_url: cdn_url(head),
            account,
            now_ms,
        })
    }

    pub(super) fn answer(&self) -> Result<Answer, Refusal> {
        match self.endpoint {
            Endpoint::Up => Ok(done("TorBox is up and running.", Value::Null)),
            Endpoint::Stats => user::stats(),
            Endpoint::Me => user::me(self),
            Endpoint::List(service) => list::list(self, service),
            Endpoint::Create(service) => create::create(self, service),
            Endpoint::Control(service) => control::control(self, service),
            Endpoint::RequestDl(service) => download::request(self, service),
            Endpoint::CheckCached(service) => info::check_cached(self, service),
            Endpoint::TorrentInfo => info::torrent_info(self),
            Endpoint::ExportData => info::export_data(self),
            Endpoint::GetQueued => queue::list(self),
            Endpoint::ControlQueued => queue::control(self),
            Endpoint::Hosters => user::hosters(),
            Endpoint::DeviceStart => user::device(self),
            Endpoint::DeviceToken => user::device_token(self),
            Endpoint::Unknown => Err(Refusal::of("ENDPOINT_NOT_FOUND")),
        }
    }

    /// Works on the caller's account and its number, with its downloads advanced to the present.
    pub(super) fn with_account<T>(
        &self,
        work: impl FnOnce(usize, &mut Account) -> T,
    ) -> Result<T, Refusal> {
        let number = self.account.ok_or_else(|| Refusal::of("NO_AUTH"))?;
        Ok(self.sim.with_account(number, |account| {
            account.advance(self.now_ms, &self.settings);
            work(number, account)
        })?)
    }

    /// A parameter of the query; an empty one is none.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All parameters of the query with this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(key, value): &(String, String)| key == name && !value.is_empty();
        let found = self.query.iter().filter(move |pair| named(pair));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let number = self.query(name).map(str::parse);
        number
            .transpose()
            .map_err(|_| Refusal::of("INVALID_OPTION"))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(is_true)
    }

    /// A field of a form, which may be of several parts; an empty one is none.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let value = self.bytes(name)?;
        String::from_utf8(value.into()).ok()
    }

    /// The bytes of a field of a form.
    pub(super) fn bytes(&self, name: &str) -> Option<Bytes> {
        form::bytes(&self.fields, name)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.field(name).as_deref().is_some_and(is_true)
    }

    /// A member of the body, which is JSON.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// Counts a call above a limit; the answer to it.
    pub(super) fn limited(&self, limited: Limited) -> Refusal {
        self.sim.inner.counters.above_limit();
        limited.into()
    }

    /// The answer that an unknown id gets.
    pub(super) fn unknown(&self) -> Refusal {
        Refusal::of(match self.settings.torbox.unknown_is_database_error {
            true => "DATABASE_ERROR",
            false => "ITEM_NOT_FOUND",
        })
    }

    /// The answer with a list, or without when there is nothing on it.
    pub(super) fn listed(&self, detail: &str, items: &[Value]) -> Result<Answer, Refusal> {
        if items.is_empty() && self.settings.torbox.empty_is_404 {
            return Err(Refusal::of("ITEM_NOT_FOUND"));
        }
        Ok(done(detail, json!(items)))
    }
}

fn is_true(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "1" | "yes" | "on"
    )
}

/// Fields of a form of either kind.
fn fields(headers: &HeaderMap, body: &Bytes) -> Vec<Field> {
    let parts = form::multipart(headers, body);
    if !parts.is_empty() {
        return parts;
    }
    let fields = form_urlencoded::parse(body).into_owned();
    let fields = fields.map(|(name, value)| Field {
        name,
        value: value.into(),
    });
    fields.collect()
}

/// The account of the token.
fn known(
    sim: &Sim,
    endpoint: Endpoint,
    head: &Parts,
    query: &[(String, String)],
) -> Result<usize, Refusal> {
    let token = if endpoint.token_in_query() {
        let token = query.iter().find(|(name, _)| name == "token");
        token.map(|(_, token)| token.as_str())
    } else {
        let header = head.headers.get(header::AUTHORIZATION);
        header.and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        })
    };
    let token = token.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Refusal::of("NO_AUTH"))?;
    sim.caller(token, endpoint.name())
        .ok_or_else(|| Refusal::of("BAD_TOKEN"))
}

fn enter(
    sim: &Sim,
    account: &mut Account,
    settings: &Settings,
    now_ms: i64,
) -> Result<(), Refusal> {
    if account.state.revoked {
        return Err(Refusal::of("BAD_TOKEN"));
    }
    let limit = settings.calls_per_minute;
    let admitted = account.limiter.admit(now_ms, limit);
    let limited = account.torbox.lock(now_ms);
    if let Some(limited) = limited.or((!admitted).then_some(Limited::Minute(limit))) {
        sim.inner.counters.above_limit();
        return Err(limited.into());
    }
    match &account.state.refuse_error {
        Some(word) => Err(Refusal::of(word)),
        None => Ok(()),
    }
}
