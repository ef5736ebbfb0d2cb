//! Rollouts, as a user and their own judge steer them.

use std::time::Duration;

use debridfs_base::human_duration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::decisions::{Decision, DecisionCount, DecisionKind};
use super::judge::Sample;
use super::machine::{Machine, Progress, Step};
use super::mix::Mix;
use super::plan::{PlanError, RolloutSettings, Stage};
use crate::backend_kind::BackendKind;
use crate::remembered::Kept;
use crate::selection::{Backends, Control, SwitchError};

/// The kernel has been told what was taken back after this time: writing a notification takes
/// microseconds.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// A rollout that is under way.
pub(crate) struct Running {
    pub(crate) machine: Machine,
    /// What was counted until the last look.
    seen: Sample,
    pub(crate) looked: Instant,
}

/// Why a rollout cannot be steered so.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The backend cannot answer.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// The stages make no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It answers everything.
    #[error("the backend {0} answers everything already")]
    Answers(BackendKind),
    /// There is one.
    #[error("a rollout of {0} is under way: `debridfs backend rollout stop` ends it")]
    UnderWay(BackendKind),
    /// There is none.
    #[error("no rollout is under way: `debridfs backend rollout start NAME` begins one")]
    None,
}

/// A rollout that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunningStatus {
    /// The backend that answered before.
    pub from: BackendKind,
    /// The one that is rolled out.
    pub to: BackendKind,
    /// Share of the nodes that the new one answers for, in percent.
    pub percent: f64,
    /// Which stage, counted from 1.
    pub stage: usize,
    /// How many there are.
    pub stages: usize,
    /// How long this stage lasts at least, from now on.
    #[serde(with = "human_duration")]
    #[schema(value_type = String, example = "12m")]
    pub left: Duration,
    /// Requests that the new one answered in this stage.
    pub answered: u64,
    /// How many it has to answer.
    pub least_requests: u64,
    /// Whether it stays at this stage until it is told to go on.
    pub paused: bool,
    /// When it began.
    pub started: Timestamp,
    /// What is judged: the window up to now.
    pub window: Sample,
}

/// How it stands with rollouts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutStatus {
    /// The one that is under way.
    pub running: Option<RunningStatus>,
    /// What was counted in rollouts since the engine's start, but for what was compared.
    pub counts: Sample,
    /// How many decisions of each kind there were since the engine's start.
    pub decisions: Vec<DecisionCount>,
    /// The last decisions, the newest last.
    pub last: Vec<Decision>,
}

impl Backends {
    /// Sets how the next rollout goes.
    pub fn set_rollout(&self, settings: RolloutSettings) {
        *self.settings.lock() = settings;
    }

    /// Begins to roll `to` out, in these stages or those of the settings.
    ///
    /// # Errors
    /// [`RolloutError`]; then nothing changes.
    pub fn start_rollout(
        &self,
        to: BackendKind,
        stages: Option<Vec<Stage>>,
    ) -> Result<(), RolloutError> {
        let mut control = self.control.lock();
        if let Some(running) = &control.running {
            return Err(RolloutError::UnderWay(running.machine.progress().to));
        }
        self.require(to)?;
        let from = self.active();
        if from == to {
            return Err(RolloutError::Answers(to));
        }
        let mut settings = self.settings.lock().clone();
        settings.stages = stages.unwrap_or(settings.stages);
        settings.check()?;
        let progress = Progress {
            from,
            to,
            settings,
            stage: 0,
            spent: Duration::ZERO,
            answered: 0,
            paused: false,
            started: Timestamp::now(),
        };
        let stages: Vec<String> = progress
            .settings
            .stages
            .iter()
            .map(Stage::to_string)
            .collect();
        let reason = format!("stages {}", stages.join(" "));
        self.sampler.touched.forget();
        self.run(&mut control, progress, DecisionKind::Started, &reason);
        Ok(())
    }

    fn run(&self, control: &mut Control, progress: Progress, how: DecisionKind, reason: &str) {
        self.decisions.note(how, &progress, reason);
        self.sampler.meters.set_limit(progress.settings.p99);
        let mix = Mix::with_canary(progress.from, progress.at().percent);
        control.running = Some(Running {
            machine: Machine::new(progress),
            seen: self.counted(),
            looked: Instant::now(),
        });
        self.compare_as_needed(control);
        self.set_mix(mix);
        self.changed(control);
    }

    /// Goes on with what an earlier engine kept.
    pub(crate) fn resume(&self, kept: Kept) {
        let mut control = self.control.lock();
        control.owes_all = kept.untold;
        control.stale = kept.untold;
        let same = kept.switched(self.configured()) == Some(self.active());
        let Some(progress) = kept.rollout else { return };
        let fits = same && progress.from == self.active() && progress.from != progress.to;
        let why_not = match self.lacks(progress.to) {
            _ if !fits => Some("another backend was chosen since"),
            None => progress
                .settings
                .check()
                .err()
                .map(|_| "its stages cannot be read"),
            some => some,
        };
        match why_not {
            None => {
                // The engine before this one let it answer, and what for is not known.
                self.sampler.touched.is_unknown();
                let reason = "with the time left of this stage";
                self.run(&mut control, progress, DecisionKind::Resumed, reason);
            }
            Some(why) => {
                self.decisions
                    .note(DecisionKind::RolledBack, &progress, why);
                control.owes_all = true;
                self.changed(&mut control);
            }
        }
    }

