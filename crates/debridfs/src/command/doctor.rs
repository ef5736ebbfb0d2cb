//! `debridfs doctor`: what this machine lacks, and the exact fix.

use std::path::{Path, PathBuf};

use clap::Args;
use debridfs_doctor::{
    Check, Input, Outcome, Settings, examine, fuse_device, mend, missing_export,
};
use debridfs_preflight as preflight;

use super::serve::owner;
use super::{print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::Instance;
use debridfs_config::{Config, ConfigError, Environment, KeeperMode, Loaded};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The directory that containers bind, which then has to be shared; the parent of the configured
    /// mount when absent.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Check also what a Kubernetes node needs; the default on a machine that is one.
    #[arg(long)]
    pub node: bool,
    /// Apply safe fixes, asking before each: make the directory a shared mount, load the FUSE module.
    #[arg(long)]
    pub fix: bool,
    /// Apply them without asking.
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

/// Checks everything, mends what it may, and prints what is left. Ends with 1 when something is in
/// the way.
pub fn run(args: &DoctorArgs, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
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
        print_json(&report, "report")?;
    } else {
        checks.iter().for_each(|check| say(&check.to_string()));
    }
    if failed {
        Err(Failure::silent(1))
    } else {
        Ok(())
    }
}

/// Refuses to go on where the FUSE device cannot be opened.
pub fn require_fuse() -> Result<(), Failure> {
    let device = fuse_device();
    if device.outcome == Outcome::Failed {
        let message = format!("{}: {}", device.name, device.seen);
        return Err(Failure::new(message, device.fix.as_deref()));
    }
    Ok(())
}

async fn all(args: &DoctorArgs, file: Option<&Path>) -> Vec<Check> {
    let mut checks = Vec::new();
    let loaded = configuration(file, &mut checks);
    if let Some(loaded) = &loaded {
        checks.extend(as_engine(&loaded.config));
        checks.extend(preflight::services(&loaded.config).await);
        checks.extend(missing_exports(&loaded.config).await);
    }
    let input = Input {
        settings: loaded.map(|loaded| settings(loaded.config)),
        path: args.path.clone(),
        node: args.node,
    };
    checks.extend(examine(&input).await);
    checks
}

/// What an engine that runs here says of its exports.
async fn missing_exports(config: &Config) -> Vec<Check> {
    let instance = Instance::in_dir(&config.runtime_dir);
    if config.nfs.listen.is_none() || !instance.runs() {
        return Vec::new();
    }
    let status = instance.status().await;
    let nfs = status.ok().and_then(|status| status.nfs);
    let missing = nfs.map_or_else(Vec::new, |nfs| nfs.missing).into_iter();
    let check = |name: String| {
        let path = &config.nfs.export.get(&name)?.path;
        Some(missing_export(&name, path, &config.mount.path))
    };
    missing.filter_map(check).collect()
}

/// What the engine needs, tried as the user that it will be.
fn as_engine(config: &Config) -> Vec<Check> {
    let owner = owner(config);
    let mut checks = preflight::checks(&preflight::named(config), owner);
    let own = preflight::checks(&preflight::own(config), owner);
    // Of those two the machine's checks say that they are well.
    let told = |check: &Check| {
        let elsewhere = ["state_dir", "runtime_dir"].contains(&check.name.as_str());
        check.outcome != Outcome::Ok || !elsewhere
    };
    checks.extend(own.into_iter().filter(told));
    let alone = preflight::checks(&preflight::alone(config), owner);
    checks.extend(
        alone
            .into_iter()
            .filter(|one| one.outcome == Outcome::Failed),
    );
    // Those of an instance that runs are its own.
    if !Instance::in_dir(&config.runtime_dir).runs() {
        checks.extend(preflight::listeners(config, owner));
    }
    checks
}

fn settings(config: Config) -> Settings {
    Settings {
        keeper_socket: config.keeper_socket(),
        serves_nfs: config.nfs.listen.is_some(),
        attached: config.keeper.mode == KeeperMode::Attached,
        engine_user: owner(&config).map(|owner| owner.uid),
        mount: config.mount.path,
        allow_other: config.mount.allow_other,
        state_dir: config.state_dir,
        accounts: config.provider.into_values().collect(),
    }
}

/// A keeper has its own settings, and needs no account.
fn no_provider(config: &Config) -> Check {
    let name = "provider";
    if config.keeper_socket().exists() {
        return Check::warning(
            name,
            "none is configured here; a keeper needs none, its engine does",
            "look at the account with the engine's configuration: in its container, or by `--config`",
        );
    }
    Check::failed(
        name,
        "none is configured",
        "export DEBRIDFS__PROVIDER__RD__TOKEN=… (https://real-debrid.com/apitoken), or add [provider.rd] with token_file",
    )
}

fn configuration(file: Option<&Path>, checks: &mut Vec<Check>) -> Option<Loaded> {
    let name = "configuration";
    match debridfs_config::load(file, &Environment::of_process()) {
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
                checks.push(no_provider(&loaded.config));
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
