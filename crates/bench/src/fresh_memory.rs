//! What memory costs here that nobody used lately.
//!
//! On a virtual machine whose host takes free memory back (balloon, free page reporting) the host has to find each such page first. Rows that take
//! much of it, the page cache's above all, then measure the host; whoever compares two runs wants to know.

use std::hint::black_box;
use std::time::Instant;

use crate::Result;
use crate::report::{Report, Row};

const PAGE: usize = 4096;
const PIECE: usize = 256 << 20;
/// Taken at most, and no more than one part in four of what is available.
const MOST: u64 = 4 << 30;

/// Takes a piece and writes to each page of it.
fn taken() -> Vec<u8> {
    let mut piece = vec![0; PIECE];
    for page in piece.chunks_mut(PAGE) {
        page[0] = 1;
    }
    black_box(piece)
}

/// Seconds a GiB of `pieces` taken one after the other, none of which is given back in between.
fn seconds_a_gib(pieces: usize) -> f64 {
    let started = Instant::now();
    let held: Vec<Vec<u8>> = (0..pieces).map(|_| taken()).collect();
    started.elapsed().as_secs_f64() * (1 << 30) as f64 / (held.len() * PIECE) as f64
}

fn available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib
        .ok_or("/proc/meminfo does not say what is available")?
        .parse()?;
    Ok(kib << 10)
}

/// Adds a row of the machine's, without a goal.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let pieces = (MOST.min(available()? / 4) / PIECE as u64).max(1);
    report.section("this machine");
    let fresh = seconds_a_gib(usize::try_from(pieces)?);
    drop(taken());
    let used = seconds_a_gib(1);
    report.add(
        Row::new("memory not used lately, a GiB", "kernel", fresh, "s")
            .beside("memory just given back", used),
    );
    Ok(())
}
