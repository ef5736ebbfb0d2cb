//! zurg's `config.yml`, 0.9 and 0.10, and the list of providers of later ones.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::common::proxy;
use crate::common::{Account, account, calls_per_minute, folder, mount, naming, other_provider};
use crate::plan::{Plan, joined, take, take_list, take_map};

/// zurg shows no views of accounts, so any name does.
/// The vendor of its accounts, in its word.
const KIND: &str = "realdebrid";
const NAME: &str = "rd";

const OWN_WORK: &str = "debridfs decides this by itself";
const ANEW: &str = "set it up anew";
const NOT_YET: &str = "this version has nothing like it";

/// Reads the file.
///
/// # Errors
/// A text for people, with the line.
pub fn read(text: &str) -> Result<Map<String, Value>, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| {
        // The rest of its words may quote the line, which may hold the token.
        format!("line {}: not valid YAML", error.marker().line())
    })?;
    match documents.first().map(value) {
        Some(Value::Object(map)) => Ok(map),
        _ => Err("line 1: not a list of settings".to_owned()),
    }
}

fn value(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Boolean(flag)) => (*flag).into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.to_string().into(),
        Yaml::Sequence(list) => list.iter().map(value).collect(),
        Yaml::Mapping(map) => {
            let pairs = map.iter().map(|(key, inner)| (word(key), value(inner)));
            Value::Object(pairs.collect())
        }
        Yaml::Tagged(_, inner) => value(inner),
        Yaml::Value(Scalar::Null) | Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            Value::Null
        }
    }
}

