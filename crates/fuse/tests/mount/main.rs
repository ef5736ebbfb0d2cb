//! Real mounts, served by engines that are processes of their own and get killed. Needs root and `/dev/fuse`.
//!
//! The program is test, engine and notify helper in one, told apart by its first argument. Every test has its own mount, which is aborted when the
//! test takes too long, so that nothing hangs.
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait for what another process does"
)]

mod broken;
mod browsing;
mod engine;
mod killing;
mod library;
mod reading;
mod rolling_out;
mod small_keeper;
#[cfg(feature = "fbrs")]
mod switching;
mod waiting;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use debridfs_fuse::{Backend, Call, Native, Outcome, wire};
use libtest_mimic::{Arguments, Failed, Trial};

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

const TESTS: &[(&str, fn())] = &[
    ("walks", browsing::walks),
    ("parallel_listings", browsing::parallel_listings),
    ("extended_attributes", browsing::extended_attributes),
    ("numbers_of_the_whole", browsing::numbers_of_the_whole),
    ("nothing_can_be_written", browsing::nothing_can_be_written),
    ("handles_outlive_caches", browsing::handles_outlive_caches),
    ("the_kernel_is_told", browsing::the_kernel_is_told),
    ("reads_are_right", reading::reads_are_right),
    (
        "wrong_answers_are_errors",
        reading::wrong_answers_are_errors,
    ),
    ("recorded_requests", reading::recorded_requests),
    (
        "stuck_readers_can_be_killed",
        waiting::stuck_readers_can_be_killed,
    ),
    ("a_stuck_read_ends", waiting::a_stuck_read_ends),
    (
        "a_deadline_runs_through_replays",
        waiting::a_deadline_runs_through_replays,
    ),
    ("a_full_table_makes_wait", waiting::a_full_table_makes_wait),
    (
        "a_full_table_makes_wait_on_one_processor",
        waiting::a_full_table_makes_wait_on_one_processor,
    ),
    (
        "an_interrupt_survives_a_kill",
        waiting::an_interrupt_survives_a_kill,
    ),
    (
        "serving_ends_with_the_mount",
        waiting::serving_ends_with_the_mount,
    ),
    (
        "broken_backends_are_rolled_back",
        rolling_out::broken_backends_are_rolled_back,
    ),
    ("readers_survive_kills", killing::readers_survive_kills),
    (
        "without_a_journal_readers_hang",
        killing::without_a_journal_readers_hang,
    ),
    ("deadly_requests_end", killing::deadly_requests_end),
    ("the_crash_hook", killing::the_crash_hook),
    (
        "requests_of_the_stand_in",
        killing::requests_of_the_stand_in,
    ),
];

/// What the second backend is put to as well.
#[cfg(not(feature = "fbrs"))]
const WITH_FBRS: &[(&str, fn())] = &[];
#[cfg(feature = "fbrs")]
const WITH_FBRS: &[(&str, fn())] = &[
    ("walks", browsing::walks),
    ("extended_attributes", browsing::extended_attributes),
    ("numbers_of_the_whole", browsing::numbers_of_the_whole),
    ("nothing_can_be_written", browsing::nothing_can_be_written),
    ("reads_are_right", reading::reads_are_right),
    (
        "wrong_answers_are_errors",
        reading::wrong_answers_are_errors,
    ),
    (
        "stuck_readers_can_be_killed",
        waiting::stuck_readers_can_be_killed,
    ),
    ("a_stuck_read_ends", waiting::a_stuck_read_ends),
    ("readers_survive_kills", killing::readers_survive_kills),
    ("deadly_requests_end", killing::deadly_requests_end),
    (
        "readers_survive_switches",
        switching::readers_survive_switches,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("role:engine") => {
            engine::run(arguments[1].as_ref());
            return ExitCode::SUCCESS;
        }
        Some("role:readers") => {
            let direct = arguments.get(2).map_or(0, |count| count.parse().unwrap());
            killing::readers(arguments[1].as_ref(), direct);
            return ExitCode::SUCCESS;
        }
        Some("role:notify-helper") => {
            return match debridfs_fuse::notify_helper_main() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    let can_mount = rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists();
    if !arguments.list && !can_mount {
        eprintln!("these tests mount: they need root and /dev/fuse");
        return ExitCode::FAILURE;
    }
    // One at a time, whatever the command says: they kill, and measure that no reader waits.
    arguments.test_threads = Some(1);
    let native = TESTS
        .iter()
        .map(|(name, test)| Trial::test(*name, || within_limit(name, *test)));
    let second = WITH_FBRS.iter().map(|(name, test)| {
        Trial::test(format!("fbrs::{name}"), || {
            engine::WITH_FBRS.store(true, Ordering::Relaxed);
            let ended = within_limit(name, *test);
            engine::WITH_FBRS.store(false, Ordering::Relaxed);
            ended
        })
    });
    libtest_mimic::run(&arguments, native.chain(second).collect()).exit_code()
}

/// Runs a test in a thread of its own. One that hangs ends the program.
fn within_limit(name: &str, test: fn()) -> Result<(), Failed> {
    let (say, heard) = mpsc::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        let ended = std::panic::catch_unwind(test).is_ok();
        let _ = say.send(ended);
    })?;
    match heard.recv_timeout(LIMIT) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it panicked".into()),
        Err(_) => {
            eprintln!("{name} hangs: giving up");
            // This process holds the connection and may wait on it: it could not end.
            small_keeper::abort_all();
            std::process::exit(1);
        }
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
