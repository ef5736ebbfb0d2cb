//! A stand-in of a whole Sonarr, Radarr or Lidarr: what it wants, its queue, history and blocklist, and the calls of its own API that others make.
//!
//! Written from the documented behaviour: every call needs `X-Api-Key`; a deletion from the queue with `blocklist`, and a grab marked as failed,
//! put the release on the blocklist and start a search, which grabs the best release that is not on it; nothing else does. The queue is what
//! the last look at the download client showed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path as Segment, Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::arr::{Arr, ArrError, Item, ItemStatus};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Series, `/api/v3`.
    Sonarr,
    /// Films, `/api/v3`.
    Radarr,
    /// Music, `/api/v1`.
    Lidarr,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Sonarr => "Sonarr",
            Self::Radarr => "Radarr",
            Self::Lidarr => "Lidarr",
        }
    }

    fn base(self) -> &'static str {
        match self {
            Self::Sonarr | Self::Radarr => "/api/v3",
            Self::Lidarr => "/api/v1",
        }
    }

    /// The parameter without which unmatched downloads are left out of the queue.
    fn unknown_too(self) -> &'static str {
        match self {
            Self::Sonarr => "includeUnknownSeriesItems",
            Self::Radarr => "includeUnknownMovieItems",
            Self::Lidarr => "includeUnknownArtistItems",
        }
    }

    /// What owns a file.
    fn owner(self) -> &'static str {
        match self {
            Self::Sonarr => "seriesId",
            Self::Radarr => "movieId",
            Self::Lidarr => "artistId",
        }
    }

    /// What a line of the history is about.
    fn unit(self) -> &'static str {
        match self {
            Self::Sonarr => "episodeId",
            Self::Radarr => "movieId",
            Self::Lidarr => "trackId",
        }
    }

    fn files(self) -> &'static str {
        match self {
            Self::Sonarr => "episodefile",
            Self::Radarr => "moviefile",
            Self::Lidarr => "trackfile",
        }
    }

    fn imported(self) -> &'static str {
        match self {
            Self::Sonarr | Self::Radarr => "downloadFolderImported",
            Self::Lidarr => "trackFileImported",
        }
    }
}

/// A release that the indexer offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its title.
    pub title: String,
    /// Its info-hash, in any case.
    pub hash: String,
}

impl Offer {
    /// A release of this title and info-hash.
    pub fn new(title: &str, hash: &str) -> Self {
        Self {
            title: title.to_owned(),
            hash: hash.to_owned(),
        }
    }

    fn download_id(&self) -> String {
        self.hash.to_uppercase()
    }
}

#[derive(Debug)]
struct Wanted {
    id: i64,
    offers: Vec<Offer>,
}

#[derive(Debug, Clone)]
struct Event {
    id: i64,
    kind: &'static str,
    owner: i64,
    title: String,
    download_id: String,
    date: Timestamp,
    data: Value,
}

/// A file that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The program's number of it.
    pub id: i64,
    /// What it is of: the number that [`ArrProgram::want`] gave.
    pub owner: i64,
    /// Where it is in the library.
    pub path: String,
}

#[derive(Debug, Default)]
struct Memory {
    wanted: Vec<Wanted>,
    queue: Vec<(i64, Item)>,
    history: Vec<Event>,
    blocklist: Vec<String>,
    files: Vec<Imported>,
    calls: Vec<String>,
    last_id: i64,
}

impl Memory {
    fn id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn note(&mut self, kind: &'static str, owner: i64, title: &str, hash: &str, data: Value) {
        let event = Event {
            id: self.id(),
            kind,
            owner,
            title: title.to_owned(),
            download_id: hash.to_uppercase(),
            date: Timestamp::now(),
            data,
        };
        self.history.push(event);
    }
}

/// One program. Clones are the same one.
#[derive(Debug, Clone)]
pub struct ArrProgram {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: Program,
    key: String,
    arr: Arr,
    memory: Mutex<Memory>,
}

