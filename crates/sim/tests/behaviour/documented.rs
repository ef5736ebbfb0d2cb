//! Every documented call of a library's life, and of what programs do before it: each exists and answers in the documented shape, and
//! what is no call is answered as the vendor does. Foreign clients may ask any of them.

use std::time::Duration;

use axum::body::Body;
use debridfs_sim::{FileSpec, Kind, LibrarySpec, ReleaseSpec, Sim};
use http::Request;
use serde_json::{Value, json};

use crate::support::{START, control, send};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
/// In the vendor's cache, and not in the account.
const KNOWN: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// Method, path below the base URL, body (JSON if it begins so, else a form), HTTP status, and members of the answer. `{id}`, `{link}` and
/// `{magnet}` stand for the account's torrent, its first link, and a magnet of [`KNOWN`].
type Row = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static [&'static str],
);

const REAL_DEBRID: &[Row] = &[
    ("GET", "/rest/1.0/time", "", 200, &[]),
    ("GET", "/rest/1.0/time/iso", "", 200, &[]),
    (
        "GET",
        "/rest/1.0/user",
        "",
        200,
        &["/id", "/username", "/premium", "/expiration", "/type"],
    ),
    (
        "GET",
        "/rest/1.0/torrents?limit=1",
        "",
        200,
        &["/0/id", "/0/hash", "/0/links", "/0/added"],
    ),
    (
        "GET",
        "/rest/1.0/torrents/info/{id}",
        "",
        200,
        &["/files/0/path", "/original_filename"],
    ),
    (
        "GET",
        "/rest/1.0/torrents/activeCount",
        "",
        200,
        &["/nb", "/limit"],
    ),
    (
        "GET",
        "/rest/1.0/torrents/availableHosts",
        "",
        200,
        &["/0/host"],
    ),
    (
        "GET",
        "/rest/1.0/torrents/instantAvailability/0",
        "",
        403,
        &["/error_code"],
    ),
    (
        "POST",
        "/rest/1.0/torrents/addMagnet",
        "magnet={magnet}",
        201,
        &["/id", "/uri"],
    ),
    (
        "POST",
        "/rest/1.0/torrents/selectFiles/{id}",
        "files=all",
        202,
        &[],
    ),
    (
        "POST",
        "/rest/1.0/unrestrict/check",
        "link={link}",
        200,
        &["/filename", "/filesize"],
    ),
    (
        "POST",
        "/rest/1.0/unrestrict/link",
        "link={link}",
        200,
        &["/download", "/filesize", "/chunks"],
    ),
    (
        "GET",
        "/rest/1.0/downloads",
        "",
        200,
        &["/0/download", "/0/generated"],
    ),
    ("GET", "/rest/1.0/traffic", "", 200, &[]),
    ("GET", "/rest/1.0/traffic/details", "", 200, &[]),
    ("GET", "/rest/1.0/hosts", "", 200, &[]),
    ("GET", "/rest/1.0/hosts/status", "", 200, &[]),
    ("GET", "/rest/1.0/hosts/domains", "", 200, &[]),
    ("GET", "/rest/1.0/hosts/regex", "", 200, &[]),
    ("GET", "/rest/1.0/settings", "", 200, &[]),
    ("DELETE", "/rest/1.0/torrents/delete/{id}", "", 204, &[]),
    (
        "GET",
        "/oauth/v2/device/code?client_id=x",
        "",
        200,
        &["/device_code", "/user_code", "/interval"],
    ),
    ("GET", "/rest/1.0/nothing", "", 404, &["/error_code"]),
];

