//! What a rollout is to do: its stages, and the limits that end it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use debridfs_base::{HumanDuration, human_duration};
use serde::{Deserialize, Serialize};

/// A share of the nodes, and for how long the new backend answers for it. Written `10%:15m`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stage {
    /// Share of the nodes, in percent: above 0, at most 100.
    pub percent: f64,
    /// How long it lasts at least.
    pub lasts: Duration,
}

/// Why stages cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is not written as a stage.
    #[error("{0:?} is no stage: write it like 10%:15m")]
    NoStage(String),
    /// The shares do not lead to all nodes.
    #[error("the stages of a rollout have to grow, and the last one has to be 100%")]
    Order,
}

impl Stage {
    /// Stages with commas between them.
    ///
    /// # Errors
    /// [`PlanError::NoStage`]
    pub fn list(text: &str) -> Result<Vec<Self>, PlanError> {
        text.split(',').map(str::parse).collect()
    }
}

impl FromStr for Stage {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let wrong = || PlanError::NoStage(text.to_owned());
        let (percent, lasts) = text.split_once(':').ok_or_else(wrong)?;
        let percent = percent.trim().trim_end_matches('%').trim_end();
        let percent: f64 = percent.parse().map_err(|_| wrong())?;
        let lasts: HumanDuration = lasts.parse().map_err(|_| wrong())?;
        if !(percent > 0.0 && percent <= 100.0) {
            return Err(wrong());
        }
        let lasts = lasts.0;
        Ok(Self { percent, lasts })
    }
}

impl TryFrom<String> for Stage {
    type Error = PlanError;

    fn try_from(text: String) -> Result<Self, PlanError> {
        text.parse()
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> Self {
        stage.to_string()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%:{}", self.percent, HumanDuration(self.lasts))
    }
}

/// How backends are rolled out: `[fuse.rollout]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutSettings {
    /// Shares and times, the smallest first; the last one is 100 %.
    pub stages: Vec<Stage>,
    /// Requests that the new backend has to answer in a stage before the next one begins.
    pub least_requests: u64,
    /// The time over which errors, latency and divergences are judged.
    #[serde(with = "human_duration")]
    pub window: Duration,
    /// Requests in a window without which nothing is judged.
    pub least_samples: u64,
    /// Share of failed requests, in percent, above which a rollout is rolled back.
    pub error_percent: f64,
    /// Latency that 99 % of the requests have to stay below.
    #[serde(with = "human_duration")]
    pub p99: Duration,
    /// Share of compared requests that differ, in percent, above which a rollout is rolled back.
    pub divergence_percent: f64,
    /// Share of the requests, in percent, that are compared during a rollout, unless
    /// `fuse.shadow_percent` is higher.
    pub compare_percent: f64,
}

/// The stages in minutes: two hours in all.
const STAGES: [(f64, u64); 5] = [(10.0, 15), (50.0, 30), (75.0, 30), (90.0, 15), (100.0, 30)];

impl Default for RolloutSettings {
    fn default() -> Self {
        let stages = STAGES.map(|(percent, minutes)| Stage {
            percent,
            lasts: Duration::from_secs(minutes * 60),
        });
        Self {
            stages: stages.to_vec(),
            least_requests: 500,
            window: Duration::from_secs(5 * 60),
            least_samples: 100,
            error_percent: 1.0,
            p99: Duration::from_secs(1),
            divergence_percent: 0.1,
            compare_percent: 10.0,
        }
    }
}

impl RolloutSettings {
    /// Whether the stages lead to all nodes.
    ///
    /// # Errors
    /// [`PlanError::Order`]
    pub fn check(&self) -> Result<(), PlanError> {
        let grows = self
            .stages
            .is_sorted_by(|one, next| one.percent < next.percent);
        let ends = self.stages.last().map(|stage| stage.percent);
        if grows && ends == Some(100.0) {
            Ok(())
        } else {
            Err(PlanError::Order)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_written_as_it_is_read() {
        let stage: Stage = " 10 %: 15m".parse().unwrap();
        assert_eq!(stage.percent, 10.0);
        assert_eq!(stage.lasts, Duration::from_secs(900));
        assert_eq!(stage.to_string().parse::<Stage>().unwrap(), stage);
        let short: Stage = "0.5:0.25".parse().unwrap();
        assert_eq!(
            (short.percent, short.lasts),
            (0.5, Duration::from_millis(250))
        );
        assert_eq!(Stage::list("10%:1m, 100%:2m").unwrap().len(), 2);
        assert!(Stage::list("10%:1m,").is_err());
        for wrong in ["", "10%", "0%:1m", "101%:1m", "NaN:1m", "10%:soon", ":1m"] {
            assert!(wrong.parse::<Stage>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn stages_grow_to_all_nodes() {
        let with = |stages: &[&str]| {
            let stages = stages.iter().map(|stage| stage.parse().unwrap()).collect();
            RolloutSettings {
                stages,
                ..Default::default()
            }
            .check()
        };
        assert_eq!(RolloutSettings::default().check(), Ok(()));
        assert_eq!(with(&["100%:1m"]), Ok(()));
        assert_eq!(with(&[]), Err(PlanError::Order));
        assert_eq!(with(&["10%:1m", "90%:1m"]), Err(PlanError::Order));
        assert_eq!(
            with(&["50%:1m", "50%:1m", "100%:1m"]),
            Err(PlanError::Order)
        );
    }
}
