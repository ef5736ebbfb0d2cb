//! decypharr's `config.json`, of all versions from 0.x to 2.x.

use serde_json::{Map, Value};

use crate::common::{Account, account, calls_per_minute, folder, free_name, mount, naming};
use crate::common::{other_provider, proxy, size};
use crate::plan::{Plan, joined, take, take_list, take_map};

/// What decypharr calls a release that says nothing else.
const NAMING: &str = "original_no_ext";

const OWN_WORK: &str = "debridfs decides this by itself";
const NOT_YET: &str = "this version has nothing like it";
const ANEW: &str = "set it up anew";

/// Carries over what is understood.
pub fn carry(plan: &mut Plan, mut given: Map<String, Value>) {
    // The present place of a setting before its former ones: the first that is set stays.
    let embedded = mounts(plan, &mut given);
    let mut old = take_map(&mut given, "qbittorrent");
    downloads(plan, &mut given, "");
    downloads(plan, &mut old, "qbittorrent");
    let mut webdav = take_map(&mut given, "webdav");
    let mut named = name_rule(plan, &mut given, "");
    folders(plan, &mut given, "custom_folders", "");
    let (mut patient, mut accounts) = (false, Vec::new());
    for (number, item) in list_of_maps(&mut given, "debrids").into_iter().enumerate() {
        let theirs = format!("debrids[{number}]");
        let name = debrid(plan, item, &theirs, &mut named, &mut patient);
        accounts.extend(name);
    }
    if accounts.len() > 1 {
        let order: Vec<toml::Value> = accounts.iter().map(|name| name.as_str().into()).collect();
        plan.set(&["library", "order"], order, "debrids (their order)");
    }
    if let Some(path) = embedded {
        // 1.x mounts each account below it, by its name; links hold what `folder` says, which is asked first.
        let own = accounts.first();
        let own = own.map_or_else(|| path.clone(), |name| format!("{path}/{name}"));
        mount(plan, &own, "rclone.mount_path");
        for name in accounts.iter().skip(1) {
            let why = format!(
                "one mount shows all accounts: links into {path}/{name} have to be made anew"
            );
            plan.leave_out(&format!("rclone.mount_path ({name})"), &why);
        }
    }
    named |= name_rule(plan, &mut webdav, "webdav");
    folders(plan, &mut webdav, "directories", "webdav");
    if !named {
        naming(plan, NAMING, "folder_naming (absent: decypharr's default)");
    }
    // It shows files by their base names alone.
    plan.set(&["library", "layout"], "flat", "directories of a release");
    arrs(plan, &mut given);
    if plan.has(&["acquire", "downloads"]) {
        let uncached = if patient { "wait" } else { "refuse" };
        plan.set(
            &["acquire", "uncached"],
            uncached,
            "debrids[].download_uncached",
        );
    }
    listen(plan, &mut given, &mut old);
    if let Some(level) = take(&mut given, "log_level") {
        match level.as_str() {
            "trace" | "debug" | "info" | "warn" | "error" => {
                plan.set(&["log", "level"], level, "log_level");
            }
            _ => plan.leave_out("log_level", "not a level"),
        }
    }
    known(
        plan,
        &mut given,
        "",
        &[
            (
                "use_auth",
                "its password is hashed in another way: `debridfs config hash-password`",
            ),
            ("username", "there are no user names in [web]"),
            (
                "password",
                "it is hashed in another way: `debridfs config hash-password`",
            ),
            (
                "api_token",
                "it would have to be made anew: [web] token_file",
            ),
            ("enable_webdav_auth", NOT_YET),
            ("disable_webdav", NOT_YET),
            ("app_url", NOT_YET),
            ("usenet", "this version reads debrid accounts, not Usenet"),
            (
                "nzb_user_agent",
                "this version reads debrid accounts, not Usenet",
            ),
            ("notifications", ANEW),
            ("discord_webhook_url", ANEW),
            ("callback_url", ANEW),
            ("repair", OWN_WORK),
            ("queue_cleanup", ANEW),
            (
                "remove_stalled_after",
                "`acquire.uncached = \"30m\"` limits waiting",
            ),
            ("refresh_interval", OWN_WORK),
            ("max_active_downloads", OWN_WORK),
            ("max_downloads", OWN_WORK),
            (
                "skip_pre_cache",
                "every file is probed before an arr sees it",
            ),
            ("skip_multi_season", "season packs are one release"),
            ("always_rm_tracker_urls", OWN_WORK),
            ("refresh_dirs", OWN_WORK),
            ("retries", OWN_WORK),
            ("skip_auto_move", NOT_YET),
        ],
    );
    known(
        plan,
        &mut old,
        "qbittorrent",
        &[
            (
                "username",
                "arrs log in with their own URL and key ([arr.NAME]), or set [qbittorrent] user",
            ),
            (
                "password",
                "set [qbittorrent] password_file, if an arr uses it",
            ),
            ("refresh_interval", OWN_WORK),
            (
                "skip_pre_cache",
                "every file is probed before an arr sees it",
            ),
            ("max_downloads", OWN_WORK),
            ("always_rm_tracker_urls", OWN_WORK),
        ],
    );
    known(plan, &mut webdav, "webdav", &RCLONE);
    plan.unknown("qbittorrent", old);
    plan.unknown("webdav", webdav);
    plan.unknown("", given);
}