const TORBOX: &[Row] = &[
    ("GET", "/", "", 200, &["/success"]),
    ("GET", "/v1/api/stats", "", 200, &["/data"]),
    (
        "GET",
        "/v1/api/user/me?settings=true",
        "",
        200,
        &["/data/plan", "/data/premium_expires_at"],
    ),
    (
        "GET",
        "/v1/api/torrents/mylist?bypass_cache=true",
        "",
        200,
        &["/data/0/files/0/id"],
    ),
    (
        "GET",
        "/v1/api/torrents/mylist?id={id}",
        "",
        200,
        &["/data/hash", "/data/download_present"],
    ),
    (
        "GET",
        "/v1/api/torrents/checkcached?hash={known}&format=list",
        "",
        200,
        &["/data/0/hash"],
    ),
    (
        "POST",
        "/v1/api/torrents/checkcached?format=object",
        "{\"hashes\":[\"{known}\"]}",
        200,
        &["/data"],
    ),
    (
        "GET",
        "/v1/api/torrents/torrentinfo?hash={known}",
        "",
        200,
        &["/data/name", "/data/files"],
    ),
    (
        "POST",
        "/v1/api/torrents/createtorrent",
        "magnet={magnet}&seed=3",
        200,
        &["/data/torrent_id", "/data/hash"],
    ),
    (
        "POST",
        "/v1/api/torrents/asynccreatetorrent",
        "magnet={magnet}",
        200,
        &["/data/hash"],
    ),
    (
        "GET",
        "/v1/api/torrents/requestdl?token={token}&torrent_id={id}&file_id=0",
        "",
        200,
        &["/data"],
    ),
    (
        "GET",
        "/v1/api/torrents/exportdata?torrent_id={id}&type=magnet",
        "",
        200,
        &["/data"],
    ),
    (
        "GET",
        "/v1/api/usenet/mylist?bypass_cache=true",
        "",
        404,
        &["/error"],
    ),
    (
        "GET",
        "/v1/api/webdl/hosters",
        "",
        200,
        &["/data/0/domains"],
    ),
    (
        "POST",
        "/v1/api/torrents/controltorrent",
        "{\"torrent_id\":{id},\"operation\":\"delete\"}",
        200,
        &["/success"],
    ),
    (
        "GET",
        "/v1/api/user/auth/device/start?app=x",
        "",
        200,
        &["/data/device_code", "/data/code", "/data/verification_url"],
    ),
    (
        "POST",
        "/v1/api/user/auth/device/token",
        "{\"device_code\":\"x\"}",
        400,
        &["/error"],
    ),
    ("GET", "/v1/api/nothing", "", 404, &["/error"]),
];

