//! Every call that qBittorrent 5.1 documents (API 2.11): it is there, is made by the method that the model wants, and answers with
//! the status that the model answers with.

use serde_json::{Value, json};

use crate::support::{Client, HASH, World, cached, hash};

/// A torrent of one file, and its info-hash.
const FILE: &[u8] = b"d8:announce5:udp:a4:infod6:lengthi42e4:name5:a.mkv12:piece lengthi65536e6:pieces20:00000000000000000000ee\n";

/// A call that reads, its arguments, the status, and a kind of JSON (`[`, `{`), or the whole answer.
type Reads = (&'static str, &'static str, u16, &'static str);

const READS: &[Reads] = &[
    ("app/buildInfo", "", 200, "{"),
    ("app/cookies", "", 200, "[]"),
    ("app/defaultSavePath", "", 200, "/"),
    ("app/getDirectoryContent", "", 400, ""),
    ("app/getDirectoryContent", "dirPath=x", 400, ""),
    ("app/getDirectoryContent", "dirPath=/etc", 404, ""),
    ("app/networkInterfaceAddressList", "iface=", 200, "[]"),
    ("app/networkInterfaceList", "", 200, "[]"),
    ("app/preferences", "", 200, "{"),
    ("app/version", "", 200, "v5"),
    ("app/webapiVersion", "", 200, "2.11"),
    ("log/main", "", 200, "[]"),
    ("log/peers", "", 200, "[]"),
    ("rss/items", "withData=true", 200, "{}"),
    ("rss/matchingArticles", "", 400, ""),
    ("rss/matchingArticles", "ruleName=x", 200, "{}"),
    ("rss/rules", "", 200, "{}"),
    ("search/plugins", "", 200, "[]"),
    ("search/results", "id=1", 404, ""),
    ("search/status", "", 200, "[]"),
    ("search/status", "id=0", 200, "[]"),
    ("search/status", "id=1", 404, ""),
    ("sync/maindata", "", 200, "{"),
    ("sync/torrentPeers", "hash=@", 200, "{"),
    ("torrentcreator/status", "", 200, "[]"),
    ("torrentcreator/status", "taskID=x", 404, ""),
    ("torrentcreator/torrentFile", "taskID=x", 404, ""),
    ("torrents/SSLParameters", "hash=@", 200, "{"),
    ("torrents/categories", "", 200, "{"),
    ("torrents/count", "", 200, "1"),
    ("torrents/downloadLimit", "hashes=@", 200, "{"),
    ("torrents/export", "", 400, ""),
    (
        "torrents/export",
        "hash=0000000000000000000000000000000000000009",
        404,
        "",
    ),
    (
        "torrents/export",
        "hash=@",
        409,
        "Unable to export torrent file",
    ),
    ("torrents/files", "hash=@", 200, "["),
    ("torrents/info", "", 200, "["),
    ("torrents/pieceHashes", "hash=@", 200, "["),
    ("torrents/pieceStates", "hash=@", 200, "["),
    ("torrents/properties", "hash=@", 200, "{"),
    ("torrents/tags", "", 200, "["),
    ("torrents/trackers", "hash=@", 200, "["),
    ("torrents/uploadLimit", "hashes=@", 200, "{"),
    ("torrents/webseeds", "hash=@", 200, "[]"),
    ("transfer/downloadLimit", "", 200, "0"),
    ("transfer/info", "", 200, "{"),
    ("transfer/speedLimitsMode", "", 200, "0"),
    ("transfer/uploadLimit", "", 200, "0"),
];

/// A call that changes something, its arguments, and the status. It changes nothing when it is not POST.
type Changes = (&'static str, &'static str, u16);

const CHANGES: &[Changes] = &[
    ("app/sendTestEmail", "", 200),
    ("app/setCookies", "cookies=[]", 200),
    ("app/setCookies", "", 400),
    ("app/setPreferences", "json={}", 200),
    ("app/shutdown", "", 200),
    ("rss/addFeed", "url=http://x", 400),
    ("rss/addFeed", "url=http://x&path=x", 409),
    ("rss/addFolder", "path=x", 409),
    ("rss/addFolder", "", 400),
    ("rss/markAsRead", "itemPath=x", 200),
    ("rss/moveItem", "itemPath=x&destPath=y", 409),
    ("rss/refreshItem", "itemPath=x", 200),
    ("rss/removeItem", "path=x", 409),
    ("rss/removeRule", "ruleName=x", 200),
    ("rss/renameRule", "ruleName=x&newRuleName=y", 200),
    (
        "rss/setFeedRefreshInterval",
        "path=x&refreshInterval=1",
        409,
    ),
    ("rss/setFeedURL", "path=x&url=y", 409),
    ("rss/setRule", "ruleName=x&ruleDef={}", 409),
    ("search/delete", "id=1", 404),
    ("search/downloadTorrent", "torrentUrl=x&pluginName=y", 409),
    ("search/enablePlugin", "names=x&enable=true", 200),
    ("search/installPlugin", "sources=x", 200),
    ("search/start", "pattern=x&category=all&plugins=all", 409),
    ("search/stop", "id=1", 404),
    ("search/uninstallPlugin", "names=x", 200),
    ("search/updatePlugins", "", 200),
    ("torrentcreator/addTask", "sourcePath=x", 409),
    ("torrentcreator/deleteTask", "taskID=x", 404),
    ("torrents/addPeers", "hashes=@&peers=1.2.3.4:5|x", 200),
    ("torrents/addPeers", "hashes=@&peers=x", 400),
    ("torrents/addTags", "hashes=@&tags=x", 200),
    ("torrents/addTrackers", "hash=@&urls=udp://b", 200),
    (
        "torrents/addTrackers",
        "hash=0000000000000000000000000000000000000009&urls=udp://b",
        404,
    ),
    ("torrents/addWebSeeds", "hash=@&urls=http://x", 200),
    ("torrents/bottomPrio", "hashes=@", 200),
    ("torrents/createCategory", "category=c", 200),
    ("torrents/createTags", "tags=t", 200),
    ("torrents/decreasePrio", "hashes=@", 200),
    ("torrents/deleteTags", "tags=t", 200),
    ("torrents/editCategory", "category=c&savePath=d", 200),
    (
        "torrents/editTracker",
        "hash=@&origUrl=udp://none&newUrl=udp://c",
        409,
    ),
    (
        "torrents/editTracker",
        "hash=@&origUrl=udp://b&newUrl=c",
        400,
    ),
    (
        "torrents/editTracker",
        "hash=@&origUrl=udp://b&newUrl=udp://c",
        200,
    ),
    (
        "torrents/editWebSeed",
        "hash=@&origUrl=http://x&newUrl=http://y",
        409,
    ),
    ("torrents/filePrio", "hash=@&id=0&priority=1", 200),
    ("torrents/increasePrio", "hashes=@", 200),
    ("torrents/pause", "hashes=@", 200),
    ("torrents/reannounce", "hashes=@", 200),
    ("torrents/recheck", "hashes=@", 200),
    ("torrents/removeCategories", "categories=c", 200),
    ("torrents/removeTags", "hashes=@&tags=x", 200),
    (
        "torrents/removeTrackers",
        "hash=@&urls=udp://c|udp://none",
        200,
    ),
    ("torrents/removeTrackers", "hash=*&urls=udp://c", 200),
    ("torrents/removeWebSeeds", "hash=@&urls=http://x", 200),
    ("torrents/rename", "hash=@&name=New", 200),
    ("torrents/renameFile", "hash=@&oldPath=a&newPath=b", 409),
    (
        "torrents/renameFile",
        "hash=0000000000000000000000000000000000000009&oldPath=a&newPath=b",
        404,
    ),
    ("torrents/renameFolder", "hash=@&oldPath=a&newPath=b", 409),
    ("torrents/resume", "hashes=@", 200),
    ("torrents/setAutoManagement", "hashes=@&enable=true", 200),
    ("torrents/setCategory", "hashes=@&category=", 200),
    ("torrents/setDownloadLimit", "hashes=@&limit=1", 200),
    ("torrents/setDownloadLimit", "hashes=@", 400),
    ("torrents/setDownloadPath", "id=@&path=x", 200),
    ("torrents/setForceStart", "hashes=@&value=false", 200),
    ("torrents/setLocation", "hashes=@&location=", 400),
    ("torrents/setLocation", "hashes=@&location=/etc", 409),
    ("torrents/setLocation", "hashes=@&location=films", 200),
    (
        "torrents/setSSLParameters",
        "hash=@&ssl_certificate=a&ssl_private_key=b&ssl_dh_params=c",
        200,
    ),
    ("torrents/setSavePath", "id=@&path=films", 200),
    (
        "torrents/setShareLimits",
        "hashes=@&ratioLimit=-2&seedingTimeLimit=-2&inactiveSeedingTimeLimit=-2",
        200,
    ),
    ("torrents/setSuperSeeding", "hashes=@&value=true", 200),
    ("torrents/setTags", "hashes=@&tags=x", 200),
    ("torrents/setUploadLimit", "hashes=@&limit=1", 200),
    ("torrents/start", "hashes=@", 200),
    ("torrents/stop", "hashes=@", 200),
    ("torrents/toggleFirstLastPiecePrio", "hashes=@", 200),
    ("torrents/toggleSequentialDownload", "hashes=@", 200),
    ("torrents/topPrio", "hashes=@", 200),
    ("transfer/banPeers", "peers=1.2.3.4:5", 200),
    ("transfer/setDownloadLimit", "limit=1", 200),
    ("transfer/setSpeedLimitsMode", "mode=1", 200),
    ("transfer/setUploadLimit", "limit=1", 200),
    ("transfer/toggleSpeedLimitsMode", "", 200),
    // The last, as they take the job.
    ("torrents/add", "urls=x", 200),
    ("torrents/delete", "hashes=@&deleteFiles=true", 200),
];

#[tokio::test(start_paused = true)]
async fn every_call_is_there_and_answers_as_the_model_does() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let api = world.api();
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    for (call, arguments, status, answer) in READS {
        let arguments = arguments.replace('@', HASH);
        let said = api.get(&format!("{call}?{arguments}")).await;
        assert_eq!(said.status, *status, "{call}?{arguments}: {said:?}");
        assert!(said.text.starts_with(answer), "{call}: {said:?}");
        if answer.starts_with(['[', '{']) {
            assert_eq!(said.json().is_array(), answer.starts_with('['), "{call}");
        }
    }
    let before = world.acquire.job(hash(HASH)).unwrap();
    for (call, ..) in CHANGES {
        let said = api.get(&format!("{call}?hashes=all")).await;
        assert_eq!(said.status, 405, "{call}: {said:?}");
    }
    assert_eq!(world.acquire.job(hash(HASH)).as_ref(), Some(&before));
    for (call, arguments, status) in CHANGES {
        let arguments = arguments.replace('@', HASH);
        let form: Vec<(&str, &str)> = arguments
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let said = api.post(call, &form).await;
        assert_eq!(said.status, *status, "{call} {arguments}: {said:?}");
    }
    assert!(world.acquire.jobs().is_empty());
    for unknown in ["torrents/none", "none/info", "app", "torrents"] {
        assert_eq!(api.get(unknown).await.status, 404, "{unknown}");
        assert_eq!(api.post(unknown, &[]).await.status, 404, "{unknown}");
    }
}