/// Settings of a mounter that is not there any more, and of workers.
const RCLONE: [(&str, &str); 10] = [
    ("torrents_refresh_interval", OWN_WORK),
    ("download_links_refresh_interval", OWN_WORK),
    ("workers", OWN_WORK),
    (
        "auto_expire_links_after",
        "links are used as long as they work",
    ),
    ("rc_url", "there is no rclone any more"),
    ("rc_user", "there is no rclone any more"),
    ("rc_pass", "there is no rclone any more"),
    ("rc_refresh_dirs", "there is no rclone any more"),
    ("serve_from_rclone", "there is no rclone any more"),
    ("use_webdav", "there is no WebDAV in between"),
];

/// Settings that are understood and not carried.
fn known(plan: &mut Plan, map: &mut Map<String, Value>, path: &str, keys: &[(&str, &str)]) {
    for (key, why) in keys {
        match map.remove(*key) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(_) => plan.leave_out(&joined(path, key), why),
        }
    }
}

fn list_of_maps(map: &mut Map<String, Value>, key: &str) -> Vec<Map<String, Value>> {
    let Some(Value::Array(list)) = map.get(key) else {
        return Vec::new();
    };
    if !list.iter().all(Value::is_object) {
        return Vec::new();
    }
    let maps = list.iter().filter_map(|item| item.as_object().cloned());
    let maps = maps.collect();
    map.remove(key);
    maps
}

