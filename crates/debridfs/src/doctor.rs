//! `debridfs doctor`: what this machine lacks, and the exact fix.

mod account;
mod confinement;
mod kernel;
mod machine;
mod node;
mod propagation;
mod repair;
mod runtimes;
mod stale;
mod storage;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::command;
use crate::config::{self, Config, ConfigError, Environment, Loaded};
use crate::failure::{Doing, Failure};

use repair::Repair;

pub use machine::fuse_device;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Not in the way, but worth knowing.
    Warning,
    /// In the way.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked; scripts may rely on it.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub fix: Option<String>,
    /// What `--fix` does about it.
    #[serde(skip)]
    pub repair: Option<Repair>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &str, seen: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            seen: seen.into(),
            fix: None,
            repair: None,
        }
    }

    /// Worth knowing.
    pub fn warning(name: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Warning,
            fix: Some(fix.into()),
            ..Self::ok(name, seen)
        }
    }

    /// In the way.
    pub fn failed(name: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed,
            ..Self::warning(name, seen, fix)
        }
    }
}

/// Checks everything, mends what it may, and prints what is left. Ends with 1 when something is in
/// the way.
pub fn run(args: &DoctorArgs, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = command::runtime()?;
    let mut checks = runtime.block_on(all(args, file));
    let mut repairs = Vec::new();
    if args.fix {
        repairs = mend(&checks, args.yes);
        if !repairs.is_empty() {
            checks = runtime.block_on(all(args, file));
        }
    }
    let failed = checks.iter().any(|check| check.outcome == Outcome::Failed);
    if args.json {
        let report = serde_json::json!({ "ok": !failed, "checks": checks, "repairs": repairs });
        let text = serde_json::to_string_pretty(&report).doing(|| "report".into())?;
        println!("{text}");
    } else {
        print(&checks);
    }
    if failed {
        Err(Failure::silent(1))
    } else {
        Ok(())
    }
}

async fn all(args: &DoctorArgs, file: Option<&Path>) -> Vec<Check> {
    let mut checks = Vec::new();
    let loaded = configuration(file, &mut checks);
    let config = loaded.as_ref().map(|loaded| &loaded.config);
    checks.extend(kernel::checks());
    checks.push(fuse_device());
    if let Some(config) = config {
        checks.extend(machine::mounting(&config.mount));
        checks.extend(confinement::checks(&config.mount.path));
        checks.push(storage::mount_point(&config.mount.path).await);
        checks.push(storage::state_dir(&config.state_dir));
        checks.push(storage::socket_path(&config.keeper_socket()));
    }
    let shared = args.path.clone().or_else(|| config.map(bound));
    if let Some(dir) = shared {
        checks.extend(propagation::of_directory(&dir, args.path.is_some()));
    }
    checks.extend(stale::mounts(
        config.map(|config| config.mount.path.as_path()),
    ));
    checks.extend(stale::holders());
    checks.extend(runtimes::checks().await);
    if args.node || node::is_node() {
        checks.extend(node::checks());
    }
    for provider in config
        .into_iter()
        .flat_map(|config| config.provider.values())
    {
        checks.extend(account::check(provider).await);
    }
    checks
}

/// The directory that containers are told to bind.
fn bound(config: &Config) -> PathBuf {
    let mount = &config.mount.path;
    mount.parent().unwrap_or(mount).to_path_buf()
}

/// Does what is safe and allowed; what was done, and how it went.
fn mend(checks: &[Check], yes: bool) -> Vec<String> {
    let mut done: Vec<(&Repair, String)> = Vec::new();
    for repair in checks.iter().filter_map(|check| check.repair.as_ref()) {
        if done.iter().any(|(other, _)| *other == repair) || !repair::allowed(repair, yes) {
            continue;
        }
        // The text first: once it is done, less would be needed.
        let commands = repair.commands();
        let said = match repair.apply() {
            Ok(()) => format!("{commands}: done, until the next boot"),
            Err(error) => format!("{commands}: {error}"),
        };
        eprintln!("{said}");
        done.push((repair, said));
    }
    done.into_iter().map(|(_, said)| said).collect()
}

fn print(checks: &[Check]) {
    for check in checks {
        let sign = match check.outcome {
            Outcome::Ok => "✓",
            Outcome::Warning => "!",
            Outcome::Failed => "✗",
        };
        println!("{sign} {}: {}", check.name, check.seen);
        if let Some(fix) = &check.fix {
            println!("    → {fix}");
        }
    }
}

fn configuration(file: Option<&Path>, checks: &mut Vec<Check>) -> Option<Loaded> {
    let name = "configuration";
    match config::load(file, &Environment::of_process()) {
        Ok(loaded) => {
            let from = loaded
                .file
                .as_ref()
                .map_or("environment and defaults".into(), |path| {
                    path.display().to_string()
                });
            checks.push(Check::ok(name, format!("valid ({from})")));
            for note in &loaded.notes {
                checks.push(Check::ok("environment", note));
            }
            if loaded.config.provider.is_empty() {
                checks.push(Check::failed(
                    "provider",
                    "none is configured",
                    "export DEBRIDFS__PROVIDER__RD__TOKEN=… (https://real-debrid.com/apitoken), or add [provider.rd] with token_file",
                ));
            }
            Some(loaded)
        }
        Err(ConfigError::Invalid { file, problems }) => {
            for problem in problems {
                let seen = problem.located(file.as_deref());
                let fix = problem
                    .help
                    .unwrap_or_else(|| "correct it; `debridfs config check` looks again".into());
                checks.push(Check::failed(name, seen, fix));
            }
            None
        }
        Err(error @ ConfigError::Unreadable { .. }) => {
            let fix = "check its name and permissions";
            checks.push(Check::failed(name, error.to_string(), fix));
            None
        }
    }
}
