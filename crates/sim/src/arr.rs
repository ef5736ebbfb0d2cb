//! A stand-in of Sonarr and Radarr as callers of a qBittorrent: what they call, in their order, and what they make of the answers.
//!
//! Written from their documented behaviour: login only after a 403, once, and then one retry; three calls a poll; an import only of
//! what is complete and does not lie in the folder itself; symlinks cloned as links; removal only when a seeding limit is reached.
//! What differs between them is a [`Dialect`]; [`Sab`] is the same with a SABnzbd, and [`Grabs`] what an arr does about failures.

mod dialect;
mod grabs;
mod import;
mod request;
mod sab;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{StatusCode, header};
use parking_lot::Mutex;
use serde_json::Value;

use self::request::Client;

pub use self::dialect::Dialect;
pub use self::grabs::{Grab, Grabs};
pub use self::sab::Sab;

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
    /// It failed: what was grabbed is blocklisted, and another release is looked for.
    Failed,
}

/// An arr with a qBittorrent as its download client.
#[derive(Debug)]
pub struct Arr {
    client: Client,
    dialect: Dialect,
    /// Shown with every call, in place of a login.
    key: Option<String>,
    tags: Vec<String>,
    user: String,
    password: String,
    category: String,
    cookie: Mutex<Option<String>>,
}

impl Arr {
    /// A Sonarr v4 that was given a client at `client` and a category.
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
            dialect: Dialect::SonarrV4,
            key: None,
            tags: Vec::new(),
            user: user.to_owned(),
            password: password.to_owned(),
            category: category.to_owned(),
            cookie: Mutex::default(),
        }
    }

    /// The same, but another arr.
    pub fn speaking(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// With a key in place of user and password.
    ///
    /// # Panics
    /// If the arr has no field for one.
    pub fn with_key(mut self, key: &str) -> Self {
        assert!(
            self.dialect.knows_keys(),
            "{:?} has no field for a key",
            self.dialect
        );
        self.key = Some(key.to_owned());
        self
    }

    /// With tags on what it grabs.
    ///
    /// # Panics
    /// If the arr hands none on.
    pub fn with_tags(mut self, tags: &[&str]) -> Self {
        assert!(
            self.dialect.hands_tags_on(),
            "{:?} hands no tags on",
            self.dialect
        );
        self.tags = tags.iter().map(ToString::to_string).collect();
        self
    }

    /// The button "Test".
    ///
    /// # Errors
    /// What the arr would show.
    pub async fn test(&self) -> Result<(), ArrError> {
        // Without a key or a session: 403 tells that there is such an API.
        let probe = self
            .exchange("GET", "app/webapiVersion", Vec::new(), None)
            .await?
            .status();
        if probe == StatusCode::NOT_FOUND || probe == StatusCode::UNAUTHORIZED {
            return Err(error(format!("the API version cannot be told: {probe}")));
        }
        let version = self.get("app/webapiVersion").await?;
        if numbers(&version) < vec![2, 0] {
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
            (self.word_for_stopped().await?, "false"),
        ];
        match self.post("torrents/add", &form).await?.as_str() {
            "Fails." => Err(error("couldn't add release")),
            _ => self.tag(hash_of(magnet)).await,
        }
    }

    /// `stopped` from API 2.11.0 on, `paused` before.
    async fn word_for_stopped(&self) -> Result<&'static str, ArrError> {
        let version = self.get("app/webapiVersion").await?;
        let numbers = numbers(&version);
        Ok(if numbers < vec![2, 11] {
            "paused"
        } else {
            "stopped"
        })
    }

    /// Hands the series' tags on, as newer ones do after an add.
    async fn tag(&self, hash: Option<&str>) -> Result<(), ArrError> {
        let (Some(hash), false) = (hash, self.tags.is_empty()) else {
            return Ok(());
        };
        let form = [("hashes", hash), ("tags", &*self.tags.join(","))];
        self.post("torrents/addTags", &form).await.map(drop)
    }

    /// Grabs a `.torrent`.
    ///
    /// # Errors
    /// "Couldn't add release".
    pub async fn grab_file(&self, file: &[u8]) -> Result<(), ArrError> {
        let mut body = Vec::new();
        let stopped = self.word_for_stopped().await?;
        for (name, value) in [("category", self.category.as_str()), (stopped, "false")] {
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

    /// Imports what is completed below `library`: what the function `import` does, with the extensions of this arr. Gives what was made there.
    ///
    /// # Errors
    /// What blocks the import.
    pub fn import(&self, item: &Item, library: &Path) -> Result<Vec<PathBuf>, ArrError> {
        import::import(item, library, self.dialect.extensions())
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
        if let Some(key) = &self.key {
            let shown = vec![(header::AUTHORIZATION, format!("Bearer {key}"))];
            let answer = self.exchange(method, call, shown, body).await?;
            let text = String::from_utf8_lossy(answer.body()).into_owned();
            return match answer.status() {
                status if status.is_success() => Ok(text),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    Err(error("failed to authenticate"))
                }
                status => Err(error(format!("{call}: {status}: {text}"))),
            };
        }
        for attempt in 0..2 {
            let cookie = self.cookie.lock().clone();
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
                Vec::new(),
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
        *self.cookie.lock() = cookie;
        Ok(())
    }

    async fn send(
        &self,
        method: &str,
        call: &str,
        cookie: Option<String>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(StatusCode, String), ArrError> {
        let cookie = cookie.map(|cookie| (header::COOKIE, cookie));
        let answer = self
            .exchange(method, call, cookie.into_iter().collect(), body)
            .await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        Ok((answer.status(), text))
    }

    async fn exchange(
        &self,
        method: &str,
        call: &str,
        headers: Vec<(header::HeaderName, String)>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<http::Response<Bytes>, ArrError> {
        let path = format!("/api/v2/{call}");
        request::exchange(&self.client, method, &path, headers, body).await
    }
}

/// The parts of a version.
fn numbers(version: &str) -> Vec<u32> {
    let parts = version.trim().split('.');
    parts.map_while(|part| part.parse().ok()).collect()
}

/// The info-hash in a magnet.
fn hash_of(magnet: &str) -> Option<&str> {
    let (_, rest) = magnet.split_once("urn:btih:")?;
    rest.split('&').next()
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
