//! `[acquire]`, `[qbittorrent]`, `[sabnzbd]` and `[arr.NAME]`: downloads for arrs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_acquire::qbittorrent::{ArrLogin, Credentials};
use debridfs_acquire::sabnzbd;
use debridfs_acquire::{AcquireConfig, Action, CategoryRule, DeletePolicy, FileFilter, Uncached};
use debridfs_base::{ByteSize, HumanDuration, Secret, list};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Unusable;

/// `[acquire]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcquireSection {
    /// The folder that arrs import from; nothing is acquired without one.
    pub downloads: Option<PathBuf>,
    /// The only account that is asked for new downloads: an `order` of one.
    pub provider: Option<String>,
    /// The accounts that are asked for new downloads, in this order; all of `library.order` when empty.
    #[serde(deserialize_with = "list::deserialize")]
    pub order: Vec<String>,
    /// What is done with what is ready.
    pub action: Action,
    /// What is done about what the provider does not have.
    pub uncached: Patience,
    /// What it means at the provider when an arr deletes a download with its files.
    pub delete: DeletePolicy,
    /// How long `delete = "trash"` waits.
    pub trash_time: HumanDuration,
    /// Extensions of wanted files; those of films, music, subtitles and books when empty.
    pub extensions: Vec<String>,
    /// Films smaller than this are not wanted.
    pub min_size: ByteSize,
    /// Files larger than this are not wanted; 0 = no limit.
    pub max_size: ByteSize,
    /// Whether samples are wanted.
    pub samples: bool,
    /// Bytes a second that downloads to the disk may take together; 0 = no limit.
    pub download_rate: ByteSize,
    /// Rules of categories.
    pub category: BTreeMap<String, CategorySection>,
}

impl Default for AcquireSection {
    fn default() -> Self {
        Self {
            downloads: None,
            provider: None,
            order: Vec::new(),
            action: Action::default(),
            uncached: Patience(Uncached::Wait),
            delete: DeletePolicy::default(),
            trash_time: HumanDuration::from_secs(7 * 24 * 3600),
            extensions: Vec::new(),
            min_size: ByteSize(0),
            max_size: ByteSize(0),
            samples: false,
            download_rate: ByteSize(0),
            category: BTreeMap::new(),
        }
    }
}

/// `[acquire.category.NAME]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CategorySection {
    /// Its folder; one of its name in `acquire.downloads` when absent.
    pub folder: Option<PathBuf>,
    /// In place of `acquire.action`.
    pub action: Option<Action>,
    /// In place of `acquire.order`.
    pub order: Option<Vec<String>>,
    /// In place of `acquire.uncached`.
    pub uncached: Option<Patience>,
    /// In place of `acquire.extensions`.
    pub extensions: Option<Vec<String>>,
    /// In place of `acquire.min_size`.
    pub min_size: Option<ByteSize>,
    /// In place of `acquire.max_size`.
    pub max_size: Option<ByteSize>,
    /// In place of `acquire.samples`.
    pub samples: Option<bool>,
}

impl AcquireSection {
    /// Whether anything becomes a `.strm`.
    pub(super) fn makes_strm(&self) -> bool {
        let actions = self
            .category
            .values()
            .filter_map(|category| category.action);
        actions
            .chain([self.action])
            .any(|action| action == Action::Strm)
    }

    /// Which files are wanted in a category: each key by itself is its own, or that of all.
    fn filter(&self, category: &CategorySection) -> FileFilter {
        let extensions = category.extensions.as_ref().unwrap_or(&self.extensions);
        let plain = |text: &String| text.trim_start_matches('.').to_ascii_lowercase();
        FileFilter {
            extensions: match extensions.is_empty() {
                true => FileFilter::default().extensions,
                false => extensions.iter().map(plain).collect(),
            },
            min_size: category.min_size.unwrap_or(self.min_size).0,
            max_size: category.max_size.unwrap_or(self.max_size).0,
            samples: category.samples.unwrap_or(self.samples),
        }
    }

    /// The folders that downloads are put in, none of them in another; none while there is no downloads folder.
    pub fn folders(&self) -> Vec<&Path> {
        let Some(downloads) = &self.downloads else {
            return Vec::new();
        };
        let of_categories = self.category.values();
        let of_categories = of_categories.filter_map(|category| category.folder.as_deref());
        let mut all: Vec<&Path> = of_categories.chain([downloads.as_path()]).collect();
        // A directory comes before what is in it.
        all.sort();
        all.dedup_by(|one, before| one.starts_with(*before));
        all
    }

