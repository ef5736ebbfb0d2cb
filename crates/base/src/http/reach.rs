//! Where a client may go that is sent by others: to public addresses, so that nobody's link makes it ask the machines beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;

use super::transport::TransportError;

/// Where a client may go whose addresses others tell it (links of a provider, redirects of its CDN).
///
/// Addresses are judged after names were resolved, at each connection: a name that leads elsewhere the second time gains nothing.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Plain `http://` is refused.
    pub https_only: bool,
    /// Networks that may be asked although they are not public.
    pub networks: Vec<IpNet>,
    /// A host whose own addresses may be asked, whatever they are: a name, or an address.
    pub host: Option<String>,
    /// The setting that holds `networks`, for messages.
    pub setting: String,
    /// Names are resolved, and addresses reached, by a proxy: they are its to judge.
    pub by_proxy: bool,
}

/// An address that must not be asked, and what to do about it. Holds no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is not protected.
    #[error("{host} is offered without TLS (http), and the API is https: nothing is fetched so")]
    Plain {
        /// The host.
        host: String,
    },
    /// It is not a public one.
    #[error("{host} is {kind}, {address}: not asked; if the CDN is there, add it to {setting}")]
    Inner {
        /// The host as it was named.
        host: String,
        /// Its address, or the first of several.
        address: IpAddr,
        /// What kind of address that is.
        kind: &'static str,
        /// [`Reach::setting`].
        setting: String,
    },
}

impl From<NotAllowed> for TransportError {
    fn from(why: NotAllowed) -> Self {
        match &why {
            NotAllowed::Inner { host, address, .. } if address.to_canonical().is_unspecified() => {
                Self::NoHost(format!("{host} is {address}, which is no host"))
            }
            _ => Self::NotAllowed(why.to_string()),
        }
    }
}

impl Reach {
    /// Checks what can be told from an address before a connection is made; the resolver does the rest.
    pub(super) async fn check(&self, url: &Url) -> Result<(), NotAllowed> {
        let host = url.host_str().unwrap_or_default();
        if self.https_only && url.scheme() != "https" {
            let host = host.to_owned();
            return Err(NotAllowed::Plain { host });
        }
        // A URL writes every form of an IPv4 address as four numbers, and IPv6 in brackets.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) => {
                let address = vec![SocketAddr::new(address, 0)];
                self.filter(host, address).await.map(drop)
            }
            Err(_) => Ok(()),
        }
    }

    /// Checks an address, and those of its name.
    pub(super) async fn resolve(&self, url: &Url) -> Result<(), TransportError> {
        self.check(url).await?;
        let Some(name) = url.domain().filter(|_| !self.by_proxy) else {
            return Ok(());
        };
        let found = tokio::net::lookup_host((name, 0)).await;
        let found = found.map_err(|why| TransportError::Connect(format!("{name}: {why}")))?;
        let found = self.filter(name, found.collect()).await;
        Ok(found.map(drop)?)
    }

    /// Those of the addresses of `host` that may be asked.
    ///
    /// # Errors
    /// None of them may.
    pub(super) async fn filter(
        &self,
        host: &str,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, NotAllowed> {
        if self.by_proxy {
            return Ok(addresses);
        }
        let mut allowed = Vec::with_capacity(addresses.len());
        let mut refused = None;
        // Looked up once, and only for an address that is not public.
        let mut own = None;
        for address in addresses {
            let ip = address.ip().to_canonical();
            let Some(kind) =
                inner(ip).filter(|_| !self.networks.iter().any(|net| net.contains(&ip)))
            else {
                allowed.push(address);
                continue;
            };
            if own.is_none() {
                own = Some(self.addresses_of_host().await);
            }
            if own.iter().flatten().any(|known| *known == ip) {
                allowed.push(address);
            } else if refused.is_none() {
                refused = Some(NotAllowed::Inner {
                    host: host.to_owned(),
                    address: address.ip(),
                    kind,
                    setting: self.setting.clone(),
                });
            }
        }
        match refused {
            Some(refused) if allowed.is_empty() => Err(refused),
            _ => Ok(allowed),
        }
    }

    async fn addresses_of_host(&self) -> Vec<IpAddr> {
        let Some(host) = &self.host else {
            return Vec::new();
        };
        let found = tokio::net::lookup_host((host.as_str(), 0)).await;
        let found = found.into_iter().flatten();
        found.map(|address| address.ip().to_canonical()).collect()
    }
}

/// What kind of address it is, if not a public one (IANA's special-purpose registries).
///
/// 100.64.0.0/10 and 198.18.0.0/15 count as public: VPN meshes and name servers of proxies ("fake IP") give such addresses to hosts of the
/// internet.
pub fn inner(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => inner_v4(address),
        IpAddr::V6(address) => inner_v6(address),
    }
}

