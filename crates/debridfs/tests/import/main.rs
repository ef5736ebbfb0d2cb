//! `debridfs import`: configurations as people have them, of several versions, and some that nobody should have.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use toml::Table;

/// What all secrets of the examples begin with.
const SECRET: &str = "SECRET";

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn debridfs(home: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .args(arguments)
        .output()
        .expect("debridfs runs");
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn home() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("debridfs-import-")
        .tempdir()
        .expect("directory");
    // The engine's user comes by.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    dir
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(name)
}

/// What an import made.
struct Imported {
    home: TempDir,
    /// What it said.
    table: String,
    config: Table,
}

impl Imported {
    /// Imports, first without and then with writing, and checks what holds for all of them.
    fn new(kind: &str, theirs: &Path, more: &[&str]) -> Self {
        let home = home();
        let theirs = theirs.to_str().expect("text");
        let preview = [&["import", kind, theirs], more].concat();
        let said = debridfs(home.path(), &preview);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(
            !format!("{}{}", said.out, said.err).contains(SECRET),
            "{}",
            said.out
        );
        let entries = fs::read_dir(home.path()).expect("home").count();
        assert_eq!(entries, 0, "a preview writes nothing");

        let write = [&preview[..], &["--write", "etc/debridfs.toml"]].concat();
        let said = debridfs(home.path(), &write);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(
            !format!("{}{}", said.out, said.err).contains(SECRET),
            "{}",
            said.out
        );
        let file = home.path().join("etc/debridfs.toml");
        let text = fs::read_to_string(&file).expect("written");
        let checked = debridfs(
            home.path(),
            &["config", "check", "--config", "etc/debridfs.toml"],
        );
        assert_eq!(checked.code, Some(0), "{}\n{text}", checked.err);
        let hidden = text.contains(SECRET);
        let mode = fs::metadata(&file).expect("written").permissions().mode() & 0o777;
        assert_eq!(mode, if hidden { 0o600 } else { 0o644 });
        for entry in fs::read_dir(home.path().join("etc/secrets")).expect("secrets") {
            let path = entry.expect("an entry").path();
            let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
            // As whom the engine will run when root starts it.
            let owner = fs::metadata(&path).expect("a file").uid();
            let own = fs::metadata("/proc/self").expect("ourselves").uid();
            let expected = if own == 0 { 65_534 } else { own };
            assert_eq!(owner, expected, "{}", path.display());
            let secret = fs::read_to_string(&path).expect("text");
            assert!(secret.starts_with(SECRET), "{}", path.display());
        }

        let again = debridfs(home.path(), &write);
        assert_eq!(again.code, Some(1));
        assert!(again.err.contains("is there already"), "{}", again.err);
        assert_eq!(fs::read_to_string(&file).expect("still there"), text);
        Self {
            home,
            table: said.out,
            config: toml::from_str(&text).expect("TOML"),
        }
    }

    /// The value at a path with dots between keys.
    fn get(&self, path: &str) -> Option<&toml::Value> {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let mut value = self.config.get(first)?;
        for key in rest.split('/').filter(|key| !key.is_empty()) {
            value = value.get(key)?;
        }
        Some(value)
    }

    fn text(&self, path: &str) -> &str {
        self.get(path)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    }

    fn secret(&self, name: &str) -> String {
        let path = self.home.path().join("etc/secrets").join(name);
        fs::read_to_string(path).expect(name).trim().to_owned()
    }

    /// The line about a setting of theirs begins with `word`.
    fn says(&self, word: &str, theirs: &str) {
        let line = self.table.lines().find(|line| {
            let mut words = line.trim_start_matches("left out").split_whitespace();
            words.any(|word| word == theirs)
        });
        let line = line.unwrap_or_else(|| panic!("nothing of {theirs} in {}", self.table));
        assert!(line.starts_with(word), "{line}");
    }
}