const ALLDEBRID: &[Row] = &[
    ("GET", "/v4/ping", "", 200, &["/data/ping"]),
    (
        "GET",
        "/v4/user",
        "",
        200,
        &["/data/user/isPremium", "/data/user/premiumUntil"],
    ),
    ("GET", "/v4.1/user", "", 200, &["/data/user/username"]),
    (
        "GET",
        "/v4.1/magnet/status",
        "",
        200,
        &["/data/magnets/0/id", "/data/magnets/0/statusCode"],
    ),
    (
        "GET",
        "/v4.1/magnet/status?id={id}",
        "",
        200,
        &["/data/magnets/hash"],
    ),
    (
        "GET",
        "/v4.1/magnet/status?session=7&counter=0",
        "",
        200,
        &["/data/fullsync", "/data/counter"],
    ),
    ("GET", "/v4/magnet/status", "", 200, &["/error/code"]),
    (
        "POST",
        "/v4/magnet/files",
        "id[]={id}",
        200,
        &["/data/magnets/0/files/0/n"],
    ),
    (
        "POST",
        "/v4.1/magnet/files",
        "id[]={id}",
        200,
        &["/data/magnets/0/files/0/n"],
    ),
    (
        "POST",
        "/v4/magnet/upload",
        "magnets[]={magnet}",
        200,
        &["/data/magnets/0/ready", "/data/magnets/0/id"],
    ),
    (
        "POST",
        "/v4.1/magnet/upload",
        "magnets[]={known}",
        200,
        &["/data/magnets/0/id"],
    ),
    (
        "POST",
        "/v4/link/unlock",
        "link={link}",
        200,
        &["/data/link", "/data/filesize"],
    ),
    (
        "POST",
        "/v4.1/link/unlock",
        "link={link}",
        200,
        &["/data/link"],
    ),
    (
        "POST",
        "/v4/link/infos",
        "link[]={link}",
        200,
        &["/data/infos/0/size"],
    ),
    (
        "POST",
        "/v4/link/streaming",
        "id=1&stream=1",
        200,
        &["/error/code"],
    ),
    ("POST", "/v4/link/delayed", "id=1", 200, &["/error/code"]),
    (
        "GET",
        "/v4/hosts",
        "",
        200,
        &["/data/hosts/example/domains"],
    ),
    ("GET", "/v4/hosts/domains", "", 200, &["/data/hosts/0"]),
    ("GET", "/v4/hosts/priority", "", 200, &["/data/hosts"]),
    ("GET", "/v4/user/hosts", "", 200, &["/data/hosts"]),
    ("GET", "/v4/user/links", "", 200, &["/data/links"]),
    (
        "POST",
        "/v4/user/links/save",
        "links[]={link}",
        200,
        &["/data/message"],
    ),
    ("GET", "/v4/user/history", "", 200, &["/data/links"]),
    (
        "POST",
        "/v4/magnet/restart",
        "id={id}",
        200,
        &["/error/code"],
    ),
    (
        "POST",
        "/v4/magnet/delete",
        "id={id}",
        200,
        &["/data/message"],
    ),
    (
        "GET",
        "/v4/pin/get",
        "",
        200,
        &[
            "/data/pin",
            "/data/check",
            "/data/user_url",
            "/data/check_url",
        ],
    ),
    ("POST", "/v4.1/pin/check", "pin=x", 200, &["/error/code"]),
    ("GET", "/v4/magnet/instant", "", 200, &["/error/code"]),
];

const DEBRID_LINK: &[Row] = &[
    (
        "GET",
        "/api/v2/account/infos",
        "",
        200,
        &["/value/premiumLeft", "/value/accountType"],
    ),
    (
        "GET",
        "/api/v2/seedbox/list?perPage=50",
        "",
        200,
        &["/value/0/hashString", "/pagination/next"],
    ),
    (
        "GET",
        "/api/v2/seedbox/list?ids={id}",
        "",
        200,
        &["/value/0/files/0/downloadUrl"],
    ),
    (
        "GET",
        "/api/v2/seedbox/activity?ids={id}",
        "",
        200,
        &["/value"],
    ),
    (
        "GET",
        "/api/v2/seedbox/limits",
        "",
        200,
        &["/value/activeTransferCount/value"],
    ),
    (
        "POST",
        "/api/v2/seedbox/add",
        "{\"url\":\"{known}\",\"async\":true}",
        200,
        &["/value/id"],
    ),
    (
        "GET",
        "/api/v2/seedbox/cached?url={known}",
        "",
        404,
        &["/error"],
    ),
    (
        "GET",
        "/api/v2/downloader/list?ip=1.2.3.4",
        "",
        200,
        &["/value", "/pagination/page"],
    ),
    (
        "GET",
        "/api/v2/downloader/limits",
        "",
        200,
        &["/value/daySize/current"],
    ),
    (
        "GET",
        "/api/v2/downloader/hosts",
        "",
        200,
        &["/value/0/domains"],
    ),
    ("GET", "/api/v2/downloader/domains", "", 200, &["/value/0"]),
    (
        "POST",
        "/api/v2/downloader/add",
        "{\"url\":\"https://nowhere.invalid/x\"}",
        400,
        &["/error"],
    ),
    (
        "DELETE",
        "/api/v2/seedbox/{id}/remove",
        "",
        200,
        &["/value/0"],
    ),
    (
        "POST",
        "/api/oauth/device/code",
        "client_id=x&scopes=get.post.delete",
        200,
        &["/device_code", "/verification_url"],
    ),
    (
        "POST",
        "/api/oauth/token",
        "client_id=x&code=y&grant_type=z",
        400,
        &["/error"],
    ),
    ("GET", "/api/v2/nothing", "", 404, &["/error"]),
];

