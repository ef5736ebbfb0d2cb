//! Releases that no provider serves: what cannot be read, and what is refused for its name.

use debridfs_provider::InfoHash;
use jiff::Timestamp;

use super::{Machine, RELAPSES, later};
use crate::Stage;

impl Machine {
    /// A check found that every source says no.
    pub(super) fn bad(&mut self, now: Timestamp, hash: InfoHash) {
        let (apart, look_again) = (self.rules.apart, self.rules.look_again);
        let confirmations = self.rules.confirmations.max(2);
        let Some(patient) = self.patients.get(&hash) else {
            return;
        };
        let may_let_go = self.may_let_go(patient);
        let Some(patient) = self.patients.get_mut(&hash) else {
            return;
        };
        if !patient.broken.is_empty() {
            // Those who served it do so no more: that is news, to be confirmed as any.
            patient.begin_anew();
            patient.broken.clear();
        }
        let long_ago = patient.confirmed.is_none_or(|at| later(at, apart) <= now);
        let early = now < later(patient.since, apart);
        // Its treatment waits for no other check.
        if patient.stage != Stage::Quarantined {
            patient.next = later(now, apart);
        }
        if !long_ago || early {
            return;
        }
        patient.confirmed = Some(now);
        patient.confirmations += 1;
        match &patient.stage {
            Stage::Suspect if patient.confirmations >= confirmations => {
                patient.stage = patient.waiting();
                patient.next = now;
            }
            Stage::Recovering { .. } if patient.confirmations >= RELAPSES => {
                patient.stage = patient.waiting();
                patient.next = now;
            }
            Stage::Replaced if may_let_go && patient.confirmations < RELAPSES => {}
            Stage::Replaced if may_let_go => {
                patient.stage = Stage::Quarantined;
                patient.next = now;
            }
            Stage::GivenUp | Stage::Replaced => {
                patient.next = later(now, look_again);
            }
            _ => {}
        }
        if patient.stage == Stage::Blocked {
            self.rest(now, hash);
        }
    }

    /// A check found that every source refuses its name. The answer depends on nothing else, so one is enough.
    pub(super) fn blocked(&mut self, now: Timestamp, hash: InfoHash) {
        let Some(patient) = self.patients.get_mut(&hash) else {
            return;
        };
        let waits = matches!(
            patient.stage,
            Stage::Suspect | Stage::Spared | Stage::Quarantined | Stage::Blocked
        );
        // What was added elsewhere may not be shown yet, and another holder may serve it.
        if !waits || !patient.is_blocked() {
            self.bad(now, hash);
            return;
        }
        patient.broken.clear();
        patient.stage = Stage::Blocked;
        patient.confirmed = Some(now);
        // It says nothing of the provider: while that is suspected, the next one is looked at without a pause.
        for watched in self.providers.values_mut() {
            watched.sample = None;
        }
        self.rest(now, hash);
    }

    /// Has the next treatment of a blocked one tried now, or looks later when there is none.
    pub(super) fn rest(&mut self, now: Timestamp, hash: InfoHash) {
        let Some(patient) = self.patients.get(&hash) else {
            return;
        };
        let next = match self.treatment_for(patient) {
            Some(_) => now,
            None => later(now, self.rules.look_again),
        };
        if let Some(patient) = self.patients.get_mut(&hash) {
            patient.next = next;
        }
    }
}