impl ArrProgram {
    /// A program with this API key that grabs by `arr`.
    pub fn new(program: Program, key: &str, arr: Arr) -> Self {
        let inner = Inner {
            program,
            key: key.to_owned(),
            arr,
            memory: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.inner.memory.lock()
    }

    /// Wants something of which the indexer offers these, the best first; its number.
    pub fn want(&self, offers: Vec<Offer>) -> i64 {
        let mut memory = self.memory();
        let id = memory.id();
        memory.wanted.push(Wanted { id, offers });
        id
    }

    /// Searches: grabs the best that is offered and not blocklisted, unless there is a file or a download already.
    ///
    /// # Errors
    /// The client refuses it.
    pub async fn search(&self, wanted: i64) -> Result<(), ArrError> {
        let offer = {
            let mut memory = self.memory();
            let has_file = memory.files.iter().any(|file| file.owner == wanted);
            let found = memory.wanted.iter().find(|one| one.id == wanted);
            let offers = found.map_or(&[][..], |one| &one.offers[..]);
            let queued = |offer: &Offer| {
                let id = offer.download_id();
                // What failed after its import is still at the client.
                !memory.blocklist.contains(&id)
                    && memory.queue.iter().any(|(_, item)| item.download_id == id)
            };
            if has_file || offers.iter().any(queued) {
                return Ok(());
            }
            let free = |offer: &&Offer| !memory.blocklist.contains(&offer.download_id());
            let Some(offer) = offers.iter().find(free).cloned() else {
                return Ok(());
            };
            memory.note("grabbed", wanted, &offer.title, &offer.hash, json!({}));
            offer
        };
        let (hash, title) = (&offer.hash, &offer.title);
        let magnet = format!("magnet:?xt=urn:btih:{hash}&dn={title}");
        self.inner.arr.grab_magnet(&magnet).await
    }

    /// Looks at the download client, as every minute or when told to.
    ///
    /// # Errors
    /// The client does not answer as it should.
    pub async fn look(&self) -> Result<(), ArrError> {
        let items = self.inner.arr.poll().await?;
        let mut memory = self.memory();
        let before = std::mem::take(&mut memory.queue);
        for item in items {
            let known = before
                .iter()
                .find(|(_, one)| one.download_id == item.download_id);
            let id = known.map_or_else(|| memory.id(), |(id, _)| *id);
            memory.queue.push((id, item));
        }
        Ok(())
    }

    /// Looks, and imports what is complete into `library`; the downloads stay in the client.
    ///
    /// # Errors
    /// What blocks an import.
    pub async fn import(&self, library: &Path) -> Result<Vec<Imported>, ArrError> {
        self.look().await?;
        let complete: Vec<Item> = {
            let memory = self.memory();
            let done = |item: &&Item| {
                item.status == ItemStatus::Completed
                    && !memory.history.iter().any(|event| {
                        event.download_id == item.download_id
                            && event.kind == self.inner.program.imported()
                    })
            };
            let items = memory.queue.iter().map(|(_, item)| item);
            items.filter(done).cloned().collect()
        };
        let mut all = Vec::new();
        for item in complete {
            let imported = self.inner.arr.import(&item, library)?;
            let mut memory = self.memory();
            let owner = memory.wanted.iter().find_map(|wanted| {
                let mut ids = wanted.offers.iter().map(Offer::download_id);
                ids.any(|id| id == item.download_id).then_some(wanted.id)
            });
            let owner = owner.unwrap_or(0);
            for path in imported {
                let name = path.file_name().unwrap_or_default();
                let dropped = item.output_path.clone().unwrap_or_default().join(name);
                let path = path.display().to_string();
                let id = memory.id();
                let data = json!({ "droppedPath": dropped, "importedPath": path, "fileId": id.to_string() });
                let kind = self.inner.program.imported();
                memory.note(kind, owner, &item.title, &item.download_id, data);
                let file = Imported { id, owner, path };
                memory.files.push(file.clone());
                all.push(file);
            }
        }
        Ok(all)
    }

    /// Files in the library.
    pub fn files(&self) -> Vec<Imported> {
        self.memory().files.clone()
    }

    /// Info-hashes on the blocklist, in capitals.
    pub fn blocklist(&self) -> Vec<String> {
        self.memory().blocklist.clone()
    }

    /// Info-hashes that were grabbed, in capitals and in their order.
    pub fn grabbed(&self) -> Vec<String> {
        let memory = self.memory();
        let grabs = memory
            .history
            .iter()
            .filter(|event| event.kind == "grabbed");
        grabs.map(|event| event.download_id.clone()).collect()
    }

    /// Calls that others made of its API: method, path and query; those without the key are marked.
    pub fn calls(&self) -> Vec<String> {
        self.memory().calls.clone()
    }

    /// Its API.
    pub fn router(&self) -> Router {
        let program = self.inner.program;
        let files = format!("/{}", program.files());
        let api = Router::new()
            .route("/system/status", get(status))
            .route("/queue", get(queue))
            .route("/queue/{id}", delete(remove))
            .route("/history", get(history))
            .route("/history/failed/{id}", post(failed))
            .route("/command", post(command))
            .route(&files, get(list_files))
            .route(&format!("{files}/{{id}}"), delete(delete_file))
            .with_state(self.clone());
        Router::new()
            .nest(program.base(), api)
            .layer(from_fn_with_state(self.clone(), check))
    }

    /// Blocklists what was grabbed and, unless told otherwise, searches again once the answer is out.
    fn fail(&self, download_id: &str, search: bool) -> bool {
        let mut memory = self.memory();
        let newest = memory
            .history
            .iter()
            .rfind(|event| event.download_id == download_id && event.kind == "grabbed");
        let Some(grab) = newest.cloned() else {
            return false;
        };
        memory.note(
            "downloadFailed",
            grab.owner,
            &grab.title,
            download_id,
            json!({}),
        );
        memory.blocklist.push(download_id.to_owned());
        drop(memory);
        if search {
            let program = self.clone();
            // A client that refuses the next one is seen in the history.
            tokio::spawn(async move { program.search(grab.owner).await });
        }
        true
    }
}

/// Notes each call and lets nobody in without the key.
async fn check(State(program): State<ArrProgram>, request: Request, next: Next) -> Response {
    let own = request.headers().get("x-api-key");
    let known = own.is_some_and(|key| key.as_bytes() == program.inner.key.as_bytes());
    let call = format!("{} {}", request.method(), request.uri());
    let noted = if known {
        call
    } else {
        format!("unauthorized {call}")
    };
    program.memory().calls.push(noted);
    if !known {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let has_body = request.method() == Method::POST && request.uri().path().ends_with("/command");
    let kind = request.headers().get("content-type");
    if has_body && kind.is_none_or(|kind| kind != "application/json") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    next.run(request).await
}

type Told = State<ArrProgram>;
type Arguments = Query<HashMap<String, String>>;

fn not_found() -> Response {
    let words = json!({ "message": "NotFound" });
    (StatusCode::NOT_FOUND, Json(words)).into_response()
}

fn bad(words: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "message": words }))).into_response()
}

