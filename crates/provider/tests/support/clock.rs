//! Time that a test sets: a clock that starts in 2027, and a runtime whose timers fire as soon as nothing else can go on.

use std::future::Future;
use std::sync::Arc;

use debridfs_base::{TokioClock, WallClock};
use jiff::Timestamp;

pub fn clock() -> Arc<dyn WallClock> {
    Arc::new(TokioClock::starting_at(
        Timestamp::from_second(1_800_000_000).unwrap(),
    ))
}

pub fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}
