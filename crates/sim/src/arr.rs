//! A stand-in of Sonarr and Radarr as callers of a qBittorrent: what they call, in their order, and what they make of the answers.
//!
//! Written from their documented behaviour: login only after a 403, once, and then one retry; three calls a poll; an import only of
//! what is complete and does not lie in the folder itself; symlinks cloned as links; removal only when a seeding limit is reached.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tower::ServiceExt;

/// Read from each file before it is imported, as a look for a sample does at least.
const HEAD: usize = 64 << 10;
/// Extensions that are imported.
const VIDEO: [&str; 4] = ["mkv", "mp4", "avi", "ts"];

/// Why something did not work, in the arr's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrError(pub String);

impl std::fmt::Display for ArrError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ArrError {}

fn error(words: impl Into<String>) -> ArrError {
    ArrError(words.into())
}

/// A download as the arr's queue shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The arr's id of it: the info-hash in upper case.
    pub download_id: String,
    /// Its title.
    pub title: String,
    /// What the arr makes of its state.
    pub status: ItemStatus,
    /// Where it lies; only of a completed one that can be imported.
    pub output_path: Option<PathBuf>,
    /// Whether the arr may remove it after the import.
    pub can_be_removed: bool,
    /// Share that is done, 0 to 1.
    pub progress: f64,
}

/// What an arr makes of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemStatus {
    /// Not begun.
    Queued,
    /// Stopped before it was done.
    Paused,
    /// On its way.
    Downloading,
    /// Done.
    Completed,
    /// Something is wrong; nothing is done about it.
    Warning,
}

/// Where the download client is.
#[derive(Debug)]
enum Client {
    Tcp(SocketAddr),
    InProcess(axum::Router),
}

/// An arr with one download client.
#[derive(Debug)]
pub struct Arr {
    client: Client,
    user: String,
    password: String,
    category: String,
    cookie: Mutex<Option<String>>,
}

impl Arr {
    /// An arr that was given a client at `client` and a category.
    pub fn new(client: SocketAddr, user: &str, password: &str, category: &str) -> Self {
        Self::with(Client::Tcp(client), user, password, category)
    }

    /// As [`Self::new`], with a client in the same process, for tests that pause the time.
    pub fn in_process(client: axum::Router, user: &str, password: &str, category: &str) -> Self {
        Self::with(Client::InProcess(client), user, password, category)
    }

    fn with(client: Client, user: &str, password: &str, category: &str) -> Self {
        Self {
            client,
            user: user.to_owned(),
            password: password.to_owned(),
            category: category.to_owned(),
            cookie: Mutex::default(),
        }
    }

    /// The button "Test".
    ///
    /// # Errors
    /// What the arr would show.
    pub async fn test(&self) -> Result<(), ArrError> {
        let (probe, _) = self.send("GET", "app/webapiVersion", None, None).await?;
        if probe == StatusCode::NOT_FOUND || probe == StatusCode::UNAUTHORIZED {
            return Err(error(format!("the API version cannot be told: {probe}")));
        }
        let version = self.get("app/webapiVersion").await?;
        let numbers: Vec<u32> = version
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        if numbers < vec![2, 0] {
            return Err(error(format!("unsupported version {version}")));
        }
        let preferences = self.json("app/preferences").await?;
        let limited = preferences["max_ratio_enabled"] == true
            || preferences["max_seeding_time_enabled"] == true;
        if limited && matches!(preferences["max_ratio_act"].as_i64(), Some(1 | 3)) {
            return Err(error("qBittorrent is configured to remove torrents"));
        }
        if self.json("torrents/categories").await?[&self.category].is_null() {
            self.post("torrents/createCategory", &[("category", &self.category)])
                .await?;
            if self.json("torrents/categories").await?[&self.category].is_null() {
                return Err(error("the category does not show up"));
            }
        }
        self.poll().await.map(drop)
    }

    /// Grabs a magnet.
    ///
    /// # Errors
    /// "Couldn't add release".
    pub async fn grab_magnet(&self, magnet: &str) -> Result<(), ArrError> {
        let preferences = self.json("app/preferences").await?;
        if preferences["dht"] != true && !magnet.contains("&tr=") {
            return Err(error("a magnet without trackers, and DHT is off"));
        }
        let form = [
            ("urls", magnet),
            ("category", self.category.as_str()),
            ("stopped", "false"),
        ];
        match self.post("torrents/add", &form).await?.as_str() {
            "Fails." => Err(error("couldn't add release")),
            _ => Ok(()),
        }
    }