const PREMIUMIZE: &[Row] = &[
    (
        "GET",
        "/api/account/info",
        "",
        200,
        &["/customer_id", "/premium_until", "/limit_used"],
    ),
    (
        "GET",
        "/api/cache/check?items[]={known}",
        "",
        200,
        &["/response/0", "/filename/0", "/filesize/0"],
    ),
    (
        "POST",
        "/api/cache/check",
        "items[]={known}",
        200,
        &["/transcoded/0"],
    ),
    (
        "GET",
        "/api/transfer/list",
        "",
        200,
        &["/transfers/0/status"],
    ),
    (
        "POST",
        "/api/transfer/directdl",
        "src={magnet}",
        200,
        &["/content/0/link", "/content/0/path"],
    ),
    (
        "POST",
        "/api/transfer/create",
        "src={magnet}",
        200,
        &["/id", "/name"],
    ),
    (
        "GET",
        "/api/folder/list",
        "",
        200,
        &["/content/0/id", "/name"],
    ),
    (
        "GET",
        "/api/folder/search?q=Film",
        "",
        200,
        &["/content/0/id"],
    ),
    (
        "GET",
        "/api/item/listall",
        "",
        200,
        &["/files/0/path", "/files/0/id"],
    ),
    (
        "GET",
        "/api/item/details?id={link}",
        "",
        200,
        &["/link", "/size"],
    ),
    ("POST", "/api/folder/create", "name=New", 200, &["/id"]),
    ("POST", "/api/transfer/delete", "id={id}", 200, &["/status"]),
    ("GET", "/api/services/list", "", 200, &["/directdl"]),
    (
        "POST",
        "/token",
        "response_type=device_code&client_id=x",
        200,
        &["/device_code", "/verification_uri"],
    ),
    (
        "POST",
        "/token",
        "grant_type=device_code&client_id=x&code=y",
        400,
        &["/error"],
    ),
    ("GET", "/api/nothing", "", 200, &["/message"]),
];

fn account(kind: Kind) -> Sim {
    let film = || vec![FileSpec::generated("/Film.2020.mkv", 1 << 20)];
    let library = LibrarySpec {
        seed: 3,
        releases: vec![
            ReleaseSpec {
                hash: Some(HASH.to_owned()),
                ..ReleaseSpec::new("Film.2020", film())
            },
            ReleaseSpec {
                hash: Some(KNOWN.to_owned()),
                copies: 0,
                ..ReleaseSpec::new("Known.2021", film())
            },
        ],
    };
    Sim::of_starting_at(kind, &library, START.parse().unwrap()).unwrap()
}

