//! The tokens that bytes are fetched with.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{BudgetUse, TrafficStatus};

/// Which of a provider's download keys: a fingerprint of its token, the same after a restart and in
/// whatever order keys are configured.
///
/// 32 bits of a hash tell nothing about a token of hundreds of bits, so it may be stored and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The key of `token`.
    pub fn of_token(token: &str) -> Self {
        let digest = Sha256::digest(token);
        Self(
            digest
                .iter()
                .take(4)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }

    /// The key that was stored as `text`; an empty one stands for the provider's first key, as in
    /// links of a store that knew of no keys.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text, to be stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for the provider's first key.
    pub fn is_first(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// How a download key does, for `status` and metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyStatus {
    /// Its fingerprint.
    pub id: KeyId,
    /// Its number in the order of the configuration, from 1; 1 is the key that also lists the
    /// library.
    pub number: usize,
    /// Why the provider refused the key, if it did when it was last asked.
    pub refused: Option<String>,
    /// What it has used of each budget of calls, that of all calls first.
    pub budgets: Vec<BudgetUse>,
    /// Calls that may still be made at once with it.
    pub budget_left: u32,
    /// Calls made with it since the start.
    pub calls: u64,
    /// The day's traffic.
    pub traffic: TrafficStatus,
}
