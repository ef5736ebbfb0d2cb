//! A provider that does what a test tells it, on the tests' own clock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use debridfs_base::{TokioClock, WallClock};
use debridfs_provider::{
    Account, CdnAccess, ContentId, DirectLink, Error, HosterLink, InfoHash, Priority, Provider,
    ProviderHealth, Result, TorrentFile, TorrentId, TorrentInfo, TorrentPage, TorrentStatus,
    TorrentSummary, Verdict,
};
use jiff::Timestamp;
use tokio::time::Instant;

/// When the tests' time begins.
pub const START: i64 = 1_800_000_000;

/// Wall time that goes with tokio's.
pub fn clock() -> Arc<dyn WallClock> {
    Arc::new(TokioClock::starting_at(
        Timestamp::from_second(START).unwrap(),
    ))
}

/// How lists go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Half the lines, and the right count.
    Cut,
    /// Half the lines, and a count that fits them.
    Half,
    /// 204.
    Empty,
    /// The second line cannot be read.
    Unreadable,
    /// The count changes from page to page.
    TotalMoves,
    /// Every page is the first one.
    SamePage,
    /// No count.
    NoCount,
    /// An error with that verdict, also for info calls.
    Fails(Verdict),
}

#[derive(Debug, Default)]
pub struct Inside {
    /// Newest first.
    pub torrents: Vec<TorrentInfo>,
    pub fault: Option<Fault>,
    /// Lists since the start.
    pub lists: u32,
    /// Info calls since the start.
    pub infos: Vec<(TorrentId, Priority)>,
    /// Answers of info calls that fail, by torrent: how often.
    pub broken_infos: HashMap<TorrentId, (u32, Verdict)>,
    /// Links told for a torrent by the info call, in place of all.
    pub few_links: HashMap<TorrentId, usize>,
    /// The next list meets a defect of the program.
    pub panics: bool,
    /// Lists carry files, and tell no total before they end.
    pub whole_lines: bool,
    /// Largest page given.
    pub page: usize,
    /// When calls of the last minute were made.
    window: VecDeque<Instant>,
    /// Most calls seen in any minute.
    pub busiest: usize,
}

/// The provider.
pub struct Fake {
    name: String,
    pub per_minute: usize,
    pub latency: Duration,
    inside: Mutex<Inside>,
}

impl Fake {
    pub fn new() -> Arc<Self> {
        Self::named("rd")
    }

    pub fn named(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            per_minute: 250,
            latency: Duration::from_millis(80),
            inside: Mutex::new(Inside {
                page: 5000,
                ..Inside::default()
            }),
        })
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    /// Holds torrents 0 to `count`, the last the newest.
    pub fn with(count: u32) -> Arc<Self> {
        let fake = Self::new();
        for number in 0..count {
            fake.add(torrent(number, 2));
        }
        fake
    }

    pub fn add(&self, torrent: TorrentInfo) {
        self.inside().torrents.insert(0, torrent);
    }

    pub fn remove(&self, number: u32) {
        self.inside()
            .torrents
            .retain(|torrent| torrent.summary.id != id(number));
    }

    /// Waits for its turn as a scheduler does, and takes its time.
    async fn turn(&self) {
        loop {
            let wait = {
                let mut inside = self.inside();
                let now = Instant::now();
                while inside
                    .window
                    .front()
                    .is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(60))
                {
                    inside.window.pop_front();
                }
                if inside.window.len() < self.per_minute {
                    inside.window.push_back(now);
                    inside.busiest = inside.busiest.max(inside.window.len());
                    None
                } else {
                    let first = *inside.window.front().unwrap();
                    Some(first + Duration::from_secs(60))
                }
            };
            match wait {
                None => break,
                Some(until) => tokio::time::sleep_until(until).await,
            }
        }
        tokio::time::sleep(self.latency).await;
    }

    fn error(&self, verdict: Verdict) -> Error {
        Error {
            provider: self.name.clone(),
            verdict,
            http_status: None,
            code: None,
            retry_after: None,
            message: format!("made to fail: {}", verdict.label()),
        }
    }
}

pub fn id(number: u32) -> TorrentId {
    TorrentId(format!("T{number:06}"))
}

pub fn hash(number: u32) -> ContentId {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    InfoHash(bytes).into()
}

pub fn name(number: u32) -> String {
    format!("Release {number:06}")
}

/// A ready torrent of `files` files, added `number` seconds after 2026-01-01.
pub fn torrent(number: u32, files: u32) -> TorrentInfo {
    let added = Timestamp::from_second(1_767_225_600 + i64::from(number)).unwrap();
    TorrentInfo {
        summary: TorrentSummary {
            id: id(number),
            content: hash(number),
            filename: name(number),
            bytes: u64::from(files) * 1000,
            status: TorrentStatus::Downloaded,
            progress: 100.0,
            added,
            ended: Some(added),
            links: (0..files)
                .map(|file| HosterLink(format!("https://real-debrid.com/d/{number:06}{file:07}")))
                .collect(),
            files: None,
        },
        original_filename: name(number),
        original_bytes: u64::from(files) * 1000,
        files: (0..files)
            .map(|file| TorrentFile {
                id: file + 1,
                path: format!("/Season {}/Episode {file:04}.mkv", file / 20),
                bytes: 1000,
                selected: true,
            })
            .collect(),
    }
}

