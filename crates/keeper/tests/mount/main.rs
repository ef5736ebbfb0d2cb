//! The keeper on real mounts, with engines made to misbehave.
//!
//! Needs root and `/dev/fuse`. The program runs itself again as keeper, as engine and as reader,
//! in a mount namespace of its own, so that nothing it mounts is left behind. Arguments that don't
//! begin with a dash choose tests by a part of their name.
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits for other processes"
)]

mod cases;
mod engine;
mod keeper;
mod lost;
mod prober;
mod reader;
mod stopping;
mod world;

use std::process::ExitCode;
use std::time::Instant;

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
    if !world::enter() {
        println!("skipped: mounts need root and /dev/fuse");
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|text| !text.starts_with('-'))
        .collect();
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let started = Instant::now();
        let result = std::panic::catch_unwind(case);
        failed += usize::from(result.is_err());
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({:.2} s)",
            started.elapsed().as_secs_f32()
        );
    }
    if failed > 0 {
        println!("{failed} failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
