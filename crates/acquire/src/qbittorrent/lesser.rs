//! Calls that have little to do here: there are no peers, no feeds and no search, and what is put in place is named by the library.
//!
//! They are here because tools call them on their way to what they want, and end at an answer that a qBittorrent never gives. What
//! can do nothing says that it is done; what would be believed to have happened is refused in the way that a qBittorrent refuses it.

use std::path::Path;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{Answer, Refused, done, failure, json as answer_json};
use crate::params::Params;
use crate::{Acquire, Error, Source, Step};

/// A call that is answered by what is written here.
struct Lesser {
    name: &'static str,
    /// Arguments without which it is a bad request. Of `hash` the job has to be there.
    needs: &'static [&'static str],
    says: Says,
}

/// What such a call is answered.
#[derive(Clone, Copy)]
enum Says {
    /// It is done, and nothing changes. A call that has to be POST, as are all but those that read.
    Done,
    /// This JSON. It reads.
    Json(&'static str),
    /// An empty list of everything; the one that this argument names is not there. It reads.
    NoneOf(&'static str),
    /// What it is about is not there. It reads.
    NoneToRead,
    /// What it is about is not there.
    Unknown,
    /// A conflict, in these words.
    Cannot(&'static str),
}

impl Says {
    fn reads(self) -> bool {
        matches!(self, Self::Json(_) | Self::NoneOf(_) | Self::NoneToRead)
    }
}

const NO_RSS: Says = Says::Cannot("There is no RSS here: let an arr read the feeds");
const NO_ITEM: Says = Says::Cannot("Item doesn't exist");
const NO_RENAMING: Says = Says::Cannot("Files are named by the library and cannot be renamed");
const NO_SEEDS: Says = Says::Cannot("Web seed not found");
const NO_SEARCH: Says = Says::Cannot("Python must be installed to use the Search Engine.");
const NO_CREATOR: Says = Says::Cannot("Torrents cannot be created here");
const NO_KEYS: Says =
    Says::Json(r#"{"ssl_certificate":"","ssl_private_key":"","ssl_dh_params":""}"#);

const fn lesser(name: &'static str, needs: &'static [&'static str], says: Says) -> Lesser {
    Lesser { name, needs, says }
}

/// All of them, by name.
const CALLS: &[Lesser] = &[
    lesser("app/cookies", &[], Says::Json("[]")),
    lesser("app/networkInterfaceAddressList", &[], Says::Json("[]")),
    lesser("app/networkInterfaceList", &[], Says::Json("[]")),
    lesser("app/sendTestEmail", &[], Says::Done),
    lesser("app/setCookies", &["cookies"], Says::Done),
    // To stop it is the business of whoever started it.
    lesser("app/shutdown", &[], Says::Done),
    lesser("rss/addFeed", &["url", "path"], NO_RSS),
    lesser("rss/addFolder", &["path"], NO_RSS),
    lesser("rss/items", &[], Says::Json("{}")),
    lesser("rss/markAsRead", &["itemPath"], Says::Done),
    lesser("rss/matchingArticles", &["ruleName"], Says::Json("{}")),
    lesser("rss/moveItem", &["itemPath", "destPath"], NO_ITEM),
    lesser("rss/refreshItem", &["itemPath"], Says::Done),
    lesser("rss/removeItem", &["path"], NO_ITEM),
    lesser("rss/removeRule", &["ruleName"], Says::Done),
    lesser("rss/renameRule", &["ruleName", "newRuleName"], Says::Done),
    lesser("rss/rules", &[], Says::Json("{}")),
    lesser(
        "rss/setFeedRefreshInterval",
        &["path", "refreshInterval"],
        NO_ITEM,
    ),
    lesser("rss/setFeedURL", &["path", "url"], NO_ITEM),
    lesser("rss/setRule", &["ruleName", "ruleDef"], NO_RSS),
    lesser("search/delete", &["id"], Says::Unknown),
    lesser(
        "search/downloadTorrent",
        &["torrentUrl", "pluginName"],
        NO_SEARCH,
    ),
    lesser("search/enablePlugin", &["names", "enable"], Says::Done),
    lesser("search/installPlugin", &["sources"], Says::Done),
    lesser("search/plugins", &[], Says::Json("[]")),
    lesser("search/results", &["id"], Says::NoneToRead),
    lesser(
        "search/start",
        &["pattern", "category", "plugins"],
        NO_SEARCH,
    ),
    lesser("search/status", &[], Says::NoneOf("id")),
    lesser("search/stop", &["id"], Says::Unknown),
    lesser("search/uninstallPlugin", &["names"], Says::Done),
    lesser("search/updatePlugins", &[], Says::Done),
    lesser("torrentcreator/addTask", &["sourcePath"], NO_CREATOR),
    lesser("torrentcreator/deleteTask", &["taskID"], Says::Unknown),
    lesser("torrentcreator/status", &[], Says::NoneOf("taskID")),
    lesser("torrentcreator/torrentFile", &["taskID"], Says::NoneToRead),
    lesser("torrents/SSLParameters", &["hash"], NO_KEYS),
    lesser("torrents/addWebSeeds", &["hash", "urls"], Says::Done),
    lesser(
        "torrents/editWebSeed",
        &["hash", "origUrl", "newUrl"],
        NO_SEEDS,
    ),
    lesser("torrents/reannounce", &["hashes"], Says::Done),
    lesser("torrents/removeWebSeeds", &["hash", "urls"], Says::Done),
    lesser(
        "torrents/renameFile",
        &["hash", "oldPath", "newPath"],
        NO_RENAMING,
    ),
    lesser(
        "torrents/renameFolder",
        &["hash", "oldPath", "newPath"],
        NO_RENAMING,
    ),
    lesser(
        "torrents/setAutoManagement",
        &["hashes", "enable"],
        Says::Done,
    ),
    lesser(
        "torrents/setDownloadLimit",
        &["hashes", "limit"],
        Says::Done,
    ),
    // Nothing is kept elsewhere while it is not complete.
    lesser("torrents/setDownloadPath", &["id", "path"], Says::Done),
    lesser(
        "torrents/setSSLParameters",
        &[
            "hash",
            "ssl_certificate",
            "ssl_private_key",
            "ssl_dh_params",
        ],
        Says::Done,
    ),
    lesser("torrents/setSuperSeeding", &["hashes", "value"], Says::Done),
    lesser("torrents/setUploadLimit", &["hashes", "limit"], Says::Done),
    lesser("transfer/banPeers", &["peers"], Says::Done),
    lesser("transfer/setDownloadLimit", &["limit"], Says::Done),
    lesser("transfer/setSpeedLimitsMode", &["mode"], Says::Done),
    lesser("transfer/setUploadLimit", &["limit"], Says::Done),
    lesser("transfer/toggleSpeedLimitsMode", &[], Says::Done),
];

fn find(call: &str) -> Option<&'static Lesser> {
    let at = CALLS.binary_search_by(|lesser| lesser.name.cmp(call));
    at.ok().map(|at| &CALLS[at])
}

/// Whether `call` is one of those, and whether it changes something by its name.
pub(super) fn changes(call: &str) -> Option<bool> {
    find(call).map(|lesser| !lesser.says.reads())
}

/// The answer to one of them.
pub(super) fn answer(acquire: &Acquire, call: &str, params: &Params) -> Answer {
    let Some(lesser) = find(call) else {
        return Err(Refused::not_found());
    };
    for name in lesser.needs {
        params.need(name)?;
    }
    if lesser.needs.contains(&"hash") && acquire.job(params.hash()?).is_none() {
        return Err(Refused::not_found());
    }
    match lesser.says {
        Says::Done => Ok(done()),
        Says::Json(text) => Ok(super::listing::answer(text.to_owned())),
        Says::NoneOf(name) => match params.get(name).map(str::trim) {
            None | Some("" | "0") => Ok(answer_json(&[(); 0])),
            Some(_) => Err(Refused::not_found()),
        },
        Says::NoneToRead | Says::Unknown => Err(Refused::not_found()),
        Says::Cannot(words) => Err(Refused::new(StatusCode::CONFLICT, words)),
    }
}

/// `torrents/export`: the file as it was handed in. A magnet is none, and debrid services tell none.
pub(super) async fn export(acquire: &Acquire, params: &Params) -> Answer {
    let hash = params.hash()?;
    if acquire.job(hash).is_none() {
        return Err(Refused::not_found());
    }
    match acquire.shared.source(hash).await.map_err(failure)? {
        Some(Source::Torrent(bytes)) => {
            let kind = HeaderValue::from_static("application/x-bittorrent");
            Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
        }
        _ => {
            let words = "Unable to export torrent file. Error: it was handed in as a magnet";
            Err(Refused::new(StatusCode::CONFLICT, words))
        }
    }
}

/// `app/getDirectoryContent`: the folders of categories, which are known; what else lies on a disk is nobody's business.
pub(super) fn directory(acquire: &Acquire, params: &Params) -> Answer {
    let dir = Path::new(params.need("dirPath")?.trim());
    if !dir.is_absolute() {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "Invalid path"));
    }
    if acquire.inside(dir).is_err() {
        let words = "Directory does not exist";
        return Err(Refused::new(StatusCode::NOT_FOUND, words));
    }
    let names = acquire.categories().into_keys();
    let folders = names.map(|name| acquire.folder(&name));
    let mut found: Vec<String> = folders
        .filter(|folder| folder.parent() == Some(dir))
        .map(|folder| folder.display().to_string())
        .collect();
    found.dedup();
    Ok(answer_json(&found))
}

/// `torrents/setLocation` (`hashes`, `location`) and `torrents/setSavePath` (`id`, `path`): where it is put. What lies somewhere, or
/// is about to, stays there: an arr may be importing it.
pub(super) async fn set_location(
    acquire: &Acquire,
    params: &Params,
    (jobs, to): (&str, &str),
) -> Answer {
    let meant = params.selection_in(jobs)?;
    let folder = params.need(to)?.trim();
    if folder.is_empty() {
        let words = "Save path cannot be empty";
        return Err(Refused::new(StatusCode::BAD_REQUEST, words));
    }
    let folder = acquire
        .inside(Path::new(folder))
        .map_err(|error| match error {
            Error::BadCategory(_) => Refused::new(
                StatusCode::CONFLICT,
                "Cannot make save path: it is in no folder of the configuration",
            ),
            error => failure(error),
        })?;
    let set = move |job: &mut crate::Job| {
        if matches!(job.step, Step::Placed | Step::Waiting) {
            job.save_path.clone_from(&folder);
        }
    };
    acquire.edit(meant, set).await.map_err(failure)?;
    Ok(done())
}

/// `torrents/addPeers`: none can be added.
pub(super) fn add_peers(acquire: &Acquire, params: &Params) -> Answer {
    let meant = params.selection()?;
    let peers = params.need("peers")?.split('|').map(str::trim);
    let is_peer = |peer: &&str| peer.parse::<std::net::SocketAddr>().is_ok();
    let peers = peers.filter(is_peer).count();
    if peers == 0 {
        let words = "No valid peers were specified";
        return Err(Refused::new(StatusCode::BAD_REQUEST, words));
    }
    let jobs = acquire.select(&meant).into_iter();
    let none = json!({ "added": 0, "failed": peers });
    let told = jobs.map(|job| (job.hash.to_string(), none.clone()));
    Ok(answer_json(&Value::Object(told.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_in_order() {
        assert!(CALLS.is_sorted_by_key(|lesser| lesser.name));
    }
}
