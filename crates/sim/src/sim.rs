//! The simulation's state, and everything a test may do to it.

mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

pub use view::{FileView, TorrentView};

use crate::account::{Account, AccountState, Download, Release};
use crate::clock::SimClock;
use crate::content::Content;
use crate::counters::{Counters, Register};
use crate::fault::{ApiFault, CdnFault, FaultId, FaultStatus, Faults, Outage};
use crate::library::{LibraryError, LibrarySpec, LinkMode, ReleaseSpec};
use crate::random::{Id13, hash_parts};
use crate::settings::Settings;
use crate::shaper::Shaper;
use crate::status::Status;
use crate::transfers::{Endings, TransferEnd};
use crate::vendors::{self, Kind};

/// Why the simulation refused a change.
#[derive(Debug)]
pub enum SimError {
    /// There is no account of this number.
    NoAccount(usize),
    /// There is no torrent, link or fault of this name.
    Unknown(String),
    /// The release was not accepted.
    Library(LibraryError),
    /// The settings were not accepted.
    Settings(String),
}

impl std::fmt::Display for SimError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAccount(number) => write!(out, "there is no account {number}"),
            Self::Unknown(name) => write!(out, "nothing is called {name:?}"),
            Self::Library(error) => error.fmt(out),
            Self::Settings(reason) => write!(out, "settings: {reason}"),
        }
    }
}

impl std::error::Error for SimError {}

impl From<LibraryError> for SimError {
    fn from(error: LibraryError) -> Self {
        Self::Library(error)
    }
}

/// A change of a torrent from outside; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TorrentChange {
    /// `filename` of the list.
    pub filename: Option<String>,
    /// Where it stands.
    pub status: Option<Status>,
    /// When it was added.
    pub added: Option<Timestamp>,
    /// How links belong to files.
    pub links: Option<LinkMode>,
    /// Numbers (from 1) of the selected files.
    pub selected: Option<Vec<u32>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) clock: SimClock,
    pub(crate) counters: Register,
    pub(crate) faults: Faults,
    pub(crate) total_shaper: Shaper,
    pub(crate) endings: Endings,
    /// Held while limits of transfers are compared and the transfer is opened.
    pub(crate) transfer_gate: Mutex<()>,
    pub(crate) devices: vendors::Devices,
    kind: Kind,
    settings: Mutex<Arc<Settings>>,
    accounts: Mutex<Vec<Account>>,
    downloads: Mutex<HashMap<Id13, Arc<Download>>>,
}