/// Carries what is about mounting. The path of the rclone in 1.x, if that is in use, is given back: what is there depends on the
/// accounts.
fn mounts(plan: &mut Plan, given: &mut Map<String, Value>) -> Option<String> {
    let mut embedded = None;
    let mut section = take_map(given, "mount");
    if let Some(path) = take(&mut section, "mount_path") {
        mount(plan, &path, "mount.mount_path");
    }
    known(
        plan,
        &mut section,
        "mount",
        &[
            ("type", "there is one way to mount"),
            ("external_rclone", "there is no rclone any more"),
        ],
    );
    for (name, mut inner) in [
        ("mount.dfs", take_map(&mut section, "dfs")),
        ("mount.rclone", take_map(&mut section, "rclone")),
        ("rclone", take_map(given, "rclone")),
    ] {
        let is_off = inner.get("enabled") == Some(&Value::Bool(false));
        match take(&mut inner, "mount_path") {
            Some(_) if is_off => {
                plan.leave_out(&joined(name, "mount_path"), "it was not switched on");
            }
            Some(path) if name == "rclone" => {
                embedded = Some(path.trim_end_matches('/').to_owned());
            }
            Some(path) => mount(plan, &path, &joined(name, "mount_path")),
            None => {}
        }
        if let Some(umask) = take(&mut inner, "umask") {
            plan.set(&["mount", "umask"], umask, &joined(name, "umask"));
        }
        for id in ["uid", "gid"] {
            let number = take(&mut inner, id).and_then(|text| text.parse::<u32>().ok());
            // 0 is no setting there.
            if let Some(number) = number.filter(|number| *number > 0) {
                plan.set(&["mount", id], i64::from(number), &joined(name, id));
            }
        }
        for key in ["disk_cache_size", "vfs_cache_max_size"] {
            if let Some(text) = take(&mut inner, key) {
                size(
                    plan,
                    &["content", "cache", "size"],
                    &text,
                    &joined(name, key),
                );
            }
        }
        if let Some(text) = take(&mut inner, "buffer_memory") {
            size(
                plan,
                &["content", "memory"],
                &text,
                &joined(name, "buffer_memory"),
            );
        }
        known(
            plan,
            &mut inner,
            name,
            &[("cache_dir", "the cache begins anew; `cache_dir` says where")],
        );
        let rest: Vec<String> = inner.keys().cloned().collect();
        for key in rest {
            let tuning = [
                "vfs_",
                "cache_",
                "chunk_",
                "read_ahead",
                "drop_behind",
                "buffer_",
                "attr_",
                "dir_",
                "no_",
                "bw_",
            ];
            let tuning = tuning.iter().any(|start| key.starts_with(start));
            if tuning
                || [
                    "enabled",
                    "port",
                    "daemon_timeout",
                    "transfers",
                    "async_read",
                    "use_mmap",
                    "log_level",
                    "allow_other",
                    "default_permissions",
                ]
                .contains(&key.as_str())
            {
                inner.remove(&key);
                plan.leave_out(&joined(name, &key), OWN_WORK);
            }
        }
        plan.unknown(name, inner);
    }
    plan.unknown("mount", section);
    embedded
}

fn name_rule(plan: &mut Plan, map: &mut Map<String, Value>, path: &str) -> bool {
    let Some(word) = take(map, "folder_naming") else {
        return false;
    };
    let theirs = joined(path, "folder_naming");
    match plan.takes(&["library", "folder_naming"], &word.as_str().into()) {
        Ok(()) => naming(plan, &word, &theirs),
        Err(_) => plan.leave_out(&theirs, "not a rule that we know"),
    }
    plan.has(&["library", "folder_naming"])
}

fn folders(plan: &mut Plan, map: &mut Map<String, Value>, key: &str, path: &str) {
    for (name, value) in take_map(map, key) {
        let theirs = joined(&joined(path, key), &name);
        let Value::Object(mut table) = value else {
            plan.leave_out(&theirs, "not a folder");
            continue;
        };
        known(plan, &mut table, &theirs, &[("save_strms", NOT_YET)]);
        folder(plan, &name, table, &theirs);
    }
}

