//! The same arr with a SABnzbd as its download client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::request::Client;
use super::{ArrError, Dialect, Item, ItemStatus, error, form, import, numbers, request};

/// A failure that is only warned of: the disk is somebody else's matter.
const DISK_FULL: &str = "Unpacking failed, write error or disk is full?";

/// An arr with a SABnzbd.
#[derive(Debug)]
pub struct Sab {
    client: Client,
    dialect: Dialect,
    key: String,
    category: String,
}

impl Sab {
    /// An arr that was given a client at `client`, its key, and a category.
    pub fn new(client: SocketAddr, key: &str, category: &str, dialect: Dialect) -> Self {
        Self {
            client: Client::Tcp(client),
            dialect,
            key: key.to_owned(),
            category: category.to_owned(),
        }
    }

    /// The button "Test".
    ///
    /// # Errors
    /// What the arr would show.
    pub async fn test(&self) -> Result<(), ArrError> {
        let version = self.get("version", &[]).await?;
        let version = text(&version, "version")?;
        if numbers(version) < vec![0, 7] {
            return Err(error(format!("version {version} is not supported")));
        }
        let config = self.get("get_config", &[]).await?["config"].clone();
        let misc = &config["misc"];
        if misc["pre_check"] == true {
            return Err(error("disable 'Check before download' in SABnzbd"));
        }
        for sorting in [
            "enable_tv_sorting",
            "enable_movie_sorting",
            "enable_date_sorting",
        ] {
            if misc[sorting] == true {
                return Err(error(format!("disable {sorting} in SABnzbd")));
            }
        }
        if misc["history_retention_option"] != "all" {
            return Err(error("SABnzbd forgets its history"));
        }
        let complete = text(misc, "complete_dir")?;
        if !Path::new(complete).is_absolute() {
            let status = self.get("fullstatus", &[("skip_dashboard", "1")]).await?;
            text(&status["status"], "completedir")?;
        }
        let categories = config["categories"].as_array().cloned().unwrap_or_default();
        let own = categories.iter().find(|one| one["name"] == *self.category);
        let own = own.ok_or_else(|| error("category does not exist"))?;
        if text(own, "dir")?.ends_with('*') {
            return Err(error("enable job folders"));
        }
        self.poll().await.map(drop)
    }

    /// Looks at queue and history, as every minute.
    ///
    /// # Errors
    /// The client does not answer as it should.
    pub async fn poll(&self) -> Result<Vec<Item>, ArrError> {
        let category = ("category", self.category.as_str());
        let queue = self
            .get("queue", &[("start", "0"), ("limit", "0"), category])
            .await?;
        let paused = queue["queue"]["paused"] == true;
        let mut items = Vec::new();
        for slot in slots(&queue, "queue")? {
            items.push(queued(slot, paused)?);
        }
        let history = self
            .get("history", &[("start", "0"), ("limit", "60"), category])
            .await?;
        for slot in slots(&history, "history")? {
            items.push(settled(slot)?);
        }
        Ok(items)
    }

    /// Grabs an nzb; its id, or nothing when the client passed over it.
    ///
    /// # Errors
    /// The client failed.
    pub async fn grab(&self, nzb: &[u8]) -> Result<Option<String>, ArrError> {
        let mut body = b"--arr\r\nContent-Disposition: form-data; name=\"name\"; filename=\"release.nzb\"\r\nContent-Type: application/x-nzb\r\n\r\n".to_vec();
        body.extend_from_slice(nzb);
        body.extend_from_slice(b"\r\n--arr--\r\n");
        let body = Some(("multipart/form-data; boundary=arr", body));
        let fields = [("cat", self.category.as_str()), ("priority", "-100")];
        let said = self.call("addfile", &fields, body).await?;
        let ids = said["nzo_ids"].as_array();
        let ids = ids.ok_or_else(|| error(format!("no ids: {said}")))?;
        Ok(ids.first().and_then(Value::as_str).map(str::to_owned))
    }

    /// Imports what is completed.
    ///
    /// # Errors
    /// What blocks the import.
    pub fn import(&self, item: &Item, library: &Path) -> Result<Vec<PathBuf>, ArrError> {
        import::import(item, library, self.dialect.extensions())
    }

