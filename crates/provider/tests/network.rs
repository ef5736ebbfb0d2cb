//! The network: TLS with another CA, proxies, IP versions, time limits, and answers without end.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/origin.rs"]
mod origin;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::http::{IpChoice, TransportError, Url};
use debridfs_base::{ProxyUrl, Secret};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount, Priority, Provider, Verdict};
use http::{HeaderMap, StatusCode};
use origin::Server;
use tokio_rustls::TlsAcceptor;

const USER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n{\"username\":\"some\",\"type\":\"premium\"}\n";
const V4: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn config(api_url: String) -> AccountConfig {
    AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new("SECRETTOKEN")),
        api_url,
        ..AccountConfig::of(&real_debrid::KIND)
    }
}

async fn ask(config: AccountConfig) -> debridfs_provider::Result<debridfs_provider::Account> {
    DebridAccount::new(config)
        .unwrap()
        .account(Priority::User)
        .await
}

/// How `url` is answered to the client for the CDN.
async fn fetch(account: &DebridAccount, url: &str) -> Result<StatusCode, TransportError> {
    let url = Url::parse(url).unwrap();
    let answer = account.cdn().client.get(url, HeaderMap::new()).await?;
    Ok(answer.status())
}

/// A CA's certificate in a file, and a server's side with a certificate of that CA for `localhost`.
fn authority(dir: &std::path::Path) -> (std::path::PathBuf, TlsAcceptor) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let path = dir.join("ca.pem");
    std::fs::write(&path, ca_pem).unwrap();
    (path, TlsAcceptor::from(Arc::new(tls)))
}

#[tokio::test]
async fn trusts_the_configured_ca_and_nothing_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, tls) = authority(dir.path());
    let server = Server::origin(V4, USER, Some(tls)).await;
    let url = format!("https://localhost:{}", server.address.port());
    let mut config = config(url);
    let error = ask(config.clone()).await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Retry);
    assert!(error.message.contains("UnknownIssuer"), "{error}");
    config.ca_file = Some(ca.clone());
    assert_eq!(ask(config.clone()).await.unwrap().username, "some");
    // Another name than the certificate's is not accepted.
    config.api_url = format!("https://127.0.0.1:{}", server.address.port());
    let error = ask(config.clone()).await.unwrap_err();
    assert!(error.message.contains("certificate"), "{error}");
    // The CDN's client trusts it as well.
    config.api_url = "https://localhost".to_owned();
    let account = DebridAccount::new(config.clone()).unwrap();
    let url = format!("https://localhost:{}/d/X/file", server.address.port());
    assert!(fetch(&account, &url).await.unwrap().is_success());
    // A file without certificates is an error that names the key.
    std::fs::write(&ca, "nothing").unwrap();
    let error = DebridAccount::new(config).unwrap_err().to_string();
    assert!(error.starts_with("provider.rd.ca_file: "), "{error}");
}

#[tokio::test]
async fn goes_through_an_http_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, tls) = authority(dir.path());
    let secure = Server::origin(V4, USER, Some(tls)).await;
    let plain = Server::origin(V4, USER, None).await;
    let proxy = Server::http_proxy().await;
    let mut config = config(format!("https://localhost:{}", secure.address.port()));
    config.ca_file = Some(ca);
    config.proxy = Some(ProxyUrl::new(format!("http://user:pass@{}", proxy.address)));
    ask(config.clone()).await.unwrap();
    let url = format!("http://localhost:{}/d/X/file", plain.address.port());
    // Not without TLS, as the API has it, whoever carries it.
    let account = DebridAccount::new(config.clone()).unwrap();
    let refused = fetch(&account, &url).await.unwrap_err();
    assert!(refused.to_string().contains("without TLS"), "{refused}");
    config.api_url = url.clone();
    let account = DebridAccount::new(config.clone()).unwrap();
    fetch(&account, &url).await.unwrap();
    let seen = proxy.seen();
    assert!(seen[0].starts_with(&format!("CONNECT localhost:{} ", secure.address.port())));
    assert!(seen[1].starts_with(&format!("GET {url} ")), "{seen:?}");
    for head in &seen {
        // user:pass
        assert!(
            head.to_ascii_lowercase()
                .contains("proxy-authorization: basic dxnlcjpwyxnz"),
            "{head}"
        );
    }
    assert!(!seen[0].contains("SECRETTOKEN"));
    // The CDN may go another way.
    config.cdn_proxy = Some(ProxyUrl::new("none"));
    let account = DebridAccount::new(config).unwrap();
    fetch(&account, &url).await.unwrap();
    assert_eq!(proxy.seen().len(), 2);
}