/// One account; its name when it is carried.
fn debrid(
    plan: &mut Plan,
    mut given: Map<String, Value>,
    theirs: &str,
    named: &mut bool,
    patient: &mut bool,
) -> Option<String> {
    let name = take(&mut given, "name");
    let kind = take(&mut given, "provider").or_else(|| name.clone());
    let word = kind.unwrap_or_default();
    let Some(kind) = plan.ours.kind_of(&word) else {
        other_provider(plan, theirs, &word);
        return None;
    };
    let name = free_name(plan, &name.unwrap_or(word));
    let Some(token) = take(&mut given, "api_key") else {
        plan.leave_out(theirs, "it has no api_key");
        return None;
    };
    let tokens = take_list(&mut given, "download_api_keys");
    let keys = Account {
        name: &name,
        kind,
        token: &token,
        download_tokens: &tokens,
        theirs,
    };
    account(plan, &keys, "api_key", "download_api_keys");
    if let Some(limit) = take(&mut given, "rate_limit") {
        let theirs = joined(theirs, "rate_limit");
        match per_minute(&limit) {
            Some(calls) => calls_per_minute(plan, &name, kind, calls, &theirs),
            None => plan.leave_out(&theirs, "not a number of calls a minute or second"),
        }
    }
    if let Some(url) = take(&mut given, "proxy") {
        proxy(plan, &name, &url, &joined(theirs, "proxy"));
    }
    if let Some(agent) = take(&mut given, "user_agent") {
        let key = ["provider", &name, "user_agent"];
        plan.set(&key, agent, &joined(theirs, "user_agent"));
    }
    if let Some(path) = take(&mut given, "folder") {
        mount(plan, &path, &joined(theirs, "folder"));
    }
    *named |= name_rule(plan, &mut given, theirs);
    folders(plan, &mut given, "directories", theirs);
    *patient |= take(&mut given, "download_uncached").as_deref() == Some("true");
    known(plan, &mut given, theirs, &RCLONE);
    known(
        plan,
        &mut given,
        theirs,
        &[
            (
                "repair_rate_limit",
                "one scheduler spends one budget, playback first",
            ),
            (
                "download_rate_limit",
                "one scheduler spends one budget, playback first",
            ),
            (
                "unpack_rar",
                "packed releases are always shown unpacked, where that is possible",
            ),
            ("minimum_free_slot", OWN_WORK),
            ("limit", OWN_WORK),
            ("slot_strategy", OWN_WORK),
            ("check_cached", OWN_WORK),
            ("add_samples", "`acquire.samples`"),
        ],
    );
    plan.unknown(theirs, given);
    Some(name)
}

/// `"250/minute"`, `"10/second"`.
fn per_minute(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once('/')?;
    let number: u64 = number.trim().parse().ok()?;
    match unit.trim().trim_end_matches('s') {
        "minute" | "min" | "m" => Some(number),
        "second" | "sec" => number.checked_mul(60),
        "hour" | "h" => Some((number / 60).max(1)),
        _ => None,
    }
}

fn downloads(plan: &mut Plan, map: &mut Map<String, Value>, path: &str) {
    let at = |key: &str| joined(path, key);
    if let Some(folder) = take(map, "download_folder") {
        plan.set(&["acquire", "downloads"], folder, &at("download_folder"));
    }
    for category in take_list(map, "categories") {
        if !plan.has(&["acquire", "category", &category]) {
            let none = toml::Table::new();
            plan.set(&["acquire", "category", &category], none, &at("categories"));
        }
    }
    let extensions = take_list(map, "allowed_file_types");
    if !extensions.is_empty() {
        let list: Vec<toml::Value> = extensions.into_iter().map(Into::into).collect();
        plan.set(&["acquire", "extensions"], list, &at("allowed_file_types"));
    }
    match take(map, "allow_samples").as_deref() {
        Some("true") => plan.set(&["acquire", "samples"], true, &at("allow_samples")),
        Some(_) => plan.leave_out(&at("allow_samples"), "no samples, as by default"),
        None => {}
    }
    for (theirs, ours) in [("min_file_size", "min_size"), ("max_file_size", "max_size")] {
        if let Some(text) = take(map, theirs) {
            size(plan, &["acquire", ours], &text, &at(theirs));
        }
    }
    if let Some(action) = take(map, "default_download_action") {
        let theirs = at("default_download_action");
        let key = ["acquire", "action"];
        match plan.takes(&key, &action.as_str().into()) {
            Ok(()) if action == "strm" => plan.leave_out(
                &theirs,
                "set [http] up first, by which .strm files are played, then `acquire.action = \"strm\"`",
            ),
            Ok(()) => plan.set(&key, action, &theirs),
            Err(_) => plan.leave_out(&theirs, NOT_YET),
        }
    }
}