/// The page that was asked for, as all lists have it.
fn page(rows: Vec<Value>, arguments: &HashMap<String, String>) -> Response {
    let number = |name: &str, default| {
        let text = arguments.get(name);
        text.map_or(Some(default), |text| text.parse::<usize>().ok())
    };
    let (Some(page @ 1..), Some(size @ 1..)) = (number("page", 1), number("pageSize", 10)) else {
        return bad("page and pageSize have to be numbers");
    };
    let total = rows.len();
    let records: Vec<Value> = rows
        .into_iter()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    let said = json!({ "page": page, "pageSize": size, "totalRecords": total, "records": records });
    Json(said).into_response()
}

fn flag(arguments: &HashMap<String, String>, name: &str, default: bool) -> Option<bool> {
    let text = arguments.get(name);
    text.map_or(Some(default), |text| text.to_lowercase().parse().ok())
}

async fn status(State(program): Told) -> Json<Value> {
    let name = program.inner.program.name();
    Json(json!({ "appName": name, "instanceName": name, "version": "4.0.0.0" }))
}

async fn queue(State(program): Told, Query(arguments): Arguments) -> Response {
    let kind = program.inner.program;
    let unknown = flag(&arguments, kind.unknown_too(), false) == Some(true);
    let memory = program.memory();
    let mut rows = Vec::new();
    for (id, item) in &memory.queue {
        let grab = memory
            .history
            .iter()
            .rfind(|event| event.download_id == item.download_id && event.kind == "grabbed");
        if grab.is_none() && !unknown {
            continue;
        }
        let status = match item.status {
            ItemStatus::Queued => "queued",
            ItemStatus::Paused => "paused",
            ItemStatus::Downloading => "downloading",
            ItemStatus::Completed => "completed",
            ItemStatus::Warning => "warning",
            ItemStatus::Failed => "failed",
        };
        rows.push(json!({
            "id": id, "title": item.title, "status": status, "downloadId": item.download_id, "protocol": "torrent",
            "trackedDownloadState": "downloading", kind.owner(): grab.map(|event| event.owner),
        }));
    }
    // What is delayed has no download yet.
    rows.push(json!({ "id": 2_000_000_000, "title": "Delayed", "status": "delay" }));
    page(rows, &arguments)
}

