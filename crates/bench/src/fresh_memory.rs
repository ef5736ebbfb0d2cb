//! What memory costs here that nobody used lately.
//!
//! On a virtual machine whose host takes free memory back (balloon, free page reporting) the host has to find each such page first. Rows that take
//! much of it, the page cache's above all, then measure the host; whoever compares two runs wants to know.

use std::hint::black_box;
use std::time::Instant;

use debridfs_measure::mebibytes_in;

use crate::Result;
use crate::report::{Report, Row};

const PAGE: usize = 4096;
/// MiB that are taken at a time.
const PIECE: usize = 256;
/// MiB that are taken at most, and no more than one part in four of what is available.
const MOST: usize = 4096;

/// Takes a piece and writes to each page of it.
fn taken() -> Vec<u8> {
    let mut piece = vec![0; PIECE << 20];
    for page in piece.chunks_mut(PAGE) {
        page[0] = 1;
    }
    black_box(piece)
}

/// Seconds a GiB of `pieces` taken one after the other, none of which is given back in between.
fn seconds_a_gib(pieces: usize) -> f64 {
    let started = Instant::now();
    let held: Vec<Vec<u8>> = (0..pieces).map(|_| taken()).collect();
    started.elapsed().as_secs_f64() * 1024.0 / (held.len() * PIECE) as f64
}

/// Adds a row of the machine's, without a goal.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let available = mebibytes_in("/proc/meminfo", "MemAvailable:");
    let available = available.ok_or("/proc/meminfo does not say what is available")?;
    let pieces = MOST.min(available as usize / 4) / PIECE;
    report.section("this machine");
    let fresh = seconds_a_gib(pieces.max(1));
    // The host may have begun to take the pieces back; it has not seen this one yet.
    drop(taken());
    let used = seconds_a_gib(1);
    report.add(
        Row::new("memory not used lately, a GiB", "kernel", fresh, "s")
            .beside("memory just given back", used),
    );
    Ok(())
}
