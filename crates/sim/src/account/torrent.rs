//! A torrent and its way from a magnet to links.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bencode::TorrentFile;
use crate::content::{self, Content};
use crate::library::{FileSpec, LinkMode, Outcome, ReleaseSpec, Service};
use crate::random::{Id13, hash_parts};
use crate::rar::Archive;
use crate::settings::Settings;
use crate::status::Status;
use crate::vendors::Kind;

/// What all torrents of one hash share.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) hash: String,
    pub(crate) name: String,
    pub(crate) original_name: String,
    pub(crate) files: Vec<FileSpec>,
    /// Whether the provider has it: given so, or downloaded since.
    cached: AtomicBool,
    pub(crate) outcome: Outcome,
    pub(crate) links: LinkMode,
    pub(crate) service: Service,
}

impl Release {
    /// A release that nobody described: made of its hash.
    pub(crate) fn made_up(hash: &str, name: &str, service: Service, cached: bool) -> Self {
        let size = 1_000_000_000 + hash_parts(&[hash.as_bytes()]) % 4_000_000_000;
        let file = FileSpec::generated(format!("/{name}.mkv"), size);
        let mut spec = ReleaseSpec::new(name, vec![file]);
        (spec.cached, spec.service) = (cached, service);
        Self::new(hash.to_owned(), &spec)
    }

    /// What a `.torrent` file describes.
    pub(crate) fn of_torrent(file: TorrentFile, cached: bool) -> Self {
        let files = file.files.into_iter();
        let files = files.map(|(path, bytes)| FileSpec::generated(path, bytes));
        let mut spec = ReleaseSpec::new(file.name, files.collect());
        spec.cached = cached;
        Self::new(file.hash, &spec)
    }

    pub(crate) fn new(hash: String, spec: &ReleaseSpec) -> Self {
        Self {
            hash,
            name: spec.name.clone(),
            original_name: spec
                .original_name
                .clone()
                .unwrap_or_else(|| spec.name.clone()),
            files: spec.files.clone(),
            cached: spec.cached.into(),
            outcome: spec.outcome,
            links: spec.links,
            service: spec.service,
        }
    }

    pub(crate) fn is_cached(&self) -> bool {
        self.cached.load(Ordering::Relaxed)
    }

    /// Indexes of the files that the description calls selected.
    pub(crate) fn selected_by_default(&self) -> Vec<u32> {
        (0u32..)
            .zip(&self.files)
            .filter(|(_, file)| file.selected)
            .map(|(index, _)| index)
            .collect()
    }

