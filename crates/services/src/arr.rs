//! Sonarr, Radarr, Lidarr and their relatives, as they are told of a grab that failed.
//!
//! An arr blocklists a release and searches for another one only when it is told to: by a deletion from its queue with `blocklist`, or by
//! marking the grab in its history as failed. No state of a download client makes it do so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use debridfs_base::Secret;
use debridfs_base::http::Transport;
use debridfs_provider::InfoHash;
use http::{HeaderName, Method};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{CallError, Caller};

/// Entries asked for at once.
const PAGE: usize = 500;
/// Pages read at most: a queue has an entry for each episode.
const PAGES: usize = 40;

/// Which program it is, told by its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Sonarr and its forks.
    Sonarr,
    /// Radarr and its forks.
    Radarr,
    /// Lidarr.
    Lidarr,
    /// Another one of the family, such as Readarr or Whisparr: the calls that all share are understood.
    Other(Version),
}

/// Version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/api/v1`.
    V1,
    /// `/api/v3`.
    V3,
}

impl Dialect {
    fn path(self) -> &'static str {
        match self {
            Self::Sonarr | Self::Radarr | Self::Other(Version::V3) => "/api/v3",
            Self::Lidarr | Self::Other(Version::V1) => "/api/v1",
        }
    }

    /// What its files are called in the API, and the parameter that says whose.
    fn files(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Sonarr => Some(("episodefile", "seriesId")),
            Self::Radarr => Some(("moviefile", "movieId")),
            Self::Lidarr => Some(("trackfile", "artistId")),
            Self::Other(_) => None,
        }
    }

    /// Without it, downloads that the arr could not match are left out of its queue.
    fn unknown_too(self) -> &'static str {
        match self {
            Self::Sonarr => "&includeUnknownSeriesItems=true",
            Self::Radarr => "&includeUnknownMovieItems=true",
            Self::Lidarr => "&includeUnknownArtistItems=true",
            Self::Other(_) => "",
        }
    }
}

/// One arr.
#[derive(Debug)]
pub struct Arr {
    name: String,
    caller: Caller,
    dialect: OnceCell<Dialect>,
}

/// An entry of an arr's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// The arr's number of it.
    pub id: i64,
    /// Release.
    pub title: String,
}

/// How an arr took that a grab failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedGrab {
    /// It was taken from its queue, blocklisted, and is searched for.
    FromQueue,
    /// It was no longer (or never) in the queue; its grab in the history was marked, which does the same.
    FromHistory,
    /// It had been marked before.
    Already,
    /// The arr knows nothing of it.
    Unknown,
}

