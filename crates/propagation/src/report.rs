//! What a test found: a log of steps while it runs, and the verdict.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::code::{Advice, Code};

/// Part of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Is the volume shared, and the mount point made?
    HostSetUp,
    /// Does a FUSE mount of the producer reach the host?
    Producer,
    /// Does it reach every kind of consumer?
    Consumer,
    /// Who may mount, and who may read?
    PermissionLevels,
    /// What is seen while the producer is gone?
    Stale,
    /// What is seen once it is back?
    Recovery,
    /// Is everything gone?
    Cleanup,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it has to be.
    Ok,
    /// Not as it has to be.
    Failed,
    /// A danger that the test itself does not fail for.
    Warning,
    /// A limit of the platform, seen as expected; the text says how to stay clear of it.
    Limit,
    /// For the record.
    Note,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it ended.
    pub at: Timestamp,
    /// Part of the test.
    pub phase: Phase,
    /// What was looked at.
    pub what: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it failed or is a danger.
    pub code: Option<Code>,
    /// What was seen.
    pub seen: String,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Warning => "warning",
            Outcome::Limit => "limit",
            Outcome::Note => "note",
        };
        let phase = serde_json::to_value(self.phase).unwrap_or_default();
        let phase = phase.as_str().unwrap_or_default();
        write!(
            f,
            "{:.3} {phase:17} {word:7} {}: {}",
            self.at, self.what, self.seen
        )?;
        match self.code {
            Some(code) => write!(f, " [{}]", code.name()),
            None => Ok(()),
        }
    }
}

/// What a test found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything is as it has to be.
    pub ok: bool,
    /// The first failure's.
    pub code: Option<Code>,
    /// The lines for people and scripts; the last begins with `SUCCESS:` or `FAILURE:`.
    pub verdict: Vec<String>,
    /// When a consumer first saw the marker.
    pub marker_found: Option<Timestamp>,
    /// The way out.
    pub advice: Option<Advice>,
    /// The log.
    pub steps: Vec<Step>,
}

/// Takes the steps, tells each to whoever shows it, and draws the conclusion.
pub struct Recorder {
    steps: Vec<Step>,
    found: Option<Timestamp>,
    waited: Option<Duration>,
    show: Box<dyn Fn(&Step) + Send>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// `show` gets every step as it ends.
    pub fn new(show: Box<dyn Fn(&Step) + Send>) -> Self {
        Self {
            steps: Vec::new(),
            found: None,
            waited: None,
            show,
        }
    }

    fn add(
        &mut self,
        phase: Phase,
        what: &str,
        outcome: Outcome,
        code: Option<Code>,
        seen: String,
    ) {
        let step = Step {
            at: Timestamp::now(),
            phase,
            what: what.into(),
            outcome,
            code,
            seen,
        };
        (self.show)(&step);
        self.steps.push(step);
    }

    /// As it has to be.
    pub fn ok(&mut self, phase: Phase, what: &str, seen: impl Into<String>) {
        self.add(phase, what, Outcome::Ok, None, seen.into());
    }

    /// For the record.
    pub fn note(&mut self, phase: Phase, what: &str, seen: impl Into<String>) {
        self.add(phase, what, Outcome::Note, None, seen.into());
    }

    /// A limit of the platform.
    pub fn limit(&mut self, phase: Phase, what: &str, seen: impl Into<String>) {
        self.add(phase, what, Outcome::Limit, None, seen.into());
    }

    /// A danger.
    pub fn warning(&mut self, phase: Phase, what: &str, code: Code, seen: impl Into<String>) {
        self.add(phase, what, Outcome::Warning, Some(code), seen.into());
    }

    /// Not as it has to be.
    pub fn failed(&mut self, phase: Phase, what: &str, code: Code, seen: impl Into<String>) {
        self.add(phase, what, Outcome::Failed, Some(code), seen.into());
    }