#[tokio::test]
async fn goes_through_a_socks_proxy() {
    let server = Server::origin(V4, USER, None).await;
    let proxy = Server::socks_proxy().await;
    let port = server.address.port();
    let mut config = config(format!("http://localhost:{port}"));
    config.proxy = Some(ProxyUrl::new(format!("socks5h://{}", proxy.address)));
    ask(config.clone()).await.unwrap();
    config.proxy = Some(ProxyUrl::new(format!(
        "socks5://user:pass@{}",
        proxy.address
    )));
    config.api_ip = IpChoice::V4;
    ask(config).await.unwrap();
    assert_eq!(
        proxy.seen(),
        [
            format!("NAME localhost:{port}"),
            "LOGIN user pass".to_owned(),
            format!("IP 127.0.0.1:{port}"),
        ]
    );
}

#[tokio::test]
async fn a_dead_proxy_is_not_gone_around() {
    let server = Server::origin(V4, USER, None).await;
    let dead = Server::origin(V4, USER, None).await.address;
    let mut config = config(format!("http://localhost:{}", server.address.port()));
    config.proxy = Some(ProxyUrl::new(format!("socks5h://user:hunter2@{dead}")));
    let error = ask(config).await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Retry);
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(server.seen().is_empty());
}

#[test]
fn refuses_proxies_it_does_not_know() {
    for proxy in ["ftp://x:1", "proxy:3128", "socks5h//x", ""] {
        let mut config = config("https://localhost".to_owned());
        config.proxy = Some(ProxyUrl::new(proxy));
        let error = DebridAccount::new(config).unwrap_err().to_string();
        assert!(error.starts_with("provider.rd.proxy: "), "{error}");
    }
}

#[tokio::test]
async fn keeps_to_the_chosen_ip_version() {
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    if tokio::net::TcpListener::bind(v6).await.is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let six = Server::origin(v6, USER, None).await;
    let four = Server::origin(SocketAddr::new(V4.ip(), six.address.port()), USER, None).await;
    let mut config = config(format!("http://localhost:{}", six.address.port()));
    let url = format!("{}/d/X/file", config.api_url);
    for (api_ip, cdn_ip) in [(IpChoice::V4, IpChoice::V6), (IpChoice::V6, IpChoice::V4)] {
        let before = (four.seen().len(), six.seen().len());
        (config.api_ip, config.cdn_ip) = (api_ip, cdn_ip);
        let account = DebridAccount::new(config.clone()).unwrap();
        let asked = account.account(Priority::User).await;
        if api_ip == IpChoice::V6 && asked.is_err() {
            eprintln!("skipped in part: localhost is IPv4 only here");
            return;
        }
        let between = (four.seen().len() - before.0, six.seen().len() - before.1);
        let wanted = if api_ip == IpChoice::V4 {
            (1, 0)
        } else {
            (0, 1)
        };
        assert_eq!(between, wanted);
        if let Err(error) = fetch(&account, &url).await {
            let words = format!("{error:?}");
            assert!(words.contains("localhost has no IPv6 address"), "{words}");
            return;
        }
        let both = (four.seen().len() - before.0, six.seen().len() - before.1);
        assert_eq!(both, (1, 1));
    }
}

#[tokio::test]
async fn waits_no_longer_than_told() {
    let silent = Server::origin(V4, b"", None).await;
    let mut silent_config = config(format!("http://{}", silent.address));
    silent_config.first_byte_timeout = Duration::from_millis(50);
    let error = ask(silent_config).await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Retry);
    assert!(error.message.contains("no answer within 50ms"), "{error}");
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"user";
    let half = Server::origin(V4, half, None).await;
    let mut half_config = config(format!("http://{}", half.address));
    half_config.total_timeout = Duration::from_millis(50);
    let error = ask(half_config).await.unwrap_err();
    assert!(
        error.message.contains("not complete within 50ms"),
        "{error}"
    );
}

#[tokio::test]
async fn reads_no_answer_without_end() {
    let told = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{";
    // 16 MiB in one chunk, of which no more than the limit is kept.
    let chunk = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000\r\n{}",
        " ".repeat(2 << 20)
    );
    let chunk: &'static [u8] = chunk.into_bytes().leak();
    for answer in [told.as_slice(), chunk] {
        let server = Server::origin(V4, answer, None).await;
        let error = ask(config(format!("http://{}", server.address)))
            .await
            .unwrap_err();
        assert_eq!(error.verdict, Verdict::Malformed);
        assert!(
            error.message.contains("larger than 1048576 bytes"),
            "{error}"
        );
    }
}

