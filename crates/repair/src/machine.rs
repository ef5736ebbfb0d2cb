//! Decides what is believed and what is done. Pure: time comes in with each call, wishes go out.

mod bad;
mod spared;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use debridfs_provider::InfoHash;
use jiff::Timestamp;

use crate::patient::{Intent, Patient};
use crate::{Checked, Finding, ProviderState, Rules, Stage, Treated, Treatment};

/// How long treatments count against [`Rules::per_hour`].
const HOUR: Duration = Duration::from_secs(3600);
/// Failed checks after a treatment, until it is called useless.
const RELAPSES: u32 = 3;
/// However near to each other checks are, a confirmation holds this long: otherwise a slow turn could ask for checks for ever.
const HOLDS: Duration = Duration::from_secs(60);
/// Checks under way at once.
const CHECKS: usize = 4;
/// Releases watched at most; those beyond are reported again later.
const MOST: usize = 10_000;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Look whether it can be read; answered with [`Machine::checked`].
    Check(InfoHash),
    /// Carry out a treatment; answered with [`Machine::treated`].
    Treat(InfoHash, Treatment),
}

/// A provider as the machine sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Watched {
    trouble: Option<String>,
    /// Whether its terms forbid to add what nobody asked for.
    never_added: bool,
    /// When it was last in trouble.
    troubled: Option<Timestamp>,
    /// Too many of its releases are suspects.
    held: bool,
    /// The next check while it is held.
    sample: Option<Timestamp>,
}

/// All patients, and what is allowed.
#[derive(Debug, Clone)]
pub struct Machine {
    rules: Rules,
    patients: BTreeMap<InfoHash, Patient>,
    /// When treatments were begun within the last hour, oldest first.
    spent: VecDeque<Timestamp>,
    providers: BTreeMap<String, Watched>,
    /// Their names, the preferred first.
    order: Vec<String>,
    has_arrs: bool,
    healed: u64,
    changed: bool,
}

impl Machine {
    /// A machine that goes on with `patients`, and with the treatments begun at `spent`.
    pub fn new(rules: Rules, patients: Vec<Patient>, spent: VecDeque<Timestamp>) -> Self {
        let patients = patients.into_iter().map(|patient| (patient.hash, patient));
        let mut machine = Self {
            rules,
            patients: patients.collect(),
            spent,
            providers: BTreeMap::new(),
            order: Vec::new(),
            has_arrs: false,
            healed: 0,
            changed: false,
        };
        machine.nobody_is_busy();
        machine
    }

    /// Whoever checked or treated a patient is gone.
    pub fn nobody_is_busy(&mut self) {
        for patient in self.patients.values_mut() {
            patient.busy = false;
            // Cut off in the middle; adding is looked up by its intent, the rest can be done twice.
            if let Stage::Treated { .. } = patient.stage {
                patient.stage = patient.waiting();
            }
        }
    }

    /// All patients.
    pub fn patients(&self) -> impl ExactSizeIterator<Item = &Patient> {
        self.patients.values()
    }

    /// One patient.
    pub fn patient(&self, hash: InfoHash) -> Option<&Patient> {
        self.patients.get(&hash)
    }

    /// When treatments were begun within the last hour.
    pub fn spent(&self) -> &VecDeque<Timestamp> {
        &self.spent
    }

    /// Releases that a treatment made readable again, since the start.
    pub fn healed(&self) -> u64 {
        self.healed
    }

    /// Whether anything changed that has to be stored, since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What [`Self::take_changed`] gave could not be stored.
    pub fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Providers of which nothing is believed now, with the reason.
    pub fn quiet(&self, now: Timestamp) -> Vec<(String, String)> {
        let quiet = self.providers.iter().filter_map(|(name, watched)| {
            let words = match &watched.trouble {
                Some(words) => words.clone(),
                None if !self.is_calm(name, now) => {
                    "it has not been well for long enough, as after a start or an outage".to_owned()
                }
                None if watched.held => {
                    "so many of its releases cannot be read that it is suspected itself".to_owned()
                }
                None => return None,
            };
            Some((name.clone(), words))
        });
        quiet.collect()
    }

