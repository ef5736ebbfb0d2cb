//! One account: its torrents, links, direct links, limits and traffic.

mod direct;
mod limiter;
mod torrent;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use direct::Linked;
pub(crate) use limiter::Limiter;
pub(crate) use torrent::{Release, Torrent};
pub(crate) use traffic::Traffic;

use crate::content::Content;
use crate::library::{FileSpec, LibrarySpec, LinkMode, ReleaseSpec, Service};
use crate::random::{Id13, hash_parts};
use crate::settings::Settings;
use crate::status::Status;
use crate::vendors::{Kind, alldebrid, debridlink, premiumize, torbox};

/// What the vendor holds against an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountState {
    /// The token is no longer valid: 401 with code 8, or 403 with `BAD_TOKEN`.
    pub revoked: bool,
    /// Whether the account is premium; without, unrestricting and adding answer 403, code 20. At TorBox it is on the free plan.
    pub premium: bool,
    /// Every authenticated call answers with this code: 9, 10, 14, 15, 22, … (Real-Debrid)
    pub refuse_code: Option<i32>,
    /// Every authenticated call answers with this word: `AUTH_ERROR`, `accountLocked`, … (not Real-Debrid)
    pub refuse_error: Option<String>,
}

impl Default for AccountState {
    fn default() -> Self {
        Self {
            revoked: false,
            premium: true,
            refuse_code: None,
            refuse_error: None,
        }
    }
}

/// An id that a description gives.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GivenId {
    Own(Id13),
    Remote(u64),
}

/// Where numbers of a service begin.
const FIRST_REMOTE: u64 = 30_000_000;

/// A restricted link: which torrent, and which of its links.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkTarget {
    pub(crate) torrent: u64,
    pub(crate) position: u32,
}

/// A direct link.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) id: Id13,
    pub(crate) account: usize,
    pub(crate) link: Id13,
    pub(crate) filename: String,
    /// Info-hash and path in the release, for faults of a file.
    pub(crate) file: String,
    pub(crate) content: Content,
    /// The directory part of the URL: base of the listener that the link was made for.
    pub(crate) url: String,
    pub(crate) generated_ms: i64,
    pub(crate) expires_ms: std::sync::atomic::AtomicI64,
}

#[derive(Debug)]
pub(crate) struct Account {
    kind: Kind,
    pub(crate) token: String,
    pub(crate) further_tokens: Vec<String>,
    pub(crate) state: AccountState,
    pub(crate) seed: u64,
    /// Oldest first by (added, number).
    order: Vec<(i64, u64)>,
    torrents: HashMap<u64, Torrent>,
    ids: HashMap<Id13, u64>,
    remotes: HashMap<(Service, u64), Id13>,
    next_remotes: HashMap<Service, u64>,
    links: HashMap<Id13, LinkTarget>,
    /// Not finished: what the passing of time changes.
    unfinished: BTreeSet<u64>,
    /// Every release known by its hash.
    releases: HashMap<String, Arc<Release>>,
    /// Direct links in the order they were made.
    pub(crate) downloads: Vec<Arc<Download>>,
    next: u64,
    pub(crate) limiter: Limiter,
    pub(crate) traffic: Arc<Traffic>,
    /// CDN transfers open now.
    pub(crate) transfers: Arc<std::sync::atomic::AtomicU64>,
    /// Settings that were changed.
    pub(crate) settings: BTreeMap<String, String>,
    /// Links whose unrestricting fails, with the code.
    pub(crate) broken_links: HashMap<Id13, i32>,
    /// When a slot for downloading became free last.
    slot_free_ms: i64,
    /// When something was added last at Real-Debrid.
    pub(crate) added_last_ms: Option<i64>,
    /// What TorBox remembers of its calls.
    pub(crate) torbox: torbox::Memory,
    /// What AllDebrid remembers of its calls.
    pub(crate) alldebrid: alldebrid::Memory,
    /// What Debrid-Link remembers of its calls.
    pub(crate) debridlink: debridlink::Memory,
    /// Premiumize's cloud.
    pub(crate) premiumize: premiumize::Memory,
}

