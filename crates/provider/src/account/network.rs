//! HTTP clients for the API and for the CDN.

use debridfs_base::ProxyUrl;
use debridfs_base::http::{ClientOptions, IpChoice, Setting};
use reqwest::Client;

use super::config::{AccountConfig, ConfigError};

/// The client for the API.
pub(crate) fn api_client(config: &AccountConfig) -> Result<Client, ConfigError> {
    client(config, "proxy", config.proxy.as_ref(), config.api_ip, None)
}

/// The client for the CDN. No time limit but the connection's: readers have deadlines of their own. Who reads follows redirects within the limits of
/// the host that it is sent to.
pub(crate) fn cdn_client(config: &AccountConfig) -> Result<Client, ConfigError> {
    let (key, proxy) = match &config.cdn_proxy {
        Some(none) if none.expose().eq_ignore_ascii_case("none") => ("cdn_proxy", None),
        Some(own) => ("cdn_proxy", Some(own)),
        None => ("proxy", config.proxy.as_ref()),
    };
    let idle = Some(config.cdn_connections_per_host);
    client(config, key, proxy, config.cdn_ip, idle)
}

fn client(
    config: &AccountConfig,
    proxy_key: &'static str,
    proxy: Option<&ProxyUrl>,
    ip: IpChoice,
    idle_per_host: Option<usize>,
) -> Result<Client, ConfigError> {
    let options = ClientOptions {
        user_agent: &config.user_agent,
        ca_file: config.ca_file.as_deref(),
        proxy,
        ip,
        connect_timeout: config.connect_timeout,
        idle_per_host,
    };
    options.build().map_err(|error| {
        let key = match error.setting {
            Setting::UserAgent => "user_agent",
            Setting::CaFile => "ca_file",
            Setting::Proxy => proxy_key,
        };
        config.error(key, error.message)
    })
}
