//! Whether the programs of the household that are called (arrs and hooks) can be reached: their names and ports, no call.

use std::io;
use std::time::Duration;

use debridfs_base::http::Url;
use debridfs_doctor::Check;
use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use debridfs_config::Config;

/// Of a program in the household; one that takes longer is of no use.
const LIMIT: Duration = Duration::from_secs(3);

/// All of them at once.
pub async fn checks(config: &Config) -> Vec<Check> {
    let arrs = config.arr.iter();
    let arrs = arrs.map(|(name, arr)| (format!("arr.{name}"), arr.url.clone()));
    let hooks = config.hook.iter().filter_map(|(name, hook)| {
        let url = hook.url.as_ref().map(|url| url.expose().to_owned());
        let file = hook.url_file.as_ref();
        let url = url.or_else(|| std::fs::read_to_string(file?).ok())?;
        Some((format!("hook.{name}"), url))
    });
    let all = arrs.chain(hooks);
    join_all(all.map(|(name, url)| async move { check(&name, url.trim()).await })).await
}

async fn check(name: &str, url: &str) -> Check {
    // The rest of an address may be a secret.
    let parsed = Url::parse(url).ok();
    let place = parsed.as_ref().and_then(|url| {
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((host, url.port_or_known_default()?))
    });
    let Some((host, port)) = place else {
        let fix = "write it like http://HOST:PORT";
        return Check::failed(name, "its `url` is no address", fix);
    };
    let reached = async {
        let found = tokio::net::lookup_host((host.as_str(), port)).await;
        let found: Vec<_> = found.map_err(|error| (true, error))?.collect();
        let connected = TcpStream::connect(&found[..]).await;
        connected.map(drop).map_err(|error| (false, error))
    };
    judged(name, &host, port, timeout(LIMIT, reached).await)
}

/// `reached` tells of an error whether it was the name server's.
fn judged(
    name: &str,
    host: &str,
    port: u16,
    reached: Result<Result<(), (bool, io::Error)>, Elapsed>,
) -> Check {
    let there = format!("{host}:{port}");
    match reached {
        Ok(Ok(())) => Check::ok(name, format!("{there} answers")),
        Ok(Err((true, error))) => Check::failed(
            name,
            format!("{host} has no address: {error}"),
            "correct its `url`; in containers both have to be in one network, and the host name is the service's name",
        ),
        Ok(Err((false, error))) => Check::failed(
            name,
            format!("{there}: {error}"),
            "start it, or correct its `url`",
        ),
        Err(_) => Check::failed(
            name,
            format!("{there}: no answer within {} s", LIMIT.as_secs()),
            "look for a firewall in between, or correct its `url`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use debridfs_doctor::Outcome;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_listens_answers_and_who_does_not_is_named_without_the_secret() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/secret");
        assert_eq!(check("arr.a", &url).await.outcome, Outcome::Ok);
        let silent = timeout(Duration::ZERO, std::future::pending()).await;
        let silent = judged("arr.a", "sonarr", 8989, silent);
        assert_eq!(silent.outcome, Outcome::Failed);
        assert!(silent.seen.contains("sonarr:8989: no answer within 3 s"));
        for wrong in ["sonarr", "unix:/run/x"] {
            assert_eq!(check("arr.a", wrong).await.outcome, Outcome::Failed);
        }
        drop(listener);
        let gone = check("arr.a", &url).await;
        assert_eq!(gone.outcome, Outcome::Failed);
        assert!(gone.seen.contains(&address.to_string()) && !gone.seen.contains("secret"));
        let nowhere = check("hook.b", "http://nowhere.invalid:1/secret").await;
        assert!(
            nowhere.seen.contains("nowhere.invalid has no address"),
            "{}",
            nowhere.seen
        );
    }
}