    pub(crate) fn content(&self, file: &FileSpec) -> Content {
        match (file.clip, &file.local) {
            (Some(clip), _) => Content::Clip(clip),
            (None, Some(path)) => Content::Local {
                path: path.as_path().into(),
                size: file.size(),
            },
            (None, None) => Content::Generated {
                key: content::key(&self.hash, &file.path),
                size: file.size(),
            },
        }
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.files
            .iter()
            .map(FileSpec::size)
            .fold(0, u64::saturating_add)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Torrent {
    pub(crate) id: Id13,
    /// Counts up with every add.
    pub(crate) number: u64,
    /// The number by which a vendor knows it that does not use `id`: unique within its service.
    pub(crate) remote: u64,
    /// Whether only its magnet is known yet, so that a magnet conversion comes first.
    pub(crate) bare: bool,
    /// Whether the provider downloaded it for this account.
    pub(crate) fetched: bool,
    /// Since when it is paused.
    pub(crate) paused_ms: Option<i64>,
    pub(crate) name: String,
    pub(crate) added_ms: i64,
    pub(crate) ended_ms: Option<i64>,
    pub(crate) status: Status,
    /// When it came to be in this state.
    pub(crate) since_ms: i64,
    pub(crate) release: Arc<Release>,
    /// Indexes into the release's files, ascending.
    pub(crate) selected: Vec<u32>,
    /// When somebody else's change of the link mode says otherwise than the release.
    pub(crate) links: LinkMode,
}

impl Torrent {
    pub(crate) fn new(release: Arc<Release>, added_ms: i64) -> Self {
        Self {
            id: Id13::from_number(0),
            number: 0,
            remote: 0,
            bare: false,
            fetched: false,
            paused_ms: None,
            name: release.name.clone(),
            added_ms,
            ended_ms: None,
            status: Status::MagnetConversion,
            since_ms: added_ms,
            links: release.links,
            release,
            selected: Vec::new(),
        }
    }

    /// Where a download begins that finds a slot: with its magnet, or with its files.
    pub(crate) fn first_status(&self) -> Status {
        match self.bare {
            true => Status::MagnetConversion,
            false => Status::Downloading,
        }
    }

    pub(crate) fn enter(&mut self, status: Status, at_ms: i64) {
        self.status = status;
        self.since_ms = at_ms;
    }

    pub(crate) fn select(&mut self, mut files: Vec<u32>) {
        files.sort_unstable();
        files.dedup();
        self.selected = files;
    }

    /// When time alone changes the state next. `slot`: since when there is room for another download, if there is.
    pub(crate) fn due_ms(&self, settings: &Settings, slot: Option<i64>) -> Option<i64> {
        let after = |ms: u32| Some(self.since_ms + i64::from(ms));
        if self.paused_ms.is_some() {
            return None;
        }
        match self.status {
            Status::MagnetConversion => after(settings.magnet_conversion_ms),
            Status::Queued => Some((self.since_ms + i64::from(settings.queued_ms)).max(slot?)),
            Status::Downloading => after(
                settings
                    .downloading_ms
                    .saturating_add(settings.before_download_ms()),
            ),
            Status::Compressing => after(settings.compressing_ms),
            Status::Uploading => after(settings.uploading_ms),
            _ => None,
        }
    }

    /// Goes on to the next state at its time.
    pub(crate) fn step(&mut self, at_ms: i64, settings: &Settings, kind: Kind) {
        let next = match (self.status, self.release.outcome) {
            (Status::MagnetConversion, Outcome::MagnetError) => Status::MagnetError,
            (Status::MagnetConversion, _) if kind != Kind::RealDebrid => Status::Downloading,
            (Status::MagnetConversion, _) => Status::WaitingFilesSelection,
            (Status::Queued, _) => self.first_status(),
            (Status::Downloading, Outcome::Error) => Status::Error,
            (Status::Downloading, Outcome::Dead) => Status::Dead,
            (Status::Downloading, Outcome::Virus) => Status::Virus,
            (Status::Downloading, _) if settings.compressing_ms > 0 => Status::Compressing,
            (Status::Downloading | Status::Compressing, _) if settings.uploading_ms > 0 => {
                Status::Uploading
            }
            (Status::Downloading | Status::Compressing | Status::Uploading, _) => {
                Status::Downloaded
            }
            (other, _) => other,
        };
        if self.status == Status::MagnetConversion {
            self.name.clone_from(&self.release.name);
            self.bare = false;
        }
        self.enter(next, at_ms);
        if next == Status::Downloaded {
            self.ended_ms = Some(at_ms);
            self.fetched = true;
            self.release.cached.store(true, Ordering::Relaxed);
        }
    }

    /// Percent.
    pub(crate) fn progress(&self, now_ms: i64, settings: &Settings) -> u64 {
        match self.status {
            Status::Downloading => {
                let until = self.paused_ms.unwrap_or(now_ms);
                let checked_ms = self.since_ms + i64::from(settings.before_download_ms());
                let passed = (until - checked_ms).max(0) as u64;
                (passed * 100 / u64::from(settings.downloading_ms).max(1)).min(99)
            }
            Status::Compressing | Status::Uploading | Status::Downloaded | Status::Virus => 100,
            Status::Error | Status::Dead => 37,
            _ => 0,
        }
    }

    pub(crate) fn selected_bytes(&self) -> u64 {
        self.selected_files()
            .map(FileSpec::size)
            .fold(0, u64::saturating_add)
    }

    pub(crate) fn selected_files(&self) -> impl Iterator<Item = &FileSpec> {
        self.selected
            .iter()
            .filter_map(|index| self.release.files.get(*index as usize))
    }

    fn link_count(&self) -> u32 {
        let selected = self.selected.len() as u32;
        match self.links {
            LinkMode::Packed | LinkMode::PackedBadly(_) => selected.min(1),
            LinkMode::Missing(missing) => selected.saturating_sub(missing),
            LinkMode::OneEach | LinkMode::LateMs(_) => selected,
        }
    }

    /// The links it has or, when they come late, will have.
    pub(crate) fn all_links(&self) -> impl Iterator<Item = Id13> + use<> {
        let count = if self.status == Status::Downloaded {
            self.link_count()
        } else {
            0
        };
        let id = self.id;
        (0..count).map(move |position| {
            Id13::from_number(hash_parts(&[
                b"link",
                id.as_str().as_bytes(),
                &position.to_le_bytes(),
            ]))
        })
    }

    /// The links that show at `now_ms`.
    pub(crate) fn links_at(&self, now_ms: i64) -> Vec<Id13> {
        match self.links {
            LinkMode::LateMs(ms) if now_ms < self.since_ms + i64::from(ms) => Vec::new(),
            _ => self.all_links().collect(),
        }
    }

    /// What the link at `position` leads to: the name of the file, its path, its content.
    pub(crate) fn linked(&self, position: u32) -> Option<(String, String, Content)> {
        if self.links.is_packed() && self.selected.len() > 1 {
            let files = self
                .selected_files()
                .map(|file| (file.path.as_str(), self.release.content(file)));
            let name = format!("{}.rar", self.name);
            let flaw = match self.links {
                LinkMode::PackedBadly(flaw) => Some(flaw),
                _ => None,
            };
            let content = Content::Packed(Arc::new(Archive::new(files, flaw)));
            return Some((name.clone(), format!("/{name}"), content));
        }
        let file = self.selected_files().nth(position as usize)?;
        let name = file
            .path
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or("file");
        Some((
            name.to_owned(),
            file.path.clone(),
            self.release.content(file),
        ))
    }
}
