//! What an account holds: descriptions of releases, from code or from a file.
//!
//! # The file format
//!
//! TOML (JSON works too when the name ends in `.json`), with these keys; all but `name` and `files` may be left out:
//!
//! ```toml
//! seed = 7                          # ids, hashes and dates that are not given are made of it
//!
//! [[releases]]
//! name = "Aurora.Station.2024.2160p"  # what the list calls it
//! original_name = "Aurora Station"    # name in the torrent; `name` if missing
//! hash = "0123456789abcdef0123456789abcdef01234567"
//! id = "ABCDEFGHIJKLM"                # the torrent's id, 13 letters or digits
//! added = "2026-01-02T03:04:05Z"
//! status = "downloaded"               # any of the vendor's words
//! service = "torrents"                # or "usenet", "webdl": TorBox and Premiumize have them
//! links = "one-each"                  # or "packed", { packed_badly = "compressed" }, { missing = 2 }, { late_ms = 60000 }
//! copies = 1                          # torrents of this hash in the account; 0: only known by its hash
//! cached = true                       # adding the hash again is ready at once
//! outcome = "downloaded"              # what becomes of it when it is added: also "magnet-error", "error", "virus", "dead", "infringing"
//! files = [
//!     { path = "/Aurora.Station.2024.mkv", bytes = 80000000000 },
//!     { path = "/Subs/English.srt", clip = "subtitles" },
//!     { path = "/Extras/holiday.mp4", local = "/home/me/holiday.mp4" },
//!     { path = "/Proof/proof.jpg", bytes = 1000, selected = false },
//! ]
//! ```

mod demo;
mod generated;
mod hostile;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use generated::Generated;

use crate::clip::Clip;
use crate::status::Status;
use crate::vendors::Kind;

/// Why a library description was not accepted.
#[derive(Debug)]
pub enum LibraryError {
    /// The file could not be read.
    Read(std::path::PathBuf, std::io::Error),
    /// Its text is not what the format asks for.
    Parse(String),
    /// A release contradicts itself or another one.
    Release {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl std::fmt::Display for LibraryError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(path, error) => write!(out, "cannot read {}: {error}", path.display()),
            Self::Parse(reason) => write!(out, "not a library description: {reason}"),
            Self::Release { name, reason } => write!(out, "release {name:?}: {reason}"),
        }
    }
}

impl std::error::Error for LibraryError {}

/// What an account holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibrarySpec {
    /// What is not given (hashes, ids, dates) is made of it, so that the same description is the same account.
    #[serde(default)]
    pub seed: u64,
    /// The releases, oldest first where no date is given.
    #[serde(default)]
    pub releases: Vec<ReleaseSpec>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSpec {
    /// `filename` of the API.
    pub name: String,
    /// `original_filename` of the API; `name` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_name: Option<String>,
    /// Info-hash, 40 hexadecimal digits; MD5 of link or NZB, 32, for what is no torrent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The torrent's id, 13 letters or digits, or a number where the vendor has those; only with one copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Timestamp>,
    /// Where its torrents stand.
    #[serde(default = "downloaded")]
    pub status: Status,
    /// What it came by. Only TorBox and Premiumize have more than torrents.
    #[serde(default)]
    pub service: Service,
    /// How links belong to files. TorBox has no links: each file is asked for by its number.
    #[serde(default)]
    pub links: LinkMode,
    /// Torrents of this hash in the account. With 0, it is only known by its hash: what a magnet with it leads to.
    #[serde(default = "one")]
    pub copies: u32,
    /// Whether the provider has it, so that a torrent added later is ready once its files are selected.
    #[serde(default = "yes")]
    pub cached: bool,
    /// What becomes of a torrent of this hash that is added later.
    #[serde(default)]
    pub outcome: Outcome,
    /// Its files in the provider's order; ids count from 1.
    pub files: Vec<FileSpec>,
}

/// One file: generated content of a given size, a clip, or a file of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// As the provider tells it, with a leading `/`; any text.
    pub path: String,
    /// Size of generated content; not with `clip` or `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// A real clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// A file of the machine the simulator runs on, to try real players on real films. It must not change while it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<PathBuf>,
    /// Whether it is selected in a torrent that is past the selection.
    #[serde(default = "yes")]
    pub selected: bool,
}

/// What a release came by.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// BitTorrent.
    #[default]
    Torrents,
    /// An NZB.
    Usenet,
    /// A link to a file hoster.
    Webdl,
}