/// An answer that is no film: many headers, a header without end, answers before the answer without end.
#[tokio::test]
async fn reads_no_head_without_end() {
    let line = "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    let many = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(100_000));
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(8 << 20));
    let early = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000);
    for answer in [many, long, early] {
        let answer: &'static [u8] = answer.into_bytes().leak();
        let server = Server::origin(V4, answer, None).await;
        let url = format!("http://{}", server.address);
        let mut config = config(url.clone());
        config.first_byte_timeout = Duration::from_secs(1);
        let account = DebridAccount::new(config).unwrap();
        let error = account.account(Priority::User).await.unwrap_err();
        assert_eq!(error.verdict, Verdict::Retry, "{error}");
        // Who reads gives the head of an answer a time of its own.
        let limit = Duration::from_secs(1);
        let fetched = tokio::time::timeout(limit, fetch(&account, &url)).await;
        assert!(fetched.is_err() || fetched.unwrap().is_err());
    }
}

/// An account whose API is at `127.0.0.2`, and a server at `127.0.0.1` that nobody should ask.
async fn beside_a_trap() -> (AccountConfig, Server) {
    let trap = Server::origin(V4, USER, None).await;
    (config("http://127.0.0.2:9".to_owned()), trap)
}

#[tokio::test]
async fn a_link_leads_to_no_machine_beside_this_one() {
    let (mut config, trap) = beside_a_trap().await;
    let port = trap.address.port();
    let account = DebridAccount::new(config.clone()).unwrap();
    for (host, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("169.254.169.254", "169.254.169.254"),
        ("[fd00:ec2::254]", "fd00:ec2::254"),
        // Resolved, and refused when the connection is to be made.
        ("localhost", "127.0.0.1"),
    ] {
        let url = format!("http://{host}:{port}/d/X/file");
        let error = fetch(&account, &url).await.unwrap_err();
        assert!(matches!(error, TransportError::NotAllowed(_)), "{error}");
        let words = error.to_string();
        // A machine with IPv6 may name that one first.
        let named = words.contains(address) || (address == "127.0.0.1" && words.contains("::1"));
        assert!(named, "{words}");
        assert!(words.contains("provider.rd.cdn_networks"), "{words}");
    }
    // Connected to, it would be this machine; no network that is allowed makes it a host.
    let url = format!("http://0.0.0.0:{port}/d/X/file");
    let error = fetch(&account, &url).await.unwrap_err();
    assert!(matches!(error, TransportError::NoHost(_)), "{error}");
    assert!(trap.seen().is_empty(), "{:?}", trap.seen());

    let url = format!("http://localhost:{port}/d/X/file");
    // The network is allowed, the API is there itself, or a proxy resolves and reaches.
    config.cdn_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let account = DebridAccount::new(config.clone()).unwrap();
    assert!(fetch(&account, &url).await.unwrap().is_success());
    config.cdn_networks.clear();
    config.api_url = "http://localhost:9".to_owned();
    let account = DebridAccount::new(config.clone()).unwrap();
    assert!(fetch(&account, &url).await.unwrap().is_success());
    config.api_url = "http://127.0.0.2:9".to_owned();
    let proxy = Server::http_proxy().await;
    config.proxy = Some(ProxyUrl::new(format!("http://{}", proxy.address)));
    let account = DebridAccount::new(config).unwrap();
    assert!(fetch(&account, &url).await.unwrap().is_success());
    assert_eq!(trap.seen().len(), 3);
}

#[tokio::test]
async fn the_vendors_own_name_is_no_leave() {
    let (mut config, trap) = beside_a_trap().await;
    // As if its name server said that it is here: what the name resolves to is not asked at all.
    config.api_url = real_debrid::KIND.api_url.to_owned();
    let account = DebridAccount::new(config).unwrap();
    let url = format!("https://localhost:{}/d/X/file", trap.address.port());
    let error = fetch(&account, &url).await.unwrap_err();
    assert!(matches!(error, TransportError::NotAllowed(_)), "{error}");
    assert!(trap.seen().is_empty());
}

#[tokio::test]
async fn takes_the_token_nowhere_else() {
    let elsewhere = Server::origin(V4, USER, None).await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
        elsewhere.address
    );
    let server = Server::origin(V4, answer.into_bytes().leak(), None).await;
    let error = ask(config(format!("http://{}", server.address)))
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::Malformed);
    assert!(error.message.contains("api_url"), "{error}");
    assert!(elsewhere.seen().is_empty());
}
