//! Trying the cases.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cases::{CASES, Context};
use crate::{Account, Expected, Front, Skips};

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not tried: the front is not capable of what it needs, or its skip list has a reason.
    Skipped(String),
    /// Why it is not as expected.
    Failed(String),
}

/// What became of all cases.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Each case with its outcome, in their order.
    pub cases: Vec<(&'static str, Outcome)>,
    /// Names in the skip list that no case has.
    pub unknown: Vec<String>,
}

impl Report {
    /// Whether nothing failed, something passed, and the skip list names cases alone.
    pub fn is_good(&self) -> bool {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        self.unknown.is_empty()
            && self
                .cases
                .iter()
                .any(|(_, outcome)| *outcome == Outcome::Passed)
            && !self.cases.iter().any(|(_, outcome)| failed(outcome))
    }
}

impl std::fmt::Display for Report {
    /// One line a case.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (case, outcome) in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(out, "ok      {case}")?,
                Outcome::Skipped(reason) => writeln!(out, "skipped {case}: {reason}")?,
                Outcome::Failed(reason) => writeln!(out, "FAILED  {case}: {reason}")?,
            }
        }
        for case in &self.unknown {
            writeln!(
                out,
                "FAILED  the skip list names {case:?}, which is no case"
            )?;
        }
        Ok(())
    }
}

/// Tries every case over `front`, which serves [`crate::library`] from `account`, where a case may change it.
pub fn run(front: &dyn Front, account: Account, skips: &Skips) -> Report {
    let capabilities = front.capabilities();
    let context = Context {
        front,
        account,
        expected: Expected::new(),
    };
    let cases = CASES.iter().map(|case| {
        let lacking = case.needs.iter().find(|need| !capabilities.contains(need));
        let outcome = if let Some(lacking) = lacking {
            Outcome::Skipped(format!("it has no {lacking:?}"))
        } else if let Some(reason) = skips.reason(case.name) {
            Outcome::Skipped(reason.to_owned())
        } else {
            // A case that panics is one that failed; the others go on.
            match catch_unwind(AssertUnwindSafe(|| (case.try_it)(&context))) {
                Ok(Ok(())) => Outcome::Passed,
                Ok(Err(reason)) => Outcome::Failed(reason),
                Err(_) => Outcome::Failed("it panicked".into()),
            }
        };
        (case.name, outcome)
    });
    let cases: Vec<_> = cases.collect();
    let is_known = |name: &str| CASES.iter().any(|case| case.name == name);
    let unknown = skips.cases().filter(|name| !is_known(name));
    Report {
        cases,
        unknown: unknown.map(str::to_owned).collect(),
    }
}
