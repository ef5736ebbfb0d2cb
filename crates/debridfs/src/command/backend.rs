//! `debridfs backend …`.

use std::path::Path;

use clap::{Args, Subcommand};
use debridfs_control::{BackendsStatus, RollingOut, RolloutStep, words};
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
    /// Print the last requests about which the backends differed, with both replies.
    #[command(long_about = "\
Print the last requests about which the two backends differed, with the start of both replies in \
hexadecimal. The backend that does not answer is compared with the one that does for \
`fuse.shadow_percent` of the requests; its replies go to nobody. Exits with 1 when there are some.")]
    Diff(ReportArgs),
    /// Let the one answer again that did before: roll a rollout back, or take the last switch back.
    #[command(long_about = "\
Roll back the rollout that is under way. Without one, let the backend answer again that did before \
the last switch. After a rollout the kernel is told to forget what it knows by the other one.")]
    Rollback(InstanceArgs),
    /// Let a backend answer for a growing share of the library, and go back by itself when it does badly.
    #[command(subcommand)]
    Rollout(RolloutCommand),
}

/// `backend rollout …`.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Begin to roll a backend out, stage by stage.
    #[command(
        long_about = "\
Let a backend answer for a growing share of the files and directories, in the stages of \
`fuse.rollout.stages` or those given here. Each stage lasts its time at least, and until the backend \
answered `fuse.rollout.least_requests`. It is rolled back by itself when it fails, is slow or differs \
from the other one more than `[fuse.rollout]` allows, while the other one does better. A rollout \
outlives the engine.",
        after_long_help = "\
Examples:
  debridfs backend rollout start fbrs
  debridfs backend rollout start fbrs --stages 5%:1h,50%:1h,100%:1d"
    )]
    Start(StartArgs),
    /// Print how far the rollout is, and what was decided.
    Status(ReportArgs),
    /// Stay at the stage that is reached. The backend is judged all the same.
    Pause(InstanceArgs),
    /// Go on after a pause.
    Resume(InstanceArgs),
    /// Begin the next stage at once; after the last one the backend answers for good.
    Promote(PromoteArgs),
    /// Roll back: the backend that answered before answers everything again.
    Stop(InstanceArgs),
}

/// Arguments of `backend rollout start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// `native` or `fbrs`.
    #[arg(value_name = "NAME")]
    pub backend: BackendKind,
    /// Shares of the nodes and how long each lasts, such as `10%:15m,50%:30m,100%:30m`.
    #[arg(long, value_name = "STAGES")]
    pub stages: Option<String>,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `backend rollout promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// Leave out all stages: the backend answers everything for good, at once.
    #[arg(long)]
    pub full: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
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
            let client = instance(args)?.client;
            (runtime.block_on(client.roll_back_backend())?, false)
        }
        BackendCommand::Rollout(command) => return roll_out(command, file),
    };
    print(&status, json)
}

fn roll_out(command: &RolloutCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let (args, json, step) = match command {
        RolloutCommand::Start(args) => {
            let client = Instance::find(&args.instance, file)?.client;
            let what = RollingOut {
                backend: args.backend,
                stages: args.stages.clone(),
            };
            let status = runtime.block_on(client.roll_out_backend(&what))?;
            return print(&status, false);
        }
        RolloutCommand::Status(args) => (&args.instance, args.json, None),
        RolloutCommand::Pause(args) => (args, false, Some(RolloutStep::Pause)),
        RolloutCommand::Resume(args) => (args, false, Some(RolloutStep::Resume)),
        RolloutCommand::Promote(args) => {
            let step = match args.full {
                true => RolloutStep::Finish,
                false => RolloutStep::Promote,
            };
            (&args.instance, false, Some(step))
        }
        RolloutCommand::Stop(args) => (args, false, Some(RolloutStep::Stop)),
    };
    let client = Instance::find(args, file)?.client;
    let status = runtime.block_on(async {
        match step {
            Some(step) => client.steer_rollout(step).await,
            None => client.backends().await,
        }
    })?;
    print(&status, json)
}

fn print(status: &BackendsStatus, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(status, "backends");
    }
    say(&words::backends(status));
    Ok(())
}

fn print_differences(status: &BackendsStatus, json: bool) -> Result<(), Failure> {
    let last = status.compared.last.as_slice();
    if json {
        print_json(&last, "list")?;
    } else if last.is_empty() {
        say("no differences");
    } else {
        last.iter().for_each(|one| say(&words::difference(one)));
    }
    match last {
        [] => Ok(()),
        _ => Err(Failure::silent(1)),
    }
}
