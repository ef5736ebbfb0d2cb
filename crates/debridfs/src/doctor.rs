//! `debridfs doctor`: what this machine lacks, and the exact fix.

mod account;
mod machine;
mod storage;

use std::path::Path;

use serde::Serialize;

use crate::config::{self, ConfigError, Environment, Loaded};
use crate::failure::{Doing, Failure};

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
}

impl Check {
    /// All is well.
    pub fn ok(name: &str, seen: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            seen: seen.into(),
            fix: None,
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

/// Checks everything and prints it. Ends with 1 when something is in the way.
pub fn run(json: bool, file: Option<&Path>) -> Result<(), Failure> {
    let mut checks = Vec::new();
    let loaded = configuration(file, &mut checks);
    checks.push(fuse_device());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "runtime".into())?;
    if let Some(Loaded { config, .. }) = &loaded {
        checks.extend(machine::mounting(&config.mount));
        checks.push(runtime.block_on(storage::mount_point(&config.mount.path)));
        checks.push(storage::state_dir(&config.state_dir));
        checks.push(storage::socket_path(&config.keeper_socket()));
        for provider in config.provider.values() {
            checks.extend(runtime.block_on(account::check(provider)));
        }
    }
    let failed = checks.iter().any(|check| check.outcome == Outcome::Failed);
    if json {
        let report = serde_json::json!({ "ok": !failed, "checks": checks });
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