    /// Providers whose releases are not treated as too many are suspects.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        let held = self.providers.iter().filter(|(_, watched)| watched.held);
        held.map(|(name, _)| name.as_str())
    }

    /// Providers where nothing is added that nobody asked for.
    pub fn never_added(&self) -> impl Iterator<Item = &str> {
        let never = self.providers.iter().filter(|(_, one)| one.never_added);
        never.map(|(name, _)| name.as_str())
    }

    /// How providers do, how large the library is, and whether there is an arr to ask. To be called before [`Self::wishes`].
    pub fn observe(
        &mut self,
        now: Timestamp,
        providers: &[ProviderState],
        releases: usize,
        has_arrs: bool,
    ) {
        self.has_arrs = has_arrs;
        self.order = providers.iter().map(|state| state.name.clone()).collect();
        let order = &self.order;
        self.providers.retain(|name, _| order.contains(name));
        for state in providers {
            // How it did a moment ago, before a restart perhaps, nobody knows.
            let watched = self
                .providers
                .entry(state.name.clone())
                .or_insert_with(|| Watched {
                    troubled: Some(now),
                    ..Watched::default()
                });
            watched.never_added = !state.may_add;
            watched.trouble.clone_from(&state.trouble);
            if state.trouble.is_some() {
                watched.troubled = Some(now);
            }
        }
        let share = (releases as f64 * self.rules.mass_share) as usize;
        let limit = share.max(self.rules.mass_least);
        let names = self.order.clone();
        for name in names {
            let suspects = self.patients.values().filter(|patient| {
                let blamed = patient.blamed().any(|one| *one == name);
                !patient.approved && !patient.stage.is_final() && blamed
            });
            let many = suspects.count() > limit;
            if let Some(watched) = self.providers.get_mut(&name) {
                watched.held = many;
                if !many {
                    watched.sample = None;
                }
            }
        }
    }

    /// Whether what is said of the provider's releases is believed: it is well, and has been for a while.
    fn is_calm(&self, name: &str, now: Timestamp) -> bool {
        let Some(watched) = self.providers.get(name) else {
            return false;
        };
        watched.trouble.is_none()
            && watched.troubled.is_none_or(|at| {
                at.saturating_add(self.rules.settle)
                    .is_ok_and(|end| now >= end)
            })
    }

    fn all_calm(&self, patient: &Patient, now: Timestamp) -> bool {
        !patient.providers.is_empty()
            && patient.providers.iter().all(|name| self.is_calm(name, now))
    }

    fn is_held(&self, patient: &Patient) -> bool {
        let held = |name: &String| self.providers.get(name).is_some_and(|one| one.held);
        !patient.approved && patient.blamed().any(held)
    }

    /// Somebody says that a release cannot be read. Said of a provider in trouble, it is not believed.
    pub fn report(&mut self, now: Timestamp, finding: &Finding) {
        let calm = finding.providers.iter().all(|name| self.is_calm(name, now));
        if !calm || finding.providers.is_empty() {
            return;
        }
        let apart = self.rules.apart;
        if !self.patients.contains_key(&finding.hash) && self.patients.len() >= MOST {
            return;
        }
        let patient = self
            .patients
            .entry(finding.hash)
            .or_insert_with(|| Patient {
                hash: finding.hash,
                name: finding.name.clone(),
                files: finding.file.iter().cloned().collect(),
                providers: finding.providers.clone(),
                broken: finding.broken.clone(),
                refused: BTreeSet::new(),
                stage: Stage::Suspect,
                confirmations: 0,
                confirmed: None,
                since: now,
                next: later(now, apart),
                tried: Vec::new(),
                asked: None,
                approved: false,
                intent: None,
                evidence: VecDeque::new(),
                busy: false,
            });
        let before = (patient.evidence.len(), patient.files.len());
        patient.name.clone_from(&finding.name);
        patient.providers.clone_from(&finding.providers);
        match &finding.file {
            // All of it is bad already when there is no file.
            Some(file) if !patient.files.is_empty() => {
                patient.files.insert(file.clone());
            }
            Some(_) => {}
            // One copy that lacks something says nothing of files that no copy gives.
            None if !finding.broken.is_empty() => {}
            None => patient.files.clear(),
        }
        patient.note(now, &finding.words);
        self.changed |= before != (patient.evidence.len(), patient.files.len());
    }

    /// Somebody wants a release treated although many are suspects. It still has to be confirmed.
    pub fn approve(&mut self, hash: Option<InfoHash>) -> usize {
        let mut approved = 0;
        for patient in self.patients.values_mut() {
            if hash.is_none_or(|hash| hash == patient.hash) && !patient.approved {
                patient.approved = true;
                approved += 1;
                self.changed = true;
            }
        }
        approved
    }

    /// That a torrent is about to be added for a release.
    pub fn intend(&mut self, hash: InfoHash, intent: Intent) {
        if let Some(patient) = self.patients.get_mut(&hash) {
            patient.intent = Some(intent);
            self.changed = true;
        }
    }

    /// What is to be done now; each wish is answered before it is uttered again.
    pub fn wishes(&mut self, now: Timestamp) -> Vec<Wish> {
        let hour_ago = now.checked_sub(HOUR).unwrap_or(Timestamp::MIN);
        while self.spent.front().is_some_and(|at| *at <= hour_ago) {
            self.spent.pop_front();
            self.changed = true;
        }
        let mut wishes = Vec::new();
        let mut due: Vec<(Timestamp, InfoHash)> = self
            .patients
            .values()
            .filter(|patient| !patient.busy && patient.next <= now && self.all_calm(patient, now))
            .map(|patient| (patient.next, patient.hash))
            .collect();
        due.sort();
        let busy = |stage: fn(&Stage) -> bool| {
            let patients = self.patients.values();
            patients.filter(|one| one.busy && stage(&one.stage)).count()
        };
        let is_treated = |stage: &Stage| matches!(stage, Stage::Treated { .. });
        // One treatment at a time: each is a handful of calls at most, and the next may not be needed.
        let mut may_treat = busy(is_treated) == 0 && self.spent.len() < self.rules.per_hour;
        // What can be read leaves half of the hour to what cannot, and lets it go first.
        let mut patients = self.patients.values();
        let has_time = self.spent.len() < self.rules.per_hour.div_ceil(2)
            && !patients.any(|one| one.stage == Stage::Quarantined);
        let mut may_treat_spared = may_treat && has_time;
        let mut checks =
            CHECKS.saturating_sub(busy(|stage| !matches!(stage, Stage::Treated { .. })));
        for (_, hash) in due {
            let Some(patient) = self.patients.get(&hash) else {
                continue;
            };
            let held = self.is_held(patient);
            let wish = match patient.stage {
                Stage::Quarantined if held || !may_treat => continue,
                // What was found before it had to wait for its turn, or for its provider, is not believed for ever.
                Stage::Quarantined if self.is_stale(patient, now) => match checks {
                    0 => continue,
                    _ => Wish::Check(hash),
                },
                Stage::Quarantined => match self.treatment_for(patient) {
                    Some(treatment) => Wish::Treat(hash, treatment),
                    None => {
                        self.give_up(hash, now);
                        continue;
                    }
                },
                Stage::Spared if !held && !may_treat_spared => continue,
                Stage::Spared if !held && !self.is_stale(patient, now) => {
                    match self.treatment_for(patient) {
                        Some(treatment) => Wish::Treat(hash, treatment),
                        None => {
                            self.look_later(hash, now);
                            continue;
                        }
                    }
                }
                Stage::Blocked => match self.treatment_for(patient) {
                    Some(_) if !may_treat => continue,
                    Some(treatment) if !self.is_stale(patient, now) => Wish::Treat(hash, treatment),
                    _ if checks == 0 => continue,
                    _ => Wish::Check(hash),
                },
                Stage::Treated { .. } => continue,
                _ if checks == 0 || (held && !self.may_sample(patient, now)) => continue,
                _ => Wish::Check(hash),
            };
            match &wish {
                Wish::Check(_) => {
                    checks -= 1;
                    if held {
                        self.sampled(hash, now);
                    }
                }
                Wish::Treat(_, treatment) => {
                    (may_treat, may_treat_spared) = (false, false);
                    self.spent.push_back(now);
                    self.changed = true;
                    if let Some(patient) = self.patients.get_mut(&hash) {
                        let treatment = treatment.clone();
                        patient.stage = Stage::Treated { treatment };
                    }
                }
            }
            if let Some(patient) = self.patients.get_mut(&hash) {
                patient.busy = true;
            }
            wishes.push(wish);
        }
        wishes
    }

    /// Whether the last check that confirmed it is too long ago for a treatment.
    fn is_stale(&self, patient: &Patient, now: Timestamp) -> bool {
        let holds = self.rules.apart.max(HOLDS);
        patient.confirmed.is_none_or(|at| later(at, holds) < now)
    }

    /// While a provider is suspected itself, now and then one of its releases tells how it does.
    fn may_sample(&self, patient: &Patient, now: Timestamp) -> bool {
        patient.blamed().all(|name| {
            let sample = self.providers.get(name).and_then(|one| one.sample);
            sample.is_none_or(|at| at <= now)
        })
    }

    fn sampled(&mut self, hash: InfoHash, now: Timestamp) {
        let Some(patient) = self.patients.get(&hash) else {
            return;
        };
        for name in patient.blamed() {
            if let Some(watched) = self.providers.get_mut(name) {
                watched.sample = Some(later(now, self.rules.held_apart));
            }
        }
    }

    /// The next treatment that was not tried: where it is, elsewhere, and at last the arr. What other copies serve is added again where
    /// its copy is bad, and that is all.
    fn treatment_for(&self, patient: &Patient) -> Option<Treatment> {
        let add = |provider: &String| Treatment::Add {
            provider: provider.clone(),
        };
        let never = |name: &String| {
            let terms = self.providers.get(name).is_some_and(|one| one.never_added);
            terms || patient.refused.contains(name)
        };
        let (here, elsewhere): (Vec<&String>, Vec<&String>) = self
            .order
            .iter()
            .filter(|name| !never(name))
            .partition(|name| patient.providers.contains(name));
        if !patient.broken.is_empty() {
            let broken = here
                .into_iter()
                .filter(|&name| patient.broken.contains(name));
            return broken
                .map(add)
                .find(|treatment| !patient.tried.contains(treatment));
        }
        // A name that is refused says nothing of the release: no arr is to blocklist it.
        let arr = self.rules.ask_arrs && self.has_arrs && !patient.is_blocked();
        let arr = arr.then_some(Treatment::AskArr);
        let let_go = self.may_let_go(patient).then_some(Treatment::LetGo);
        let all = here.into_iter().chain(elsewhere).map(add);
        let all = all.chain(arr).chain(let_go);
        all.into_iter()
            .find(|treatment| !patient.tried.contains(treatment))
    }

    fn may_let_go(&self, patient: &Patient) -> bool {
        self.rules.let_go && patient.asked.is_some() && !patient.tried.contains(&Treatment::LetGo)
    }

    fn look_later(&mut self, hash: InfoHash, now: Timestamp) {
        let next = later(now, self.rules.look_again);
        if let Some(patient) = self.patients.get_mut(&hash) {
            patient.next = next;
            self.changed = true;
        }
    }

    fn give_up(&mut self, hash: InfoHash, now: Timestamp) {
        self.look_later(hash, now);
        if let Some(patient) = self.patients.get_mut(&hash) {
            patient.stage = Stage::GivenUp;
        }
    }

    /// What a check found, wished for or made by hand.
    pub fn checked(&mut self, now: Timestamp, hash: InfoHash, found: &Checked) {
        let apart = self.rules.apart;
        let Some(patient) = self.patients.get(&hash) else {
            return;
        };
        // What was asked of a provider that turned out to be in trouble says nothing.
        let calm = self.all_calm(patient, now);
        let held = self.is_held(patient);
        self.changed = true;
        let Some(patient) = self.patients.get_mut(&hash) else {
            return;
        };
        patient.busy = false;
        match found {
            Checked::Well | Checked::Gone => {
                if *found == Checked::Well && !patient.tried.is_empty() {
                    self.healed += 1;
                }
                if held {
                    // The provider may be well again: the next one is looked at without a pause.
                    for watched in self.providers.values_mut() {
                        watched.sample = None;
                    }
                }
                self.patients.remove(&hash);
            }
            Checked::Spared { broken, words } if calm => {
                patient.note(now, words);
                self.spared(now, hash, broken, held);
            }
            Checked::Bad(words) if calm => {
                patient.note(now, words);
                self.bad(now, hash);
            }
            Checked::Blocked { by, words } if calm => {
                patient.note(now, words);
                patient.refused.extend(by.iter().cloned());
                self.blocked(now, hash);
            }
            Checked::Bad(words)
            | Checked::Blocked { words, .. }
            | Checked::Spared { words, .. }
            | Checked::Unclear(words) => {
                patient.note(now, words);
                patient.next = later(now, apart);
            }
        }
    }

    /// What became of a treatment.
    pub fn treated(&mut self, now: Timestamp, hash: InfoHash, how: &Treated) {
        let Some(patient) = self.patients.get_mut(&hash) else {
            return;
        };
        patient.busy = false;
        let Stage::Treated { treatment } = patient.stage.clone() else {
            return;
        };
        self.changed = true;
        match how {
            Treated::Later(words) | Treated::Useless(words) | Treated::Blocked(words)
                if treatment == Treatment::LetGo =>
            {
                patient.note(now, words);
                let again = matches!(how, Treated::Later(_));
                if !again {
                    patient.tried.push(treatment);
                }
                // It is replaced, whatever becomes of what is left of it.
                patient.stage = Stage::Replaced;
                let wait = if again {
                    self.rules.let_go_after
                } else {
                    self.rules.look_again
                };
                patient.next = later(now, wait);
            }
            Treated::Later(words) => {
                patient.note(now, words);
                patient.stage = patient.waiting();
                patient.next = later(now, self.rules.apart);
            }
            Treated::Useless(words) | Treated::Blocked(words) => {
                patient.note(now, words);
                patient.intent = None;
                if let (Treated::Blocked(_), Treatment::Add { provider }) = (how, &treatment) {
                    patient.refused.insert(provider.clone());
                }
                patient.tried.push(treatment);
                patient.stage = patient.waiting();
                patient.next = now;
                if patient.stage == Stage::Blocked {
                    self.rest(now, hash);
                }
            }
            Treated::Done(words) => {
                patient.note(now, words);
                patient.intent = None;
                patient.tried.push(treatment.clone());
                match treatment {
                    Treatment::AskArr => {
                        patient.stage = Stage::Replaced;
                        patient.asked = Some(now);
                        patient.confirmations = 0;
                        patient.confirmed = None;
                        let wait = match self.rules.let_go {
                            true => self.rules.let_go_after,
                            false => self.rules.look_again,
                        };
                        patient.next = later(now, wait);
                    }
                    Treatment::LetGo => {
                        patient.stage = Stage::Replaced;
                        patient.next = later(now, self.rules.look_again);
                    }
                    Treatment::Add { .. } => {
                        patient.stage = Stage::Recovering { treatment };
                        // Counted anew, for what was added.
                        patient.confirmations = 0;
                        patient.confirmed = None;
                        patient.next = later(now, self.rules.recovery);
                    }
                }
            }
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
