//! Releases that can be read, but not from every provider that holds them.

use std::collections::BTreeSet;

use debridfs_provider::InfoHash;
use jiff::Timestamp;

use super::{Machine, later};
use crate::Stage;

impl Machine {
    /// A check found that some of its copies are bad, and others serve it.
    pub(super) fn spared(
        &mut self,
        now: Timestamp,
        hash: InfoHash,
        broken: &BTreeSet<String>,
        held: bool,
    ) {
        let rules = &self.rules;
        let Some(patient) = self.patients.get_mut(&hash) else {
            return;
        };
        if patient.broken.is_empty() {
            if patient.is_bad() && !patient.tried.is_empty() {
                self.healed += 1;
            }
            patient.begin_anew();
        }
        patient.broken.clone_from(broken);
        let long_ago = patient
            .confirmed
            .is_none_or(|at| later(at, rules.apart) <= now);
        let early = now < later(patient.since, rules.apart);
        if patient.stage == Stage::Spared {
            patient.confirmed = Some(now);
            // Its treatment waits for no other check; what is held lets others be sampled.
            patient.next = match held {
                true => later(now, rules.apart),
                false => now,
            };
            return;
        }
        patient.next = later(now, rules.apart);
        if !long_ago || early {
            return;
        }
        patient.confirmed = Some(now);
        patient.confirmations += 1;
        if patient.confirmations >= rules.confirmations.max(2) {
            patient.stage = Stage::Spared;
            patient.next = later(now, rules.unhurried);
        }
    }
}