    /// What the queue is made with; `None` while there is no downloads folder.
    pub fn queue(&self, state_dir: &Path) -> Option<AcquireConfig> {
        let downloads = self.downloads.clone()?;
        let mut config = AcquireConfig::new(state_dir.join("acquire.db"), downloads);
        config.order = match &self.provider {
            Some(only) => vec![only.clone()],
            None => self.order.clone(),
        };
        config.action = self.action;
        config.uncached = self.uncached.0;
        config.delete = self.delete;
        config.trash_time = self.trash_time.0;
        config.download_rate = self.download_rate.0;
        config.filter = self.filter(&CategorySection::default());
        let categories = self.category.iter();
        config.categories = categories
            .map(|(name, section)| {
                let rule = CategoryRule {
                    folder: section.folder.clone(),
                    action: section.action,
                    uncached: section.uncached.map(|patience| patience.0),
                    order: section.order.clone(),
                    filter: Some(self.filter(section)),
                };
                (name.clone(), rule)
            })
            .collect();
        Some(config)
    }
}

/// `"wait"`, `"refuse"`, or how long to wait, such as `"30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub Uncached);

impl<'de> Deserialize<'de> for Patience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "wait" => Ok(Self(Uncached::Wait)),
            "refuse" => Ok(Self(Uncached::Refuse)),
            other => match other.parse::<HumanDuration>() {
                Ok(limit) => Ok(Self(Uncached::UpTo(limit.0))),
                Err(_) => Err(de::Error::invalid_value(
                    de::Unexpected::Str(other),
                    &"\"wait\", \"refuse\" or a time such as \"30m\"",
                )),
            },
        }
    }
}

impl Serialize for Patience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Uncached::Wait => serializer.serialize_str("wait"),
            Uncached::Refuse => serializer.serialize_str("refuse"),
            Uncached::UpTo(limit) => serializer.collect_str(&HumanDuration(limit)),
        }
    }
}

/// `[qbittorrent]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QbittorrentSection {
    /// Where arrs find a qBittorrent.
    pub listen: SocketAddr,
    /// User name.
    pub user: String,
    /// Password; without one, a key or an arr, everybody on this machine may call, and nobody else.
    pub password: Option<Secret>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Key for `Authorization: Bearer`.
    pub api_key: Option<Secret>,
    /// File that holds the key.
    pub api_key_file: Option<PathBuf>,
    /// File of the certificate that TLS is served with, in PEM; plain HTTP when absent.
    pub tls_cert: Option<PathBuf>,
    /// File of its key.
    pub tls_key: Option<PathBuf>,
}

impl Default for QbittorrentSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8283)),
            user: "debridfs".into(),
            password: None,
            password_file: None,
            api_key: None,
            api_key_file: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

/// `[sabnzbd]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SabnzbdSection {
    /// Where arrs find a SABnzbd; nowhere when absent.
    pub listen: Option<SocketAddr>,
    /// API key; needed.
    pub api_key: Option<Secret>,
    /// File that holds the key.
    pub api_key_file: Option<PathBuf>,
    /// User name, for callers that know no key.
    pub user: String,
    /// Password that goes with it.
    pub password: Option<Secret>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// File of the certificate that TLS is served with, in PEM; plain HTTP when absent.
    pub tls_cert: Option<PathBuf>,
    /// File of its key.
    pub tls_key: Option<PathBuf>,
}

impl SabnzbdSection {
    /// Where to listen, and who may call; reads the files of secrets. `None` when it is not to be served.
    ///
    /// # Errors
    /// [`Unusable`]: the file that cannot be read, or that there is no key.
    pub fn front(&self) -> Result<Option<(SocketAddr, sabnzbd::Credentials)>, Unusable> {
        let Some(listen) = self.listen else {
            return Ok(None);
        };
        let key = secret(self.api_key.as_ref(), self.api_key_file.as_deref())?;
        let password = secret(self.password.as_ref(), self.password_file.as_deref())?;
        let credentials = sabnzbd::Credentials {
            key: key.ok_or("`sabnzbd.api_key` is missing")?,
            login: password.map(|password| (self.user.clone(), password)),
        };
        Ok(Some((listen, credentials)))
    }
}

/// `[arr.NAME]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArrSection {
    /// Its URL, with its URL base: as it names itself, and where it is called.
    pub url: String,
    /// Its API key.
    pub api_key: Option<Secret>,
    /// File that holds the key.
    pub api_key_file: Option<PathBuf>,
}

impl QbittorrentSection {
    /// Whether somebody has to log in.
    pub fn has_login(&self) -> bool {
        let own = [self.password.is_some(), self.password_file.is_some()];
        let keys = [self.api_key.is_some(), self.api_key_file.is_some()];
        own.into_iter().chain(keys).any(|set| set)
    }

