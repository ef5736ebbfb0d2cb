//! What `.strm` files hold.

use std::fmt;

use debridfs_base::NodeId;
use jiff::Timestamp;

/// Gives the text of a film's `.strm`, by the film's id and its name.
type TextOf = dyn Fn(NodeId, &str) -> String + Send + Sync;

/// What `.strm` files hold, from a moment on.
pub struct StrmTexts {
    since: Timestamp,
    of: Box<TextOf>,
}

impl StrmTexts {
    /// Texts that `of` gives, the same for the same film each time, and others than before `since`.
    pub fn new(
        since: Timestamp,
        of: impl Fn(NodeId, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            since,
            of: Box::new(of),
        }
    }

    /// The text of the `.strm` of `film`, which is called `name`.
    pub(crate) fn of(&self, film: NodeId, name: &str) -> String {
        (self.of)(film, name)
    }

    /// When they came into force.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }
}

impl fmt::Debug for StrmTexts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("StrmTexts");
        out.field("since", &self.since).finish_non_exhaustive()
    }
}
