//! Carries out what the machine wants, and keeps its state.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::WallClock;
use debridfs_catalogue::BadReason;
use debridfs_provider::InfoHash;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::again::AddedAgain;
use crate::patient::Intent;
use crate::store::put;
use crate::{
    Checked, Finding, Machine, Patient, Rules, Stage, StoreError, Stored, Treated, Treatment, Ward,
    Wish,
};

/// A check or treatment that takes longer is given up, so that nothing is busy for ever.
const LONGEST: Duration = Duration::from_secs(3600);

/// How repair does. Scripts rely on it as `debridfs repair ls --json`: fields are added, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RepairList)]
pub struct RepairStatus {
    /// Patients, those that were found first first.
    pub patients: Vec<Patient>,
    /// Providers of which nothing is believed now, and why.
    #[schema(value_type = Vec<Vec<String>>)]
    pub quiet: Vec<(String, String)>,
    /// Providers that are suspected themselves.
    pub held: Vec<String>,
    /// Providers where nothing is added that nobody asked for, as their terms forbid it.
    #[serde(default)]
    pub never_added: Vec<String>,
    /// Treatments begun within the last hour.
    pub spent: usize,
    /// How many may be.
    pub per_hour: usize,
    /// Releases that were healed since the start.
    pub healed: u64,
}

/// Repair.
pub struct Repair {
    rules: Rules,
    ward: Arc<dyn Ward>,
    clock: Arc<dyn WallClock>,
    path: PathBuf,
    machine: Mutex<Machine>,
    /// One write at a time, each of the newest state.
    writing: AsyncMutex<()>,
    wake: Notify,
}

impl std::fmt::Debug for Repair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Repair")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

enum Answer {
    Checked(Checked),
    Treated(Treated),
}

impl Repair {
    /// Goes on from what is stored at `path`; does nothing before [`Self::run`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        rules: Rules,
        path: &Path,
        ward: Arc<dyn Ward>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, StoreError> {
        let stored = Stored::load(path, clock.now())?;
        let machine = Machine::new(rules.clone(), stored.patients, stored.spent);
        Ok(Arc::new(Self {
            rules,
            ward,
            clock,
            path: path.to_owned(),
            machine: Mutex::new(machine),
            writing: AsyncMutex::new(()),
            wake: Notify::new(),
        }))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock()
    }