async fn remove(
    State(program): Told,
    Segment(id): Segment<i64>,
    Query(arguments): Arguments,
) -> Response {
    let flags = [
        flag(&arguments, "removeFromClient", true),
        flag(&arguments, "blocklist", false),
        flag(&arguments, "skipRedownload", false),
    ];
    let [Some(from_client), Some(blocklist), Some(skip)] = flags else {
        return bad("not a boolean");
    };
    let taken = {
        let mut memory = program.memory();
        let at = memory.queue.iter().position(|(one, _)| *one == id);
        at.map(|at| memory.queue.remove(at).1)
    };
    let Some(item) = taken else {
        return not_found();
    };
    if from_client && let Err(error) = program.inner.arr.delete(&item.download_id).await {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.0).into_response();
    }
    if blocklist {
        program.fail(&item.download_id, !skip);
    }
    Json(json!({})).into_response()
}

async fn history(State(program): Told, Query(arguments): Arguments) -> Response {
    let kind = program.inner.program;
    let memory = program.memory();
    let wanted = arguments.get("downloadId");
    let events = memory
        .history
        .iter()
        .rev()
        .filter(|event| wanted.is_none_or(|id| *id == event.download_id));
    let rows = events.map(|event| {
        json!({
            "id": event.id, "eventType": event.kind, "sourceTitle": event.title, "date": event.date.to_string(),
            "downloadId": event.download_id, kind.owner(): event.owner, kind.unit(): event.owner, "data": event.data,
        })
    });
    page(rows.collect(), &arguments)
}

async fn failed(State(program): Told, Segment(id): Segment<i64>) -> Response {
    let event = {
        let memory = program.memory();
        memory.history.iter().find(|event| event.id == id).cloned()
    };
    match event {
        Some(event) if event.kind == "grabbed" => {
            program.fail(&event.download_id, true);
            Json(json!({})).into_response()
        }
        Some(_) => bad("only a grab can be marked as failed"),
        None => not_found(),
    }
}

async fn command(State(program): Told, Json(command): Json<Value>) -> Response {
    match command["name"].as_str() {
        Some("RefreshMonitoredDownloads") => {
            if let Err(error) = program.look().await {
                return (StatusCode::INTERNAL_SERVER_ERROR, error.0).into_response();
            }
        }
        _ => return bad("no such command"),
    }
    let said = json!({ "id": 1, "name": command["name"], "status": "queued" });
    (StatusCode::CREATED, Json(said)).into_response()
}

async fn list_files(State(program): Told, Query(arguments): Arguments) -> Response {
    let kind = program.inner.program;
    let owner: Option<i64> = arguments.get(kind.owner()).and_then(|id| id.parse().ok());
    let Some(owner) = owner else {
        return bad("whose files?");
    };
    let files = program
        .files()
        .into_iter()
        .filter(|file| file.owner == owner);
    let rows =
        files.map(|file| json!({ "id": file.id, "path": file.path, kind.owner(): file.owner }));
    Json(Value::Array(rows.collect())).into_response()
}

async fn delete_file(State(program): Told, Segment(id): Segment<i64>) -> Response {
    let file = {
        let mut memory = program.memory();
        let at = memory.files.iter().position(|file| file.id == id);
        at.map(|at| memory.files.remove(at))
    };
    let Some(file) = file else {
        return not_found();
    };
    match std::fs::remove_file(&file.path) {
        Ok(()) => Json(json!({})).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