/// A key; names of directories may look like numbers.
fn word(key: &Yaml<'_>) -> String {
    match value(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Carries over what is understood.
pub fn carry(plan: &mut Plan, mut given: Map<String, Value>) {
    accounts(plan, &mut given);
    if let Some(path) = take(&mut given, "mount_path") {
        mount(plan, &path, "mount_path");
    }
    let flag =
        |given: &mut Map<String, Value>, key: &str| take(given, key).as_deref() == Some("true");
    let provider_name = flag(&mut given, "retain_rd_torrent_name");
    let with_extension = flag(&mut given, "retain_folder_name_extension");
    // With the provider's name zurg keeps the extension in any case.
    let rule = match (provider_name, with_extension) {
        (true, _) => "filename",
        (false, true) => "original",
        (false, false) => "original_no_ext",
    };
    naming(
        plan,
        rule,
        "retain_rd_torrent_name, retain_folder_name_extension",
    );
    let whole = flag(&mut given, "expose_full_path");
    let layout = if whole { "tree" } else { "flat" };
    plan.set(&["library", "layout"], layout, "expose_full_path");
    if let Some(seconds) = take(&mut given, "check_for_changes_every_secs") {
        let theirs = "check_for_changes_every_secs";
        match seconds.parse::<u32>() {
            Ok(seconds @ 1..) => plan.set(
                &["library", "refresh_interval"],
                format!("{seconds}s"),
                theirs,
            ),
            _ => plan.leave_out(theirs, "not a number of seconds"),
        }
    }
    if let Some(command) = take(&mut given, "on_library_update") {
        // A line of a shell there, which gets the changed paths as its arguments and runs beside the configuration.
        let dir = plan.their_dir.to_string_lossy().replace('\'', r"'\''");
        let command = format!("cd '{dir}'; {command}");
        let words = ["sh", "-c", &command, "zurg"]
            .map(toml::Value::from)
            .to_vec();
        plan.set(
            &["library", "on_library_update"],
            words,
            "on_library_update",
        );
    }
    for (name, value) in take_map(&mut given, "directories") {
        directory(plan, &name, value);
    }
    for (keys, why) in [
        (
            &[
                "host",
                "port",
                "username",
                "password",
                "base_url",
                "serve_from_rclone",
                "disable_stream_proxy",
                "enable_download_mount",
            ][..],
            "there is no WebDAV or rclone in between",
        ),
        (
            &[
                "plex_server_url",
                "plex_token",
                "jellyfin_server_url",
                "jellyfin_token",
                "emby_server_url",
                "emby_token",
            ],
            ANEW,
        ),
        (
            &[
                "strm_link_token",
                "serve_strm_files",
                "save_strm_files",
                "rar_action",
                "auto_analyze_new_torrents",
                "addl_playable_extensions",
                "unrestrict_ip",
                "delete_torrent_if_extensions_found",
                "delete_error_torrents",
                "auto_delete_rar_torrents",
                "hide_broken_torrents",
            ],
            NOT_YET,
        ),
        (
            &[
                "zurg",
                "concurrent_workers",
                "num_of_workers",
                "refresh_every_secs",
                "info_cache_time_hours",
                "repair_every_mins",
                "downloads_every_mins",
                "ignore_renames",
                "enable_repair",
                "restrict_repair_to_cached",
                "api_timeout_secs",
                "download_timeout_secs",
                "rate_limit_sleep_secs",
                "retries_until_failed",
                "retry_503_errors",
                "network_buffer_size",
                "verify_download_link",
                "torrents_rate_limit_per_minute",
                "get_torrents_count",
                "fetch_torrents_page_size",
                "get_downloads_limit",
                "load_dumped_torrents",
                "force_select_playable_files",
                "number_of_hosts",
                "do_not_use_cdn_hosts",
                "cache_network_test_results",
                "log_requests",
            ],
            OWN_WORK,
        ),
    ] {
        for key in keys {
            if given.remove(*key).is_some_and(|value| !value.is_null()) {
                plan.leave_out(key, why);
            }
        }
    }
    plan.unknown("", given);
}

fn accounts(plan: &mut Plan, given: &mut Map<String, Value>) {
    let downloads = take_list(given, "download_tokens");
    if let Some(token) = take(given, "token") {
        keys(plan, &token, &downloads, "");
    }
    let list = match given.get("providers") {
        Some(Value::Array(list)) if list.iter().all(Value::is_object) => list.clone(),
        _ => Vec::new(),
    };
    if !list.is_empty() {
        given.remove("providers");
    }
    for (number, item) in list.into_iter().enumerate() {
        let theirs = format!("providers[{number}]");
        let Value::Object(mut item) = item else {
            continue;
        };
        let kind = take(&mut item, "type").unwrap_or_default();
        match take(&mut item, "token") {
            Some(token) if kind == "realdebrid" && !plan.has(&["provider", NAME]) => {
                let downloads = take_list(&mut item, "download_tokens");
                keys(plan, &token, &downloads, &theirs);
                plan.unknown(&theirs, item);
            }
            _ if kind == "realdebrid" => {
                plan.leave_out(&theirs, "it has no token, or is a second account")
            }
            _ => other_provider(plan, &theirs, &kind),
        }
    }
    if let Some(limit) = take(given, "api_rate_limit_per_minute") {
        let calls = limit.parse().unwrap_or(0);
        match plan.ours.kind_of(KIND) {
            Some(kind) => calls_per_minute(plan, NAME, kind, calls, "api_rate_limit_per_minute"),
            None => other_provider(plan, "api_rate_limit_per_minute", KIND),
        }
    }
    if let Some(url) = take(given, "proxy") {
        proxy(plan, NAME, &url, "proxy");
    }
    if let Some(agent) = take(given, "user_agent") {
        plan.set(&["provider", NAME, "user_agent"], agent, "user_agent");
    }
    match take(given, "force_ipv6").as_deref() {
        Some("true") => {
            plan.set(&["provider", NAME, "api_ip"], "v6", "force_ipv6");
            plan.set(&["provider", NAME, "cdn_ip"], "v6", "force_ipv6 ");
        }
        Some(_) => plan.leave_out("force_ipv6", "both, as by default"),
        None => {}
    }
}

fn keys(plan: &mut Plan, token: &str, download_tokens: &[String], theirs: &str) {
    let Some(kind) = plan.ours.kind_of(KIND) else {
        return other_provider(plan, theirs, KIND);
    };
    let keys = Account {
        name: NAME,
        kind,
        token,
        download_tokens,
        theirs,
    };
    account(plan, &keys, "token", "download_tokens");
}

fn directory(plan: &mut Plan, name: &str, value: Value) {
    let theirs = joined("directories", name);
    let Value::Object(mut table) = value else {
        return plan.leave_out(&theirs, "not a directory");
    };
    if name == "__all__" {
        return plan.leave_out(&theirs, "it is always there");
    }
    // Groups may be numbers.
    if let Some(group) = take(&mut table, "group") {
        table.insert("group".to_owned(), group.into());
    }
    for key in [
        "only_show_files_with_size_lte",
        "only_show_files_with_size_gte",
    ] {
        if table.remove(key).is_some() {
            plan.leave_out(&joined(&theirs, key), "files are shown whatever their size");
        }
    }
    folder(plan, name, table, &theirs);
}
