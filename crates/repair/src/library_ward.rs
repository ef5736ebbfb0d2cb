//! What repair sees of the library and its accounts, and what it asks of arrs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use debridfs_acquire::{Acquire, Selection};
use debridfs_base::Late;
use debridfs_catalogue::{BadReason, Catalogue, Health, Layout, Library, Release};
use debridfs_content::{Checkup, Content, Event, EventKind};
use debridfs_provider::{InfoHash, Priority, Provider, Source};
use debridfs_services::{Arr, Replaced, Replacement};
use debridfs_tree::file_ref;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Again, Checked, Finding, ProviderState, Treated, Ward};

/// Other releases that are asked whether the provider can serve anything at all.
const CONTROLS: usize = 2;

/// The library, its accounts, and the arrs.
pub struct LibraryWard {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) content: Arc<Content>,
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    arrs: Vec<Arc<Arr>>,
    /// Downloads, which know what was added from here.
    queue: Late<Acquire>,
    /// What readers said before has been told.
    heard: Mutex<Timestamp>,
    /// Which release is asked next in place of another one.
    turn: AtomicUsize,
}

/// Repair names files by their path in the release, whatever the layout shows.
const PATHS: Layout = Layout::Tree;

/// Reasons for `__bad__` that adding the torrent again may remove.
fn is_treatable(reason: BadReason) -> bool {
    match reason {
        BadReason::Failed | BadReason::MissingLinks => true,
        // What somebody removed stays removed, what was packed so will be packed so again, and "unreadable" is repair's own word.
        BadReason::Removed
        | BadReason::Unreadable
        | BadReason::Blocked
        | BadReason::PackedRar
        | BadReason::RarCompressed
        | BadReason::RarEncrypted
        | BadReason::RarSolid
        | BadReason::RarSplit
        | BadReason::RarDamaged => false,
    }
}

/// Why the library calls a release bad, for what the provider says and not for what repair found.
fn of_the_library(release: &Release) -> Option<BadReason> {
    release
        .bad
        .filter(|reason| !matches!(reason, BadReason::Unreadable | BadReason::Blocked))
}

/// Whether `account` is known to refuse a release that is shown as `name`: for that, for what a provider calls it, or for a path in it.
fn is_refused_by(account: &dyn Provider, name: &str, release: &Release) -> bool {
    let copies = release.copies.iter().map(|copy| &*copy.filename);
    let names = copies.chain([name]);
    let tree = release.tree().into_iter();
    let mut files = tree.flat_map(|tree| tree.files.iter().map(|file| tree.path_of(PATHS, file)));
    names.into_iter().any(|name| account.refuses_name(name))
        || files.any(|path| account.refuses_name(&path))
}

fn words(kind: EventKind) -> &'static str {
    match kind {
        EventKind::LinkBroken => "the provider says that it cannot serve",
        EventKind::LinkRefused => "the CDN refuses every link of",
        _ => "the CDN sends other bytes than were asked of",
    }
}