/// How the links of a torrent belong to its selected files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkMode {
    /// One link a file, in the order of the files.
    #[default]
    OneEach,
    /// One link for all: a stored RAR archive.
    Packed,
    /// The same, but nothing in the archive can be read in place.
    #[serde(rename = "packed_badly")]
    PackedBadly(PackFlaw),
    /// So many links too few: the last files have none.
    Missing(u32),
    /// Links appear so many milliseconds after the torrent is `downloaded`.
    #[serde(rename = "late_ms")]
    LateMs(u32),
}

/// What the headers of a packed release say of its files; their bytes are as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackFlaw {
    /// They are compressed.
    Compressed,
    /// They are encrypted.
    Encrypted,
    /// The last is 1 GiB larger than the archive has room for.
    TooLarge,
}

impl LinkMode {
    /// Whether there is one link for all files, if they are several.
    pub(crate) fn is_packed(self) -> bool {
        matches!(self, Self::Packed | Self::PackedBadly(_))
    }
}

/// What becomes of a torrent that is added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is downloaded.
    #[default]
    Downloaded,
    /// The magnet cannot be resolved.
    MagnetError,
    /// The download fails.
    Error,
    /// It is taken for a virus.
    Virus,
    /// It has no seeders.
    Dead,
    /// The add is refused: 451, code 35.
    Infringing,
}

fn downloaded() -> Status {
    Status::Downloaded
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

impl ReleaseSpec {
    /// A downloaded release with one link a file.
    pub fn new(name: impl Into<String>, files: Vec<FileSpec>) -> Self {
        Self {
            name: name.into(),
            original_name: None,
            hash: None,
            id: None,
            added: None,
            status: Status::Downloaded,
            service: Service::Torrents,
            links: LinkMode::OneEach,
            copies: 1,
            cached: true,
            outcome: Outcome::Downloaded,
            files,
        }
    }
}

impl FileSpec {
    /// A file of generated content.
    pub fn generated(path: impl Into<String>, bytes: u64) -> Self {
        Self {
            path: path.into(),
            bytes: Some(bytes),
            clip: None,
            local: None,
            selected: true,
        }
    }

    /// A file that holds a clip.
    pub fn clip(path: impl Into<String>, clip: Clip) -> Self {
        Self {
            path: path.into(),
            bytes: None,
            clip: Some(clip),
            local: None,
            selected: true,
        }
    }

    /// Its size; 0 for a local file that is not there.
    pub fn size(&self) -> u64 {
        match (self.clip, &self.local) {
            (Some(clip), _) => clip.bytes().len() as u64,
            (None, Some(path)) => std::fs::metadata(path).map_or(0, |file| file.len()),
            (None, None) => self.bytes.unwrap_or(0),
        }
    }

    /// Whether it says in exactly one way what it holds.
    pub(crate) fn is_definite(&self) -> bool {
        let ways = [
            self.bytes.is_some(),
            self.clip.is_some(),
            self.local.is_some(),
        ];
        ways.into_iter().filter(|way| *way).count() == 1
    }
}

impl LibrarySpec {
    /// About a dozen made-up releases that show every shape: films, a season with sub-directories, subtitles, a packed release, one
    /// with missing links, clips that play.
    pub fn demo() -> Self {
        demo::library()
    }

    /// As an account of `kind` can hold it: Debrid-Link holds a hash only once.
    pub fn held_by(mut self, kind: Kind) -> Self {
        if kind == Kind::DebridLink {
            for release in &mut self.releases {
                release.copies = release.copies.min(1);
            }
        }
        self
    }

    /// Generated releases, as many and as large as wished.
    pub fn generated(options: &Generated) -> Self {
        generated::library(options)
    }

    /// Releases whose names are as bad as they come: `/`, `.`, `..`, empty, over 255 bytes, control characters, the same name in
    /// several torrents.
    pub fn hostile() -> Self {
        hostile::library()
    }

    /// The library that `text` names: `demo`, `hostile`, a number of generated releases, or a file of the format above.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn named(text: &str) -> Result<Self, LibraryError> {
        match text {
            "demo" => Ok(Self::demo()),
            "hostile" => Ok(Self::hostile()),
            _ => match text.parse() {
                Ok(releases) => Ok(Self::generated(&Generated {
                    releases,
                    ..Generated::default()
                })),
                Err(_) => Self::load(Path::new(text)),
            },
        }
    }

    /// Reads a file of the format above.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Self, LibraryError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| LibraryError::Read(path.to_owned(), error))?;
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            serde_json::from_str(&text).map_err(|error| LibraryError::Parse(error.to_string()))
        } else {
            Self::from_toml(&text)
        }
    }

    /// Reads the TOML form.
    ///
    /// # Errors
    /// `text` is something else.
    pub fn from_toml(text: &str) -> Result<Self, LibraryError> {
        toml::from_str(text).map_err(|error| LibraryError::Parse(error.to_string()))
    }
}
