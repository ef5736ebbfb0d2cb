//! The table `[provider.NAME]`: the settings that accounts of all kinds have.

use std::path::PathBuf;
use std::time::Duration;

use debridfs_base::http::{IpChoice, IpNet};
use debridfs_base::{ByteSize, ProxyUrl, Secret, human_duration, list};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::KeyId;
use crate::vendors::{self, Kind};

/// Settings of one account. Serialised, it hides its secrets.
///
/// Defaults depend on the kind: a table is read over those of [`AccountConfig::of`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Whose account it is.
    #[serde(with = "vendors::word")]
    pub kind: &'static Kind,
    /// The `NAME` of `[provider.NAME]`; set by the program.
    #[serde(skip)]
    pub name: String,
    /// The API token, from the kind's [`Kind::token_page`].
    pub token: Option<Secret>,
    /// A file that holds the token; read again when the provider refuses the token.
    pub token_file: Option<PathBuf>,
    /// Tokens of further accounts that links are made with when `token` is out of traffic, refused
    /// or at its limit of calls. They list nothing. A list; in a variable also text with commas
    /// between them.
    #[serde(deserialize_with = "list::deserialize")]
    pub download_tokens: Vec<Secret>,
    /// Files that hold one further token each; their keys come after `download_tokens`.
    #[serde(deserialize_with = "list::deserialize")]
    pub download_token_files: Vec<PathBuf>,
    /// Bytes that one key may fetch from one midnight (of the provider) to the next; what the
    /// provider allows when absent.
    pub daily_traffic: Option<ByteSize>,
    /// The last share of `daily_traffic`, 0 to 100 percent, that is kept for playback: scans,
    /// copies and warming are refused there.
    pub traffic_reserve_percent: u8,
    /// Base of the API.
    pub api_url: String,
    /// PEM file with certificate authorities trusted besides the system's, for API and CDN.
    pub ca_file: Option<PathBuf>,
    /// Proxy for API and CDN: `http://`, `https://`, `socks5://` or `socks5h://`, with
    /// `user:password@` if it needs that.
    pub proxy: Option<ProxyUrl>,
    /// Another proxy for the CDN, or `none` for no proxy there.
    pub cdn_proxy: Option<ProxyUrl>,
    /// Networks in which the CDN may be although they are not public, such as `10.1.0.0/16`. A
    /// list; in a variable also text with commas between them.
    #[serde(deserialize_with = "list::deserialize")]
    pub cdn_networks: Vec<IpNet>,
    /// IP version towards the API, for names that are resolved here: an HTTP or `socks5h` proxy
    /// resolves names itself, and an address written in `api_url` is used as it is.
    pub api_ip: IpChoice,
    /// IP version towards the CDN; as `api_ip`.
    pub cdn_ip: IpChoice,
    /// Calls allowed in any 60 seconds. Lower it if other programs use the account.
    pub calls_per_minute: u32,
    /// The least time between two additions, where the kind is known to refuse what comes sooner. Text such as
    /// `20s`, or seconds; 0 for none.
    #[serde(with = "human_duration")]
    pub add_interval: Duration,
    /// Connections to one CDN server, from 1 to what the kind allows.
    pub cdn_connections_per_host: usize,
    /// Connections to all CDN servers.
    pub cdn_connections_total: usize,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long a connection, TLS included, may take. Text such as `5s`, or seconds.
    #[serde(with = "human_duration")]
    pub connect_timeout: Duration,
    /// How long the API may take from the request to the head of its answer, a new connection
    /// included.
    #[serde(with = "human_duration")]
    pub first_byte_timeout: Duration,
    /// How long a call may take in all, once it has its turn.
    #[serde(with = "human_duration")]
    pub total_timeout: Duration,
    /// Where calls are noted so that a restart keeps to the limit
    /// ([`crate::Scheduler::with_call_log`]); set by the program.
    #[serde(skip)]
    pub call_log: Option<PathBuf>,
    /// Where the day's traffic is noted (`account/traffic/ledger.rs`); set by the program.
    #[serde(skip)]
    pub traffic_log: Option<PathBuf>,
}

