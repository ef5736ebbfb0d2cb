//! Backends, as people read it.

use debridfs_base::HumanDuration;
use debridfs_fuse::{ComparedKind, Difference, Divergence, RolloutStatus, SideCounts};

use crate::BackendsStatus;

/// Decisions that are shown.
const SHOWN: usize = 5;

/// A request about which the backends differ, with both replies.
pub fn difference(one: &Divergence) -> String {
    let Divergence {
        at,
        operation,
        node,
        primary,
        secondary,
        ..
    } = one;
    let words = match &one.difference {
        Difference::Reply {
            primary: answered,
            secondary: compared,
            at,
        } => format!(
            "the replies differ at byte {at}\n  {primary}: {answered}\n  {secondary}: {compared}"
        ),
        Difference::Asked {
            primary: Some(asked),
            secondary: other,
        } => format!("{primary} asked the library {asked}, {secondary} {other}"),
        Difference::Asked {
            primary: None,
            secondary: other,
        } => format!("{secondary} also asked the library {other}"),
        Difference::NotAsked { question } => {
            format!("{secondary} did not ask the library {question}")
        }
        Difference::Waits => format!("{secondary} waits for what {primary} did not wait for"),
        Difference::Panicked => format!("{secondary} panicked: see the log"),
    };
    format!("{at}  {operation} of node {node}: {words}\n")
}

/// Which backend answers, how far a rollout is, and what the comparison found.
pub fn backends(status: &BackendsStatus) -> String {
    let mut out = String::new();
    for one in &status.tried {
        let answers = one.backend == status.active;
        let mark = if answers { "*" } else { " " };
        let words = match (&one.reason, answers) {
            (Some(reason), _) => format!("not available: {reason}"),
            (None, true) => "answers".to_owned(),
            (None, false) => match &status.rollout.running {
                Some(rollout) => format!("answers for {} % of the nodes", rollout.percent),
                None => "available".to_owned(),
            },
        };
        out += &format!("{mark} {:<8} {words}\n", one.backend.name());
    }
    put_rollout(&mut out, &status.rollout);
    let compared = &status.compared;
    if compared.percent > 0.0 || !compared.kinds.is_empty() {
        let sum = |of: fn(&ComparedKind) -> u64| compared.kinds.iter().map(of).sum::<u64>();
        out += &format!(
            "compared: {:.1} % of the requests, {} so far, {} differ, {} let go\n",
            compared.percent,
            sum(|kind| kind.compared),
            sum(|kind| kind.diverged),
            compared.let_go
        );
    }
    if status.active != status.configured {
        out += &format!(
            "fuse.backend is {}; `debridfs backend switch {0}` goes back to it\n",
            status.configured
        );
    }
    out
}

fn put_rollout(out: &mut String, status: &RolloutStatus) {
    if let Some(rollout) = &status.running {
        let stage = format!(
            "stage {} of {}, {} % of the nodes",
            rollout.stage, rollout.stages, rollout.percent
        );
        let left = match rollout.paused {
            true => "paused".to_owned(),
            false => format!("{} left", HumanDuration(rollout.left)),
        };
        *out += &format!(
            "rollout of {}: {stage}, {left}, {} of {} requests answered\n",
            rollout.to, rollout.answered, rollout.least_requests
        );
        let side = |name: &str, side: &SideCounts| {
            format!(
                "  {name:<8} {} requests, {} failed, {} slow",
                side.requests, side.errors, side.slow
            )
        };
        let window = &rollout.window;
        *out += &side(rollout.from.name(), &window.primary);
        *out += "\n";
        *out += &side(rollout.to.name(), &window.canary);
        *out += &format!(
            "; {} of {} compared differ\n",
            window.diverged, window.compared
        );
    }
    let first = status.last.len().saturating_sub(SHOWN);
    for decision in &status.last[first..] {
        *out += &format!("{}  {decision}\n", decision.at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use debridfs_fuse::{BackendKind, Compared, RunningStatus, Sample, Tried};

    use super::*;

    #[test]
    fn the_one_that_answers_is_marked() {
        let tried = |backend, reason: Option<&str>| Tried {
            backend,
            reason: reason.map(str::to_owned),
        };
        let status = BackendsStatus {
            active: BackendKind::Fbrs,
            configured: BackendKind::Native,
            before: Some(BackendKind::Native),
            switches: 1,
            tried: vec![
                tried(BackendKind::Native, None),
                tried(BackendKind::Fbrs, None),
            ],
            compared: Compared::default(),
            rollout: RolloutStatus::default(),
        };
        assert_eq!(
            backends(&status),
            "  native   available\n* fbrs     answers\n\
             fuse.backend is native; `debridfs backend switch native` goes back to it\n"
        );
    }
    #[test]
    fn a_rollout_says_what_it_waits_for() {
        let side = |requests, errors| SideCounts {
            requests,
            errors,
            ..SideCounts::default()
        };
        let running = RunningStatus {
            from: BackendKind::Native,
            to: BackendKind::Fbrs,
            percent: 50.0,
            stage: 2,
            stages: 5,
            left: Duration::from_secs(600),
            answered: 40,
            least_requests: 500,
            paused: false,
            started: jiff::Timestamp::UNIX_EPOCH,
            window: Sample {
                primary: side(60, 0),
                canary: side(40, 1),
                compared: 10,
                diverged: 0,
            },
        };
        let mut out = String::new();
        let status = RolloutStatus {
            running: Some(running),
            ..RolloutStatus::default()
        };
        put_rollout(&mut out, &status);
        assert_eq!(
            out,
            "rollout of fbrs: stage 2 of 5, 50 % of the nodes, 10m left, 40 of 500 requests answered\n\
             \u{20} native   60 requests, 0 failed, 0 slow\n\
             \u{20} fbrs     40 requests, 1 failed, 0 slow; 0 of 10 compared differ\n"
        );
    }
}
