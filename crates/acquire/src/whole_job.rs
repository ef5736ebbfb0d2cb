//! Work of a stranger's size: a release has as many files as whoever made it likes, and what is
//! done with all of them at once would hold up the runtime's threads, which answer readers.

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Releases that are worked on at a time; each takes a thread and memory for its lists.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Runs `work` on a thread of its own, once it is its turn.
///
/// # Panics
/// As `work` does.
pub(crate) async fn whole_job<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // Never closed.
    let turn = TURNS.acquire().await;
    let done = spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match done.await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The program is stopping, and so is whoever waits.
        Err(_) => std::future::pending().await,
    }
}
