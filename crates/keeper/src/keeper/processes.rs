use std::time::Instant;

use rustix::process::Pid;

use super::child::Child;
use super::offspring::Offspring;
use super::undying::Undying;
use super::upgrade::Upgrading;

/// The processes that this keeper started.
#[derive(Debug)]
pub(super) struct Processes {
    pub engine: Option<Child>,
    pub upgrading: Upgrading,
    pub undying: Undying,
    pub offspring: Offspring,
}

impl Processes {
    /// The engine, and the one that loads to replace it.
    pub fn engines(&self) -> impl Iterator<Item = &Child> {
        self.engine.iter().chain(self.upgrading.successor())
    }

    /// Ends what a dead engine left behind.
    pub fn end_offspring(&mut self, now: Instant) {
        let known: Vec<Pid> = self.engines().map(|child| child.pid).collect();
        self.offspring.end(&known, now);
    }
}
