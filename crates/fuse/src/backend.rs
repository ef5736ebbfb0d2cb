//! What a backend is: it takes a request apart and answers it. Loop, journal, adoption, interrupts and the requests that everybody refuses alike
//! are not its business, so one backend can replace another on a live connection.

use std::time::Duration;

use debridfs_vfs::Change;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::wire::Reply;

/// A request as it came from the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The whole request, header included.
    pub request: &'a [u8],
    /// What is left of its deadline, which runs from its arrival and through replays.
    pub left: Duration,
}

/// What a backend made of a request.
pub enum Outcome {
    /// The reply was put into the buffer that came with the call.
    Ready,
    /// The reply has to wait. Dropping the future gives the request up.
    Later(BoxFuture<'static, Reply>),
}

/// Answers requests.
pub trait Backend: Send + Sync + 'static {
    /// Its name, for logs and status.
    fn name(&self) -> &'static str;

    /// Answers a request, or tells that it has to wait. Called on a transport thread: never blocks.
    ///
    /// Never called for what needs no backend: FORGET, INTERRUPT, and whatever [`crate::errno::of_refused`] lists. `reply` is an empty success.
    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome;

    /// Where it says which of its replies the kernel is to forget; for the one who tells the kernel from now on. `None`: it never does.
    fn distrusted(&self) -> Option<UnboundedReceiver<Vec<Change>>> {
        None
    }
}