#[test]
fn decypharr_before_2() {
    let made = Imported::new("decypharr", &example("decypharr-1.json"), &[]);
    assert_eq!(made.text("mount/path"), "/mnt/remote/realdebrid");
    assert_eq!(made.text("library/layout"), "flat");
    assert_eq!(made.text("library/folder_naming"), "filename_no_ext");
    assert_eq!(made.text("provider/realdebrid/kind"), "real-debrid");
    assert!(
        made.text("provider/realdebrid/token_file")
            .ends_with("etc/secrets/realdebrid-token")
    );
    assert_eq!(made.secret("realdebrid-token"), "SECRET-RD-MAIN");
    // The first one is the account itself.
    let further = made
        .get("provider/realdebrid/download_token_files")
        .expect("files");
    assert_eq!(further.as_array().map(Vec::len), Some(1));
    assert_eq!(
        made.secret("realdebrid-download-token-2"),
        "SECRET-RD-SECOND"
    );
    assert_eq!(
        made.text("provider/realdebrid/proxy"),
        "http://me:SECRET-PROXY@proxy:3128"
    );
    let calls = made.get("provider/realdebrid/calls_per_minute");
    assert_eq!(calls.and_then(toml::Value::as_integer), Some(200));
    assert_eq!(made.text("folders/Series/filters/regex"), "(?i)s[0-9]{2}");
    assert_eq!(made.text("folders/Large/filters/size_gt"), "20GB");
    assert!(
        made.get("folders/Odd").is_none(),
        "it would show everything"
    );
    assert_eq!(made.text("acquire/downloads"), "/mnt/symlinks/");
    assert_eq!(made.text("acquire/uncached"), "refuse");
    assert_eq!(made.text("acquire/category/sonarr/uncached"), "wait");
    assert!(made.get("acquire/category/radarr").is_some());
    assert_eq!(made.text("arr/sonarr/url"), "http://sonarr:8989");
    assert_eq!(made.secret("arr-sonarr"), "SECRET-SONARR");
    // Arrs go on with the port that they know.
    assert_eq!(made.text("qbittorrent/listen"), "0.0.0.0:8282");
    assert_eq!(made.text("server/listen"), "127.0.0.1:8283");
    made.says("left out", "debrids[0].directories.Odd");
    made.says("left out", "arrs[1]");
    made.says("left out", "repair");
    made.says("left out", "discord_webhook_url");
    made.says("UNKNOWN", "brand_new_setting");
}

#[test]
fn decypharr_sends_an_arr_to_its_account() {
    let given = r#"{
        "debrids": [
            { "name": "rd", "provider": "realdebrid", "api_key": "SECRET-A" },
            { "name": "box", "provider": "torbox", "api_key": "SECRET-B" },
            { "name": "other", "provider": "offcloud", "api_key": "SECRET-C" }
        ],
        "mount": { "type": "dfs", "mount_path": "/mnt/decypharr" },
        "download_folder": "/mnt/downloads",
        "categories": ["tv", "films", "anime"],
        "arrs": [
            { "name": "tv", "host": "http://sonarr:8989", "token": "SECRET-1", "selected_debrid": "box" },
            { "name": "films", "host": "http://radarr:7878", "token": "SECRET-2", "selected_debrid": "other" },
            { "name": "anime", "host": "http://anime:8989", "token": "SECRET-3", "selected_debrid": "" },
            { "name": "kids", "host": "http://kids:8989", "token": "SECRET-4", "selected_debrid": "rd" }
        ]
    }"#;
    let theirs = home();
    fs::write(theirs.path().join("config.json"), given).expect("written");
    let made = Imported::new("decypharr", theirs.path(), &[]);
    let order = |category: &str| {
        let order = made.get(&format!("acquire/category/{category}/order"));
        order.map(|order| order.as_array().expect("a list").clone())
    };
    assert_eq!(order("tv"), Some(vec!["box".into()]));
    assert_eq!((order("films"), order("anime")), (None, None));
    made.says("left out", "debrids[2]");
    made.says("left out", "arrs[1].selected_debrid");
    made.says("left out", "arrs[3].selected_debrid");
}

#[test]
fn decypharr_2() {
    let made = Imported::new("decypharr", &example("decypharr-2.json"), &[]);
    assert_eq!(made.text("mount/path"), "/mnt/decypharr");
    assert_eq!(made.text("mount/umask"), "022");
    assert_eq!(
        made.get("mount/uid").and_then(toml::Value::as_integer),
        Some(1000)
    );
    assert_eq!(made.text("content/cache/size"), "50GB");
    assert_eq!(made.text("content/memory"), "512MB");
    assert_eq!(made.text("library/folder_naming"), "original_no_ext");
    assert_eq!(made.text("provider/RD Primary/user_agent"), "home/1");
    assert!(made.get("provider/RD Primary/calls_per_minute").is_none());
    assert_eq!(
        made.get("acquire/samples").and_then(toml::Value::as_bool),
        Some(true)
    );
    assert_eq!(made.text("folders/recent/filters/last_added"), "7d");
    assert_eq!(made.text("qbittorrent/listen"), "127.0.0.1:9090");
    assert_eq!(made.secret("arr-Sonarr-4K"), "SECRET-SONARR");
    made.says("left out", "usenet");
    assert!(!made.table.contains("UNKNOWN"), "{}", made.table);
}

