//! What a running engine offers to this crate.

use std::pin::Pin;

use crate::{Status, WhyReport};

/// What [`Instance::accept_loss`] comes to.
pub type Accepting = Pin<Box<dyn Future<Output = Result<u64, AcceptError>> + Send>>;

/// A running engine.
pub trait Instance: Send + Sync + 'static {
    /// How it does; never blocks.
    fn status(&self) -> Status;
    /// What is known of a path as people write it: how it stands, why, and what to do; never blocks.
    ///
    /// # Errors
    /// There is no such path, in words for people.
    fn why(&self, path: &str) -> Result<WhyReport, String>;
    /// Accepts the losses the shrink guard holds; the number of releases let go.
    fn accept_loss(&self) -> Accepting;
}

/// Why nothing was accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// There is nothing to accept.
    #[error("no loss is held")]
    NothingHeld,
    /// The library could not be changed.
    #[error("{0}")]
    Failed(String),
}