    /// Reads the files of secrets.
    ///
    /// # Errors
    /// [`Unusable`]: the file that cannot be read.
    pub fn credentials(
        &self,
        arrs: &BTreeMap<String, ArrSection>,
    ) -> Result<Credentials, Unusable> {
        let arrs = arrs.values().map(|arr| {
            let key = secret(arr.api_key.as_ref(), arr.api_key_file.as_deref())?;
            Ok(key.map(|key| ArrLogin {
                url: arr.url.clone(),
                key,
            }))
        });
        Ok(Credentials {
            user: self.user.clone(),
            password: secret(self.password.as_ref(), self.password_file.as_deref())?,
            key: secret(self.api_key.as_ref(), self.api_key_file.as_deref())?,
            arrs: arrs
                .collect::<Result<Vec<_>, Unusable>>()?
                .into_iter()
                .flatten()
                .collect(),
        })
    }
}

/// What `file` holds, or else `given`. An empty one is no secret.
pub(super) fn secret(
    given: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, Unusable> {
    let Some(file) = file else {
        return match given {
            Some(secret) if secret.expose().is_empty() => Err("an empty password or key".into()),
            given => Ok(given.cloned()),
        };
    };
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match text.trim() {
        "" => Err(format!("{} is empty", file.display()).into()),
        text => Ok(Some(Secret::new(text))),
    }
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &super::Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let mut found = Vec::new();
    let acquire = &config.acquire;
    let folders = acquire.category.values();
    let folders = folders.filter_map(|category| category.folder.as_ref());
    for folder in folders.chain(&acquire.downloads) {
        if !folder.is_absolute() || folder.starts_with(&config.mount.path) {
            let message = format!("{} cannot hold downloads", folder.display());
            let help = "an absolute path outside the mount, the same in the arrs' containers";
            found.push((vec!["acquire", "downloads"], message, help));
        }
    }
    if let Some(name) = acquire.provider.as_deref()
        && !config.provider.contains_key(name)
    {
        let message = format!("there is no provider `{name}`");
        found.push((
            vec!["acquire", "provider"],
            message,
            "the NAME of a [provider.NAME]",
        ));
    }
    if acquire.provider.is_some() && !acquire.order.is_empty() {
        found.push((
            vec!["acquire", "provider"],
            "`acquire.provider` and `acquire.order` are both set".into(),
            "remove `provider`: `order` names the providers to ask, in this order",
        ));
    }
    if acquire.trash_time.0 == Duration::ZERO {
        let message = "`acquire.trash_time` cannot be 0".into();
        found.push((
            vec!["acquire", "trash_time"],
            message,
            "`delete = \"provider\"` deletes at once",
        ));
    }
    let qbittorrent = &config.qbittorrent;
    if !qbittorrent.listen.ip().is_loopback() && !qbittorrent.has_login() && config.arr.is_empty() {
        let message = format!(
            "`qbittorrent.listen` is {}, but no login is set",
            qbittorrent.listen
        );
        found.push((
            vec!["qbittorrent", "listen"],
            message,
            "set `qbittorrent.password_file`, `password` or `api_key`, list the arrs in [arr.NAME], or listen on 127.0.0.1",
        ));
    }
    let sabnzbd = &config.sabnzbd;
    if sabnzbd.listen.is_some() && sabnzbd.api_key.is_none() && sabnzbd.api_key_file.is_none() {
        found.push((
            vec!["sabnzbd", "listen"],
            "`sabnzbd` needs a key".into(),
            "set `sabnzbd.api_key_file` or `api_key`; every arr asks for one",
        ));
    }
    for (name, arr) in &config.arr {
        if arr.url.is_empty() || (arr.api_key.is_none() && arr.api_key_file.is_none()) {
            let message = format!("`arr.{name}` needs `url`, and `api_key` or `api_key_file`");
            found.push((
                vec!["arr", name],
                message,
                "both as the arr shows them under Settings, General",
            ));
        }
    }
    found
}

/// What is worth telling though it is no mistake: sections that mean nothing without `acquire.downloads`.
pub(super) fn note(config: &super::Config, is_written: impl Fn(&str) -> bool) -> Option<String> {
    if config.acquire.downloads.is_some() {
        return None;
    }
    let sections = ["acquire", "qbittorrent", "sabnzbd"];
    let written = sections.into_iter().filter(|section| is_written(section));
    let named: Vec<String> = written.map(|section| format!("[{section}]")).collect();
    (!named.is_empty()).then(|| {
        format!(
            "{} without effect: `acquire.downloads` is not set, so nothing is downloaded and nothing listens for arrs (docs/arrs.md)",
            named.join(", ")
        )
    })
}