    /// True once something is not as it has to be.
    pub fn has_failed(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.outcome == Outcome::Failed)
    }

    /// A consumer sees the marker: the time of the first one is told.
    pub fn found(&mut self) {
        self.found.get_or_insert_with(Timestamp::now);
    }

    /// Nobody saw the marker for so long.
    pub fn never_appeared(&mut self, waited: Duration) {
        self.waited.get_or_insert(waited);
    }

    /// The verdict over all steps; `success` is the line where no consumer was to find a marker.
    pub fn conclude(self, success: &str) -> Report {
        let failure = self
            .steps
            .iter()
            .find(|step| step.outcome == Outcome::Failed);
        let code = failure.and_then(|step| step.code);
        let verdict = match (failure, self.found) {
            (Some(step), found) => {
                let mut lines = Vec::new();
                if let (Some(waited), None) = (self.waited, found) {
                    lines.push(format!(
                        "ERROR: Producer marker never appeared after {} seconds!",
                        waited.as_secs_f64()
                    ));
                }
                lines.push(format!(
                    "FAILURE: {}: {}: {}",
                    code.map(Code::name).unwrap_or_default(),
                    step.what,
                    step.seen
                ));
                lines
            }
            (None, Some(at)) => vec![format!("SUCCESS: Producer marker found at {at:.3}")],
            (None, None) => vec![success.into()],
        };
        Report {
            ok: failure.is_none(),
            code,
            verdict,
            marker_found: self.found,
            advice: code.map(Code::advice),
            steps: self.steps,
        }
    }
}

impl Report {
    /// Verdict and way out, as lines for people.
    pub fn conclusion(&self) -> String {
        let mut lines = self.verdict.clone();
        if let Some(advice) = &self.advice {
            lines.push(format!("  decision: {}", advice.branch));
            lines.push(format!("  cause:    {}", advice.cause));
            lines.push(format!("  fix:      {}", advice.fix));
            lines.push(format!("  instead:  {}", advice.instead));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder::new(Box::new(|_| {}))
    }

    #[test]
    fn the_first_failure_is_the_verdict() {
        let mut record = recorder();
        record.ok(Phase::HostSetUp, "volume", "shared");
        record.warning(Phase::Stale, "empty", Code::WritesReachHostRoot, "written");
        record.failed(Phase::Consumer, "parent", Code::NoAllowOther, "denied");
        record.failed(Phase::Cleanup, "left", Code::CleanupIncomplete, "x");
        record.never_appeared(Duration::from_secs(30));
        let report = record.conclude("SUCCESS: x");
        assert_eq!(
            report.verdict,
            [
                "ERROR: Producer marker never appeared after 30 seconds!",
                "FAILURE: NO_ALLOW_OTHER: parent: denied"
            ]
        );
        assert!(!report.ok && report.conclusion().contains("allow_other = true"));
    }

    #[test]
    fn a_danger_alone_is_no_failure() {
        let mut record = recorder();
        record.found();
        record.warning(Phase::Stale, "empty", Code::WritesReachHostRoot, "written");
        let report = record.conclude("SUCCESS: x");
        assert!(report.ok && report.code.is_none());
        assert!(report.verdict[0].starts_with("SUCCESS: Producer marker found at 2"));
    }

    #[test]
    fn a_step_is_a_line_that_can_be_searched() {
        let step = |outcome, code| Step {
            at: Timestamp::from_millisecond(1_767_225_600_123).unwrap(),
            phase: Phase::PermissionLevels,
            what: "user".into(),
            outcome,
            code,
            seen: "denied".into(),
        };
        assert_eq!(
            step(Outcome::Failed, Some(Code::NoAllowOther)).to_string(),
            "2026-01-01T00:00:00.123Z permission-levels FAILED  user: denied [NO_ALLOW_OTHER]"
        );
        assert_eq!(
            step(Outcome::Ok, None).to_string(),
            "2026-01-01T00:00:00.123Z permission-levels ok      user: denied"
        );
    }

    #[test]
    fn a_test_without_a_consumer_ends_with_the_line_it_was_given() {
        let mut record = recorder();
        record.note(Phase::HostSetUp, "host", "a note");
        record.limit(Phase::Stale, "subPath", "a limit");
        assert!(!record.has_failed());
        let report = record.conclude("SUCCESS: the mount point is made");
        assert_eq!(report.conclusion(), "SUCCESS: the mount point is made");
        assert_eq!(
            (report.ok, report.advice, report.steps.len()),
            (true, None, 2)
        );
    }

    #[test]
    fn each_step_is_shown_as_it_ends() {
        let shown = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
        let seen = shown.clone();
        let mut record = Recorder::new(Box::new(move |step| {
            seen.lock().push(step.what.clone());
        }));
        record.ok(Phase::Producer, "one", "");
        assert_eq!(*shown.lock(), ["one"]);
        record.failed(Phase::Producer, "two", Code::MountHung, "");
        assert_eq!(*shown.lock(), ["one", "two"]);
        let report = record.conclude("");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["code"], Code::MountHung.name());
        assert_eq!(json["steps"][1]["outcome"], "failed");
        assert_eq!(json["steps"][1]["phase"], "producer");
    }
}
