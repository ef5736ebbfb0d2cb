//! What arrs and tools read.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::view::{self, FileInfo, Properties, now, transfer};
use super::{
    API_VERSION, Answer, Front, VERSION, json as answer_json, lesser, listing, preferences, text,
};
use crate::params::Params;
use crate::{Acquire, Job};

/// The answer to `call`; `None` when it is not one that reads.
pub(super) fn answer(front: &Front, call: &str, params: &Params) -> Option<Answer> {
    let acquire = &front.acquire;
    let plain = |words: String| Ok(text(StatusCode::OK, words));
    Some(match call {
        "app/version" => plain(VERSION.to_owned()),
        "app/webapiVersion" => plain(API_VERSION.to_owned()),
        "app/buildInfo" => Ok(answer_json(&build_info())),
        "app/preferences" => Ok(answer_json(&preferences::of(acquire))),
        "app/defaultSavePath" => plain(acquire.config().downloads.display().to_string()),
        "app/getDirectoryContent" => lesser::directory(acquire, params),
        "transfer/info" => Ok(answer_json(&transfer(acquire))),
        "transfer/speedLimitsMode" | "transfer/downloadLimit" | "transfer/uploadLimit" => {
            plain("0".to_owned())
        }
        "sync/maindata" => Ok(listing::main_data(acquire, &front.cards, params)),
        "sync/torrentPeers" => params.job(acquire).map(|_| {
            let peers = json!({ "full_update": true, "peers": {}, "rid": 1, "show_flags": false });
            answer_json(&peers)
        }),
        "torrents/info" => Ok(listing::info(acquire, &front.cards, params)),
        "torrents/count" => plain(acquire.jobs().len().to_string()),
        "torrents/properties" => params
            .job(acquire)
            .map(|job| answer_json(&Properties::of(&job, now(acquire)))),
        "torrents/files" => params
            .job(acquire)
            .map(|job| answer_json(&files(&job, params))),
        "torrents/trackers" => params
            .job(acquire)
            .map(|job| answer_json(&view::trackers(&job))),
        "torrents/webseeds" => params.job(acquire).map(|_| answer_json(&[(); 0])),
        "torrents/pieceStates" => params
            .job(acquire)
            .map(|job| answer_json(&view::piece_states(&job))),
        // The hashes of pieces are in the torrent, which a magnet does not hold.
        "torrents/pieceHashes" => params.job(acquire).map(|_| answer_json(&[(); 0])),
        "torrents/categories" => Ok(answer_json(&view::categories(acquire))),
        "torrents/tags" => Ok(answer_json(&acquire.tags())),
        // Ours is the program's, on its pages.
        "log/main" | "log/peers" => Ok(answer_json(&[(); 0])),
        "torrents/downloadLimit" | "torrents/uploadLimit" => limits(acquire, params),
        _ => return None,
    })
}

fn build_info() -> Value {
    json!({
        "bitness": 64,
        "boost": "",
        "libtorrent": "",
        "openssl": "",
        "platform": "linux",
        "qt": "",
        "zlib": "",
    })
}

fn files(job: &Job, params: &Params) -> Vec<FileInfo> {
    let files = view::files(job);
    let Some(wanted) = params.get("indexes").filter(|list| !list.is_empty()) else {
        return files;
    };
    let wanted: Vec<usize> = wanted
        .split('|')
        .filter_map(|index| index.trim().parse().ok())
        .collect();
    let numbered = files.into_iter().enumerate();
    numbered
        .filter(|(index, _)| wanted.contains(index))
        .map(|(_, file)| file)
        .collect()
}

fn limits(acquire: &Acquire, params: &Params) -> Answer {
    let meant = acquire.select(&params.selection()?);
    let meant = meant.iter();
    let none: BTreeMap<String, u32> = meant.map(|job| (job.hash.to_string(), 0)).collect();
    Ok(answer_json(&none))
}
