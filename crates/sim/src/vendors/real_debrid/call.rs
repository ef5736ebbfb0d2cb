//! One call: who makes it, with which parameters, and which part of the API answers.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};

use super::answer::{Answer, VendorError};
use super::endpoint::Endpoint;
use super::{torrents, unrestrict, user};
use crate::account::Account;
use crate::connection::cdn_url;
use crate::settings::Settings;
use crate::sim::{Sim, SimError};
use crate::vendors::form;

/// A call that was let in.
pub(super) struct Call {
    pub(super) sim: Sim,
    pub(super) settings: Arc<Settings>,
    pub(super) endpoint: Endpoint,
    /// What follows the endpoint's name in the path.
    pub(super) argument: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) cdn_url: String,
    /// `None` for a public endpoint called without a good token.
    account: Option<usize>,
    pub(super) now_ms: i64,
}

impl Call {
    /// Looks at method, token, account and limit, in this order.
    pub(super) fn admit(
        sim: &Sim,
        endpoint: Endpoint,
        path: &str,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Self, VendorError> {
        let query: HashMap<String, String> =
            form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
                .into_owned()
                .collect();
        let settings = sim.settings();
        let now_ms = sim.inner.clock.now_ms();
        let token = token(&parts.headers, &query);
        let account = token.and_then(|token| sim.caller(&token, endpoint.name()));
        if !endpoint.is_public() {
            let account = account.ok_or(VendorError(8))?;
            sim.with_account(account, |account| enter(sim, account, &settings, now_ms))
                .map_err(|_| VendorError(8))??;
        }
        // The vendor lets clients that cannot send other methods name them in a header.
        let method = parts
            .headers
            .get("x-http-verb")
            .and_then(|verb| Method::from_bytes(verb.as_bytes()).ok())
            .unwrap_or_else(|| parts.method.clone());
        if endpoint == Endpoint::Unknown {
            return Err(VendorError(3));
        }
        if method != endpoint.method() {
            return Err(VendorError(4));
        }
        let argument = path
            .trim_end_matches('/')
            .splitn(3, '/')
            .nth(2)
            .unwrap_or("")
            .to_owned();
        Ok(Self {
            sim: sim.clone(),
            endpoint,
            argument,
            query,
            cdn_url: cdn_url(parts),
            headers: parts.headers.clone(),
            body,
            account,
            settings,
            now_ms,
        })
    }

    pub(super) fn answer(&self) -> Result<Answer, VendorError> {
        let answer = match self.endpoint {
            Endpoint::Time | Endpoint::TimeIso => user::time(self),
            Endpoint::User => user::user(self),
            Endpoint::Traffic => user::traffic(self),
            Endpoint::TrafficDetails => user::traffic_details(self),
            Endpoint::Hosts => user::hosts(),
            Endpoint::HostsStatus => user::hosts_status(),
            Endpoint::HostsRegex => user::hosts_regex(),
            Endpoint::HostsRegexFolder => Ok(Answer::json(200, &[(); 0])),
            Endpoint::HostsDomains => Ok(Answer::json(200, &["real-debrid.com"])),
            Endpoint::Settings => user::settings(self),
            Endpoint::SettingsUpdate => user::update_settings(self),
            Endpoint::DisableAccessToken => user::disable_token(self),
            Endpoint::Torrents => torrents::list(self),
            Endpoint::TorrentInfo => torrents::info(self),
            Endpoint::ActiveCount => torrents::active_count(self),
            Endpoint::AvailableHosts => torrents::available_hosts(),
            Endpoint::InstantAvailability => Err(VendorError(37)),
            Endpoint::AddTorrent => torrents::add_torrent(self),
            Endpoint::AddMagnet => torrents::add_magnet(self),
            Endpoint::SelectFiles => torrents::select_files(self),
            Endpoint::DeleteTorrent => torrents::delete(self),
            Endpoint::UnrestrictCheck => unrestrict::check(self),
            Endpoint::UnrestrictLink => unrestrict::link(self),
            Endpoint::UnrestrictFolder => unrestrict::folder(self),
            Endpoint::ContainerFile | Endpoint::ContainerLink => Err(VendorError(16)),
            Endpoint::Downloads => unrestrict::downloads(self),
            Endpoint::DeleteDownload => unrestrict::delete_download(self),
            Endpoint::Transcode | Endpoint::MediaInfos => Err(VendorError(38)),
            Endpoint::Unknown => Err(VendorError(3)),
        }?;
        Ok(if self.endpoint.method() == Method::GET {
            answer.with_etag(&self.headers)
        } else {
            answer
        })
    }

    /// Works on the caller's account, with its torrents advanced to the present.
    pub(super) fn with_account<T>(
        &self,
        work: impl FnOnce(&mut Account) -> T,
    ) -> Result<T, VendorError> {
        self.with_account_number(|_, account| work(account))
    }

    pub(super) fn with_account_number<T>(
        &self,
        work: impl FnOnce(usize, &mut Account) -> T,
    ) -> Result<T, VendorError> {
        let number = self.account.ok_or(VendorError(8))?;
        self.sim
            .with_account(number, |account| {
                account.advance(self.now_ms, &self.settings);
                work(number, account)
            })
            .map_err(|_: SimError| VendorError(8))
    }

    /// A parameter of the body; bodies are read as forms whatever they claim to be, as the vendor does.
    pub(super) fn form(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(&self.body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .or_else(|| {
                let parts = form::multipart(&self.headers, &self.body);
                let part = parts.into_iter().find(|part| part.name == name)?;
                String::from_utf8(part.value.into()).ok()
            })
    }

    /// `offset` (or `page`) and `limit`.
    pub(super) fn page(&self) -> Result<(usize, usize), VendorError> {
        let number = |name: &str| match self.query.get(name).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| VendorError(2)),
        };
        let limit = number("limit")?.unwrap_or(100);
        if limit > 5000 {
            return Err(VendorError(2));
        }
        let offset = match (number("offset")?, number("page")?) {
            (Some(offset), _) => offset,
            (None, Some(page)) => page.saturating_sub(1).saturating_mul(limit),
            (None, None) => 0,
        };
        Ok((offset, limit))
    }

    /// Refuses what a throttled caller gets instead of a true answer.
    pub(super) fn penalty(&self) -> Result<(), VendorError> {
        let penalised = self.settings.penalty_infringing
            && self.with_account(|account| account.limiter.in_penalty(self.now_ms))?;
        if penalised {
            Err(VendorError(35))
        } else {
            Ok(())
        }
    }
}

fn token(headers: &HeaderMap, query: &HashMap<String, String>) -> Option<String> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    bearer.or_else(|| query.get("auth_token").cloned())
}

fn enter(
    sim: &Sim,
    account: &mut Account,
    settings: &Settings,
    now_ms: i64,
) -> Result<(), VendorError> {
    if account.state.revoked {
        return Err(VendorError(8));
    }
    if !account.limiter.admit(now_ms, settings.calls_per_minute) {
        sim.inner.counters.above_limit();
        return Err(VendorError(34));
    }
    match account.state.refuse_code {
        Some(code) => Err(VendorError(code)),
        None => Ok(()),
    }
}