    /// Until `shutdown`. To be called once, and again after a panic.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.clone().go_on() => {}
        }
    }

    async fn go_on(self: Arc<Self>) {
        self.machine().nobody_is_busy();
        let mut tasks: JoinSet<Answer> = JoinSet::new();
        let mut of: HashMap<tokio::task::Id, InfoHash> = HashMap::new();
        loop {
            for finding in self.look().await {
                self.machine().report(self.clock.now(), &finding);
            }
            let wishes = self.machine().wishes(self.clock.now());
            // Before anything is done: a limit that a crash resets is none.
            self.keep().await;
            self.show().await;
            for wish in wishes {
                let (Wish::Check(hash) | Wish::Treat(hash, _)) = wish;
                let repair = self.clone();
                let task = tasks.spawn(async move { repair.carry_out(wish).await });
                of.insert(task.id(), hash);
            }
            tokio::select! {
                () = sleep(self.rules.look_every) => {}
                () = self.wake.notified() => {}
                Some(ended) = tasks.join_next_with_id() => self.take(ended, &mut of),
            }
            while let Some(ended) = tasks.try_join_next_with_id() {
                self.take(ended, &mut of);
            }
        }
    }

    async fn show(&self) {
        let bad = {
            let machine = self.machine();
            let bad = machine.patients().filter(|one| one.is_bad());
            let reason = |one: &Patient| match one.is_blocked() {
                true => BadReason::Blocked,
                false => BadReason::Unreadable,
            };
            bad.map(|one| (one.hash, reason(one))).collect()
        };
        self.ward.quarantined(bad).await;
    }

    /// Tells the machine how the world does; gives what is said of releases.
    async fn look(&self) -> Vec<Finding> {
        let providers = self.ward.providers();
        let releases = self.ward.releases();
        let has_arrs = self.ward.has_arrs();
        let now = self.clock.now();
        self.machine().observe(now, &providers, releases, has_arrs);
        self.ward.findings().await
    }

    fn take(
        &self,
        ended: Result<(tokio::task::Id, Answer), tokio::task::JoinError>,
        of: &mut HashMap<tokio::task::Id, InfoHash>,
    ) {
        let (id, answer) = match ended {
            Ok((id, answer)) => (id, Some(answer)),
            Err(error) => {
                tracing::error!(%error, "a repair ended by a defect");
                (error.id(), None)
            }
        };
        let Some(hash) = of.remove(&id) else { return };
        let now = self.clock.now();
        let mut machine = self.machine();
        let is_treated = machine
            .patient(hash)
            .is_some_and(|patient| matches!(patient.stage, Stage::Treated { .. }));
        match answer {
            Some(Answer::Checked(found)) => {
                tell_check(machine.patient(hash), &found);
                machine.checked(now, hash, &found);
            }
            Some(Answer::Treated(how)) => {
                tell_treatment(machine.patient(hash), &how);
                machine.treated(now, hash, &how);
            }
            None if is_treated => {
                machine.treated(now, hash, &Treated::Later("a defect".to_owned()));
            }
            None => machine.checked(now, hash, &Checked::Unclear("a defect".to_owned())),
        }
    }

    async fn carry_out(&self, wish: Wish) -> Answer {
        match wish {
            Wish::Check(hash) => {
                let found = timeout(LONGEST, self.look_at(hash)).await;
                Answer::Checked(found.unwrap_or(Checked::Unclear("no answer".to_owned())))
            }
            Wish::Treat(hash, Treatment::Add { provider }) => {
                let how = timeout(LONGEST, self.add_again(hash, &provider)).await;
                Answer::Treated(how.unwrap_or(Treated::Later("no answer".to_owned())))
            }
            Wish::Treat(hash, Treatment::LetGo) => {
                let how = timeout(LONGEST, self.ward.let_go(hash)).await;
                Answer::Treated(how.unwrap_or(Treated::Later("no answer".to_owned())))
            }
            Wish::Treat(hash, Treatment::AskArr) => {
                let files = self.files_of(hash);
                let how = timeout(LONGEST, self.ward.ask_arrs(hash, &files)).await;
                Answer::Treated(how.unwrap_or(Treated::Later("no answer".to_owned())))
            }
        }
    }

    fn files_of(&self, hash: InfoHash) -> BTreeSet<String> {
        let machine = self.machine();
        let patient = machine.patient(hash);
        patient.map_or_else(BTreeSet::new, |patient| patient.files.clone())
    }

    async fn look_at(&self, hash: InfoHash) -> Checked {
        let files = self.files_of(hash);
        self.ward.check(hash, &files).await
    }

    async fn add_again(&self, hash: InfoHash, provider: &str) -> Treated {
        let Some(again) = self.ward.again(hash, provider).await else {
            return Treated::Useless(format!("it cannot be added at {provider}"));
        };
        let intent = self
            .machine()
            .patient(hash)
            .and_then(|patient| patient.intent.clone())
            .filter(|intent| intent.provider == provider);
        let before = match intent {
            Some(intent) => intent.before,
            None => {
                let before = match again.before(hash).await {
                    Ok(before) => before,
                    Err(error) => return Treated::Later(error.to_string()),
                };
                let intent = Intent {
                    provider: provider.to_owned(),
                    before: before.clone(),
                };
                self.machine().intend(hash, intent);
                self.keep().await;
                before
            }
        };
        match again.add(hash, &before).await {
            Ok(AddedAgain::Ready(id)) => {
                self.ward.look_now();
                Treated::Done(format!("added again at {provider} as {id}"))
            }
            Ok(AddedAgain::Refused(words)) => Treated::Useless(words),
            Ok(AddedAgain::Blocked(words)) => Treated::Blocked(words),
            Err(error) => Treated::Later(error.to_string()),
        }
    }

    /// Puts what has changed on the disk, however long that takes: nothing is done that is not remembered.
    async fn keep(&self) {
        let _writing = self.writing.lock().await;
        loop {
            let stored = {
                let mut machine = self.machine();
                if !machine.take_changed() {
                    return;
                }
                Stored::new(
                    machine.patients().cloned().collect(),
                    machine.spent().clone(),
                )
            };
            if !put(stored, &self.path, "repair").await {
                self.machine().set_changed();
            }
        }
    }

    /// How it does.
    pub fn status(&self) -> RepairStatus {
        let now = self.clock.now();
        let machine = self.machine();
        let mut patients: Vec<Patient> = machine.patients().cloned().collect();
        patients.sort_by_key(|patient| (patient.since, patient.hash));
        RepairStatus {
            patients,
            quiet: machine.quiet(now),
            held: machine.held().map(str::to_owned).collect(),
            never_added: machine.never_added().map(str::to_owned).collect(),
            spent: machine.spent().len(),
            per_hour: self.rules.per_hour,
            healed: machine.healed(),
        }
    }

    /// What is known of one release, if there is something.
    pub fn patient(&self, hash: InfoHash) -> Option<Patient> {
        self.machine().patient(hash).cloned()
    }

    /// Looks at a release now because somebody asks; what is found counts as any check, and makes it a suspect.
    pub async fn check(&self, finding: Finding) -> Checked {
        let hash = finding.hash;
        let files: BTreeSet<String> = finding.file.iter().cloned().collect();
        let found = self.ward.check(hash, &files).await;
        {
            let now = self.clock.now();
            let mut machine = self.machine();
            if let Checked::Bad(words) | Checked::Blocked { words, .. } = &found {
                let words = words.clone();
                let finding = Finding {
                    words,
                    ..finding.clone()
                };
                machine.report(now, &finding);
            }
            if let Checked::Spared { broken, words } = &found {
                let (broken, words) = (broken.clone(), words.clone());
                let finding = Finding {
                    broken,
                    words,
                    ..finding
                };
                machine.report(now, &finding);
            }
            let busy = machine.patient(hash).is_none_or(|patient| patient.busy);
            let whole = machine
                .patient(hash)
                .is_some_and(|patient| patient.files == files);
            // A file that can be read says nothing of the others.
            let bad = !matches!(found, Checked::Well | Checked::Gone | Checked::Unclear(_));
            if !busy && (whole || bad) {
                machine.checked(now, hash, &found);
            }
        }
        self.keep().await;
        self.wake.notify_one();
        found
    }

    /// Lets a release, or all, be treated although many are suspects; how many were not before.
    pub async fn approve(&self, hash: Option<InfoHash>) -> usize {
        let approved = self.machine().approve(hash);
        self.keep().await;
        self.wake.notify_one();
        approved
    }
}