async fn ask(sim: &Sim, method: &str, path: &str, body: String) -> (u16, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(path.replace('[', "%5B").replace(']', "%5D"))
        .header("authorization", format!("Bearer {}", sim.token()));
    let kind = match body.starts_with('{') {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    if !body.is_empty() {
        request = request.header("content-type", kind);
    }
    let answer = send(sim, request.body(Body::from(body)).unwrap()).await;
    let text = String::from_utf8(answer.body.unwrap().into()).unwrap();
    (answer.status.as_u16(), text)
}

#[tokio::test]
async fn each_documented_call_exists_and_answers_in_its_shape() {
    let tables = [
        (Kind::RealDebrid, REAL_DEBRID),
        (Kind::TorBox, TORBOX),
        (Kind::AllDebrid, ALLDEBRID),
        (Kind::DebridLink, DEBRID_LINK),
        (Kind::Premiumize, PREMIUMIZE),
    ];
    let mut wrong = Vec::new();
    for (kind, rows) in tables {
        let sim = account(kind);
        let held = sim.torrents(0).unwrap().remove(0);
        let link = held.links.first().cloned().unwrap_or_default();
        let magnet: String = format!("magnet%3A%3Fxt%3Durn%3Abtih%3A{KNOWN}");
        let fill = |text: &str| {
            text.replace("{id}", &held.id)
                .replace("{link}", &link)
                .replace("{magnet}", &magnet)
                .replace("{known}", KNOWN)
                .replace("{token}", &sim.token())
        };
        for (method, path, body, status, members) in rows {
            // No limit of calls is reached.
            sim.advance(Duration::from_secs(1));
            let (got, text) = ask(&sim, method, &fill(path), fill(body)).await;
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            let lacks = members.iter().find(|at| body.pointer(at).is_none());
            if got != *status || lacks.is_some() {
                let begin: String = text.chars().take(200).collect();
                wrong.push(format!(
                    "{kind:?} {method} {path}: {got}, lacks {lacks:?}: {begin}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A call of the device flow: path, form or JSON with `{code}`, and where the answer has the token.
struct Flow {
    kind: Kind,
    begin: (&'static str, &'static str, &'static str),
    codes: [&'static str; 2],
    ask: (&'static str, &'static str),
    waits: (&'static str, Value),
    token: &'static str,
}

#[tokio::test]
async fn a_device_gets_its_token_once_the_user_allows_it() {
    let flows = [
        Flow {
            kind: Kind::AllDebrid,
            begin: ("GET", "/v4/pin/get", ""),
            codes: ["/data/check", "/data/pin"],
            ask: ("/v4/pin/check", "check={code}&pin={user}"),
            waits: ("/data/activated", json!(false)),
            token: "/data/apikey",
        },
        Flow {
            kind: Kind::TorBox,
            begin: ("GET", "/v1/api/user/auth/device/start", ""),
            codes: ["/data/device_code", "/data/code"],
            ask: (
                "/v1/api/user/auth/device/token",
                "{\"device_code\":\"{code}\"}",
            ),
            waits: ("/error", json!("OAUTH_VERIFICATION_ERROR")),
            token: "/data/access_token",
        },
        Flow {
            kind: Kind::DebridLink,
            begin: ("POST", "/api/oauth/device/code", "client_id=x"),
            codes: ["/device_code", "/user_code"],
            ask: ("/api/oauth/token", "client_id=x&code={code}"),
            waits: ("/error", json!("authorization_pending")),
            token: "/access_token",
        },
        Flow {
            kind: Kind::Premiumize,
            begin: ("POST", "/token", "client_id=x&response_type=device_code"),
            codes: ["/device_code", "/user_code"],
            ask: ("/token", "client_id=x&grant_type=device_code&code={code}"),
            waits: ("/error", json!("authorization_pending")),
            token: "/access_token",
        },
    ];
    for flow in flows {
        let sim = account(flow.kind);
        let (method, path, body) = flow.begin;
        let (_, begun) = ask(&sim, method, path, body.to_owned()).await;
        let begun: Value = serde_json::from_str(&begun).unwrap();
        let [code, user] = flow
            .codes
            .map(|at| begun.pointer(at).unwrap().as_str().unwrap());
        let form = flow.ask.1.replace("{code}", code).replace("{user}", user);
        let asked = async || {
            let (_, told) = ask(&sim, "POST", flow.ask.0, form.clone()).await;
            serde_json::from_str::<Value>(&told).unwrap()
        };
        let (at, said) = &flow.waits;
        let told = asked().await;
        assert_eq!(told.pointer(at), Some(said), "{:?}: {told}", flow.kind);
        let allowed = control(&sim, "POST", "oauth/allow", json!({ "user_code": user })).await;
        assert_eq!(allowed.status, 200);
        let told = asked().await;
        let token = told.pointer(flow.token).and_then(Value::as_str);
        assert_eq!(token, Some(&*sim.token()), "{:?}: {told}", flow.kind);
    }
}
