//! The suite: operations on any directory, measured in a process of its own.

mod arguments;
mod compare;
mod directory;
mod mounting;
mod operation;
mod pinned;
mod plots;
mod record;
mod run;
mod servers;
mod step;
mod words;
mod work;

pub use arguments::{BenchCommand, Cache, CompareArgs, Named, Pin, RunArgs, Target};
pub use operation::Operation;
pub use record::{Measured, OperationRecord, Outcome, Record, TargetRecord};
pub use run::measure;
pub use work::work;

use crate::error::Result;

/// How a command ended.
pub struct Ended {
    /// What to print.
    pub text: String,
    /// The code to exit with: 0; 1 when an operation failed or became slower; 2 when the two runs cannot be compared.
    pub code: u8,
}

/// Carries out `bench …`.
///
/// # Errors
/// When a question cannot be answered, with what to do; when files cannot be read or written.
pub fn bench(command: &BenchCommand) -> Result<Ended> {
    match command {
        BenchCommand::Run(args) => run::run(args),
        BenchCommand::Compare(args) => compare::run(args),
    }
}