impl Arr {
    /// The arr at `url`, called `name` in the configuration.
    pub fn new(name: &str, url: &str, key: Secret, transport: Arc<dyn Transport>) -> Self {
        let header = HeaderName::from_static("x-api-key");
        Self {
            name: name.to_owned(),
            caller: Caller::new(url, transport).with_login(header, key),
            dialect: OnceCell::new(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which program it is; asked once.
    ///
    /// # Errors
    /// [`CallError`]: it does not answer, or is no arr.
    pub async fn dialect(&self) -> Result<Dialect, CallError> {
        let found = self.dialect.get_or_try_init(|| self.ask_dialect()).await?;
        Ok(*found)
    }

    async fn ask_dialect(&self) -> Result<Dialect, CallError> {
        for version in [Version::V3, Version::V1] {
            let other = Dialect::Other(version);
            let path = format!("{}/system/status", other.path());
            let status = match self.caller.ask(Method::GET, &path, None).await {
                Err(error) if error.is_not_found() => continue,
                status => status?,
            };
            let name = status["appName"].as_str();
            return match name {
                Some("Sonarr") => Ok(Dialect::Sonarr),
                Some("Radarr") => Ok(Dialect::Radarr),
                Some("Lidarr") => Ok(Dialect::Lidarr),
                Some(_) => Ok(other),
                None => Err(CallError::Odd("it does not say which program it is".into())),
            };
        }
        Err(CallError::Odd(
            "no API of an arr is at this address (is the URL base missing?)".into(),
        ))
    }

    /// Asks it how it does.
    ///
    /// # Errors
    /// [`CallError`]: it does not answer, refuses the key, or is no arr.
    pub async fn ping(&self) -> Result<(), CallError> {
        self.ask_dialect().await.map(drop)
    }

    /// Lets it look at its download clients now, and import what is complete, in place of within a minute or so.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn refresh(&self) -> Result<(), CallError> {
        let path = format!("{}/command", self.dialect().await?.path());
        let command = json!({ "name": "RefreshMonitoredDownloads" });
        let said = self.caller.call(Method::POST, &path, Some(&command)).await;
        said.map(drop)
    }

    /// Entries of its queue for a download: one for each episode of a season.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn queue(&self, hash: InfoHash) -> Result<Vec<QueueEntry>, CallError> {
        let dialect = self.dialect().await?;
        let rest = dialect.unknown_too();
        let entries: Vec<QueueRow> = self.pages(dialect, "queue", rest).await?;
        let same = entries.into_iter().filter(|row| row.download.is(hash));
        let same = same.map(|row| QueueEntry {
            id: row.id,
            title: row.title.unwrap_or_default(),
        });
        Ok(same.collect())
    }

    /// Takes a download from the queue and from the client, blocklists it, and lets the arr search for another one.
    async fn fail_queued(&self, id: i64) -> Result<(), CallError> {
        let path = format!(
            "{}/queue/{id}?removeFromClient=true&blocklist=true&skipRedownload=false",
            self.dialect().await?.path()
        );
        self.caller
            .call(Method::DELETE, &path, None)
            .await
            .map(drop)
    }

    /// What the arr's history has of a download, oldest first.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn history(&self, hash: InfoHash) -> Result<Vec<HistoryRow>, CallError> {
        let dialect = self.dialect().await?;
        let download = hash.to_string().to_uppercase();
        let rest = format!("&downloadId={download}");
        let mut rows: Vec<HistoryRow> = self.pages(dialect, "history", &rest).await?;
        // An old one may not know the filter.
        rows.retain(|row| row.download.is(hash));
        rows.sort_by_key(|row| (row.date, row.id));
        Ok(rows)
    }

    async fn page<T: DeserializeOwned>(
        &self,
        dialect: Dialect,
        what: &str,
        page: usize,
        rest: &str,
    ) -> Result<Page<T>, CallError> {
        let path = format!(
            "{}/{what}?page={page}&pageSize={PAGE}{rest}",
            dialect.path()
        );
        let said = self.caller.ask(Method::GET, &path, None).await?;
        let page: RawPage = understood(said)?;
        let records = page.records.unwrap_or_default();
        let told = records.len();
        Ok(Page {
            records: each(records)?,
            told,
            total: page.total.unwrap_or(0),
        })
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        dialect: Dialect,
        what: &str,
        rest: &str,
    ) -> Result<Vec<T>, CallError> {
        let (mut rows, mut told) = (Vec::new(), 0);
        for page in 1..=PAGES {
            let said = self.page(dialect, what, page, rest).await?;
            rows.extend(said.records);
            told += said.told;
            if said.told == 0 || told >= said.total {
                break;
            }
        }
        Ok(rows)
    }

    /// Says that the grab of `hash` failed: the release is blocklisted, taken from the client, and searched for anew. With `history`, a grab that
    /// is not in the queue is marked in the history.
    ///
    /// # Errors
    /// [`CallError`]; doing it again is harmless.
    pub async fn fail_grab(&self, hash: InfoHash, history: bool) -> Result<FailedGrab, CallError> {
        // One entry stands for all of the download: the arr fails the whole of it.
        if let Some(entry) = self.queue(hash).await?.first() {
            match self.fail_queued(entry.id).await {
                Err(error) if error.is_not_found() => {}
                done => return done.map(|()| FailedGrab::FromQueue),
            }
        }
        let rows = self.history(hash).await?;
        let newest = |kind| rows.iter().rfind(|row| row.kind() == kind);
        let Some(grab) = newest(HistoryKind::Grabbed) else {
            return Ok(FailedGrab::Unknown);
        };
        let failed = newest(HistoryKind::Failed).is_some_and(|failed| failed.date >= grab.date);
        if failed {
            return Ok(FailedGrab::Already);
        }
        if !history {
            return Ok(FailedGrab::Unknown);
        }
        let path = format!(
            "{}/history/failed/{}",
            self.dialect().await?.path(),
            grab.id
        );
        self.caller.call(Method::POST, &path, None).await?;
        Ok(FailedGrab::FromHistory)
    }
}

