//! The stages of a rollout, one after the other: pure, on a clock that its caller keeps.

use std::time::Duration;

use debridfs_base::human_duration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::judge::{Fault, Judge, Sample};
use super::plan::{RolloutSettings, Stage};
use crate::backend_kind::BackendKind;

/// How far a rollout is: all that the next engine needs to go on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The backend that answered before.
    pub from: BackendKind,
    /// The one that is rolled out.
    pub to: BackendKind,
    /// Its stages and limits, as they were at the start.
    pub settings: RolloutSettings,
    /// Which stage, counted from 0.
    pub stage: usize,
    /// Time spent in this stage; pauses, and times without an engine, do not count.
    #[serde(with = "human_duration")]
    pub spent: Duration,
    /// Requests that the new backend answered in this stage.
    pub answered: u64,
    /// Whether it stays at this stage until it is told to go on.
    pub paused: bool,
    /// When it began.
    pub started: Timestamp,
}

impl Progress {
    /// The stage it is at.
    pub fn at(&self) -> Stage {
        // A file that another version wrote may name a stage that is not there.
        let last = self.settings.stages.len().saturating_sub(1);
        let all = Stage {
            percent: 100.0,
            lasts: Duration::ZERO,
        };
        let stages = &self.settings.stages;
        stages.get(self.stage.min(last)).copied().unwrap_or(all)
    }
}

/// What a look decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// The next stage begins.
    Next,
    /// The last one is over: the new backend answers for good.
    Promoted,
    /// The old one answers again.
    Back(Fault),
}

/// A rollout.
#[derive(Debug)]
pub(crate) struct Machine {
    progress: Progress,
    judge: Judge,
    /// Time since this machine was made, which orders its looks.
    now: Duration,
}

impl Machine {
    /// Begins, or goes on with, a rollout. Nothing of what an earlier engine counted is judged.
    pub(crate) fn new(progress: Progress) -> Self {
        let judge = Judge::new(progress.settings.clone());
        Self {
            progress,
            judge,
            now: Duration::ZERO,
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the window of its judge holds.
    pub(crate) fn window(&self) -> Sample {
        self.judge.window()
    }

    pub(crate) fn pause(&mut self, paused: bool) {
        self.progress.paused = paused;
    }

    /// Takes what came in the time that `passed` since the last look, and decides. A rollout that
    /// pauses is judged all the same.
    pub(crate) fn look(&mut self, passed: Duration, came: Sample) -> Option<Step> {
        self.now += passed;
        self.progress.answered += came.canary.requests;
        if !self.progress.paused {
            self.progress.spent += passed;
        }
        if let Some(fault) = self.judge.look(self.now, came) {
            return Some(Step::Back(fault));
        }
        let Progress {
            spent,
            answered,
            paused,
            settings,
            ..
        } = &self.progress;
        let due = *spent >= self.progress.at().lasts && *answered >= settings.least_requests;
        (due && !paused && self.judge.is_calm()).then(|| self.advance())
    }

    /// Begins the next stage at once; after the last one the rollout is over.
    pub(crate) fn advance(&mut self) -> Step {
        let next = self.progress.stage + 1;
        if next >= self.progress.settings.stages.len() {
            return Step::Promoted;
        }
        self.progress.stage = next;
        self.progress.spent = Duration::ZERO;
        self.progress.answered = 0;
        self.progress.paused = false;
        Step::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::SideCounts;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn progress() -> Progress {
        let stages = ["10%:10s", "50%:20s", "100%:5s"];
        let settings = RolloutSettings {
            stages: stages.map(|stage| stage.parse().unwrap()).to_vec(),
            least_requests: 50,
            ..RolloutSettings::default()
        };
        Progress {
            from: BackendKind::Native,
            to: BackendKind::Fbrs,
            settings,
            stage: 0,
            spent: Duration::ZERO,
            answered: 0,
            paused: false,
            started: Timestamp::UNIX_EPOCH,
        }
    }

    fn answered(requests: u64, errors: u64) -> Sample {
        let canary = SideCounts {
            requests,
            errors,
            ..SideCounts::default()
        };
        Sample {
            canary,
            ..Sample::default()
        }
    }

    /// Steps at one look a second, with the second at which each came.
    fn steps(machine: &mut Machine, seconds: u64, sample: Sample) -> Vec<(u64, Step)> {
        let looks =
            (1..=seconds).filter_map(|second| Some((second, machine.look(SECOND, sample)?)));
        looks.collect()
    }

    #[test]
    fn stages_follow_one_another_by_their_times() {
        let mut machine = Machine::new(progress());
        assert_eq!(machine.progress().at().percent, 10.0);
        let all = steps(&mut machine, 35, answered(10, 0));
        assert_eq!(
            all,
            [(10, Step::Next), (30, Step::Next), (35, Step::Promoted)]
        );
    }

    #[test]
    fn without_enough_requests_nothing_is_promoted() {
        let mut machine = Machine::new(progress());
        assert_eq!(steps(&mut machine, 10, answered(4, 0)), []);
        // 49 requests by now; one more is enough.
        assert_eq!(steps(&mut machine, 1, answered(9, 0)), []);
        assert_eq!(steps(&mut machine, 100, answered(0, 0)), []);
        assert_eq!(machine.look(SECOND, answered(1, 0)), Some(Step::Next));
    }

    #[test]
    fn an_engine_that_goes_on_has_the_time_left_at_the_same_stage() {
        let mut before = Machine::new(progress());
        steps(&mut before, 17, answered(10, 0));
        let kept = serde_json::to_string(before.progress()).unwrap();
        drop(before);
        let mut after = Machine::new(serde_json::from_str(&kept).unwrap());
        assert_eq!(after.progress().stage, 1);
        assert_eq!(after.progress().spent, 7 * SECOND);
        assert_eq!(steps(&mut after, 13, answered(10, 0)), [(13, Step::Next)]);
    }

    #[test]
    fn a_pause_stops_the_time_and_not_the_judge() {
        let mut machine = Machine::new(progress());
        machine.pause(true);
        assert_eq!(steps(&mut machine, 100, answered(10, 0)), []);
        assert_eq!(machine.progress().spent, Duration::ZERO);
        machine.pause(false);
        assert_eq!(steps(&mut machine, 10, answered(10, 0)), [(10, Step::Next)]);
        machine.pause(true);
        let back = steps(&mut machine, 20, answered(10, 10));
        assert!(
            matches!(back[0].1, Step::Back(Fault::Errors { .. })),
            "{back:?}"
        );
    }

    #[test]
    fn nothing_is_promoted_while_a_limit_is_passed() {
        let mut machine = Machine::new(progress());
        assert_eq!(steps(&mut machine, 9, answered(100, 0)), []);
        // Above the limit at one look; nothing new comes then.
        assert_eq!(steps(&mut machine, 1, answered(100, 50)), []);
        assert_eq!(steps(&mut machine, 50, answered(0, 0)), []);
        assert_eq!(machine.look(SECOND, answered(10_000, 0)), Some(Step::Next));
    }

    #[test]
    fn a_stage_that_is_not_there_is_the_last() {
        let mut progress = progress();
        progress.stage = 9;
        assert_eq!(progress.at().percent, 100.0);
        assert_eq!(Machine::new(progress).advance(), Step::Promoted);
    }
}