/// Why a provider cannot be set up. Names the key; holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("provider.{name}.{key}: {message}")]
pub struct ConfigError {
    /// The provider's configured name.
    pub name: String,
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl AccountConfig {
    /// The settings of an account of this kind that is configured by nothing but its token, which
    /// is to be added.
    pub fn of(kind: &'static Kind) -> Self {
        let limits = &kind.limits;
        Self {
            kind,
            name: kind.word.to_owned(),
            token: None,
            token_file: None,
            download_tokens: Vec::new(),
            download_token_files: Vec::new(),
            daily_traffic: None,
            traffic_reserve_percent: 10,
            api_url: kind.api_url.to_owned(),
            ca_file: None,
            proxy: None,
            cdn_proxy: None,
            cdn_networks: Vec::new(),
            api_ip: IpChoice::Any,
            cdn_ip: IpChoice::Any,
            calls_per_minute: limits.calls_per_minute,
            add_interval: limits.add_interval,
            cdn_connections_per_host: limits.connections_per_host,
            cdn_connections_total: limits.connections_total,
            user_agent: concat!("debridfs/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(15),
            total_timeout: Duration::from_secs(60),
            call_log: None,
            traffic_log: None,
        }
    }

    /// Checks what can be checked without the network; reads the token file.
    ///
    /// # Errors
    /// The first key that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.base_url()?;
        let mut known = Vec::new();
        for (number, config) in self.of_each_key().enumerate() {
            let token = config.load_token().map_err(|error| match number {
                0 => error,
                _ => self.error(
                    "download_tokens",
                    format!("key {}: {}", number + 1, error.message),
                ),
            })?;
            if known.contains(&token) {
                let message = format!("key {} is one that was given before", number + 1);
                return Err(self.error("download_tokens", message));
            }
            known.push(token);
        }
        self.check_numbers()
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        let limits = &self.kind.limits;
        let range = |key, ok: bool, message: &str| match ok {
            true => Ok(()),
            false => Err(self.error(key, message)),
        };
        range(
            "calls_per_minute",
            (1..=100_000).contains(&self.calls_per_minute),
            &format!(
                "must be 1 to 100000 (the vendor allows {})",
                limits.calls_per_minute
            ),
        )?;
        range(
            "daily_traffic",
            self.daily_traffic.is_none_or(|size| size.0 > 0),
            "must be more than 0; leave it out to be limited by the provider alone",
        )?;
        range(
            "traffic_reserve_percent",
            self.traffic_reserve_percent <= 100,
            "is a share in percent: 0 to 100",
        )?;
        range(
            "cdn_connections_per_host",
            (1..=limits.most_connections_per_host).contains(&self.cdn_connections_per_host),
            &format!(
                "must be 1 to {}: the vendor refuses more to one server",
                limits.most_connections_per_host
            ),
        )?;
        range(
            "cdn_connections_total",
            self.cdn_connections_total >= 1,
            "must be 1 or more",
        )?;
        range(
            "add_interval",
            self.add_interval <= Duration::from_secs(600),
            "must be 10m or less, such as \"20s\"",
        )?;
        for (key, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("first_byte_timeout", self.first_byte_timeout),
            ("total_timeout", self.total_timeout),
        ] {
            let ok = (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&timeout);
            range(key, ok, "must be between 1 ms and 1 h, such as \"5s\"")?;
        }
        Ok(())
    }

    /// The settings of each key, the one that lists the library first: they differ in the token.
    pub(super) fn of_each_key(&self) -> impl Iterator<Item = Self> + '_ {
        let single = |token, token_file| Self {
            token,
            token_file,
            download_tokens: Vec::new(),
            download_token_files: Vec::new(),
            ..self.clone()
        };
        let tokens = self.download_tokens.iter();
        let files = self.download_token_files.iter();
        std::iter::once(single(self.token.clone(), self.token_file.clone()))
            .chain(tokens.map(move |token| single(Some(token.clone()), None)))
            .chain(files.map(move |file| single(None, Some(file.clone()))))
    }

    /// Where the calls of a key are noted: the first key's where they always were.
    pub(super) fn call_log_of(&self, first: bool, key: &KeyId) -> Option<PathBuf> {
        let path = self.call_log.clone()?;
        if first {
            return Some(path);
        }
        let mut path = path.into_os_string();
        path.push(format!("@{key}"));
        Some(path.into())
    }