#[async_trait]
impl Provider for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    fn health(&self) -> ProviderHealth {
        ProviderHealth {
            name: self.name.clone(),
            kind: "fake",
            healthy: true,
            budget_left: 0,
            budget_per_minute: self.per_minute as u32,
            calls: 0,
            failures: 0,
            waiting: 0,
            cooldown: None,
            last_error: None,
        }
    }

    fn cdn(&self) -> CdnAccess {
        unreachable!("the catalogue opens no connection")
    }

    async fn account(&self, _: Priority) -> Result<Account> {
        Err(self.error(Verdict::BadRequest))
    }

    async fn torrents(&self, _: Priority, offset: u64, limit: u32) -> Result<TorrentPage> {
        self.turn().await;
        let defect = std::mem::take(&mut self.inside().panics);
        assert!(!defect, "a defect");
        let mut inside = self.inside();
        inside.lists += 1;
        let count = inside.torrents.len();
        let size = inside.page.min(limit as usize);
        let page = |from: usize, until: usize| -> Vec<TorrentSummary> {
            let until = until.min(count);
            inside.torrents[from.min(until)..until]
                .iter()
                .map(|torrent| torrent.summary.clone())
                .collect()
        };
        let from = offset as usize;
        let mut answer = TorrentPage {
            items: page(from, from.saturating_add(size)),
            total: Some(count as u64),
            goes_on: false,
            unreadable: Vec::new(),
        };
        if inside.whole_lines {
            let ends = from + answer.items.len() == count;
            answer.total = answer.total.filter(|_| ends);
            answer.goes_on = !ends;
            for item in &mut answer.items {
                let whole = inside
                    .torrents
                    .iter()
                    .find(|known| known.summary.id == item.id);
                item.files = whole.map(|whole| whole.files.clone());
            }
        }
        match inside.fault {
            None => {}
            Some(Fault::Cut) => answer.items = page(from, (from + size).min(count / 2)),
            Some(Fault::Half) => {
                answer.items = page(from, (from + size).min(count / 2));
                answer.total = Some(count as u64 / 2);
            }
            Some(Fault::Empty) => {
                answer.items.clear();
                answer.total = None;
            }
            Some(Fault::Unreadable) if from == 0 && answer.items.len() > 1 => {
                answer.items.remove(1);
                answer.unreadable.push("bad hash".to_owned());
            }
            Some(Fault::Unreadable) => {}
            Some(Fault::TotalMoves) => answer.total = Some(count as u64 + u64::from(offset > 0)),
            Some(Fault::SamePage) => answer.items = page(0, size),
            Some(Fault::NoCount) => answer.total = None,
            Some(Fault::Fails(verdict)) => return Err(self.error(verdict)),
        }
        Ok(answer)
    }

    async fn torrent(&self, priority: Priority, wanted: &TorrentId) -> Result<TorrentInfo> {
        self.turn().await;
        let mut inside = self.inside();
        inside.infos.push((wanted.clone(), priority));
        if let Some(Fault::Fails(verdict)) = inside.fault {
            return Err(self.error(verdict));
        }
        if let Some((left, verdict)) = inside.broken_infos.get_mut(wanted)
            && *left > 0
        {
            *left -= 1;
            return Err(self.error(*verdict));
        }
        let found = inside
            .torrents
            .iter()
            .find(|torrent| torrent.summary.id == *wanted);
        let Some(mut info) = found.cloned() else {
            return Err(self.error(Verdict::NotFound));
        };
        if let Some(few) = inside.few_links.get(wanted) {
            info.summary.links.truncate(*few);
        }
        Ok(info)
    }

    async fn unrestrict(&self, _: Priority, _: &HosterLink) -> Result<DirectLink> {
        Err(self.error(Verdict::BadRequest))
    }

    async fn add_magnet(&self, _: Priority, _: &str) -> Result<TorrentId> {
        Err(self.error(Verdict::BadRequest))
    }

    async fn add_torrent(&self, _: Priority, _: bytes::Bytes) -> Result<TorrentId> {
        Err(self.error(Verdict::BadRequest))
    }

    async fn select_files(&self, _: Priority, _: &TorrentId, _: &[u32]) -> Result<()> {
        Err(self.error(Verdict::BadRequest))
    }

    async fn delete(&self, _: Priority, _: &TorrentId) -> Result<()> {
        Err(self.error(Verdict::BadRequest))
    }
}
