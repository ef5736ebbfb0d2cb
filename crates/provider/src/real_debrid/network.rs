//! HTTP clients: TLS, proxy and IP version, for the API and for the CDN.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Proxy, Url, redirect};

use super::config::{ConfigError, IpChoice, RealDebridConfig};
use super::secret::ProxyUrl;
use crate::tls_config;

/// How long an unused connection is kept warm.
const KEEP_WARM: Duration = Duration::from_secs(60);

/// The client for the API: it follows no redirect, as a token must not go where it was not meant to.
pub(super) fn api_client(config: &RealDebridConfig) -> Result<Client, ConfigError> {
    let builder = client(config, "proxy", config.proxy.as_ref(), config.api_ip)?;
    let builder = builder.redirect(redirect::Policy::none());
    build(config, builder)
}

/// The client for the CDN. No time limit but the connection's: readers have deadlines of their own. Nor does it follow redirects: whoever reads
/// does, within the limits of the host it is sent to.
pub(super) fn cdn_client(config: &RealDebridConfig) -> Result<Client, ConfigError> {
    let (key, proxy) = match &config.cdn_proxy {
        Some(none) if none.expose().eq_ignore_ascii_case("none") => ("cdn_proxy", None),
        Some(own) => ("cdn_proxy", Some(own)),
        None => ("proxy", config.proxy.as_ref()),
    };
    let builder = client(config, key, proxy, config.cdn_ip)?
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(config.cdn_connections_per_host);
    build(config, builder)
}

fn build(config: &RealDebridConfig, builder: ClientBuilder) -> Result<Client, ConfigError> {
    let failed =
        |error: reqwest::Error| config.error("user_agent", error.without_url().to_string());
    builder.build().map_err(failed)
}

fn client(
    config: &RealDebridConfig,
    proxy_key: &'static str,
    proxy: Option<&ProxyUrl>,
    ip: IpChoice,
) -> Result<ClientBuilder, ConfigError> {
    let mut builder = Client::builder()
        .http1_only()
        .tls_backend_preconfigured(tls(config)?)
        .user_agent(&config.user_agent)
        // A direct link is as good as a password and must not be told to the next host.
        .referer(false)
        // The environment's proxies are not ours: what is used is what is configured.
        .no_proxy()
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(KEEP_WARM)
        .tcp_keepalive(Duration::from_secs(30));
    let mut proxy_host = None;
    if let Some(proxy) = proxy {
        let url = proxy_url(config, proxy_key, proxy)?;
        proxy_host = url.host_str().map(str::to_owned);
        let proxy = Proxy::all(url).map_err(|error| {
            config.error(proxy_key, format!("not usable: {}", error.without_url()))
        })?;
        builder = builder.proxy(proxy);
    }
    if ip != IpChoice::Any {
        builder = builder.dns_resolver(OneVersion { ip, proxy_host });
    }
    Ok(builder)
}

fn proxy_url(
    config: &RealDebridConfig,
    key: &'static str,
    proxy: &ProxyUrl,
) -> Result<Url, ConfigError> {
    let url = Url::parse(proxy.expose())
        .map_err(|error| config.error(key, format!("not a URL: {error}")))?;
    match url.scheme() {
        "http" | "https" | "socks5" | "socks5h" if url.has_host() => Ok(url),
        _ => Err(config.error(
            key,
            "must begin with http://, https://, socks5:// or socks5h://",
        )),
    }
}

/// See [`tls_config`].
fn tls(config: &RealDebridConfig) -> Result<rustls::ClientConfig, ConfigError> {
    tls_config(config.ca_file.as_deref()).map_err(|why| config.error("ca_file", why))
}

/// Resolves names to addresses of one IP version. The proxy's own name is resolved to any: the choice is about the provider.
struct OneVersion {
    ip: IpChoice,
    proxy_host: Option<String>,
}

impl Resolve for OneVersion {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_proxy = self.proxy_host.as_deref() == Some(&name);
        let ip = if is_proxy { IpChoice::Any } else { self.ip };
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let wanted: Vec<SocketAddr> = all
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
            let addresses: Addrs = Box::new(wanted.into_iter());
            Ok(addresses)
        })
    }
}