fn arrs(plan: &mut Plan, given: &mut Map<String, Value>) {
    for (number, mut arr) in list_of_maps(given, "arrs").into_iter().enumerate() {
        let theirs = format!("arrs[{number}]");
        let name = take(&mut arr, "name").unwrap_or_else(|| format!("arr{number}"));
        let (host, token) = (take(&mut arr, "host"), take(&mut arr, "token"));
        // Others have logged in once and are noted with what they sent.
        match (host, token) {
            (Some(host), Some(token)) => {
                plan.set(&["arr", &name, "url"], host, &joined(&theirs, "host"));
                let file: String = name
                    .chars()
                    .map(|c| if c.is_alphanumeric() { c } else { '-' })
                    .collect();
                let file = plan.keep_secret(&format!("arr-{file}"), &token);
                plan.set(
                    &["arr", &name, "api_key_file"],
                    file,
                    &joined(&theirs, "token"),
                );
            }
            _ => plan.leave_out(&theirs, "it has no host or no token"),
        }
        if let Some(uncached) = take(&mut arr, "download_uncached") {
            let theirs = joined(&theirs, "download_uncached");
            // An arr is told apart by its category there.
            if plan.has(&["acquire", "category", &name]) {
                let word = if uncached == "true" { "wait" } else { "refuse" };
                plan.set(&["acquire", "category", &name, "uncached"], word, &theirs);
            } else {
                plan.leave_out(
                    &theirs,
                    "no category is called as the arr: set it in [acquire.category.NAME]",
                );
            }
        }
        if let Some(account) = take(&mut arr, "selected_debrid") {
            selected(plan, &name, &account, &joined(&theirs, "selected_debrid"));
        }
        known(
            plan,
            &mut arr,
            &theirs,
            &[
                ("cleanup", "arrs remove what they imported"),
                ("skip_repair", OWN_WORK),
                ("source", OWN_WORK),
            ],
        );
        plan.unknown(&theirs, arr);
    }
}

/// The only account that an arr's grabs go to: the order of the category that is called as the arr.
fn selected(plan: &mut Plan, arr: &str, account: &str, theirs: &str) {
    if account.is_empty() {
        return;
    }
    if !plan.has(&["provider", account]) {
        let why = format!("no account called {account:?} is carried over");
        plan.leave_out(theirs, &why);
    } else if plan.has(&["acquire", "category", arr]) {
        let order = vec![toml::Value::from(account)];
        plan.set(&["acquire", "category", arr, "order"], order, theirs);
    } else {
        let why = "no category is called as the arr: set it in [acquire.category.NAME]";
        plan.leave_out(theirs, why);
    }
}

/// Arrs keep the port that they know; health and pages move.
fn listen(plan: &mut Plan, given: &mut Map<String, Value>, old: &mut Map<String, Value>) {
    let former = take(old, "port");
    let port = take(given, "port").or(former);
    let port = port.unwrap_or_else(|| "8282".to_owned());
    let host = take(given, "bind_address").unwrap_or_else(|| "0.0.0.0".to_owned());
    if let Some(base) = take(given, "url_base").filter(|base| base != "/") {
        plan.leave_out(
            "url_base",
            &format!("the qBittorrent API has no base: take {base:?} out of the arrs' settings"),
        );
    }
    let address = format!("{host}:{port}");
    if address.parse::<std::net::SocketAddr>().is_err() {
        return plan.leave_out("port", "not an address and port");
    }
    if !plan.has(&["acquire", "downloads"]) {
        return plan.leave_out(
            "port",
            "there is no download folder, so nothing listens for arrs",
        );
    }
    if !plan.has(&["arr"]) {
        let why = "no arr with a key is known, so nobody would have to log in: set [qbittorrent] listen and password_file, or [arr.NAME]";
        return plan.leave_out("port", why);
    }
    plan.set(&["qbittorrent", "listen"], address, "bind_address, port");
    let moved = if port == "8283" {
        "127.0.0.1:8282"
    } else {
        "127.0.0.1:8283"
    };
    plan.set(
        &["server", "listen"],
        moved,
        "(the port above is taken by the qBittorrent API)",
    );
}
