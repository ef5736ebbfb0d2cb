//! Backends that take each other's place under readers.

use std::process::{Command, Stdio};

use super::engine::LEAST_IN_FLIGHT;
use super::small_keeper::{Shape, SmallKeeper};

/// Switches in one run; `DEBRIDFS_FUSE_TEST_SWITCHES` asks for more.
const SWITCHES: u64 = 1000;

/// Switches with one call of the engine.
const AT_ONCE: u64 = 50;

/// Readers that always have a request waiting.
const DIRECT_READERS: &str = "16";

pub fn readers_survive_switches() {
    let switches = std::env::var("DEBRIDFS_FUSE_TEST_SWITCHES")
        .map_or(SWITCHES, |switches| switches.parse().unwrap());
    let mut keeper = SmallKeeper::serve(Shape::default());
    let mut readers = Command::new(std::env::current_exe().unwrap())
        .arg("role:readers")
        .arg(keeper.point())
        .arg(DIRECT_READERS)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut least = u64::MAX;
    for _ in 0..switches.div_ceil(AT_ONCE) {
        let in_flight = keeper.engine().ask(&format!("switch {AT_ONCE}"));
        least = least.min(in_flight.parse().unwrap());
        assert!(readers.try_wait().unwrap().is_none(), "the readers failed");
    }
    drop(readers.stdin.take());
    assert!(readers.wait().unwrap().success(), "the readers failed");
    println!("  {switches} switches, {least} requests in flight at least");
    assert!(least >= LEAST_IN_FLIGHT, "{least} requests in flight");
}