async fn added(world: &World, api: &Client) -> String {
    let fields = [("category", "tv"), ("stopped", "true")];
    assert_eq!(api.upload(&fields, FILE).await.text, "Ok.");
    world.acquire.jobs()[0].hash.to_string()
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_in_as_a_file_is_given_back_as_one() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    let own = added(&world, &api).await;
    let said = api.get(&format!("torrents/export?hash={own}")).await;
    assert_eq!(said.status, 200);
    assert_eq!(said.text.as_bytes(), FILE.trim_ascii_end());
    assert_eq!(said.kind.as_deref(), Some("application/x-bittorrent"));
}

#[tokio::test(start_paused = true)]
async fn trackers_are_told_added_changed_and_removed() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    let own = added(&world, &api).await;
    let told = async || {
        let call = format!("torrents/info?hashes={own}&includeTrackers=true");
        let said = api.get(&call).await.json();
        assert_eq!(said[0]["hash"], json!(own));
        let trackers = said[0]["trackers"].as_array().unwrap().clone();
        assert!(trackers.iter().all(|one| one["status"] == json!(2)));
        let urls = trackers.iter().map(|one| one["url"].clone());
        urls.collect::<Vec<Value>>()
    };
    assert_eq!(told().await, ["udp:a"]);
    let plain = api.get("torrents/info").await.json();
    assert!(
        plain[0].get("trackers").is_none(),
        "only when it is asked for"
    );
    for (call, more) in [
        (
            "torrents/addTrackers",
            vec![("urls", "udp://b:1\n\nudp://c:1\nnone\nudp://b:1")],
        ),
        (
            "torrents/editTracker",
            vec![("origUrl", "udp://c:1"), ("newUrl", "udp://d:1")],
        ),
        ("torrents/removeTrackers", vec![("urls", "udp:a|udp://c:1")]),
    ] {
        let form = [vec![("hash", &*own)], more].concat();
        let said = api.post(call, &form).await;
        assert_eq!(said.status, 200, "{call}: {said:?}");
    }
    assert_eq!(told().await, ["udp://b:1", "udp://d:1"]);
    // Nothing is private.
    assert_eq!(
        api.get("torrents/info?private=true").await.json(),
        json!([])
    );
    assert_eq!(
        api.get("torrents/info?private=false")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_can_be_put_elsewhere() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    let own = added(&world, &api).await;
    let films = world.downloads().join("films");
    let form = [("hashes", &*own), ("location", films.to_str().unwrap())];
    assert_eq!(api.post("torrents/setLocation", &form).await.status, 200);
    let said = api.get("torrents/info").await.json();
    assert_eq!(said[0]["save_path"], json!(films));
    assert_eq!(
        api.post("torrents/createCategory", &[("category", "x")])
            .await
            .status,
        200
    );
    let call = format!(
        "app/getDirectoryContent?dirPath={}",
        world.downloads().display()
    );
    let folders = ["tv", "x"].map(|name| world.downloads().join(name));
    assert_eq!(api.get(&call).await.json(), json!(folders));
}