impl Account {
    pub(crate) fn new(kind: Kind, token: String, seed: u64) -> Self {
        Self {
            kind,
            token,
            further_tokens: Vec::new(),
            state: AccountState::default(),
            seed,
            order: Vec::new(),
            torrents: HashMap::new(),
            ids: HashMap::new(),
            remotes: HashMap::new(),
            next_remotes: HashMap::new(),
            links: HashMap::new(),
            unfinished: BTreeSet::new(),
            releases: HashMap::new(),
            downloads: Vec::new(),
            next: 0,
            limiter: Limiter::default(),
            added_last_ms: None,
            traffic: Arc::default(),
            transfers: Arc::default(),
            settings: BTreeMap::new(),
            broken_links: HashMap::new(),
            slot_free_ms: i64::MIN,
            torbox: torbox::Memory::default(),
            alldebrid: alldebrid::Memory::default(),
            debridlink: debridlink::Memory::default(),
            premiumize: premiumize::Memory::default(),
        }
    }

    pub(crate) fn fill(
        &mut self,
        library: &LibrarySpec,
        now_ms: i64,
    ) -> Result<(), crate::LibraryError> {
        let count = library.releases.len();
        self.torrents.reserve(count);
        self.ids.reserve(count);
        for (index, release) in library.releases.iter().enumerate() {
            // Without dates: an hour apart, the last one an hour ago.
            let age = (count - index) as i64 * 3_600_000;
            self.add_release(release, now_ms - age, now_ms)?;
        }
        Ok(())
    }

    /// Adds what `spec` describes, and gives the ids of its torrents.
    pub(crate) fn add_release(
        &mut self,
        spec: &ReleaseSpec,
        added_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Id13>, crate::LibraryError> {
        let refuse = |reason| crate::LibraryError::Release {
            name: spec.name.clone(),
            reason,
        };
        if spec.id.is_some() && spec.copies != 1 {
            return Err(refuse("an id needs exactly one copy"));
        }
        if !spec.files.iter().all(FileSpec::is_definite) {
            return Err(refuse(
                "each file needs exactly one of bytes, clip and local",
            ));
        }
        if spec.files.iter().any(|file| {
            file.local
                .as_ref()
                .is_some_and(|path| std::fs::File::open(path).is_err())
        }) {
            return Err(refuse("a local file cannot be opened"));
        }
        if self.kind == Kind::DebridLink && spec.copies > 1 {
            return Err(refuse("Debrid-Link has a hash once in an account"));
        }
        if !self.kind.has_other_services() && spec.service != Service::Torrents {
            return Err(refuse("this vendor has torrents alone"));
        }
        let (digits, said) = match spec.service {
            Service::Torrents => (40, "the hash needs 40 hexadecimal digits"),
            Service::Usenet | Service::Webdl => (32, "the hash needs 32 hexadecimal digits"),
        };
        let hash = match &spec.hash {
            None => derived_hash(self.seed, self.next, &spec.name)[..digits].to_owned(),
            Some(text) if text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                text.to_ascii_lowercase()
            }
            Some(_) => return Err(refuse(said)),
        };
        let given_id = match (&spec.id, self.kind) {
            (None, _) => None,
            (Some(text), kind) if kind.names_by_letters() => {
                let id = Id13::parse(text).filter(|_| text.len() == 13);
                Some(GivenId::Own(id.ok_or_else(|| {
                    refuse("the id needs 13 letters or digits")
                })?))
            }
            (Some(text), _) => {
                let number = text.parse();
                Some(GivenId::Remote(
                    number.map_err(|_| refuse("the id needs to be a number"))?,
                ))
            }
        };
        let taken = match given_id {
            None => false,
            Some(GivenId::Own(id)) => self.ids.contains_key(&id),
            Some(GivenId::Remote(number)) => self.remotes.contains_key(&(spec.service, number)),
        };
        if taken {
            return Err(refuse("the id is taken"));
        }
        let release = Arc::new(Release::new(hash.clone(), spec));
        self.next += u64::from(spec.copies == 0);
        self.releases.insert(hash, release.clone());
        let added_ms = spec.added.map_or(added_ms, |at| at.as_millisecond());
        let mut ids = Vec::new();
        for _ in 0..spec.copies {
            let selected = release.selected_by_default();
            let mut torrent = Torrent::new(release.clone(), added_ms);
            torrent.name = spec.name.clone();
            torrent.enter(spec.status, now_ms.max(added_ms));
            if torrent.status.is_past_selection() {
                torrent.select(selected);
            }
            if torrent.status == Status::Downloaded {
                torrent.ended_ms = Some(added_ms + 60_000);
            }
            ids.push(self.insert(torrent, given_id));
        }
        Ok(ids)
    }

