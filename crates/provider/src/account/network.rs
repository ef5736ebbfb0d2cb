//! HTTP clients for the API and for the CDN.

use debridfs_base::ProxyUrl;
use debridfs_base::http::{
    ClientError, ClientOptions, IpChoice, Reach, Setting, StreamingClient, Url,
};
use reqwest::Client;

use super::config::{AccountConfig, ConfigError};

/// The client for the API.
pub(crate) fn api_client(config: &AccountConfig) -> Result<Client, ConfigError> {
    let options = options(config, config.proxy.as_ref(), config.api_ip, None);
    options
        .build()
        .map_err(|why| at_fault(config, "proxy", why))
}

/// The client for the CDN, for addresses that the provider tells: it goes to public ones, and never without TLS when the API has it. No time limit but the connection's: readers have deadlines of their own. Who reads follows redirects within the limits of
/// the host that it is sent to.
pub(crate) fn cdn_client(config: &AccountConfig) -> Result<StreamingClient, ConfigError> {
    let (key, proxy) = match &config.cdn_proxy {
        Some(none) if none.expose().eq_ignore_ascii_case("none") => ("cdn_proxy", None),
        Some(own) => ("cdn_proxy", Some(own)),
        None => ("proxy", config.proxy.as_ref()),
    };
    let idle = Some(config.cdn_connections_per_host);
    let options = options(config, proxy, config.cdn_ip, idle);
    let api = config.base_url()?;
    let reach = Reach {
        https_only: api.starts_with("https:"),
        networks: config.cdn_networks.clone(),
        host: own_host(config),
        setting: format!("provider.{}.cdn_networks", config.name),
        by_proxy: proxy.is_some(),
    };
    let client = options.build_streaming(reach);
    client.map_err(|why| at_fault(config, key, why))
}

/// The API's host where the configuration names another than the vendor's: a simulator or a proxy, which may hand out links to itself. The
/// vendor's own name says nothing, as its name server is the vendor's.
fn own_host(config: &AccountConfig) -> Option<String> {
    let host = |url: &str| {
        let url = Url::parse(url).ok()?;
        let bare = url.host_str()?.trim_matches(['[', ']']);
        Some(bare.to_owned())
    };
    let own = host(&config.api_url)?;
    (host(config.kind.api_url).as_ref() != Some(&own)).then_some(own)
}

fn options<'a>(
    config: &'a AccountConfig,
    proxy: Option<&'a ProxyUrl>,
    ip: IpChoice,
    idle_per_host: Option<usize>,
) -> ClientOptions<'a> {
    ClientOptions {
        user_agent: &config.user_agent,
        ca_file: config.ca_file.as_deref(),
        proxy,
        ip,
        connect_timeout: config.connect_timeout,
        idle_per_host,
    }
}

fn at_fault(config: &AccountConfig, proxy_key: &'static str, error: ClientError) -> ConfigError {
    let key = match error.setting {
        Setting::UserAgent => "user_agent",
        Setting::CaFile => "ca_file",
        Setting::Proxy => proxy_key,
    };
    config.error(key, error.message)
}