fn inner_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("an address of no host"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_private() => Some("a private address"),
        _ if address.is_link_local() => Some("a link-local address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if address.is_documentation() => Some("an address of documentation"),
        // Protocol assignments, some clouds' metadata among them; and class E with broadcast.
        [192, 0, 0, _] | [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn inner_v6(address: Ipv6Addr) -> Option<&'static str> {
    let embedded =
        |high: u16, low: u16| inner_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        _ if address.is_unspecified() => Some("an address of no host"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_unicast_link_local() => Some("a link-local address"),
        _ if address.is_unique_local() => Some("a private address"),
        _ if address.is_multicast() => Some("a multicast address"),
        // NAT64 and 6to4 lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => Some("an address of documentation"),
        [0x2000..0x4000, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(host: Option<&str>, networks: &[&str]) -> Reach {
        Reach {
            https_only: false,
            networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
            host: host.map(str::to_owned),
            setting: "provider.rd.cdn_networks".to_owned(),
            by_proxy: false,
        }
    }

    async fn goes(reach: &Reach, url: &str) -> Result<(), NotAllowed> {
        reach.check(&Url::parse(url).unwrap()).await
    }

    #[test]
    fn what_is_not_public_is_known_in_every_form() {
        for (address, kind) in [
            ("0.0.0.0", "an address of no host"),
            ("0.1.2.3", "an address of no host"),
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.254", "a loopback address"),
            ("10.0.0.1", "a private address"),
            ("172.16.0.1", "a private address"),
            ("172.31.255.255", "a private address"),
            ("192.168.178.1", "a private address"),
            ("169.254.169.254", "a link-local address"),
            ("224.0.0.1", "a multicast address"),
            ("239.255.255.250", "a multicast address"),
            ("192.0.0.192", "a reserved address"),
            ("240.0.0.1", "a reserved address"),
            ("255.255.255.255", "a reserved address"),
            ("192.0.2.1", "an address of documentation"),
            ("::", "an address of no host"),
            ("::1", "a loopback address"),
            ("::ffff:127.0.0.1", "a loopback address"),
            ("::ffff:169.254.169.254", "a link-local address"),
            ("::127.0.0.1", "a reserved address"),
            ("64:ff9b::10.0.0.1", "a private address"),
            ("64:ff9b:1::1", "a reserved address"),
            ("2002:7f00:1::", "a loopback address"),
            ("fe80::1", "a link-local address"),
            ("fec0::1", "a reserved address"),
            ("fc00::1", "a private address"),
            ("fd00:ec2::254", "a private address"),
            ("ff02::1", "a multicast address"),
            ("2001:db8::1", "an address of documentation"),
            ("100::1", "a reserved address"),
        ] {
            assert_eq!(inner(address.parse().unwrap()), Some(kind), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.64.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.18.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
            "2002:101:101::",
        ] {
            assert_eq!(inner(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn an_address_of_no_host_is_told_apart() {
        let told = |address: &str| {
            TransportError::from(NotAllowed::Inner {
                host: "cdn.example".to_owned(),
                address: address.parse().unwrap(),
                kind: "an address of no host",
                setting: String::new(),
            })
        };
        for address in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
            let error = told(address);
            assert!(matches!(error, TransportError::NoHost(_)), "{error}");
        }
        assert!(matches!(told("10.0.0.1"), TransportError::NotAllowed(_)));
    }

    #[tokio::test]
    async fn addresses_in_links_are_judged_before_anything_is_sent() {
        let reach = reach(None, &["10.1.0.0/16", "fd00:1::/32"]);
        for allowed in [
            "http://1.1.1.1/d",
            "http://10.1.255.1:8080/d",
            "http://[::ffff:10.1.0.1]/d",
            "http://[fd00:1::5]/d",
            // Its addresses are judged when they are known.
            "http://localhost/d",
        ] {
            assert_eq!(goes(&reach, allowed).await, Ok(()), "{allowed}");
        }
        let named = Url::parse("http://localhost/d").unwrap();
        let known = reach.resolve(&named).await;
        assert!(
            matches!(known, Err(TransportError::NotAllowed(_))),
            "{known:?}"
        );
        for (url, address) in [
            ("http://127.0.0.1/d", "127.0.0.1"),
            ("http://2130706433/d", "127.0.0.1"),
            ("http://0x7f.1/d", "127.0.0.1"),
            ("http://[::ffff:127.0.0.1]/d", "::ffff:127.0.0.1"),
            ("http://[::1]/d", "::1"),
            ("http://10.2.0.1/d", "10.2.0.1"),
        ] {
            let words = goes(&reach, url).await.unwrap_err().to_string();
            assert!(words.contains(&format!(", {address}:")), "{words}");
            assert!(words.contains("provider.rd.cdn_networks"), "{words}");
        }
    }

    #[tokio::test]
    async fn a_host_of_ones_own_stands_for_its_addresses_alone() {
        for host in ["127.0.0.2", "::ffff:127.0.0.2"] {
            let reach = reach(Some(host), &[]);
            assert_eq!(goes(&reach, "http://127.0.0.2:9/d").await, Ok(()));
            assert_eq!(goes(&reach, "http://[::ffff:127.0.0.2]/d").await, Ok(()));
            goes(&reach, "http://127.0.0.1:9/d").await.unwrap_err();
            goes(&reach, "http://169.254.169.254/d").await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn of_several_addresses_the_public_ones_are_left() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let (inside, outside) = (address("192.168.1.1"), address("1.1.1.1"));
        let reach = reach(None, &[]);
        let left = reach.filter("cdn", vec![inside, outside]).await;
        assert_eq!(left, Ok(vec![outside]));
        let error = reach.filter("cdn", vec![inside, address("::1")]).await;
        let words = error.unwrap_err().to_string();
        assert!(
            words.starts_with("cdn is a private address, 192.168.1.1:"),
            "{words}"
        );
        // A name without an address is no refusal.
        assert_eq!(reach.filter("cdn", vec![]).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn a_proxy_resolves_and_reaches_and_changes_nothing_about_tls() {
        let reach = Reach {
            https_only: true,
            by_proxy: true,
            ..reach(None, &[])
        };
        assert_eq!(goes(&reach, "https://127.0.0.1/d").await, Ok(()));
        let plain = goes(&reach, "http://cdn.example/d").await.unwrap_err();
        assert!(
            plain
                .to_string()
                .contains("cdn.example is offered without TLS")
        );
    }
}
