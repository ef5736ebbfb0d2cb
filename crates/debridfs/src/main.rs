//! The program: command line, wiring, `demo` and `doctor`.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout)]

mod cli;
#[allow(
    clippy::disallowed_methods,
    reason = "runs before anything is served, or in a program of its own"
)]
mod command;
mod engine;
mod failure;
#[allow(
    clippy::disallowed_methods,
    reason = "runs before anything is served, or in a program of its own"
)]
mod instance;
#[allow(
    clippy::disallowed_methods,
    reason = "runs before anything is served, or in a program of its own"
)]
mod library_path;
mod logging;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{Doing, Failure};

/// musl's own allocator gives every buffer of a transfer back to the kernel, which has to clear its pages anew: half the rate of a read.
/// glibc's does not, and holds less than this one.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Helpers are started by way of /proc/self/exe, and would be called `exe` in every list of processes. Without it all works.
    let _ = rustix::thread::set_name(c"debridfs");
    let cli = Cli::parse();
    install_report_style();
    let file = cli.config.as_deref();
    let ended = match &cli.command {
        Command::MountProbe(args) => return command::mount_probe::run(args),
        Command::TryAsUser(args) => return debridfs_preflight::try_as_user(args),
        Command::OwnDirectories(args) => return debridfs_preflight::own_directories(args),
        Command::PropagationHelper {
            parent,
            description,
        } => {
            return debridfs_propagation::helper_main(*parent, description);
        }
        Command::NotifyHelper => command::notify_helper(),
        Command::Bench(args) => command::bench(args),
        Command::BenchWorker { job } => debridfs_measure::work(job).doing(|| "bench".into()),
        Command::PropagationTest(args) => command::propagation_test::run(args, file),
        Command::Serve(args) => command::serve::run(args, file),
        Command::Keeper(args) => command::serve::run_attached(args, file),
        Command::Engine(args) => command::engine::run(args, file),
        Command::Supervise(args) => command::supervise::run(args, file),
        Command::Demo(args) => command::demo::run(args),
        Command::Sim(args) => command::sim::run(args),
        Command::Status(args) => command::status::run(args, file),
        Command::Why(args) => command::why::run(args, file),
        Command::Upgrade(args) => command::upgrade::run(args, file),
        Command::Uninstall(args) => command::uninstall::run(args, file),
        Command::Doctor(args) => command::doctor::run(args, file),
        Command::Config(args) => command::config::run(args, file),
        Command::Import(args) => command::import::run(args, file),
        Command::Library(args) => command::library::run(args, file),
        Command::Cache(args) => command::cache::run(args, file),
        Command::Queue(args) => command::queue::run(args, file),
        Command::Mounts(args) => command::mounts::run(args, file),
        Command::Mcp(args) => command::mcp::run(args, file),
        Command::Token(args) => command::token::run(args, file),
        Command::Provider(args) => command::provider::run(args, file),
        Command::Repair(args) => command::repair::run(args, file),
        Command::Backend(args) => command::backend::run(args, file),
        Command::Trace(args) => command::trace::run(args, file),
        Command::Completions(args) => command::completions::run(args),
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
