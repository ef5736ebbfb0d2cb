//! The program: command line, configuration, wiring, `demo` and `doctor`.
#![forbid(unsafe_code)]

mod cache;
mod cli;
mod config;
mod config_command;
mod control;
mod demo;
mod doctor;
mod engine;
mod failure;
mod hash_password;
mod import;
mod logging;
mod meant;
mod mount_probe;
mod places;
mod propagation;
mod queue;
mod repair;
mod serve;
mod simulate;
mod status;
mod token;
mod trace;
mod upgrade;
mod why;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command, ConfigCommand, LibraryCommand, TraceCommand};
use failure::{Doing, Failure};

/// musl's own allocator gives every buffer of a transfer back to the kernel, which has to clear its pages anew: half the rate of a read.
/// glibc's does not, and holds less than this one.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    install_report_style();
    let file = cli.config.as_deref();
    let ended = match &cli.command {
        Command::MountProbe { path } => return mount_probe::run(path),
        Command::OwnDirectories {
            paths,
            owner,
            parent,
        } => {
            return places::helper_main(paths, owner.as_deref(), *parent);
        }
        Command::PropagationHelper { description } => {
            return debridfs_propagation::helper_main(description);
        }
        Command::PropagationTest(command) => propagation::run(command, file),
        Command::NotifyHelper => debridfs_fuse::notify_helper_main().doing(|| "notify".into()),
        Command::Serve(args) => serve::run(args, file),
        Command::Keeper(args) => serve::run_attached(args, file),
        Command::Engine(args) => engine::run(args, file),
        Command::Demo(args) => demo::run(args),
        Command::Sim(args) => simulate::run(args),
        Command::Status(args) => status::run(args, file),
        Command::Why(args) => why::run(args, file),
        Command::Upgrade(args) => upgrade::run(args, file),
        Command::Doctor(args) => doctor::run(args, file),
        Command::Config(ConfigCommand::Check) => config_command::check(file),
        Command::Config(ConfigCommand::Show) => config_command::show(file),
        Command::Config(ConfigCommand::HashPassword) => hash_password::run(),
        Command::Import(command) => import::run(command, file),
        Command::Library(LibraryCommand::Accept(args)) => status::accept(args, file),
        Command::Cache(command) => cache::run(command, file),
        Command::Queue(command) => queue::run(command, file),
        Command::Token(command) => token::run(command, file),
        Command::Repair(command) => repair::run(command, file),
        Command::Trace(TraceCommand::Record(args)) => trace::record(args, file),
        Command::Trace(TraceCommand::Show(args)) => trace::show(args),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "debridfs", &mut out);
            std::io::Write::write_all(&mut std::io::stdout(), &out).doing(|| "output".into())
        }
    };
    ended.map_or_else(Failure::exit, |()| ExitCode::SUCCESS)
}

/// Errors for a terminal are drawn; for a log or a script each is whole lines of text.
fn install_report_style() {
    let terminal = std::io::stderr().is_terminal();
    // Only a second installation fails, and this is the first.
    let _ = miette::set_hook(Box::new(move |_| {
        let options = miette::MietteHandlerOpts::new().unicode(true);
        Box::new(if terminal {
            options.build()
        } else {
            options.color(false).wrap_lines(false).build()
        })
    }));
}
