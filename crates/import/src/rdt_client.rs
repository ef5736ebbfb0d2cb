//! rdt-client's database: its settings are rows of text.

use std::path::Path;

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};

use crate::common::{Account, account, mount, other_provider};
use crate::plan::{Plan, take};

/// The provider as its number, and as its name in later versions.
const PROVIDERS: [&str; 5] = [
    "RealDebrid",
    "AllDebrid",
    "Premiumize",
    "TorBox",
    "DebridLink",
];
/// As `PROVIDERS`, of those who put files in place.
const CLIENTS: [&str; 4] = ["Bezzad", "Aria2c", "Symlink", "DownloadStation"];

/// What the account is called, by its vendor.
const NAMES: [&str; 5] = ["rd", "ad", "pm", "tb", "dl"];
const OWN_WORK: &str = "debridfs decides this by itself";
const NOT_YET: &str = "this version has nothing like it";

/// Reads the settings, and changes nothing.
///
/// # Errors
/// A text for people.
pub async fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let failed =
        |error: sqlx::Error| format!("{}: not rdt-client's database: {error}", path.display());
    let mut database = options.connect().await.map_err(failed)?;
    let rows = sqlx::query("SELECT SettingId, Value FROM Settings")
        .fetch_all(&mut database)
        .await
        .map_err(failed)?;
    let mut settings = Map::new();
    for row in rows {
        let key: String = row.try_get(0).map_err(failed)?;
        let value: Option<String> = row.try_get(1).map_err(failed)?;
        settings.insert(key, value.map_or(Value::Null, Value::String));
    }
    // A database that is only read has nothing to lose.
    let _ = database.close().await;
    Ok(settings)
}

/// Carries over what is understood.
pub fn carry(plan: &mut Plan, mut given: Map<String, Value>) {
    let kind = take(&mut given, "Provider:Provider").unwrap_or_else(|| "0".to_owned());
    let kind = named(&kind, &PROVIDERS);
    // Before May 2022, and since then.
    let token =
        take(&mut given, "Provider:ApiKey").or_else(|| take(&mut given, "RealDebridApiKey"));
    let name = PROVIDERS.iter().zip(NAMES).find(|(word, _)| **word == kind);
    match (token, plan.ours.kind_of(&kind)) {
        (Some(_), None) => other_provider(plan, "Provider:Provider", &kind),
        (Some(token), Some(ours)) => {
            let keys = Account {
                name: name.map_or(ours.word, |(_, name)| name),
                kind: ours,
                token: &token,
                download_tokens: &[],
                theirs: "Provider:ApiKey",
            };
            account(plan, &keys, "", "");
        }
        (None, _) => plan.leave_out("Provider:ApiKey", "it is empty"),
    }
    if let Some(path) = take(&mut given, "DownloadClient:RcloneMountPath") {
        mount(plan, &path, "DownloadClient:RcloneMountPath");
    }
    let download = take(&mut given, "DownloadClient:DownloadPath");
    match take(&mut given, "DownloadClient:MappedPath").filter(|path| path.starts_with('/')) {
        Some(path) => {
            plan.set(&["acquire", "downloads"], path, "DownloadClient:MappedPath");
            if download.is_some() {
                let why = "the arrs' path is the one that counts: mount it here as well";
                plan.leave_out("DownloadClient:DownloadPath", why);
            }
        }
        None => {
            if let Some(path) = download.filter(|path| path.starts_with('/')) {
                plan.set(
                    &["acquire", "downloads"],
                    path,
                    "DownloadClient:DownloadPath",
                );
            }
        }
    }
    for category in take(&mut given, "General:Categories")
        .unwrap_or_default()
        .split(',')
    {
        let category = category.trim();
        if !category.is_empty() && !plan.has(&["acquire", "category", category]) {
            let none = toml::Table::new();
            plan.set(
                &["acquire", "category", category],
                none,
                "General:Categories",
            );
        }
    }
    if let Some(client) = take(&mut given, "DownloadClient:Client") {
        let client = named(&client, &CLIENTS);
        // The others fetch files to the disk.
        let action = if client == "Symlink" {
            "symlink"
        } else {
            "download"
        };
        let theirs = format!("DownloadClient:Client ({client})");
        plan.set(&["acquire", "action"], action, &theirs);
    }
    let smallest = take(&mut given, "Integrations:Default:MinFileSize");
    match smallest.as_deref() {
        None | Some("0") => {}
        // In megabytes.
        Some(text) => match text.parse::<u32>() {
            Ok(size) => {
                let size = format!("{size} MiB");
                plan.set(
                    &["acquire", "min_size"],
                    size,
                    "Integrations:Default:MinFileSize",
                );
            }
            Err(_) => plan.leave_out("Integrations:Default:MinFileSize", "not a number"),
        },
    }
    if let Some(level) = take(&mut given, "General:LogLevel") {
        let why = "`log.level` is `info`; theirs tells less or more of other things";
        plan.leave_out("General:LogLevel", &format!("{why} ({level})"));
    }
    let rest: Vec<String> = given.keys().cloned().collect();
    for key in rest {
        let why = match key.as_str() {
            "General:AuthenticationType" => "logins are of [qbittorrent] and [web]",
            key if key.starts_with("General:RunOnTorrentComplete") => {
                "`library.on_library_update` runs a program with other arguments"
            }
            key if key.ends_with("IncludeRegex") || key.ends_with("ExcludeRegex") => NOT_YET,
            key if key.starts_with("Watch:") || key.starts_with("Gui:") => NOT_YET,
            key if key.starts_with("DownloadClient:") => "there is no downloader in between",
            key if ["General:", "Provider:", "Integrations:"]
                .iter()
                .any(|part| key.starts_with(part)) =>
            {
                OWN_WORK
            }
            _ => continue,
        };
        if given
            .remove(&key)
            .is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()))
        {
            plan.leave_out(&key, why);
        }
    }
    plan.unknown("", given);
}

/// The name of what is given by name or number.
fn named(text: &str, names: &[&str]) -> String {
    let by_number = text
        .parse::<usize>()
        .ok()
        .and_then(|number| names.get(number));
    by_number.map_or_else(|| text.to_owned(), ToString::to_string)
}
