//! What Real-Debrid does of its own.

use serde::{Deserialize, Serialize};

/// Habits of Real-Debrid; all are off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealDebridSettings {
    /// Whatever is called by one of the words that are refused since May 2026 is answered 451 with code 35: additions,
    /// and links of what the account holds.
    pub refuse_names: bool,
    /// An addition sooner than this after the last one is answered 451 with code 35; 20 000 were measured.
    pub adds_apart_ms: u32,
}