fn tell_check(patient: Option<&Patient>, found: &Checked) {
    let Some(patient) = patient else { return };
    let (name, stage) = (&patient.name, patient.stage.label());
    match found {
        Checked::Well => tracing::info!(name, stage, "it can be read"),
        Checked::Spared { words, .. } => {
            tracing::info!(name, stage, "another copy of it can be read: {words}");
        }
        Checked::Gone => tracing::info!(name, stage, "it is not in the library any more"),
        Checked::Bad(words) => tracing::warn!(name, stage, "it cannot be read: {words}"),
        Checked::Blocked { words, .. } => {
            tracing::warn!(name, stage, "it is refused for its name: {words}");
        }
        Checked::Unclear(words) => tracing::info!(name, stage, "nothing can be told: {words}"),
    }
}

fn tell_treatment(patient: Option<&Patient>, how: &Treated) {
    let Some(patient) = patient else { return };
    let name = &patient.name;
    match how {
        Treated::Done(words) => tracing::info!(name, "treated: {words}"),
        Treated::Blocked(words) => tracing::warn!(name, "it is refused for its name: {words}"),
        Treated::Useless(words) => tracing::warn!(name, "a treatment is of no use: {words}"),
        Treated::Later(words) => tracing::info!(name, "cannot be treated now: {words}"),
    }
}