impl LibraryWard {
    /// Readers are heard from now on.
    pub fn new(
        catalogue: Arc<Catalogue>,
        content: Arc<Content>,
        providers: Vec<Arc<dyn Provider>>,
        arrs: Vec<Arc<Arr>>,
        queue: Late<Acquire>,
    ) -> Self {
        Self {
            catalogue,
            content,
            providers,
            arrs,
            queue,
            heard: Mutex::new(Timestamp::now()),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn library(&self) -> Arc<Library> {
        self.catalogue.library().borrow().clone()
    }

    /// Everything that is needed to add the torrent of a release to `account`, whatever its terms say.
    pub(crate) async fn addition_at(
        &self,
        hash: InfoHash,
        account: &Arc<dyn Provider>,
    ) -> Option<Again> {
        let provider = account.name();
        let records = self.catalogue.copies(hash).await;
        let selected = records.iter().find_map(|record| record.detail.as_ref());
        let files = selected.map_or_else(BTreeSet::new, |detail| {
            let files = detail.files.iter().filter(|file| file.selected);
            files
                .map(|file| file.path.trim_start_matches('/').to_owned())
                .collect()
        });
        let here = records.iter().filter(|record| record.provider == provider);
        Some(Again {
            provider: account.clone(),
            magnet: format!("magnet:?xt=urn:btih:{hash}"),
            files,
            known: here.map(|record| record.id.clone()).collect(),
            cached: !records.iter().any(|record| record.provider == provider),
            refuses_name: self.refuses_name(hash, account.as_ref()),
        })
    }

    /// Whether `account` is known to refuse what is called as the library's release of that hash, or as a file in it.
    fn refuses_name(&self, hash: InfoHash, account: &dyn Provider) -> bool {
        let library = self.library();
        let entry = library.release_in_all(hash);
        entry.is_some_and(|entry| is_refused_by(account, &entry.name, &entry.release))
    }

    /// The account of that name.
    pub(crate) fn account(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.iter().find(|one| one.name() == name)
    }

    /// The providers of `sources`, if each of them refuses what is called as this release.
    fn refused_by(&self, release: &Release, sources: &[Source]) -> Option<BTreeSet<String>> {
        let mut by = BTreeSet::new();
        for source in sources {
            let account = self.account(&source.provider)?;
            if !is_refused_by(account.as_ref(), "", release) {
                return None;
            }
            by.insert(source.provider.clone());
        }
        Some(by)
    }

    fn release(&self, hash: InfoHash) -> Option<Arc<Release>> {
        Some(self.library().release_in_all(hash)?.release.clone())
    }

    /// Looks at `files` of it, by its sources at the provider of that name `alone`.
    async fn check_files(
        &self,
        release: &Release,
        files: &BTreeSet<String>,
        alone: Option<&str>,
    ) -> Checked {
        if let Some(reason) = of_the_library(release) {
            let words = format!("the library says {:?}", reason.as_str());
            return match is_treatable(reason) {
                true => Checked::Bad(words),
                false => Checked::Unclear(words),
            };
        }
        let Some(tree) = release.tree() else {
            return Checked::Unclear("its files are not known yet".to_owned());
        };
        let mut meant: Vec<_> = tree
            .files
            .iter()
            .filter(|file| files.contains(&tree.path_of(PATHS, file)))
            .collect();
        if files.is_empty() {
            meant.extend(tree.files.iter().max_by_key(|file| file.size));
        }
        let mut unclear = None;
        for file in meant {
            let mut place = file_ref(tree, file);
            if let Some(name) = alone {
                let sources = place.sources.iter().filter(|one| one.provider == name);
                place.sources = sources.cloned().collect();
            }
            match self.content.check(&place).await {
                Checkup::Well => {}
                Checkup::Bad(words) => {
                    return Checked::Bad(format!("{}: {words}", tree.path_of(PATHS, file)));
                }
                Checkup::Infringing(words) => {
                    let words = format!("{}: {words}", tree.path_of(PATHS, file));
                    return match self.refused_by(release, &place.sources) {
                        Some(by) => Checked::Blocked { by, words },
                        None => Checked::Bad(words),
                    };
                }
                Checkup::Unclear(words) => unclear = Some(words),
            }
        }
        unclear.map_or(Checked::Well, Checked::Unclear)
    }

    /// Whether the providers of `release`, or the one of that name `alone`, serve anything at all: what is said of one release is believed only while another
    /// one of the same providers can be read. With nothing to compare it stands.
    async fn others_are_well(&self, release: &Release, alone: Option<&str>) -> Result<(), String> {
        let library = self.library();
        let entries = library.all();
        // What is refused for its name tells nothing of the provider.
        let refused = |other: &Release| {
            let mut accounts = other.providers().filter_map(|name| self.account(name));
            accounts.any(|account| is_refused_by(account.as_ref(), "", other))
        };
        let same = |other: &Release| {
            other.id != release.id
                && !refused(other)
                && other.bad.is_none()
                && other.tree().is_some()
                && alone.is_none_or(|name| other.is_held_by(name))
                && (alone.is_some() || release.providers().all(|name| other.is_held_by(name)))
        };
        let first = self.turn.fetch_add(CONTROLS, Ordering::Relaxed);
        let (later, sooner) = entries.split_at(first % entries.len().max(1));
        let others: Vec<_> = sooner
            .iter()
            .chain(later)
            .filter(|entry| same(&entry.release))
            .take(CONTROLS)
            .collect();
        let mut found = Ok(());
        for other in others {
            let files = BTreeSet::new();
            match self.check_files(&other.release, &files, alone).await {
                Checked::Well => return Ok(()),
                _ => found = Err(format!("{} cannot be read either", other.name)),
            }
        }
        found
    }

    /// Looks at a release that can be read, at each provider that holds it: which of them would be no help to a reader?
    async fn look_at_each(&self, release: &Release, files: &BTreeSet<String>) -> Checked {
        let mut broken = BTreeSet::new();
        let mut said = Vec::new();
        let several = release.providers().nth(1).is_some();
        for name in release.providers().filter(|_| several) {
            let found = match self.lacks(release, name) {
                Some(words) => Checked::Bad(words),
                None => self.check_files(release, files, Some(name)).await,
            };
            if let Checked::Bad(words) = found
                && self.others_are_well(release, Some(name)).await.is_ok()
            {
                said.push(words);
                broken.insert(name.to_owned());
            }
        }
        match broken.is_empty() {
            true => Checked::Well,
            false => Checked::Spared {
                broken,
                words: said.join("; "),
            },
        }
    }

    /// Why no copy at `provider` has all files of a release that it had once.
    fn lacks(&self, release: &Release, provider: &str) -> Option<String> {
        if !release.is_held_by(provider) {
            return None;
        }
        let copies = release.held().filter(|copy| copy.provider == provider);
        let mut reason = None;
        for copy in copies {
            match self.catalogue.report_of(copy).health {
                Health::Bad(bad) if is_treatable(bad) => reason = Some(bad),
                _ => return None,
            }
        }
        reason.map(|reason| format!("{provider}: the library says {:?}", reason.as_str()))
    }
}

#[async_trait]
impl Ward for LibraryWard {
    fn releases(&self) -> usize {
        self.catalogue.status().releases
    }

    fn providers(&self) -> Vec<ProviderState> {
        let syncs = self.catalogue.status().providers;
        let state = |provider: &Arc<dyn Provider>| {
            let health = provider.health();
            let sync = syncs.iter().find(|sync| sync.name == health.name);
            let sync = sync.and_then(|sync| sync.trouble.as_ref());
            let trouble = if !health.healthy {
                let last = health.last_error.map(|(_, words)| words);
                Some(last.unwrap_or_else(|| "it does not answer".to_owned()))
            } else if health.cooldown.is_some() {
                Some("it has been asked too often".to_owned())
            } else if let Some(trouble) = sync {
                Some(trouble.message.clone())
            } else {
                let room = provider.room_for(Priority::Repair);
                room.err().map(|error| error.message)
            };
            ProviderState {
                name: health.name,
                trouble,
                may_add: provider.may_add_again(),
            }
        };
        self.providers.iter().map(state).collect()
    }

    async fn findings(&self) -> Vec<Finding> {
        let since = {
            let mut heard = self.heard.lock();
            std::mem::replace(&mut *heard, Timestamp::now())
        };
        let refused: HashMap<u64, Event> = self.content.refused_since(since).into_iter().collect();
        let library = self.library();
        let mut found = Vec::new();
        for entry in library.all() {
            let release = &entry.release;
            // Only torrents are added again.
            let Some(hash) = release.info_hash() else {
                continue;
            };
            let finding = |file: Option<String>, words: String| Finding {
                hash,
                name: entry.name.to_string(),
                file,
                providers: release.providers().map(str::to_owned).collect(),
                broken: BTreeSet::new(),
                words,
            };
            if let Some(reason) = of_the_library(release) {
                if is_treatable(reason) {
                    let words = format!("the library says {:?}", reason.as_str());
                    found.push(finding(None, words));
                }
                continue;
            }
            let Some(tree) = release.tree() else {
                continue;
            };
            let several = release.providers().nth(1).is_some();
            let holders = release.providers().filter(|_| several);
            for (name, words) in holders.filter_map(|name| Some((name, self.lacks(release, name)?)))
            {
                found.push(Finding {
                    broken: BTreeSet::from([name.to_owned()]),
                    ..finding(None, words)
                });
            }
            if refused.is_empty() {
                continue;
            }
            for file in &tree.files {
                if let Some(event) = refused.get(&file.id.0) {
                    let path = tree.path_of(PATHS, file);
                    let words = format!("a reader: {} {path}", words(event.kind));
                    let broken = several.then(|| event.provider.clone());
                    found.push(Finding {
                        broken: broken.into_iter().collect(),
                        ..finding(Some(path), words)
                    });
                }
            }
        }
        found
    }

    async fn check(&self, hash: InfoHash, files: &BTreeSet<String>) -> Checked {
        let Some(release) = self.release(hash) else {
            return Checked::Gone;
        };
        match self.check_files(&release, files, None).await {
            Checked::Bad(words) => match self.others_are_well(&release, None).await {
                Ok(()) => Checked::Bad(words),
                Err(why) => Checked::Unclear(format!("{words}; but {why}")),
            },
            Checked::Well => self.look_at_each(&release, files).await,
            found => found,
        }
    }

    async fn again(&self, hash: InfoHash, provider: &str) -> Option<Again> {
        let account = self.account(provider)?;
        match account.may_add_again() {
            true => self.addition_at(hash, account).await,
            false => None,
        }
    }

    async fn quarantined(&self, releases: BTreeMap<InfoHash, BadReason>) {
        let releases = releases.into_iter();
        let releases = releases
            .map(|(hash, reason)| (hash.into(), reason))
            .collect();
        self.catalogue.quarantine(releases).await;
    }

    fn look_now(&self) {
        self.catalogue.look_now();
    }

    fn has_arrs(&self) -> bool {
        !self.arrs.is_empty()
    }

    async fn ask_arrs(&self, hash: InfoHash, files: &BTreeSet<String>) -> Treated {
        let base = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let names: Vec<String> = files.iter().map(base).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut trouble = None;
        for arr in &self.arrs {
            let name = arr.name();
            match arr.replace(hash, &names).await {
                Ok(Replaced::Unknown) => {}
                Ok(Replaced::Already) => {
                    return Treated::Done(format!("{name} had been told before"));
                }
                Ok(Replaced::Searched { files }) => {
                    let words = format!("{name} let go of {files} files and searches for others");
                    return Treated::Done(words);
                }
                Err(error) => trouble = Some(format!("{name}: {error}")),
            }
        }
        match trouble {
            Some(words) => Treated::Later(words),
            None => Treated::Useless("no arr knows it".to_owned()),
        }
    }

    async fn let_go(&self, hash: InfoHash) -> Treated {
        let mut replaced = None;
        for arr in &self.arrs {
            let name = arr.name();
            match arr.replacement(hash).await {
                Ok(Replacement::Unknown) => {}
                Ok(Replacement::Missing) => {
                    return Treated::Later(format!("{name} has not all of another one yet"));
                }
                Ok(Replacement::Whole { from }) => replaced = Some((name, from)),
                Err(error) => return Treated::Later(format!("{name}: {error}")),
            }
        }
        let Some((name, from)) = replaced else {
            return Treated::Useless("no arr says that it has another one".to_owned());
        };
        // One of another download client is its own business.
        let ours = from.iter().filter_map(|id| self.release(id.parse().ok()?));
        for other in ours {
            match self.check_files(&other, &BTreeSet::new(), None).await {
                Checked::Well | Checked::Spared { .. } | Checked::Gone => {}
                Checked::Bad(words) | Checked::Blocked { words, .. } | Checked::Unclear(words) => {
                    return Treated::Later(format!("{name} has another one, but {words}"));
                }
            }
        }
        let Some(queue) = self.queue.get() else {
            return match self.queue.is_expected() {
                true => Treated::Later("downloads are not open yet".to_owned()),
                false => Treated::Useless("there are no downloads".to_owned()),
            };
        };
        match queue.remove(Selection::Some(vec![hash]), true).await {
            Ok(0) => Treated::Useless("it was not added from here".to_owned()),
            Ok(_) => Treated::Done(format!("{name} has another one: removed")),
            Err(error) => Treated::Later(error.to_string()),
        }
    }
}
