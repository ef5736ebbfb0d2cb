use super::child::Child;
use super::undying::Undying;
use super::upgrade::Upgrading;

/// The processes that this keeper started.
#[derive(Debug)]
pub(super) struct Processes {
    pub engine: Option<Child>,
    pub upgrading: Upgrading,
    pub undying: Undying,
}

impl Processes {
    /// The engine, and the one that loads to replace it.
    pub fn engines(&self) -> impl Iterator<Item = &Child> {
        self.engine.iter().chain(self.upgrading.successor())
    }
}
