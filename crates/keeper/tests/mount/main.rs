//! The keeper on real mounts, with engines made to misbehave.
//!
//! Needs root and `/dev/fuse`. The program runs itself again as keeper, as engine and as reader,
//! in a mount namespace of its own, so that nothing it mounts is left behind.
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits for other processes"
)]

mod as_user;
mod cases;
mod engine;
mod hostile;
mod keeper;
mod lost;
mod prober;
mod reader;
mod stopping;
mod taken_over;
mod unmounted;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("as-keeper") => return keeper::main(rest),
        Some("as-engine") => return engine::main(rest),
        Some("as-reader") => return reader::main(rest),
        Some("as-probe") => return prober::main(rest),
        Some("as-sleeper") => loop {
            std::thread::sleep(std::time::Duration::from_secs(60));
        },
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    if !arguments.list && !world::enter() {
        eprintln!("these tests mount: they need root and /dev/fuse");
        return ExitCode::FAILURE;
    }
    // One at a time, whatever the command says: they kill, and measure that no reader waits.
    arguments.test_threads = Some(1);
    let trials = cases::ALL.iter().map(|(name, case)| {
        Trial::test(*name, move || {
            case();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