/// A simulated provider with one or more accounts. Clones are the same simulation.
#[derive(Debug, Clone)]
pub struct Sim {
    pub(crate) inner: Arc<Inner>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Sim {
    /// Real-Debrid with one account that holds `library`; its clock shows the present.
    ///
    /// # Errors
    /// A release of the library contradicts itself.
    pub fn new(library: &LibrarySpec) -> Result<Self, LibraryError> {
        Self::of(Kind::RealDebrid, library)
    }

    /// A vendor with one account that holds `library`; its clock shows the present.
    ///
    /// # Errors
    /// A release of the library contradicts itself.
    pub fn of(kind: Kind, library: &LibrarySpec) -> Result<Self, LibraryError> {
        #[allow(
            clippy::disallowed_methods,
            reason = "the one place where the simulation asks the machine for the time"
        )]
        let now = Timestamp::now();
        Self::of_starting_at(kind, library, now)
    }

    /// Like [`Sim::new`], with a clock that shows `now`.
    ///
    /// # Errors
    /// A release of the library contradicts itself.
    pub fn starting_at(library: &LibrarySpec, now: Timestamp) -> Result<Self, LibraryError> {
        Self::of_starting_at(Kind::RealDebrid, library, now)
    }

    /// Like [`Sim::of`], with a clock that shows `now`.
    ///
    /// # Errors
    /// A release of the library contradicts itself.
    pub fn of_starting_at(
        kind: Kind,
        library: &LibrarySpec,
        now: Timestamp,
    ) -> Result<Self, LibraryError> {
        let sim = Self {
            inner: Arc::new(Inner {
                clock: SimClock::starting_at(now),
                counters: Register::default(),
                faults: Faults::default(),
                total_shaper: Shaper::default(),
                endings: Endings::default(),
                devices: Default::default(),
                kind,
                transfer_gate: Mutex::default(),
                settings: Mutex::new(Arc::new(Settings::of(kind))),
                accounts: Mutex::default(),
                downloads: Mutex::default(),
            }),
        };
        // Of the start and not of some milliseconds later: the same description is the same account.
        sim.add_account_at("SIMULATEDTOKEN", library, now.as_millisecond())?;
        Ok(sim)
    }

    /// Adds an account with a budget of its own; gives its number, which counts from 0.
    ///
    /// # Errors
    /// A release of the library contradicts itself.
    pub fn add_account(&self, token: &str, library: &LibrarySpec) -> Result<usize, LibraryError> {
        self.add_account_at(token, library, self.inner.clock.now_ms())
    }

    fn add_account_at(
        &self,
        token: &str,
        library: &LibrarySpec,
        now_ms: i64,
    ) -> Result<usize, LibraryError> {
        let mut accounts = lock(&self.inner.accounts);
        let seed = hash_parts(&[&library.seed.to_le_bytes(), &accounts.len().to_le_bytes()]);
        let mut account = Account::new(self.kind(), token.to_owned(), seed);
        account.fill(library, now_ms)?;
        accounts.push(account);
        Ok(accounts.len() - 1)
    }

    /// Whose cloud it is.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The token of account 0.
    pub fn token(&self) -> String {
        lock(&self.inner.accounts)
            .first()
            .map(|account| account.token.clone())
            .unwrap_or_default()
    }

    /// Gives an account another token; the old one is no longer known.
    ///
    /// # Errors
    /// No such account.
    pub fn set_token(&self, account: usize, token: &str) -> Result<(), SimError> {
        self.with_account(account, |account| token.clone_into(&mut account.token))
    }

    /// Gives an account a further token, which stands beside the first one.
    ///
    /// # Errors
    /// No such account.
    pub fn add_token(&self, account: usize, token: &str) -> Result<(), SimError> {
        self.with_account(account, |account| {
            account.further_tokens.push(token.to_owned());
        })
    }

    /// Warns an account of abuse as TorBox does: it gets another token, which is given here. The old one is no longer known.
    ///
    /// # Errors
    /// No such account.
    pub fn warn(&self, account: usize) -> Result<String, SimError> {
        self.with_account(account, |account| {
            let token = hash_parts(&[b"warning", account.token.as_bytes()]);
            account.token = format!("ROTATED{token:016X}");
            account.token.clone()
        })
    }

    /// The clock.
    pub fn clock(&self) -> &SimClock {
        &self.inner.clock
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.inner.clock.advance(by);
    }

    /// Ends every transfer that is open now, each at its next block; later ones are not touched.
    pub fn end_transfers(&self, how: TransferEnd) {
        self.inner.endings.order(how);
    }

    /// The settings.
    pub fn settings(&self) -> Arc<Settings> {
        lock(&self.inner.settings).clone()
    }

    /// Changes settings.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = lock(&self.inner.settings);
        change(Arc::make_mut(&mut settings));
        self.inner.total_shaper.set_rate(settings.total_rate);
    }

    /// Changes the settings that `change`, an object, names; those within a vendor's own too.
    ///
    /// # Errors
    /// A name or a value is none of the settings'.
    pub fn patch_settings(&self, change: serde_json::Value) -> Result<Settings, SimError> {
        let refuse = |error: serde_json::Error| SimError::Settings(error.to_string());
        let mut whole = serde_json::to_value(&*self.settings()).map_err(refuse)?;
        if !change.is_object() {
            return Err(SimError::Settings("not an object".to_owned()));
        }
        merge(&mut whole, change);
        let changed: Settings = serde_json::from_value(whole).map_err(refuse)?;
        self.configure(|settings| settings.clone_from(&changed));
        Ok(changed)
    }

    /// All counters.
    pub fn counters(&self) -> Counters {
        self.inner.counters.snapshot()
    }

    /// Sets all counters to nothing.
    pub fn reset_counters(&self) {
        self.inner.counters.reset();
    }

    /// Makes the API answer wrongly.
    pub fn fail_api(&self, fault: ApiFault) -> FaultId {
        self.inner.faults.add(Some(fault), None)
    }

    /// Makes the CDN answer wrongly.
    pub fn fail_cdn(&self, fault: CdnFault) -> FaultId {
        self.inner.faults.add(None, Some(fault))
    }

    /// Ends a fault; what hung because of it goes on.
    ///
    /// # Errors
    /// No such fault.
    pub fn clear_fault(&self, id: FaultId) -> Result<(), SimError> {
        let found = self.inner.faults.clear(Some(id));
        found
            .then_some(())
            .ok_or_else(|| SimError::Unknown(id.0.to_string()))
    }

    /// Ends all faults. Outages are apart.
    pub fn clear_faults(&self) {
        self.inner.faults.clear(None);
    }

    /// All faults that are set.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.inner.faults.list()
    }

    /// Begins or ends an outage.
    pub fn set_outage(&self, outage: Outage) {
        self.inner.faults.set_outage(outage);
    }

    /// The outage that is set.
    pub fn outage(&self) -> Outage {
        self.inner.faults.outage()
    }

    /// Changes what the vendor holds against an account.
    ///
    /// # Errors
    /// No such account.
    pub fn set_account(&self, account: usize, state: AccountState) -> Result<(), SimError> {
        self.with_account(account, |account| account.state = state)
    }

    /// What the vendor holds against an account.
    ///
    /// # Errors
    /// No such account.
    pub fn account(&self, account: usize) -> Result<AccountState, SimError> {
        self.with_account(account, |account| account.state.clone())
    }

    /// Adds a release; its torrents' ids.
    ///
    /// # Errors
    /// No such account, or the release contradicts itself.
    pub fn add_release(
        &self,
        account: usize,
        release: &ReleaseSpec,
    ) -> Result<Vec<String>, SimError> {
        let now = self.inner.clock.now_ms();
        Ok(self.with_account(account, |account| {
            let ids = account.add_release(release, now, now)?;
            let torrents = ids.into_iter().filter_map(|id| account.torrent(id));
            Ok::<_, LibraryError>(torrents.map(|torrent| account.name_of(torrent)).collect())
        })??)
    }

    /// Removes a torrent, as if somebody had deleted it elsewhere.
    ///
    /// # Errors
    /// No such account or torrent.
    pub fn remove_torrent(&self, account: usize, id: &str) -> Result<(), SimError> {
        let unknown = || SimError::Unknown(id.to_owned());
        self.with_account(account, |account| account.remove(account.named(id)?))?
            .map(drop)
            .ok_or_else(unknown)
    }

    /// Changes a torrent.
    ///
    /// # Errors
    /// No such account or torrent.
    pub fn alter_torrent(
        &self,
        account: usize,
        id: &str,
        change: TorrentChange,
    ) -> Result<(), SimError> {
        let unknown = || SimError::Unknown(id.to_owned());
        let now = self.inner.clock.now_ms();
        self.with_account(account, |account| {
            account.alter(account.named(id)?, |torrent| {
                if let Some(name) = change.filename {
                    torrent.name = name;
                }
                if let Some(added) = change.added {
                    torrent.added_ms = added.as_millisecond();
                }
                if let Some(links) = change.links {
                    torrent.links = links;
                }
                if let Some(status) = change.status {
                    torrent.enter(status, now);
                    torrent.ended_ms = (status == Status::Downloaded).then_some(now);
                    if torrent.selected.is_empty() && status.is_past_selection() {
                        torrent.select(torrent.release.selected_by_default());
                    }
                }
                if let Some(selected) = change.selected {
                    let files = torrent.release.files.len() as u32;
                    let indexes = selected
                        .iter()
                        .filter(|n| (1..=files).contains(n))
                        .map(|n| n - 1);
                    torrent.select(indexes.collect());
                }
            })
        })?
        .ok_or_else(unknown)
    }

    /// Makes unrestricting a link fail with a code of the vendor, or work again.
    ///
    /// # Errors
    /// No such account or link.
    pub fn break_link(
        &self,
        account: usize,
        link: &str,
        code: Option<i32>,
    ) -> Result<(), SimError> {
        let key = link_id(link).ok_or_else(|| SimError::Unknown(link.to_owned()))?;
        self.with_account(account, |account| match code {
            Some(code) => drop(account.broken_links.insert(key, code)),
            None => drop(account.broken_links.remove(&key)),
        })
    }

    /// Lets direct links expire now: those made of one restricted link (or one direct link), or all.
    pub fn expire_links(&self, link: Option<&str>) {
        let wanted = link.and_then(link_id);
        let now = self.inner.clock.now_ms();
        for download in lock(&self.inner.downloads).values() {
            if link.is_none() || wanted.is_some_and(|id| id == download.link || id == download.id) {
                download.expires_ms.store(now, Relaxed);
            }
        }
    }

    /// All torrents of an account, newest first.
    ///
    /// # Errors
    /// No such account.
    pub fn torrents(&self, account: usize) -> Result<Vec<TorrentView>, SimError> {
        let now = self.inner.clock.now_ms();
        let (settings, kind) = (self.settings(), self.kind());
        self.with_account(account, |account| {
            account.advance(now, &settings);
            account
                .newest_first()
                .map(|torrent| view::of(kind, account.name_of(torrent), torrent, now))
                .collect()
        })
    }

    /// The true bytes behind a restricted or direct link, for comparing.
    ///
    /// # Errors
    /// No such account or link, or the range is not in the file.
    pub fn expected(
        &self,
        account: usize,
        link: &str,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, SimError> {
        let unknown = || SimError::Unknown(link.to_owned());
        let id = link_id(link).ok_or_else(unknown)?;
        let linked = self.with_account(account, |account| {
            let (torrent, position) = account.link(id)?;
            Some(torrent.linked(position)?.2)
        })?;
        let content: Content = match linked {
            Some(content) => content,
            None => self.download(id).ok_or_else(unknown)?.content.clone(),
        };
        let end = offset.checked_add(length as u64).ok_or_else(unknown)?;
        if end > content.size() {
            return Err(SimError::Unknown(format!(
                "bytes {offset} to {end} of {}",
                content.size()
            )));
        }
        let mut bytes = vec![0; length];
        content.read(offset, &mut bytes);
        Ok(bytes)
    }

    pub(crate) fn with_account<T>(
        &self,
        number: usize,
        work: impl FnOnce(&mut Account) -> T,
    ) -> Result<T, SimError> {
        let mut accounts = lock(&self.inner.accounts);
        accounts
            .get_mut(number)
            .map(work)
            .ok_or(SimError::NoAccount(number))
    }

    /// The account of a token, with which a call of `endpoint` is counted.
    pub(crate) fn caller(&self, token: &str, endpoint: &str) -> Option<usize> {
        let accounts = lock(&self.inner.accounts);
        let account = accounts.iter().position(|account| {
            account.token == token || account.further_tokens.iter().any(|one| one == token)
        })?;
        self.inner.counters.call_with(token, endpoint);
        Some(account)
    }

    /// The account that shows the restricted link.
    pub(crate) fn account_of_link(&self, link: Id13) -> Option<usize> {
        lock(&self.inner.accounts)
            .iter()
            .position(|account| account.link(link).is_some())
    }

    /// The release of a hash, of any account.
    pub(crate) fn release(&self, hash: &str) -> Option<Arc<Release>> {
        let accounts = lock(&self.inner.accounts);
        accounts.iter().find_map(|account| account.release(hash))
    }

    pub(crate) fn download(&self, id: Id13) -> Option<Arc<Download>> {
        lock(&self.inner.downloads).get(&id).cloned()
    }

    pub(crate) fn add_download(&self, download: Arc<Download>) {
        lock(&self.inner.downloads).insert(download.id, download);
    }

    pub(crate) fn remove_download(&self, id: Id13) {
        lock(&self.inner.downloads).remove(&id);
    }
}

/// The 13-character id in a restricted link, a direct link, or an id alone. What follows the id is ignored, as the vendor does.
pub(crate) fn link_id(text: &str) -> Option<Id13> {
    let presigned = || text.split_once("token=");
    let behind = |mark| text.split_once(mark);
    let id = ["/d/", "/dl/", "/f/"].into_iter().find_map(behind);
    let id = id.or_else(presigned);
    Id13::parse(id.map_or(text, |(_, id)| id))
}

/// Puts what `change` names into `whole`.
fn merge(whole: &mut serde_json::Value, change: serde_json::Value) {
    match (whole, change) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(change)) => {
            for (name, value) in change {
                merge(whole.entry(name).or_insert_with(Default::default), value);
            }
        }
        (place, value) => *place = value,
    }
}