    /// Puts a torrent into the account under `id` or a new one.
    pub(crate) fn insert(&mut self, mut torrent: Torrent, given: Option<GivenId>) -> Id13 {
        let number = self.next;
        self.next += 1;
        let id = match given {
            Some(GivenId::Own(id)) => id,
            // The same torrent has the same id, also when it was deleted meanwhile.
            _ if self.kind == Kind::DebridLink => Id13::from_number(hash_parts(&[
                b"torrent",
                &self.seed.to_le_bytes(),
                torrent.release.hash.as_bytes(),
            ])),
            _ => Id13::from_number(hash_parts(&[
                b"torrent",
                &self.seed.to_le_bytes(),
                &number.to_le_bytes(),
            ])),
        };
        let service = torrent.release.service;
        torrent.remote = self.new_remote(service, given);
        torrent.id = id;
        torrent.number = number;
        self.conform(&mut torrent);
        self.remotes.insert((service, torrent.remote), id);
        self.ids.insert(id, number);
        self.index(&torrent);
        self.torrents.insert(number, torrent);
        id
    }

    /// The number of a torrent that comes now. Each service counts by itself, so that the same number means several things.
    fn new_remote(&mut self, service: Service, given: Option<GivenId>) -> u64 {
        let next = self.next_remotes.entry(service).or_insert(FIRST_REMOTE);
        let number = match given {
            Some(GivenId::Remote(number)) => number,
            _ => *next,
        };
        *next = (*next).max(number.saturating_add(1));
        number
    }

    /// Few vendors have a selection: elsewhere every file is there. At Debrid-Link every file is there that nobody left out.
    fn conform(&self, torrent: &mut Torrent) {
        if self.kind == Kind::RealDebrid {
            return;
        }
        torrent.links = LinkMode::OneEach;
        if self.kind != Kind::DebridLink || torrent.selected.is_empty() {
            torrent.select((0..torrent.release.files.len() as u32).collect());
        }
    }

    /// How the vendor's API and the control interface name a torrent.
    pub(crate) fn name_of(&self, torrent: &Torrent) -> String {
        match (self.kind, torrent.release.service) {
            (kind, _) if kind.names_by_letters() => torrent.id.to_string(),
            (_, Service::Torrents) => torrent.remote.to_string(),
            (_, Service::Usenet) => format!("usenet-{}", torrent.remote),
            (_, Service::Webdl) => format!("webdl-{}", torrent.remote),
        }
    }

    /// The opposite of [`Self::name_of`].
    pub(crate) fn named(&self, text: &str) -> Option<Id13> {
        if self.kind.names_by_letters() {
            return Id13::parse(text);
        }
        let (service, number) = match text.split_once('-') {
            None => (Service::Torrents, text),
            Some(("usenet", number)) => (Service::Usenet, number),
            Some(("webdl", number)) => (Service::Webdl, number),
            Some(_) => return None,
        };
        self.remote(service, number.parse().ok()?)
    }

    /// The torrent of a number of a service.
    pub(crate) fn remote(&self, service: Service, number: u64) -> Option<Id13> {
        self.remotes.get(&(service, number)).copied()
    }

    /// Changes a torrent and keeps the indexes true. `None`: there is none.
    pub(crate) fn alter<T>(
        &mut self,
        id: Id13,
        change: impl FnOnce(&mut Torrent) -> T,
    ) -> Option<T> {
        let number = *self.ids.get(&id)?;
        // Out of the account meanwhile, so that what is indexed is what there is.
        let mut torrent = self.torrents.remove(&number)?;
        self.unindex(&torrent);
        let result = change(&mut torrent);
        self.conform(&mut torrent);
        self.index(&torrent);
        self.torrents.insert(number, torrent);
        Some(result)
    }

    pub(crate) fn remove(&mut self, id: Id13) -> Option<Torrent> {
        let number = self.ids.remove(&id)?;
        let torrent = self.torrents.remove(&number)?;
        self.unindex(&torrent);
        self.remotes
            .remove(&(torrent.release.service, torrent.remote));
        Some(torrent)
    }

