//! Who is let in.

use std::time::Duration;

use debridfs_acquire::qbittorrent::{ArrLogin, Credentials};
use debridfs_base::Secret;

use crate::support::{Client, World};

fn credentials() -> Credentials {
    Credentials {
        user: "admin".to_owned(),
        password: Some(Secret::new("adminadmin")),
        key: Some(Secret::new("qbt_key")),
        arrs: vec![ArrLogin {
            url: "http://sonarr:8989/".to_owned(),
            key: Secret::new("arrkey"),
        }],
    }
}

async fn login(client: &Client, user: &str, password: &str) -> (String, Option<String>) {
    let form = [("username", user), ("password", password)];
    let said = client.post("auth/login", &form).await;
    assert!(said.status == 200 || said.status == 403, "{said:?}");
    (said.text, said.cookie)
}

#[tokio::test(start_paused = true)]
async fn a_session_is_needed_and_ends() {
    let world = World::new(Vec::new()).await;
    let client = world.api_with(credentials());
    for call in [
        "app/webapiVersion",
        "torrents/info",
        "app/preferences",
        "sync/maindata",
        "no/such",
    ] {
        assert_eq!(client.get(call).await.status, 403, "{call}");
    }
    assert_eq!(
        client
            .post("torrents/delete", &[("hashes", "all")])
            .await
            .status,
        403
    );
    assert_eq!(
        client.get("auth/login").await.status,
        405,
        "a password in a URL ends in logs"
    );
    let (said, cookie) = login(&client, "admin", "adminadmin").await;
    assert_eq!(said, "Ok.");
    let cookie = cookie.unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let sid = cookie.split(';').next().unwrap();
    let inside = client.clone().header("cookie", format!("a=b; {sid}"));
    assert_eq!(inside.get("app/webapiVersion").await.text, "2.11.4");
    assert_eq!(inside.get("no/such").await.status, 404);
    tokio::time::advance(Duration::from_secs(3000)).await;
    assert_eq!(inside.get("app/version").await.status, 200, "use keeps it");
    tokio::time::advance(Duration::from_secs(3000)).await;
    assert_eq!(inside.get("app/version").await.status, 200);
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert_eq!(inside.get("app/version").await.status, 403);
    let (_, cookie) = login(&client, "admin", "adminadmin").await;
    let sid = cookie.unwrap().split(';').next().unwrap().to_owned();
    let inside = client.clone().header("cookie", sid);
    assert_eq!(inside.post("auth/logout", &[]).await.status, 200);
    assert_eq!(inside.get("app/version").await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn keys_and_basic_credentials_do_without_a_session() {
    let world = World::new(Vec::new()).await;
    let client = world.api_with(credentials());
    let basic = |pair: &str| format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
    for good in [
        "Bearer qbt_key".to_owned(),
        "bearer  qbt_key".to_owned(),
        basic("admin:adminadmin"),
        basic("http://sonarr:8989:arrkey"),
    ] {
        let said = client
            .clone()
            .header("authorization", &good)
            .get("app/version")
            .await;
        assert_eq!(said.status, 200, "{good}");
    }
    for bad in [
        "Bearer ".to_owned(),
        "Bearer qbt_ke".to_owned(),
        basic("admin:"),
        basic("admin"),
        "Digest x".to_owned(),
    ] {
        let said = client
            .clone()
            .header("authorization", &bad)
            .get("app/version")
            .await;
        assert_eq!(said.status, 401, "{bad}");
        // Each from an address of its own, or the last ones would be banned.
        tokio::time::advance(Duration::from_secs(61)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_arr_logs_in_as_itself_only_if_it_is_listed() {
    let world = World::new(Vec::new()).await;
    let client = world.api_with(credentials());
    for url in ["http://sonarr:8989", "http://SONARR:8989/"] {
        assert_eq!(login(&client, url, "arrkey").await.0, "Ok.", "{url}");
    }
    for (url, key) in [
        ("http://radarr:7878", "arrkey"),
        ("http://sonarr:8989", "adminadmin"),
        ("admin", "arrkey"),
        ("", ""),
    ] {
        assert_eq!(login(&client, url, key).await.0, "Fails.", "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn guessing_is_stopped_for_a_while_and_for_the_guesser_alone() {
    let world = World::new(Vec::new()).await;
    let client = world.api_with(credentials());
    let (_, cookie) = login(&client, "admin", "adminadmin").await;
    let sid = cookie.unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..5 {
        assert_eq!(login(&client, "admin", "wrong").await.0, "Fails.");
    }
    let (said, cookie) = login(&client, "admin", "adminadmin").await;
    assert!(said.contains("banned") && cookie.is_none(), "{said}");
    let inside = client.clone().header("cookie", sid);
    assert_eq!(
        inside.get("app/version").await.status,
        200,
        "who is in stays in"
    );
    let mut other = client.clone();
    other.peer = [192, 0, 2, 1];
    assert_eq!(login(&other, "admin", "adminadmin").await.0, "Ok.");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(login(&client, "admin", "adminadmin").await.0, "Ok.");
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_are_refused() {
    let world = World::new(Vec::new()).await;
    let open = world.api();
    assert_eq!(open.get("app/version").await.status, 200);
    let foreign = open.clone().header("origin", "http://evil.example");
    assert_eq!(foreign.get("app/version").await.status, 401);
    let own = open.clone().header("origin", "http://127.0.0.1:8283");
    assert_eq!(own.get("app/version").await.status, 200);
    let rebound = open.clone().header("host", "evil.example:8283");
    assert_eq!(rebound.get("app/version").await.status, 401);
    for host in ["localhost:8283", "[::1]:8283", "192.168.1.7"] {
        let local = open.clone().header("host", host);
        assert_eq!(local.get("app/version").await.status, 200, "{host}");
    }
    // With a password, names such as that of a compose service are fine.
    let named = world
        .api_with(credentials())
        .header("host", "debridfs:8283");
    assert_eq!(named.get("app/version").await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn without_a_password_nothing_is_answered_that_a_proxy_passes_on() {
    let world = World::new(Vec::new()).await;
    for (name, value) in [
        ("forwarded", "for=203.0.113.7"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "203.0.113.7"),
        ("via", "1.1 proxy"),
    ] {
        let passed_on = world.api().header(name, value);
        for said in [
            passed_on.get("torrents/info").await,
            passed_on.post("torrents/add", &[("urls", "x")]).await,
        ] {
            assert_eq!(said.status, 401, "{name}");
            assert!(said.text.contains("qbittorrent.password"), "{said:?}");
        }
        // With a password it is a caller as any other.
        let closed = world.api_with(credentials()).header(name, value);
        assert_eq!(login(&closed, "admin", "adminadmin").await.0, "Ok.");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_is_small() {
    let world = World::new(Vec::new()).await;
    let client = world.api_with(credentials());
    let long = "x".repeat(5000);
    let form = [("username", "admin"), ("password", long.as_str())];
    assert_eq!(client.post("auth/login", &form).await.status, 413);
    // What anybody may send is not read at all.
    assert_eq!(client.post("torrents/add", &form).await.status, 403);
    let inside = client.header("authorization", "Bearer qbt_key");
    assert_eq!(inside.post("torrents/add", &form).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn failures_at_one_front_count_at_the_other() {
    let world = World::new(Vec::new()).await;
    let client = world.api_with(credentials());
    for _ in 0..3 {
        assert_eq!(login(&client, "admin", "wrong").await.0, "Fails.");
    }
    let sab = world.sab();
    for _ in 0..2 {
        let said = sab.get("api?mode=queue&apikey=wrong").await;
        assert!(said.text.contains("API Key Incorrect"), "{said:?}");
    }
    let said = sab.get("api?mode=queue&apikey=wrong").await;
    assert!(said.text.contains("too many wrong keys"), "{said:?}");
    assert!(
        login(&client, "admin", "adminadmin")
            .await
            .0
            .contains("banned")
    );
    assert_eq!(world.attempts.failures(), 5);
}