    /// Grabs a `.torrent`.
    ///
    /// # Errors
    /// "Couldn't add release".
    pub async fn grab_file(&self, file: &[u8]) -> Result<(), ArrError> {
        let mut body = Vec::new();
        for (name, value) in [("category", self.category.as_str()), ("stopped", "false")] {
            let part = format!(
                "--arr\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(b"--arr\r\nContent-Disposition: form-data; name=\"torrents\"; filename=\"release.torrent\"\r\nContent-Type: application/x-bittorrent\r\n\r\n");
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--arr--\r\n");
        let kind = "multipart/form-data; boundary=arr";
        match self
            .call("torrents/add", Some((kind, body)))
            .await?
            .as_str()
        {
            "Fails." => Err(error("couldn't add release")),
            _ => Ok(()),
        }
    }

    /// Looks at the queue, as every minute.
    ///
    /// # Errors
    /// The client does not answer as it should.
    pub async fn poll(&self) -> Result<Vec<Item>, ArrError> {
        self.get("app/webapiVersion").await?;
        let preferences = self.json("app/preferences").await?;
        let category = form(&[("category", &self.category)]);
        let torrents = self.json(&format!("torrents/info?{category}")).await?;
        let torrents = torrents.as_array().ok_or_else(|| error("no list"))?;
        torrents
            .iter()
            .map(|torrent| item(torrent, &preferences))
            .collect()
    }

    /// Imports what is completed: reads the head of each film through its link, and clones the link below `library`. Gives the
    /// clones.
    ///
    /// # Errors
    /// What blocks the import.
    pub fn import(&self, item: &Item, library: &Path) -> Result<Vec<PathBuf>, ArrError> {
        let output = item
            .output_path
            .as_deref()
            .filter(|path| path.is_absolute())
            .ok_or_else(|| error(format!("nothing to import: {item:?}")))?;
        let mut found = Vec::new();
        films(output, &mut found).map_err(|why| error(format!("{}: {why}", output.display())))?;
        if found.is_empty() {
            return Err(error("no files found are eligible for import"));
        }
        let mut imported = Vec::new();
        for film in found {
            let clone = import_one(&film, library)
                .map_err(|why| error(format!("{}: {why}", film.display())))?;
            imported.push(clone);
        }
        Ok(imported)
    }

    /// Removes what was imported.
    ///
    /// # Errors
    /// It may not be removed, or the client refuses.
    pub async fn remove(&self, item: &Item) -> Result<(), ArrError> {
        if !item.can_be_removed {
            return Err(error("no seeding limit is reached"));
        }
        self.delete(&item.download_id).await
    }

    /// Takes a download from the client, with its files.
    pub(crate) async fn delete(&self, download_id: &str) -> Result<(), ArrError> {
        let hash = download_id.to_lowercase();
        let form = [("hashes", hash.as_str()), ("deleteFiles", "true")];
        self.post("torrents/delete", &form).await.map(drop)
    }

    async fn json(&self, call: &str) -> Result<Value, ArrError> {
        let text = self.get(call).await?;
        serde_json::from_str(&text).map_err(|why| error(format!("{call}: {why}")))
    }

    async fn get(&self, call: &str) -> Result<String, ArrError> {
        self.call(call, None).await
    }

    async fn post(&self, call: &str, fields: &[(&str, &str)]) -> Result<String, ArrError> {
        let kind = "application/x-www-form-urlencoded";
        self.call(call, Some((kind, form(fields).into_bytes())))
            .await
    }

    /// One call; after a 403 one login and one retry.
    async fn call(
        &self,
        call: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<String, ArrError> {
        let method = if body.is_some() { "POST" } else { "GET" };
        for attempt in 0..2 {
            let cookie = self
                .cookie
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let (status, text) = self.send(method, call, cookie, body.clone()).await?;
            if status == StatusCode::FORBIDDEN && attempt == 0 {
                self.login().await?;
                continue;
            }
            return match status.is_success() {
                true => Ok(text),
                false => Err(error(format!("{call}: {status}: {text}"))),
            };
        }
        Err(error(format!("{call}: 403 after a login")))
    }

    async fn login(&self) -> Result<(), ArrError> {
        let fields = form(&[("username", &self.user), ("password", &self.password)]);
        let kind = "application/x-www-form-urlencoded";
        let answer = self
            .exchange(
                "POST",
                "auth/login",
                None,
                Some((kind, fields.into_bytes())),
            )
            .await?;
        let cookie = answer
            .headers()
            .get(header::SET_COOKIE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(str::to_owned);
        let (head, body) = answer.into_parts();
        if !head.status.is_success() || !(body.is_empty() || body == "Ok.") {
            return Err(error("failed to authenticate"));
        }
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = cookie;
        Ok(())
    }

    async fn send(
        &self,
        method: &str,
        call: &str,
        cookie: Option<String>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(StatusCode, String), ArrError> {
        let answer = self.exchange(method, call, cookie, body).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        Ok((answer.status(), text))
    }

    async fn exchange(
        &self,
        method: &str,
        call: &str,
        cookie: Option<String>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<http::Response<Bytes>, ArrError> {
        let failed = |why: &dyn std::fmt::Display| error(format!("{call}: {why}"));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v2/{call}"))
            .header(header::HOST, self.host());
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let body = match body {
            Some((kind, body)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Bytes::from(body)
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body)).map_err(|why| failed(&why))?;
        match &self.client {
            Client::Tcp(address) => over_tcp(*address, request).await,
            Client::InProcess(router) => {
                let request = request.map(axum::body::Body::new);
                let answer = router.clone().oneshot(request).await;
                let answer = answer.unwrap_or_else(|never| match never {});
                whole(answer).await
            }
        }
        .map_err(|why| failed(&why))
    }

    /// As whom it calls the client.
    fn host(&self) -> String {
        match &self.client {
            Client::Tcp(address) => address.to_string(),
            Client::InProcess(_) => "127.0.0.1".to_owned(),
        }
    }
}

async fn over_tcp(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<http::Response<Bytes>, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|why| why.to_string())?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|why| why.to_string())?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let whole = whole(answer.map_err(|why| why.to_string())?).await;
    driver.abort();
    whole
}

async fn whole<B>(answer: http::Response<B>) -> Result<http::Response<Bytes>, String>
where
    B: hyper::body::Body,
    B::Error: std::fmt::Display,
{
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|why| why.to_string())?;
    Ok(http::Response::from_parts(head, body.to_bytes()))
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn item(torrent: &Value, preferences: &Value) -> Result<Item, ArrError> {
    let text = |key: &str| {
        let value = torrent[key].as_str();
        value.ok_or_else(|| error(format!("{key} is missing: {torrent}")))
    };
    let number = |key: &str| {
        let value = torrent[key].as_f64();
        value.ok_or_else(|| error(format!("{key} is missing: {torrent}")))
    };
    let dht = preferences["dht"] == true;
    let (content, folder) = (text("content_path")?, text("save_path")?);
    let state = text("state")?;
    let mut status = match state {
        "stoppedDL" | "pausedDL" => ItemStatus::Paused,
        "queuedDL" | "checkingDL" | "checkingUP" | "checkingResumeData" => ItemStatus::Queued,
        "metaDL" | "forcedMetaDL" if dht => ItemStatus::Queued,
        "error" | "metaDL" | "forcedMetaDL" | "stalledDL" | "missingFiles" => ItemStatus::Warning,
        "pausedUP" | "stoppedUP" | "uploading" | "stalledUP" | "queuedUP" | "forcedUP" => {
            ItemStatus::Completed
        }
        _ => ItemStatus::Downloading,
    };
    if status == ItemStatus::Completed && content == folder {
        status = ItemStatus::Warning;
    }
    let ratio = number("ratio")?;
    let reached = match number("ratio_limit")? {
        limit if limit >= 0.0 => ratio >= limit - 0.001,
        limit if limit == -2.0 && preferences["max_ratio_enabled"] == true => {
            ratio >= preferences["max_ratio"].as_f64().unwrap_or(f64::MAX) - 0.001
        }
        _ => false,
    };
    Ok(Item {
        download_id: text("hash")?.to_uppercase(),
        title: text("name")?.to_owned(),
        status,
        output_path: (status == ItemStatus::Completed).then(|| content.into()),
        can_be_removed: matches!(state, "pausedUP" | "stoppedUP") && reached,
        progress: number("progress")?,
    })
}

fn films(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let is_film = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| VIDEO.contains(&extension));
        // Through the link, as the arr stats it.
        let there = std::fs::metadata(&path)?;
        if there.is_dir() {
            films(&path, found)?;
        } else if is_film && there.len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

fn import_one(film: &Path, library: &Path) -> std::io::Result<PathBuf> {
    let mut head = vec![0; HEAD];
    let read = std::fs::File::open(film)?.read(&mut head)?;
    if read == 0 {
        return Err(std::io::Error::other(
            "unable to determine if file is a sample",
        ));
    }
    let target = std::fs::read_link(film)?;
    if !target.is_absolute() {
        return Err(std::io::Error::other(
            "a relative link breaks when it is moved",
        ));
    }
    std::fs::create_dir_all(library)?;
    let clone = library.join(film.file_name().unwrap_or_default());
    std::os::unix::fs::symlink(target, &clone)?;
    Ok(clone)
}
