//! What tests see of a torrent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::Torrent;
use crate::clock::timestamp;
use crate::content;
use crate::status::Status;
use crate::vendors::{Kind, alldebrid, real_debrid, torbox};

/// A torrent as the simulation knows it, for tests that compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorrentView {
    /// The torrent's id.
    pub id: String,
    /// Info-hash.
    pub hash: String,
    /// `filename` of the list.
    pub filename: String,
    /// When it was added.
    pub added: Timestamp,
    /// Where it stands.
    pub status: Status,
    /// All files.
    pub files: Vec<FileView>,
    /// Restricted links as shown now; where the vendor has none, an id for each file by which counters, faults and `expected` know it.
    pub links: Vec<String>,
}

/// A file of a [`TorrentView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// The vendor's number: at Real-Debrid from 1 in order, at TorBox from 0 in another.
    pub id: u32,
    /// Path as the API tells it.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Whether it is selected.
    pub selected: bool,
    /// Key for [`content::fill`]; `None` for what is not generated.
    pub key: Option<u64>,
    /// The clip, if it is one.
    pub clip: Option<crate::Clip>,
    /// Its restricted link, if it has one of its own.
    pub link: Option<String>,
}

pub(super) fn of(kind: Kind, id: String, torrent: &Torrent, now_ms: i64) -> TorrentView {
    let prefix = match kind {
        Kind::RealDebrid => real_debrid::LINK_PREFIX,
        Kind::TorBox | Kind::DebridLink | Kind::Premiumize => "",
        Kind::AllDebrid => alldebrid::LINK_PREFIX,
    };
    let links: Vec<String> = torrent
        .links_at(now_ms)
        .iter()
        .map(|link| format!("{prefix}{link}"))
        .collect();
    let own_links = !torrent.links.is_packed() || torrent.selected.len() < 2;
    let files = (0u32..)
        .zip(&torrent.release.files)
        .map(|(index, file)| {
            let place = torrent.selected.binary_search(&index).ok();
            FileView {
                id: match kind {
                    Kind::RealDebrid | Kind::AllDebrid | Kind::DebridLink | Kind::Premiumize => {
                        index + 1
                    }
                    Kind::TorBox => torbox::file_id(&torrent.release, index),
                },
                path: file.path.clone(),
                bytes: file.size(),
                selected: place.is_some(),
                key: file
                    .bytes
                    .is_some()
                    .then(|| content::key(&torrent.release.hash, &file.path)),
                clip: file.clip,
                link: place
                    .filter(|_| own_links)
                    .and_then(|place| links.get(place))
                    .cloned(),
            }
        })
        .collect();
    TorrentView {
        id,
        hash: torrent.release.hash.clone(),
        filename: torrent.name.clone(),
        added: timestamp(torrent.added_ms),
        status: torrent.status,
        files,
        links,
    }
}