    /// Notes a torrent in all indexes but that of the ids.
    fn index(&mut self, torrent: &Torrent) {
        let number = torrent.number;
        let place = (torrent.added_ms, number);
        let at = self.order.partition_point(|other| *other < place);
        self.order.insert(at, place);
        if !torrent.status.is_final() {
            self.unfinished.insert(number);
        }
        for (position, link) in (0u32..).zip(torrent.all_links()) {
            let target = LinkTarget {
                torrent: number,
                position,
            };
            self.links.insert(link, target);
        }
    }

    /// The opposite of [`Self::index`].
    fn unindex(&mut self, torrent: &Torrent) {
        let number = torrent.number;
        if let Ok(at) = self.order.binary_search(&(torrent.added_ms, number)) {
            self.order.remove(at);
        }
        self.unfinished.remove(&number);
        for link in torrent.all_links() {
            self.links.remove(&link);
        }
    }

    pub(crate) fn torrent(&self, id: Id13) -> Option<&Torrent> {
        self.torrents.get(self.ids.get(&id)?)
    }

    pub(crate) fn link(&self, link: Id13) -> Option<(&Torrent, u32)> {
        let target = self.links.get(&link)?;
        Some((self.torrents.get(&target.torrent)?, target.position))
    }

    pub(crate) fn release(&self, hash: &str) -> Option<Arc<Release>> {
        self.releases.get(hash).cloned()
    }

    pub(crate) fn remember(&mut self, release: Arc<Release>) {
        self.releases.insert(release.hash.clone(), release);
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// All torrents, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Torrent> {
        self.order
            .iter()
            .rev()
            .filter_map(|(_, number)| self.torrents.get(number))
    }

    /// Torrents that take a slot, newest first.
    pub(crate) fn active(&self) -> Vec<&Torrent> {
        let mut active: Vec<_> = self
            .unfinished
            .iter()
            .filter_map(|number| self.torrents.get(number))
            .filter(|torrent| torrent.status.is_active())
            .collect();
        active.sort_by_key(|torrent| std::cmp::Reverse((torrent.added_ms, torrent.number)));
        active
    }

    fn new_download_id(&self) -> Id13 {
        let made = self.downloads.len() as u64;
        Id13::from_number(hash_parts(&[
            b"download",
            self.token.as_bytes(),
            &self.seed.to_le_bytes(),
            &made.to_le_bytes(),
            &self.next.to_le_bytes(),
            &self
                .downloads
                .last()
                .map_or(0, |d| hash_parts(&[d.id.as_str().as_bytes()]))
                .to_le_bytes(),
        ]))
    }

    /// Lets the torrents go on to where they are at `now_ms`, event by event, so that a slot set free early is taken early.
    pub(crate) fn advance(&mut self, now_ms: i64, settings: &Settings) {
        loop {
            let taken = self
                .unfinished
                .iter()
                .filter_map(|number| self.torrents.get(number))
                .filter(|torrent| self.kind.takes_slot(torrent.status))
                .count() as u32;
            let slots = match self.kind {
                Kind::RealDebrid => settings.parallel_downloads,
                Kind::TorBox => settings.torbox.slots(self.state.premium),
                Kind::AllDebrid | Kind::DebridLink | Kind::Premiumize => settings.active_limit,
            };
            let slot = (taken < slots).then_some(self.slot_free_ms);
            let next = self
                .unfinished
                .iter()
                .filter_map(|number| {
                    Some((self.torrents.get(number)?.due_ms(settings, slot)?, *number))
                })
                .min();
            let Some((due, number)) = next.filter(|(due, _)| *due <= now_ms) else {
                return;
            };
            let Some(torrent) = self.torrents.get_mut(&number) else {
                return;
            };
            let was = torrent.status;
            torrent.step(due, settings, self.kind);
            let (id, status) = (torrent.id, torrent.status);
            if self.kind.takes_slot(was) && !self.kind.takes_slot(status) {
                self.slot_free_ms = due;
            }
            if status.is_final() {
                // For the indexes.
                self.alter(id, |_| ());
            }
        }
    }
}

/// An info-hash for a release that was given none.
pub(crate) fn derived_hash(seed: u64, number: u64, name: &str) -> String {
    let part = |n: u8| {
        hash_parts(&[
            b"hash",
            &[n],
            &seed.to_le_bytes(),
            &number.to_le_bytes(),
            name.as_bytes(),
        ])
    };
    format!("{:016x}{:016x}{:08x}", part(0), part(1), part(2) as u32)
}
