//! `debridfs provider …`.

mod moving;

use std::path::Path;

use clap::{Args, Subcommand};
use debridfs_control::words;

use self::moving::MoveArgs;
use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs, ReportArgs};

/// `provider …`.
#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// List the accounts: state, plan and its end, slots, calls left, traffic.
    #[command(after_long_help = "\
Asks each account for its plan now; the rest is what the running instance knows. Exits with 1 when
an account is in trouble.

Examples:
  debridfs provider ls
  debridfs provider ls --json")]
    Ls(ReportArgs),
    /// Try an account: its token, the list, a link, a read of its bytes.
    #[command(after_long_help = "\
Makes up to four calls, each of which counts against the account's limits, and reads 128 KiB of one
file of the library that the account holds. Prints each step with its time. Exits with 1 when a
step fails; the steps after it are skipped.

Examples:
  debridfs provider test rd
  debridfs provider test rd --json")]
    Test(TestArgs),
    /// Move a release to another account.
    #[command(after_long_help = "\
Adds the release to the account --to, waits until all of it is there, and compares head and tail of
every file with the source account's. Paths, inode numbers and readers are not affected. The source
keeps its copy unless you give --remove-source; it is deleted only if the target is complete and
every file was the same.

The running instance does the work, one release at a time, after all other calls and within the
limits of both accounts. This command shows the progress; the move goes on when you end it, and
also after a kill or a restart. Asking again for the same release and target shows the move in
progress.

Examples:
  debridfs provider move Film.2024 --to tb
  debridfs provider move Film.2024 Show.S01 --to tb --cached
  debridfs provider move Film.2024 --to tb --remove-source
  debridfs provider move                     # lists what is being moved
  debridfs provider move Film.2024 --stop")]
    Move(MoveArgs),
    /// End the pause after a refusal ("too many calls", a refused token) now.
    #[command(after_long_help = "\
`debridfs status` shows the pause (\"cooling down\"). The next call is made at once; if the provider
refuses it again, the pause begins again.

Examples:
  debridfs provider resume
  debridfs provider resume rd")]
    Resume(ResumeArgs),
}

/// Arguments of `provider test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The NAME of [provider.NAME].
    pub name: String,
    /// The form of the answer, and whom to ask.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Arguments of `provider resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The NAME of [provider.NAME]; all when absent.
    pub name: Option<String>,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Runs one of them.
pub fn run(command: &ProviderCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        ProviderCommand::Ls(args) => ls(args, file),
        ProviderCommand::Test(args) => test(args, file),
        ProviderCommand::Move(args) => moving::run(args, file),
        ProviderCommand::Resume(args) => resume(args, file),
    }
}

fn ls(args: &ReportArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let listed = runtime()?.block_on(instance.client.providers())?;
    if args.json {
        print_json(&listed, "providers")?;
    } else {
        say(&words::providers(&plain(&listed)?));
    }
    match listed
        .iter()
        .all(|one| one.status.healthy && one.trouble.is_none())
    {
        true => Ok(()),
        false => Err(Failure::silent(1)),
    }
}

fn test(args: &TestArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.report.instance, file)?;
    let tested = runtime()?.block_on(instance.client.test_provider(&args.name))?;
    if args.report.json {
        print_json(&tested, "test")?;
    } else {
        say(&words::steps(&plain(&tested)?));
    }
    match tested.iter().any(|step| step.ok == Some(false)) {
        true => Err(Failure::silent(1)),
        false => Ok(()),
    }
}

fn resume(args: &ResumeArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let resumed = runtime()?.block_on(instance.client.resume(args.name.clone()))?;
    match resumed[..] {
        [] => say("nothing paused"),
        _ => say(&format!("resumed: {}", resumed.join(", "))),
    }
    Ok(())
}