    /// Lets a rollout stay at its stage, or go on.
    ///
    /// # Errors
    /// There is none.
    pub fn pause_rollout(&self, paused: bool) -> Result<(), RolloutError> {
        let mut control = self.control.lock();
        let running = control.running.as_mut().ok_or(RolloutError::None)?;
        if running.machine.progress().paused != paused {
            running.machine.pause(paused);
            let kind = match paused {
                true => DecisionKind::Paused,
                false => DecisionKind::Unpaused,
            };
            self.decisions
                .note(kind, running.machine.progress(), "by hand");
        }
        self.changed(&mut control);
        Ok(())
    }

    /// Begins the next stage of a rollout at once; `fully`: the new backend answers for good.
    ///
    /// # Errors
    /// There is none.
    pub fn promote_rollout(&self, fully: bool) -> Result<(), RolloutError> {
        let mut control = self.control.lock();
        let running = control.running.as_mut().ok_or(RolloutError::None)?;
        let step = match fully {
            true => Step::Promoted,
            false => running.machine.advance(),
        };
        self.apply(&mut control, step, "by hand");
        Ok(())
    }

    /// Rolls a rollout back.
    ///
    /// # Errors
    /// There is none.
    pub fn stop_rollout(&self) -> Result<(), RolloutError> {
        let mut control = self.control.lock();
        let running = control.running.as_ref().ok_or(RolloutError::None)?;
        let from = running.machine.progress().from;
        self.end_by_hand(&mut control, from);
        Ok(())
    }

    /// Ends the rollout that is under way: promoted if `to` is what is rolled out.
    pub(crate) fn end_by_hand(&self, control: &mut Control, to: BackendKind) {
        let running = control.running.as_ref();
        match running.is_some_and(|running| running.machine.progress().to == to) {
            true => self.promote(control, "by hand"),
            false => self.take_back(control, "by hand"),
        }
    }

    /// Looks at what came since the last look, and acts on it.
    pub(crate) fn look(&self) {
        let now = self.counted();
        let mut control = self.control.lock();
        let Some(running) = control.running.as_mut() else {
            return;
        };
        let passed = running.looked.elapsed();
        running.looked += passed;
        let came = now.since(&running.seen);
        running.seen = now;
        match running.machine.look(passed, came) {
            None => {}
            Some(Step::Back(fault)) => self.take_back(&mut control, &fault.to_string()),
            Some(step) => self.apply(&mut control, step, "the stage before went well"),
        }
    }

    fn apply(&self, control: &mut Control, step: Step, why: &str) {
        match (step, &control.running) {
            (Step::Next, Some(running)) => {
                let progress = running.machine.progress();
                let mix = Mix::with_canary(progress.from, progress.at().percent);
                self.decisions.note(DecisionKind::Advanced, progress, why);
                self.set_mix(mix);
                self.changed(control);
            }
            _ => self.promote(control, why),
        }
    }

    fn promote(&self, control: &mut Control, why: &str) {
        if let Some(running) = control.running.take() {
            let progress = running.machine.progress();
            self.decisions.note(DecisionKind::Promoted, progress, why);
            self.switch_to(control, progress.to);
            self.sampler.touched.forget();
            self.compare_as_needed(control);
            self.changed(control);
        }
    }

    fn take_back(&self, control: &mut Control, why: &str) {
        if let Some(running) = control.running.take() {
            let progress = running.machine.progress();
            self.set_mix(Mix::only(progress.from));
            control.owes_all |= !self.sampler.touched.take_back();
            control.took_back = Some(Instant::now());
            self.decisions.note(DecisionKind::RolledBack, progress, why);
            self.compare_as_needed(control);
            self.changed(control);
        }
    }

    fn changed(&self, control: &mut Control) {
        control.stale = true;
        self.news.notify_one();
    }

    /// All that is counted.
    fn counted(&self) -> Sample {
        let (compared, diverged) = self.compared_sums();
        Sample {
            compared,
            diverged,
            ..self.sampler.meters.counts()
        }
    }

    /// What the next engine has to know.
    pub(crate) fn to_keep(&self, control: &Control) -> Kept {
        let running = control.running.as_ref();
        let took_back = control.took_back;
        Kept {
            configured: self.configured(),
            active: self.active(),
            rollout: running.map(|running| running.machine.progress().clone()),
            untold: control.owes_all || took_back.is_some_and(|at| at.elapsed() < TOLD_WITHIN),
        }
    }

    /// How it stands with rollouts.
    pub fn rollout(&self) -> RolloutStatus {
        let control = self.control.lock();
        let running = control.running.as_ref().map(|running| {
            let progress = running.machine.progress();
            let at = progress.at();
            RunningStatus {
                from: progress.from,
                to: progress.to,
                percent: at.percent,
                stage: progress.stage + 1,
                stages: progress.settings.stages.len(),
                left: at.lasts.saturating_sub(progress.spent),
                answered: progress.answered,
                least_requests: progress.settings.least_requests,
                paused: progress.paused,
                started: progress.started,
                window: running.machine.window(),
            }
        });
        RolloutStatus {
            running,
            counts: self.sampler.meters.counts(),
            decisions: self.decisions.counts(),
            last: self.decisions.last(),
        }
    }

    /// Decisions about rollouts, from now on.
    pub fn decisions(&self) -> broadcast::Receiver<Decision> {
        self.decisions.listen()
    }
}