/// 1.x mounts each account at its name below the path of its rclone, so this is where links lead.
#[test]
fn decypharr_1_with_its_own_rclone() {
    let made = Imported::new("decypharr", &example("decypharr-1.1.json"), &[]);
    assert_eq!(made.text("mount/path"), "/mnt/remote/alldebrid");
    made.says("carried", "rclone.mount_path");
    made.says("left out", "(rd-home)");
    assert_eq!(made.text("mount/umask"), "002");
    assert_eq!(made.text("content/cache/size"), "100G");

    // What links hold is what `folder` says, and the rest of that path is no setting of its own.
    let home = home();
    let text = fs::read_to_string(example("decypharr-1.1.json")).expect("text");
    for (folder, path) in [
        ("/mnt/remote/rd-home/__all__/", "/mnt/remote/rd-home"),
        ("/media/rd/__all__", "/media/rd"),
    ] {
        let folder = format!("\"rate_limit\": \"250/minute\", \"folder\": \"{folder}\"");
        let text = text.replace("\"rate_limit\": \"250/minute\"", &folder);
        fs::write(home.path().join("config.json"), text).expect("written");
        let made = Imported::new("decypharr", home.path(), &[]);
        assert_eq!(made.text("mount/path"), path);
        made.says("carried", "debrids[1].folder");
    }
    let off = text.replace("\"enabled\": true", "\"enabled\": false");
    fs::write(home.path().join("config.json"), off).expect("written");
    let made = Imported::new("decypharr", home.path(), &[]);
    assert!(made.get("mount/path").is_none(), "it mounted nothing");
    made.says("left out", "rclone.mount_path");
}

/// Real ones have download folders in the mount, arrs without a scheme, and folders that are relative.
#[test]
fn what_cannot_be_carried_is_left_out_alone_and_by_name() {
    let home = home();
    let text = r#"{
      "debrids": [{ "name": "realdebrid", "api_key": "SECRET-RD-MAIN", "folder": "/srv/rd/__all__/", "proxy": "socks5://[" }],
      "qbittorrent": { "download_folder": "/srv/rd/__all__/", "categories": ["films"] },
      "arrs": [
        { "name": "films", "host": "radarr:7878", "token": "SECRET-RADARR" },
        { "name": "series", "host": "http://sonarr:8989", "token": "SECRET-SONARR" }
      ]
    }"#;
    fs::write(home.path().join("config.json"), text).expect("written");
    let made = Imported::new("decypharr", home.path(), &[]);
    assert_eq!(made.text("mount/path"), "/srv/rd");
    assert_eq!(made.secret("realdebrid-token"), "SECRET-RD-MAIN");
    assert_eq!(made.text("arr/series/url"), "http://sonarr:8989");
    assert!(made.get("acquire/downloads").is_none() && made.get("arr/films").is_none());
    let secrets = made.home.path().join("etc/secrets");
    assert!(!secrets.join("arr-films").exists(), "nobody uses it");
    for key in [
        "qbittorrent.download_folder",
        "arrs[0].host",
        "arrs[0].token",
    ] {
        made.says("left out", key);
    }
    // What depends on it is not carried either.
    assert!(made.get("qbittorrent").is_none() && made.get("server").is_none());
    for own in ["/tmp/", "imported.toml"] {
        let table = made.table.replace(&*made.home.path().to_string_lossy(), "");
        assert!(!table.contains(own), "{table}");
    }
}

