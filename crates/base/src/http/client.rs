//! How connections are made.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Proxy, Url, redirect};
use serde::{Deserialize, Serialize};

use super::reach::Reach;
use super::streaming::StreamingClient;
use super::tls::tls_config;
use crate::ProxyUrl;

/// How long an unused connection is kept warm.
const KEEP_WARM: Duration = Duration::from_secs(60);
/// When a silent connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Which IP version is used for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpChoice {
    /// Both, whichever answers first.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// How an HTTP/1.1 client reaches its hosts. It follows no redirect (a token or a link must not go where it was not meant to), tells no referrer (a
/// direct link is as good as a password), and does not use the environment's proxies (what is used is what is configured).
#[derive(Debug, Clone)]
pub struct ClientOptions<'a> {
    /// The `User-Agent` header.
    pub user_agent: &'a str,
    /// PEM file with certificate authorities trusted besides the system's.
    pub ca_file: Option<&'a Path>,
    /// `http://`, `https://`, `socks5://` or `socks5h://`.
    pub proxy: Option<&'a ProxyUrl>,
    /// IP version, for names that are resolved here. The proxy's own name is resolved to any.
    pub ip: IpChoice,
    /// How long a connection, TLS included, may take.
    pub connect_timeout: Duration,
    /// Unused connections kept per host; `None` for no bound.
    pub idle_per_host: Option<usize>,
}

/// Which of the options cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// [`ClientOptions::user_agent`].
    UserAgent,
    /// [`ClientOptions::ca_file`].
    CaFile,
    /// [`ClientOptions::proxy`].
    Proxy,
}

/// Why a client cannot be built. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    /// The option at fault.
    pub setting: Setting,
    /// What is wrong with it.
    pub message: String,
}

impl ClientOptions<'_> {
    /// The client.
    ///
    /// # Errors
    /// An option that cannot be used.
    pub fn build(&self) -> Result<Client, ClientError> {
        self.build_within(None)
    }

    /// A client for bodies of any size that goes no further than `reach`.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_streaming(&self, reach: Reach) -> Result<StreamingClient, ClientError> {
        let reach = Arc::new(reach);
        let client = self.build_within(Some(reach.clone()))?;
        Ok(StreamingClient::within(client, reach))
    }

    fn build_within(&self, reach: Option<Arc<Reach>>) -> Result<Client, ClientError> {
        let tls = tls_config(self.ca_file).map_err(|why| error(Setting::CaFile, why))?;
        let mut builder = Client::builder()
            .http1_only()
            .tls_backend_preconfigured(tls)
            .user_agent(self.user_agent)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(KEEP_WARM)
            .tcp_keepalive(KEEPALIVE);
        if let Some(most) = self.idle_per_host {
            builder = builder.pool_max_idle_per_host(most);
        }
        let mut proxy_host = None;
        if let Some(proxy) = self.proxy {
            let url = proxy_url(proxy)?;
            proxy_host = url.host_str().map(str::to_owned);
            let proxy = Proxy::all(url).map_err(|why| {
                error(Setting::Proxy, format!("not usable: {}", why.without_url()))
            })?;
            builder = builder.proxy(proxy);
        }
        if self.ip != IpChoice::Any || reach.is_some() {
            let ip = self.ip;
            builder = builder.dns_resolver(Resolver {
                ip,
                proxy_host,
                reach,
            });
        }
        builder
            .build()
            .map_err(|why| error(Setting::UserAgent, why.without_url().to_string()))
    }
}

fn error(setting: Setting, message: impl Into<String>) -> ClientError {
    ClientError {
        setting,
        message: message.into(),
    }
}

fn proxy_url(proxy: &ProxyUrl) -> Result<Url, ClientError> {
    let url = Url::parse(proxy.expose())
        .map_err(|why| error(Setting::Proxy, format!("not a URL: {why}")))?;
    match url.scheme() {
        "http" | "https" | "socks5" | "socks5h" if url.has_host() => Ok(url),
        _ => Err(error(
            Setting::Proxy,
            "must begin with http://, https://, socks5:// or socks5h://",
        )),
    }
}

/// Resolves names to addresses of one IP version, within a reach.
struct Resolver {
    ip: IpChoice,
    proxy_host: Option<String>,
    reach: Option<Arc<Reach>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_proxy = self.proxy_host.as_deref() == Some(&name);
        let ip = if is_proxy { IpChoice::Any } else { self.ip };
        let reach = self.reach.clone().filter(|_| !is_proxy);
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut wanted: Vec<SocketAddr> = all
                .filter(|address| match ip {
                    IpChoice::Any => true,
                    IpChoice::V4 => address.is_ipv4(),
                    IpChoice::V6 => address.is_ipv6(),
                })
                .collect();
            if wanted.is_empty() {
                let version = if ip == IpChoice::V4 { "IPv4" } else { "IPv6" };
                return Err(format!("{name} has no {version} address").into());
            }
            if let Some(reach) = reach {
                wanted = reach.filter(&name, wanted).await?;
            }
            let addresses: Addrs = Box::new(wanted.into_iter());
            Ok(addresses)
        })
    }
}
