//! Who is asked for bytes: an HTTP server here. A news server would be another implementation.

use std::ops::Range;

use async_trait::async_trait;
use debridfs_base::http::Pieces;

use crate::error::Cause;

/// What came for one request.
pub(crate) enum Answer {
    /// The asked part of the known object. Its length is checked as it comes.
    Bytes(Pieces),
    /// It is to be asked for at this address.
    Elsewhere(String),
    /// No data.
    Refused(Cause),
}

/// Gives parts of objects by their addresses.
#[async_trait]
pub(crate) trait RangeSource: Send + Sync + 'static {
    /// Name and port of the host that is asked for what is at `address`.
    ///
    /// # Errors
    /// The address cannot be used.
    fn host(&self, address: &str) -> Result<(String, u16), Cause>;

    /// Sends one request for `range`, which is not empty, of the object of `size` bytes at `address`.
    ///
    /// # Errors
    /// There was no answer.
    async fn get(&self, address: &str, range: &Range<u64>, size: u64) -> Result<Answer, Cause>;
}