/// Both write a script beside the configuration, as their guides say.
#[test]
fn a_hook_of_zurg_runs_where_it_ran() {
    let home = tempfile::Builder::new()
        .prefix("debridfs-import-it's ")
        .tempdir()
        .expect("directory");
    let config = "zurg: v1\ntoken: SECRET-RD-MAIN\non_library_update: sh tell.sh \"$@\"\n";
    fs::write(home.path().join("config.yml"), config).expect("written");
    let script = "for path in \"$@\"; do echo \"$path\" >>told; done\n";
    fs::write(home.path().join("tell.sh"), script).expect("written");
    let made = Imported::new("zurg", home.path(), &["--mount", "/mnt/zurg"]);
    let hook = made.get("library/on_library_update").expect("a hook");
    let words = hook.as_array().expect("words").iter();
    let words: Vec<&str> = words.filter_map(toml::Value::as_str).collect();
    let ended = Command::new(words[0])
        .args(&words[1..])
        .args(["films/A Film (2024)", "films/B"])
        .current_dir("/")
        .status();
    assert!(ended.expect("it runs").success());
    let told = fs::read_to_string(home.path().join("told")).expect("it was told");
    assert_eq!(told, "films/A Film (2024)\nfilms/B\n");
}

#[test]
fn most_links_say_where_the_library_was_mounted() {
    let farm = home();
    let link = |name: &str, target: &str| {
        std::os::unix::fs::symlink(target, farm.path().join(name)).expect("link");
    };
    fs::create_dir(farm.path().join("films")).expect("directory");
    link("films/a", "/data/rd/__all__/A/a.mkv");
    link("films/b", "/data/rd/Series/B/b.mkv");
    link("c", "/data/rd/torrents/C/c.mkv");
    link("d", "/mnt/remote/realdebrid/__all__/D/d.mkv");
    link("e", "../elsewhere/e.mkv");
    let links = ["--links", farm.path().to_str().expect("text")];
    let made = Imported::new("decypharr", &example("decypharr-1.json"), &links);
    assert_eq!(made.text("mount/path"), "/data/rd");
    // The view of the third is another program's.
    let found = made
        .table
        .lines()
        .filter(|line| line.starts_with("links: "));
    let found: Vec<&str> = found.collect();
    let start = format!(
        "links: 2 of 5 in {} lead into the library at /data/rd",
        farm.path().display()
    );
    assert_eq!(found[0], start);
    assert!(
        found[1].contains("/c -> /data/rd/torrents/C/c.mkv"),
        "{found:?}"
    );

    // Who says where it is mounted is told how many links go on.
    let more = [&links[..], &["--mount", "/mnt/remote/realdebrid"]].concat();
    let made = Imported::new("decypharr", &example("decypharr-1.json"), &more);
    assert_eq!(made.text("mount/path"), "/mnt/remote/realdebrid");
    assert!(made.table.contains("links: 1 of 5 in"), "{}", made.table);
}

#[test]
fn another_mount_is_taken_before_theirs() {
    let more = ["--mount", "/srv/library"];
    let made = Imported::new("decypharr", &example("decypharr-2.json"), &more);
    assert_eq!(made.text("mount/path"), "/srv/library");
    made.says("left out", "mount.mount_path");
}

#[test]
fn zurg_0_9() {
    let more = ["--mount", "/mnt/zurg"];
    let made = Imported::new("zurg", &example("zurg-0.9.yml"), &more);
    assert_eq!(made.text("mount/path"), "/mnt/zurg");
    assert_eq!(made.text("library/folder_naming"), "filename");
    assert_eq!(made.text("library/layout"), "flat");
    assert_eq!(made.text("library/refresh_interval"), "10s");
    let hook = made
        .get("library/on_library_update")
        .and_then(toml::Value::as_array);
    assert_eq!(
        hook.map(Vec::len),
        Some(4),
        "sh -c, the line, and its own name"
    );
    assert_eq!(made.secret("rd-token"), "SECRET-RD-MAIN");
    let anime = made
        .get("folders/anime/filters")
        .and_then(toml::Value::as_array);
    assert_eq!(anime.map(Vec::len), Some(2), "one of them has to hold");
    assert_eq!(made.text("folders/shows/group"), "1");
    let biggest = made.get("folders/movies/only_show_the_biggest_file");
    assert_eq!(biggest.and_then(toml::Value::as_bool), Some(true));
    assert!(!made.table.contains("UNKNOWN"), "{}", made.table);
}

