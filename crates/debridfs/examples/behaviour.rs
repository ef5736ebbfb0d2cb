//! Tries a directory with the suite: `behaviour DIRECTORY SIMULATOR SKIPS [LACKS…]`.
//!
//! `SIMULATOR` is the address of the simulated account that the directory shows, `SKIPS` a skip list, and each of `LACKS` a capability that its file
//! system has not, such as `Links`. Prints a line a case; the exit status is 0 if none failed.
#![allow(
    clippy::disallowed_methods,
    reason = "a program for tests reads files wherever it runs"
)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use debridfs_behaviour::{Account, Capability, Directory, Skips, run};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, simulator, skips, lacks @ ..] = &arguments[..] else {
        return Err("behaviour DIRECTORY SIMULATOR SKIPS [LACKS…]".into());
    };
    let lacks: Result<Vec<Capability>, String> = lacks
        .iter()
        .map(|name| {
            let mut all = Capability::ALL.into_iter();
            let found = all.find(|capability| format!("{capability:?}") == *name);
            found.ok_or_else(|| format!("no capability is called {name}"))
        })
        .collect();
    let front = Directory::new(Path::new(directory), &lacks?);
    let skips = Skips::parse(&std::fs::read_to_string(skips)?)?;
    let report = run(&front, Account::new(simulator.parse()?), &skips);
    print!("{report}");
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
