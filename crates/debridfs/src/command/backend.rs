//! `debridfs backend …`.

use std::path::Path;

use clap::{Args, Subcommand};
use debridfs_control::BackendsStatus;
use debridfs_fuse::BackendKind;

use super::{print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs, ReportArgs};

/// `backend …`.
#[derive(Debug, Subcommand)]
pub enum BackendCommand {
    /// Print which backend answers, and whether the others could.
    Status(ReportArgs),
    /// Let another backend answer. The mount stays, and so does what is open.
    #[command(
        long_about = "\
Let another backend answer, from the next request on, on the same mount: open files stay open, and \
reads that wait are answered by the backend that began them. The switch outlives the engine, until \
`fuse.backend` in the configuration is changed.",
        after_long_help = "\
Example:
  debridfs backend switch fbrs && debridfs backend rollback"
    )]
    Switch(SwitchArgs),
    /// Let the one answer again that did before the last switch.
    Rollback(RollbackArgs),
}

/// Arguments of `backend switch`.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// `native` or `fbrs`.
    #[arg(value_name = "NAME")]
    pub backend: BackendKind,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `backend rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Carries the command out.
pub fn run(command: &BackendCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let instance = |args| Instance::find(args, file);
    let (status, json) = match command {
        BackendCommand::Status(args) => {
            let client = instance(&args.instance)?.client;
            (runtime.block_on(client.backends())?, args.json)
        }
        BackendCommand::Switch(args) => {
            let client = instance(&args.instance)?.client;
            let switched = runtime.block_on(client.switch_backend(args.backend))?;
            (switched, false)
        }
        BackendCommand::Rollback(args) => {
            let client = instance(&args.instance)?.client;
            (runtime.block_on(client.roll_back_backend())?, false)
        }
    };
    if json {
        return print_json(&status, "backends");
    }
    say(&for_people(&status));
    Ok(())
}

fn for_people(status: &BackendsStatus) -> String {
    let mut out = String::new();
    for one in &status.tried {
        let answers = one.backend == status.active;
        let mark = if answers { "*" } else { " " };
        let words = match (&one.reason, answers) {
            (Some(reason), _) => format!("not available: {reason}"),
            (None, true) => "answers".to_owned(),
            (None, false) => "available".to_owned(),
        };
        out += &format!("{mark} {:<8} {words}\n", one.backend.name());
    }
    if status.active != status.configured {
        out += &format!(
            "fuse.backend is {}; `debridfs backend switch {0}` goes back to it\n",
            status.configured
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use debridfs_fuse::Tried;

    use super::*;

    #[test]
    fn the_one_that_answers_is_marked() {
        let tried = |backend, reason: Option<&str>| Tried {
            backend,
            reason: reason.map(str::to_owned),
        };
        let status = BackendsStatus {
            active: BackendKind::Fbrs,
            configured: BackendKind::Native,
            before: Some(BackendKind::Native),
            switches: 1,
            tried: vec![
                tried(BackendKind::Native, None),
                tried(BackendKind::Fbrs, None),
            ],
        };
        assert_eq!(
            for_people(&status),
            "  native   available\n* fbrs     answers\n\
             fuse.backend is native; `debridfs backend switch native` goes back to it\n"
        );
    }
}