#[test]
fn zurg_0_10() {
    let made = Imported::new("zurg", &example("zurg-0.10.yml"), &[]);
    assert_eq!(made.text("mount/path"), "/mnt/zurg");
    assert_eq!(made.text("library/folder_naming"), "original_no_ext");
    assert_eq!(made.secret("rd-download-token-3"), "SECRET-RD-THIRD");
    assert_eq!(made.text("provider/rd/api_ip"), "v6");
    let quality = made
        .get("folders/quality/filters")
        .and_then(toml::Value::as_array);
    assert_eq!(quality.map(Vec::len), Some(1));
    assert!(
        made.get("folders/german films").is_none(),
        "it would show all films"
    );
    for key in [
        "directories.__all__",
        "plex_token",
        "password",
        "rar_action",
    ] {
        made.says("left out", key);
    }
    made.says(
        "left out",
        "directories.quality.only_show_files_with_size_gte",
    );
    made.says("UNKNOWN", "brand_new_setting");
}

/// A database as rdt-client makes it, with these settings.
fn rdt_client(dir: &Path, settings: &[(&str, Option<&str>)]) -> PathBuf {
    let path = dir.join("rdtclient.db");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut database = options.connect().await.expect("a database");
        let table = "CREATE TABLE Settings (SettingId TEXT NOT NULL CONSTRAINT PK_Settings PRIMARY KEY, Value TEXT NULL)";
        sqlx::query(table).execute(&mut database).await.expect("a table");
        for (key, value) in settings {
            sqlx::query("INSERT INTO Settings VALUES (?, ?)")
                .bind(key)
                .bind(value)
                .execute(&mut database)
                .await
                .expect("a row");
        }
        database.close().await.expect("closed");
    });
    path
}

