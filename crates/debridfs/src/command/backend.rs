//! `debridfs backend …`.

use std::path::Path;

use clap::{Args, Subcommand};
use debridfs_control::BackendsStatus;
use debridfs_fuse::{BackendKind, ComparedKind, Difference, Divergence};

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
    /// Print the last requests about which the backends differed, with both replies.
    #[command(long_about = "\
Print the last requests about which the two backends differed, with the start of both replies in \
hexadecimal. The backend that does not answer is compared with the one that does for \
`fuse.shadow_percent` of the requests; its replies go to nobody. Exits with 1 when there are some.")]
    Diff(ReportArgs),
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
        BackendCommand::Diff(args) => {
            let client = instance(&args.instance)?.client;
            let status = runtime.block_on(client.backends())?;
            return print_differences(&status, args.json);
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

fn print_differences(status: &BackendsStatus, json: bool) -> Result<(), Failure> {
    let last = status.compared.as_ref().map_or(&[][..], |all| &all.last);
    if json {
        print_json(&last, "list")?;
    } else if last.is_empty() {
        say("no differences");
    } else {
        last.iter().for_each(|one| say(&difference(one)));
    }
    match last {
        [] => Ok(()),
        _ => Err(Failure::silent(1)),
    }
}

fn difference(one: &Divergence) -> String {
    let Divergence {
        at,
        operation,
        node,
        primary,
        secondary,
        ..
    } = one;
    let words = match &one.difference {
        Difference::Reply {
            primary: answered,
            secondary: compared,
            at,
        } => format!(
            "the replies differ at byte {at}\n  {primary}: {answered}\n  {secondary}: {compared}"
        ),
        Difference::Asked {
            primary: Some(asked),
            secondary: other,
        } => format!("{primary} asked the library {asked}, {secondary} {other}"),
        Difference::Asked {
            primary: None,
            secondary: other,
        } => format!("{secondary} also asked the library {other}"),
        Difference::NotAsked { question } => {
            format!("{secondary} did not ask the library {question}")
        }
        Difference::Waits => format!("{secondary} waits for what {primary} did not wait for"),
        Difference::Panicked => format!("{secondary} panicked: see the log"),
    };
    format!("{at}  {operation} of node {node}: {words}\n")
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
    if let Some(compared) = &status.compared
        && (compared.percent > 0.0 || !compared.kinds.is_empty())
    {
        let sum = |of: fn(&ComparedKind) -> u64| compared.kinds.iter().map(of).sum::<u64>();
        out += &format!(
            "compared: {:.1} % of the requests, {} so far, {} differ, {} let go\n",
            compared.percent,
            sum(|kind| kind.compared),
            sum(|kind| kind.diverged),
            compared.let_go
        );
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
            compared: None,
        };
        assert_eq!(
            for_people(&status),
            "  native   available\n* fbrs     answers\n\
             fuse.backend is native; `debridfs backend switch native` goes back to it\n"
        );
    }
}
