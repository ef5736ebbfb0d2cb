//! What `debridfs provider move` prints.

use debridfs_repair::{Move, MoveStep};

/// How far a move is, in one line.
pub fn moved(one: &Move) -> String {
    let step = one.step.label();
    let percent = match one.step {
        MoveStep::Waiting { .. } => format!(" {:.0} %", one.progress * 100.0),
        _ => String::new(),
    };
    format!("{} to {}: {step}{percent}: {}", one.name, one.to, one.words)
}