#[test]
fn rdt_client_of_both_kinds() {
    let dir = home();
    let database = rdt_client(
        dir.path(),
        &[
            ("Provider:Provider", Some("RealDebrid")),
            ("Provider:ApiKey", Some("SECRET-RD-MAIN")),
            ("General:Categories", Some("tv, movies,tv")),
            ("General:LogLevel", Some("Warning")),
            ("DownloadClient:Client", Some("Symlink")),
            ("DownloadClient:DownloadPath", Some("/data/downloads")),
            ("DownloadClient:MappedPath", Some("/mnt/downloads")),
            ("DownloadClient:RcloneMountPath", Some("/mnt/rd/torrents/*")),
            ("DownloadClient:Aria2cSecret", Some("SECRET-ARIA")),
            ("Integrations:Default:MinFileSize", Some("50")),
            ("Integrations:Default:IncludeRegex", None),
            ("Watch:Path", Some("/watch")),
            ("Brand:New", Some("SECRET-NEW")),
        ],
    );
    let made = Imported::new("rdt-client", &database, &[]);
    assert_eq!(made.secret("rd-token"), "SECRET-RD-MAIN");
    assert_eq!(made.text("mount/path"), "/mnt/rd");
    assert_eq!(made.text("acquire/downloads"), "/mnt/downloads");
    assert_eq!(made.text("acquire/action"), "symlink");
    assert_eq!(made.text("acquire/min_size"), "50 MiB");
    assert!(made.get("acquire/category/movies").is_some());
    made.says("left out", "DownloadClient:Aria2cSecret");
    made.says("left out", "Watch:Path");
    made.says("UNKNOWN", "Brand:New");

    let dir = home();
    let database = rdt_client(
        dir.path(),
        &[
            ("Provider:Provider", Some("Seedr")),
            ("Provider:ApiKey", Some("SECRET-XX")),
            ("DownloadClient:Client", Some("0")),
        ],
    );
    let said = debridfs(
        dir.path(),
        &["import", "rdt-client", database.to_str().expect("text")],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("not of \"Seedr\""), "{}", said.out);
    assert!(
        said.out.contains("no account was carried over"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("acquire.action = \"download\""),
        "{}",
        said.out
    );
    assert!(!said.out.contains(SECRET), "{}", said.out);
}

#[test]
fn what_cannot_be_read_is_told_with_its_line_and_without_its_words() {
    let home = home();
    for (kind, name, text, told) in [
        (
            "decypharr",
            "config.json",
            "{\n  \"api_key\": SECRET,\n}",
            "line 2",
        ),
        ("decypharr", "config.json", "[1]", "line 1"),
        ("zurg", "config.yml", "zurg: v1\ntoken: \"SECRET\n", "line"),
        (
            "zurg",
            "config.yml",
            "zurg: v1\ndirectories:\n\t- SECRET\n",
            "line 3",
        ),
        ("zurg", "config.yml", "SECRET", "line 1"),
        (
            "rdt-client",
            "rdtclient.db",
            "SECRET",
            "not rdt-client's database",
        ),
    ] {
        fs::write(home.path().join(name), text).expect("written");
        // The directory that holds it does as well.
        let said = debridfs(home.path(), &["import", kind, "--write", "made.toml"]);
        assert_eq!(said.code, Some(2), "{kind}: {}", said.err);
        assert!(said.err.contains(told), "{kind}: {}", said.err);
        assert!(!said.err.contains(SECRET), "{kind}: {}", said.err);
        assert!(!home.path().join("made.toml").exists());
        fs::remove_file(home.path().join(name)).expect("removed");
        let missing = debridfs(home.path(), &["import", kind]);
        assert_eq!(missing.code, Some(2), "{kind}");
        assert!(missing.err.contains(name), "{kind}: {}", missing.err);
    }
}

#[test]
fn settings_of_the_wrong_shape_are_told_and_not_lost() {
    let home = home();
    let text = r#"{ "debrids": "none", "mount": 7, "categories": [["x"]], "custom_folders": { "a": 1, "__all__": { "filters": { "regex": "(" } } },
                    "log_level": ["info"], "arrs": [1], "port": "no", "download_folder": "relative" }"#;
    fs::write(home.path().join("config.json"), text).expect("written");
    let said = debridfs(home.path(), &["import", "decypharr"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    // A folder that is no absolute path cannot be used.
    let line = said
        .out
        .lines()
        .find(|line| line.contains(" download_folder"));
    let line = line.expect("a line about it");
    assert!(
        line.starts_with("left out") && line.contains("absolute"),
        "{line}"
    );
    for key in [
        "debrids",
        "mount",
        "log_level",
        "arrs",
        "port",
        "custom_folders.a",
        "custom_folders.__all__",
    ] {
        assert!(said.out.contains(key), "{key} in {}", said.out);
    }
}

#[test]
fn all_accounts_of_vendors_that_we_have_are_carried_and_others_left_out_by_name() {
    let home = home();
    let text = r#"{ "debrids": [
        { "name": "torbox", "api_key": "SECRET-TB", "rate_limit": "60/minute" },
        { "provider": "alldebrid", "name": "ad", "api_key": "SECRET-AD" },
        { "provider": "seedr", "name": "other", "api_key": "SECRET-XX" },
        { "name": "realdebrid", "api_key": "SECRET-RD-1" },
        { "name": "realdebrid", "api_key": "SECRET-RD-2", "rate_limit": "100/minute" },
        { "provider": "debridlink", "name": "dl", "api_key": "SECRET-DL" }
    ] }"#;
    fs::write(home.path().join("config.json"), text).expect("written");
    let made = Imported::new("decypharr", home.path(), &[]);
    for (name, kind, secret) in [
        ("torbox", "torbox", "SECRET-TB"),
        ("ad", "alldebrid", "SECRET-AD"),
        ("realdebrid", "real-debrid", "SECRET-RD-1"),
        ("realdebrid-2", "real-debrid", "SECRET-RD-2"),
        ("dl", "debrid-link", "SECRET-DL"),
    ] {
        assert_eq!(made.text(&format!("provider/{name}/kind")), kind);
        assert_eq!(made.secret(&format!("{name}-token")), secret);
    }
    let calls = made.get("provider/realdebrid-2/calls_per_minute");
    assert_eq!(calls.and_then(toml::Value::as_integer), Some(100));
    let order = made.get("library/order").and_then(toml::Value::as_array);
    let order: Vec<_> = order
        .expect("an order")
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    assert_eq!(order, ["torbox", "ad", "realdebrid", "realdebrid-2", "dl"]);
    made.says("left out", "debrids[2]");
    assert!(made.get("provider/other").is_none());

    for (kind, name, word) in [
        ("0", "rd", "real-debrid"),
        ("AllDebrid", "ad", "alldebrid"),
        ("3", "tb", "torbox"),
        ("DebridLink", "dl", "debrid-link"),
    ] {
        let dir = self::home();
        let settings = [
            ("Provider:Provider", Some(kind)),
            ("Provider:ApiKey", Some("SECRET-KEY")),
        ];
        let made = Imported::new("rdt-client", &rdt_client(dir.path(), &settings), &[]);
        assert_eq!(made.text(&format!("provider/{name}/kind")), word);
        assert_eq!(made.secret(&format!("{name}-token")), "SECRET-KEY");
    }
}