    /// Removes a download with its files.
    ///
    /// # Errors
    /// The client refuses.
    pub async fn remove(&self, item: &Item) -> Result<(), ArrError> {
        let list = match item.status {
            ItemStatus::Completed | ItemStatus::Failed => "history",
            _ => "queue",
        };
        let fields = [
            ("name", "delete"),
            ("del_files", "1"),
            ("value", item.download_id.as_str()),
            ("archive", "0"),
        ];
        self.get(list, &fields).await.map(drop)
    }

    async fn get(&self, mode: &str, fields: &[(&str, &str)]) -> Result<Value, ArrError> {
        self.call(mode, fields, None).await
    }

    async fn call(
        &self,
        mode: &str,
        fields: &[(&str, &str)],
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Value, ArrError> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut all = vec![("mode", mode), ("apikey", &*self.key), ("output", "json")];
        all.extend_from_slice(fields);
        let path = format!("/api?{}", form(&all));
        let answer = request::exchange(&self.client, method, &path, Vec::new(), body).await?;
        if !answer.status().is_success() {
            return Err(error(format!(
                "unable to connect to SABnzbd: {}",
                answer.status()
            )));
        }
        let said: Value =
            serde_json::from_slice(answer.body()).map_err(|why| error(format!("{mode}: {why}")))?;
        match said["status"] == false {
            true => Err(error(text(&said, "error")?)),
            false => Ok(said),
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, ArrError> {
    let found = value[key].as_str();
    found.ok_or_else(|| error(format!("{key} is missing: {value}")))
}

fn slots<'a>(said: &'a Value, list: &str) -> Result<&'a Vec<Value>, ArrError> {
    let found = said[list]["slots"].as_array();
    found.ok_or_else(|| error(format!("no slots: {said}")))
}

/// A number, or text that is one.
fn number(value: &Value, key: &str) -> Result<f64, ArrError> {
    let found = &value[key];
    let found = found.as_f64().or_else(|| found.as_str()?.parse().ok());
    found.ok_or_else(|| error(format!("{key} is no number: {value}")))
}

fn queued(slot: &Value, paused: bool) -> Result<Item, ArrError> {
    let left = text(slot, "timeleft")?;
    let is_time = (3..=4).contains(&left.split(':').count())
        && left.split(':').all(|part| part.parse::<u32>().is_ok());
    if !is_time {
        return Err(error(format!("{left:?} is no time")));
    }
    let mb = number(slot, "mb")?;
    Ok(Item {
        download_id: text(slot, "nzo_id")?.to_owned(),
        title: text(slot, "filename")?.to_owned(),
        status: match text(slot, "status")? {
            _ if paused => ItemStatus::Paused,
            "Paused" => ItemStatus::Paused,
            "Queued" | "Grabbing" | "Propagating" => ItemStatus::Queued,
            _ => ItemStatus::Downloading,
        },
        output_path: None,
        can_be_removed: true,
        progress: match mb > 0.0 {
            true => 1.0 - number(slot, "mbleft")? / mb,
            false => 0.0,
        },
    })
}

fn settled(slot: &Value) -> Result<Item, ArrError> {
    let (title, storage) = (text(slot, "name")?, Path::new(text(slot, "storage")?));
    let status = match text(slot, "status")? {
        "Completed" => ItemStatus::Completed,
        "Failed" if text(slot, "fail_message")? == DISK_FULL => ItemStatus::Warning,
        "Failed" => ItemStatus::Failed,
        _ => ItemStatus::Downloading,
    };
    // The directory above that is called as the release is, if there is one.
    let named = storage
        .ancestors()
        .filter(|path| path.ends_with(title))
        .last();
    let output = named.unwrap_or(storage);
    Ok(Item {
        download_id: text(slot, "nzo_id")?.to_owned(),
        title: title.to_owned(),
        status,
        output_path: (status == ItemStatus::Completed).then(|| output.to_owned()),
        can_be_removed: true,
        progress: 1.0,
    })
}