/// How an arr took that what it imported cannot be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It deleted so many of its files, blocklisted the release, and searches for another one.
    Searched {
        /// Files of its library.
        files: usize,
    },
    /// It had been told before.
    Already,
    /// It knows nothing of it.
    Unknown,
}

impl Arr {
    /// Says that what was imported of `hash` cannot be read any more. The arr's files that came from `names` (base names; from all of the release when
    /// there are none) are deleted, as an arr searches for nothing that it has; then the grab is marked as failed. A file that was replaced since is
    /// not touched.
    ///
    /// # Errors
    /// [`CallError`]; doing it again is harmless.
    pub async fn replace(&self, hash: InfoHash, names: &[&str]) -> Result<Replaced, CallError> {
        let rows = self.history(hash).await?;
        let newest = |kind| rows.iter().rfind(|row| row.kind() == kind);
        let Some(grab) = newest(HistoryKind::Grabbed) else {
            return Ok(Replaced::Unknown);
        };
        if newest(HistoryKind::Failed).is_some_and(|failed| failed.date >= grab.date) {
            return Ok(Replaced::Already);
        }
        let dialect = self.dialect().await?;
        let mut files = 0;
        if let Some((kind, owner)) = dialect.files() {
            let imported = rows
                .iter()
                .filter(|row| row.kind() == HistoryKind::Imported);
            let meant = imported.filter(|row| names.is_empty() || row.came_from(names));
            let mut by_owner: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
            for row in meant {
                let number = match dialect {
                    Dialect::Sonarr => row.series_id,
                    Dialect::Radarr => row.movie_id,
                    Dialect::Lidarr | Dialect::Other(_) => row.artist_id,
                };
                if let (Some(number), Some(path)) = (number, row.imported_path()) {
                    by_owner.entry(number).or_default().insert(path);
                }
            }
            for (number, paths) in by_owner {
                let path = format!("{}/{kind}?{owner}={number}", dialect.path());
                let said = self.caller.ask(Method::GET, &path, None).await?;
                let there: Vec<FileRow> = each(understood(said)?)?;
                for file in there.iter().filter(|file| paths.contains(&*file.path)) {
                    let path = format!("{}/{kind}/{}", dialect.path(), file.id);
                    match self.caller.call(Method::DELETE, &path, None).await {
                        Err(error) if error.is_not_found() => {}
                        deleted => {
                            deleted?;
                            files += 1;
                        }
                    }
                }
            }
        }
        let path = format!("{}/history/failed/{}", dialect.path(), grab.id);
        self.caller.call(Method::POST, &path, None).await?;
        Ok(Replaced::Searched { files })
    }
}

/// Whether an arr has other files in place of those that it was asked to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// All that it had imported of the release it has imported from these downloads since.
    Whole {
        /// Their ids in the arr: info-hashes, for torrents.
        from: BTreeSet<String>,
    },
    /// Something is missing yet, or went again.
    Missing,
    /// The arr had nothing of it, or was not asked.
    Unknown,
}

impl Arr {
    /// Whether what was imported of `hash`, before its grab was marked as failed, was imported anew.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn replacement(&self, hash: InfoHash) -> Result<Replacement, CallError> {
        let dialect = self.dialect().await?;
        let rows = self.history(hash).await?;
        let failed = rows.iter().rfind(|row| row.kind() == HistoryKind::Failed);
        let Some(failed) = failed.map(|row| row.date) else {
            return Ok(Replacement::Unknown);
        };
        let mut missing: BTreeSet<i64> = rows
            .iter()
            .filter(|row| row.kind() == HistoryKind::Imported && row.date <= failed)
            .filter_map(|row| row.unit(dialect))
            .collect();
        if missing.is_empty() {
            return Ok(Replacement::Unknown);
        }
        let mut from = BTreeSet::new();
        for page in 1..=PAGES {
            let rest = "&sortKey=date&sortDirection=descending";
            let said: Page<HistoryRow> = self.page(dialect, "history", page, rest).await?;
            let last = said.told == 0 || page * PAGE >= said.total;
            // The newest word on each of them counts.
            for row in said.records {
                if row.date <= failed {
                    return Ok(Replacement::Missing);
                }
                let unit = row.unit(dialect).filter(|unit| missing.contains(unit));
                match (row.kind(), unit) {
                    (HistoryKind::Deleted, Some(_)) => return Ok(Replacement::Missing),
                    (HistoryKind::Imported, Some(unit)) if !row.download.is(hash) => {
                        missing.remove(&unit);
                        from.extend(row.download.0);
                    }
                    _ => {}
                }
                if missing.is_empty() {
                    return Ok(Replacement::Whole { from });
                }
            }
            if last {
                break;
            }
        }
        Ok(Replacement::Missing)
    }
}