    /// The API's base, without a slash at its end.
    pub(super) fn base_url(&self) -> Result<String, ConfigError> {
        let url = Url::parse(&self.api_url)
            .map_err(|error| self.error("api_url", format!("not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(self.error("api_url", "must begin with https:// or http://"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(self.error("api_url", "must not hold a user, a query or a fragment"));
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }

    pub(super) fn error(&self, key: &'static str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            name: self.name.clone(),
            key,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::real_debrid;

    fn parse(text: &str) -> Result<AccountConfig, toml::de::Error> {
        let mut table = toml::Table::try_from(AccountConfig::of(&real_debrid::KIND)).unwrap();
        table.extend(text.parse::<toml::Table>()?);
        table.try_into()
    }

    #[test]
    fn reads_a_table() {
        let config = parse(
            "token = 'ABC'\nproxy = 'socks5h://u:secret@proxy:1080'\napi_ip = 'v4'\ncdn_ip = 'v6'\nconnect_timeout = '250ms'\ntotal_timeout = 30",
        )
        .unwrap();
        config.validate().unwrap();
        assert_eq!(config.connect_timeout, Duration::from_millis(250));
        assert_eq!(config.total_timeout, Duration::from_secs(30));
        assert_eq!((config.api_ip, config.cdn_ip), (IpChoice::V4, IpChoice::V6));
        assert_eq!(config.api_url, real_debrid::KIND.api_url);
        let shown = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
        assert!(
            !shown.contains("ABC") && !shown.contains("secret"),
            "{shown}"
        );
        let again = toml::to_string(&config).unwrap();
        assert_eq!(
            parse(&again).unwrap().total_timeout,
            Duration::from_secs(30)
        );
    }

    #[test]
    fn further_keys_are_a_list_or_its_text() {
        for given in ["['ONE', 'TWO']", "'ONE, TWO'", "'[\"ONE\", \"TWO\"]'"] {
            let config = parse(&format!("token = 'A'\ndownload_tokens = {given}")).unwrap();
            config.validate().unwrap();
            let tokens: Vec<_> = config
                .of_each_key()
                .map(|key| key.load_token().unwrap().expose().to_owned())
                .collect();
            assert_eq!(tokens, ["A", "ONE", "TWO"], "{given}");
            let shown = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
            assert!(!shown.contains("ONE"), "{shown}");
        }
        for given in ["'[SECRET'", "[[1]]", "{ a = 'SECRET' }"] {
            let error = parse(&format!("download_tokens = {given}")).unwrap_err();
            assert!(!error.message().contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let error = parse("token = 'A'\ntokne = 'B'").unwrap_err().to_string();
        assert!(error.contains("tokne"), "{error}");
        assert!(parse("first_byte_timeout = 'soon'").is_err());
        assert!(parse("api_ip = 'v5'").is_err());
    }

    #[test]
    fn names_the_key_at_fault_and_never_the_token() {
        let with = |change: fn(&mut AccountConfig)| {
            let mut config = AccountConfig {
                name: "rd".to_owned(),
                token: Some(Secret::new("SECRETTOKEN")),
                ..AccountConfig::of(&real_debrid::KIND)
            };
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        for (key, change) in [
            ("token", (|c| c.token = None) as fn(&mut AccountConfig)),
            ("token", |c| c.token = Some(Secret::new("SECRETTOKEN \n x"))),
            ("token", |c| c.token = Some(Secret::new(" "))),
            ("token", |c| c.token_file = Some("/x".into())),
            ("token_file", |c| {
                c.token = None;
                c.token_file = Some("/nonexistent/provider-token".into());
            }),
            ("download_tokens", |c| {
                c.download_tokens = vec![Secret::new("SECRETTOKEN")];
            }),
            ("download_tokens", |c| {
                c.download_token_files = vec!["/nonexistent/provider-token".into()];
            }),
            ("daily_traffic", |c| c.daily_traffic = Some(ByteSize(0))),
            ("traffic_reserve_percent", |c| {
                c.traffic_reserve_percent = 101
            }),
            ("api_url", |c| c.api_url = "ftp://example.com".to_owned()),
            ("api_url", |c| {
                c.api_url = "https://u:SECRETTOKEN@example.com".to_owned()
            }),
            ("calls_per_minute", |c| c.calls_per_minute = 0),
            ("cdn_connections_per_host", |c| {
                c.cdn_connections_per_host = 33
            }),
            ("cdn_connections_total", |c| c.cdn_connections_total = 0),
            ("add_interval", |c| {
                c.add_interval = Duration::from_secs(601)
            }),
            ("total_timeout", |c| c.total_timeout = Duration::ZERO),
        ] {
            let message = with(change);
            assert!(
                message.starts_with(&format!("provider.rd.{key}: ")),
                "{message}"
            );
            assert!(!message.contains("SECRETTOKEN"), "{message}");
        }
    }
}
