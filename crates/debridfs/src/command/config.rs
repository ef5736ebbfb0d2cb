//! `debridfs config …`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Subcommand;
use debridfs_base::mountinfo;
use debridfs_base::terminal::{escaped, escaped_json};
use debridfs_doctor::{Check, Outcome, bare_mount_point};
use debridfs_listen::HashedPassword;
use debridfs_preflight as preflight;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::say;
use super::serve::{owner, require_providers};
use crate::failure::{Doing, Failure, USAGE};
use debridfs_config::{Environment, KeeperMode};

/// `config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Find mistakes without starting anything.
    Check,
    /// Print the settings in force, including defaults; secrets are hidden.
    Show,
    /// Ask for a password and print its hash, for `web.password_hash`.
    #[command(after_long_help = "\
Examples:
  debridfs config hash-password
  printf %s \"$PASSWORD\" | debridfs config hash-password > /run/secrets/web")]
    HashPassword,
}

/// Runs one of them.
pub fn run(command: &ConfigCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => check(file),
        ConfigCommand::Show => show(file),
        ConfigCommand::HashPassword => hash_password(),
    }
}

/// Says whether the configuration can be used.
fn check(file: Option<&Path>) -> Result<(), Failure> {
    let loaded = debridfs_config::load(file, &Environment::of_process())?;
    for note in &loaded.notes {
        say(&format!("note: {}", escaped(note)));
    }
    if loaded.config.provider.is_empty() && loaded.config.keeper.mode == KeeperMode::Attached {
        say("note: no provider is configured: enough for a keeper, but not for its engine");
    } else {
        require_providers(&loaded.config)?;
    }
    let config = &loaded.config;
    let mut trials = preflight::named(config);
    trials.extend(preflight::own(config));
    trials.extend(preflight::alone(config));
    let mut checks = preflight::checks(&trials, owner(config));
    // What is mounted there is looked at by `doctor`, which does not wait for it.
    if let Ok(None) = mountinfo::at(&config.mount.path) {
        checks.push(bare_mount_point(&config.mount.path));
    }
    let failed = |check: &&Check| check.outcome == Outcome::Failed;
    if let Some(failure) = Failure::of_checks(checks.iter().filter(failed)) {
        return Err(failure.with_code(USAGE));
    }
    for check in checks.iter().filter(|one| one.outcome == Outcome::Warning) {
        say(&format!("note: {check}"));
    }
    let from = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "environment and defaults".into(),
    };
    let providers = loaded.config.provider.len();
    say(&format!("valid: {from}, {providers} provider(s)"));
    Ok(())
}

/// Prints what is in force, as a configuration file.
fn show(file: Option<&Path>) -> Result<(), Failure> {
    let loaded = debridfs_config::load(file, &Environment::of_process())?;
    let mut table = toml::Table::try_from(&loaded.config).doing(|| "configuration".into())?;
    if let Some(folders) = loaded.folders {
        let folders = toml::Value::try_from(folders).doing(|| "folders".into())?;
        table.insert("folders".into(), folders);
    }
    let text = toml::to_string(&table).doing(|| "configuration".into())?;
    // As JSON, TOML knows `\u202e`.
    say(&escaped_json(&text));
    Ok(())
}

/// Asks for a password, twice and unseen on a terminal, and prints its hash. From a pipe it takes the first line.
fn hash_password() -> Result<(), Failure> {
    let password = if io::stdin().is_terminal() {
        let first = ask("Password: ")?;
        if ask("Again: ")? != first {
            return Err(Failure::new("these are two passwords", None).with_code(USAGE));
        }
        first
    } else {
        line()?
    };
    let hash = HashedPassword::of(&password)
        .map_err(|error| Failure::new(error.to_string(), None).with_code(USAGE))?;
    say(&hash.reveal());
    Ok(())
}

/// One line of a terminal that does not show it.
fn ask(prompt: &str) -> Result<String, Failure> {
    let doing = || "terminal".into();
    let stdin = io::stdin();
    eprint!("{prompt}");
    io::stderr().flush().doing(doing)?;
    let before = tcgetattr(&stdin).doing(doing)?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &unseen).doing(doing)?;
    let read = line();
    // Whatever became of it, the terminal shows again what is typed.
    tcsetattr(&stdin, OptionalActions::Now, &before).doing(doing)?;
    eprintln!();
    read
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .doing(|| "password".into())?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