/// A file of the arr's library.
#[derive(Deserialize)]
struct FileRow {
    id: i64,
    #[serde(default)]
    path: String,
}

/// What an import says of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HistoryData {
    dropped_path: Option<String>,
    imported_path: Option<String>,
}

/// A page of a list, as it is told.
#[derive(Deserialize)]
struct RawPage {
    #[serde(rename = "totalRecords")]
    total: Option<usize>,
    records: Option<Vec<Value>>,
}

/// A page of a list.
struct Page<T> {
    /// The records that are understood.
    records: Vec<T>,
    /// How many were told.
    told: usize,
    /// How many there are on all pages.
    total: usize,
}

fn understood<T: DeserializeOwned>(said: Value) -> Result<T, CallError> {
    serde_json::from_value(said).map_err(|error| CallError::Odd(error.to_string()))
}

/// Reads records one by one, as an odd one says nothing about the others. When none can be read, the answer is another than was
/// asked for.
fn each<T: DeserializeOwned>(records: Vec<Value>) -> Result<Vec<T>, CallError> {
    let (mut good, mut odd) = (Vec::new(), None);
    for record in records {
        match understood(record) {
            Ok(record) => good.push(record),
            Err(error) => {
                tracing::debug!(%error, "a record of an arr was passed over");
                odd = odd.or(Some(error));
            }
        }
    }
    match odd {
        Some(error) if good.is_empty() => Err(error),
        _ => Ok(good),
    }
}

/// The arr's name of a download: the info-hash in capitals for torrents; absent for what is only about to be grabbed.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct DownloadId(Option<String>);

impl DownloadId {
    fn is(&self, hash: InfoHash) -> bool {
        let own = hash.to_string();
        self.0
            .as_deref()
            .is_some_and(|id| id.eq_ignore_ascii_case(&own))
    }
}

#[derive(Deserialize)]
struct QueueRow {
    id: i64,
    title: Option<String>,
    #[serde(rename = "downloadId", default)]
    download: DownloadId,
}

/// An entry of the history.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryRow {
    id: i64,
    #[serde(rename = "downloadId", default)]
    download: DownloadId,
    date: Timestamp,
    event_type: String,
    series_id: Option<i64>,
    movie_id: Option<i64>,
    artist_id: Option<i64>,
    episode_id: Option<i64>,
    track_id: Option<i64>,
    data: Option<HistoryData>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryKind {
    Grabbed,
    Imported,
    Failed,
    Deleted,
    Other,
}

impl HistoryRow {
    /// Whether it is about a file of one of these names.
    fn came_from(&self, names: &[&str]) -> bool {
        let data = self.data.as_ref();
        let dropped = data.and_then(|data| data.dropped_path.as_deref());
        // Of Windows' paths as well: the arr writes its own.
        let base = dropped.unwrap_or_default().rsplit(['/', '\\']).next();
        names.contains(&base.unwrap_or_default())
    }

    /// The file of the library that was made of it.
    fn imported_path(&self) -> Option<&str> {
        self.data.as_ref()?.imported_path.as_deref()
    }

    /// The episode, film or track that it is about.
    fn unit(&self, dialect: Dialect) -> Option<i64> {
        match dialect {
            Dialect::Sonarr => self.episode_id,
            Dialect::Radarr => self.movie_id,
            Dialect::Lidarr => self.track_id,
            Dialect::Other(_) => None,
        }
    }

    fn kind(&self) -> HistoryKind {
        match &*self.event_type {
            "grabbed" => HistoryKind::Grabbed,
            "downloadFailed" => HistoryKind::Failed,
            "downloadFolderImported" | "trackFileImported" | "bookFileImported" => {
                HistoryKind::Imported
            }
            "episodeFileDeleted" | "movieFileDeleted" | "trackFileDeleted" => HistoryKind::Deleted,
            _ => HistoryKind::Other,
        }
    }
}
