//! `[fuse]`: whether there has to be a mount, and who decodes the kernel's requests.

use debridfs_fuse::{BackendKind, RolloutSettings};
use serde::{Deserialize, Serialize};

/// `[fuse]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FuseSection {
    /// Whether the start fails where nothing can be mounted; otherwise all but the mount is served
    /// until it can be.
    pub required: bool,
    /// The backend that answers.
    pub backend: BackendKind,
    /// The one that answers when that one does not pass its trial at the start.
    pub fallback: BackendKind,
    /// Share of the requests, in percent, that the other backend answers as well, to be compared.
    pub shadow_percent: f64,
    /// `[fuse.rollout]`.
    pub rollout: RolloutSettings,
}

impl Default for FuseSection {
    fn default() -> Self {
        Self {
            required: false,
            backend: BackendKind::Native,
            fallback: BackendKind::Native,
            shadow_percent: 0.0,
            rollout: RolloutSettings::default(),
        }
    }
}

/// What is wrong in it, with its path and what helps.
pub(super) fn problems(config: &super::Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let error = config.fuse.rollout.check().err();
    let problem = |error: debridfs_fuse::PlanError| {
        let help = "write them like [\"10%:15m\", \"50%:30m\", \"100%:30m\"]";
        (vec!["fuse", "rollout", "stages"], error.to_string(), help)
    };
    error.into_iter().map(problem).collect()
}
