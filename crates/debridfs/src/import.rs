//! `debridfs import …`: moving in from other programs. Reads what they were told, writes a configuration of ours, and says what it could not carry.

mod common;
mod decypharr;
mod links;
mod plan;
mod rdt_client;
mod zurg;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use debridfs_keeper::Owner;
use serde_json::{Map, Value};

use crate::command::serve;
use crate::config::{self, Config, Environment};
use crate::failure::{Doing, Failure, USAGE};
use crate::instance::{Instance, InstanceArgs};

use plan::{Outcome, Plan};

/// Where a service's secrets lie when nothing else is said.
const SECRETS: &str = "/etc/debridfs/secrets";

/// `import …`.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Read decypharr's config.json.
    #[command(after_long_help = "\
Examples:
  debridfs import decypharr /opt/decypharr/config.json
  debridfs import decypharr /opt/decypharr/config.json --write /etc/debridfs/config.toml")]
    Decypharr(ImportArgs),
    /// Read zurg's config.yml.
    #[command(after_long_help = "\
Example (zurg does not know where rclone mounts it):
  debridfs import zurg /opt/zurg/config.yml --mount /mnt/zurg")]
    Zurg(ImportArgs),
    /// Read rdt-client's database, rdtclient.db.
    RdtClient(ImportArgs),
    /// Find symlinks that would lead nowhere.
    #[command(
        long_about = "\
Look at every symlink at and below a directory, and ask the running instance whether it leads to \
something in its library. Neither the mount nor the provider is touched. Ends with 1 when one dangles.",
        after_long_help = "\
Example:
  debridfs import check-links /mnt/media"
    )]
    CheckLinks(CheckLinksArgs),
}

/// Arguments of imports.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Their file, or the directory that holds it.
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Write the configuration to this file; it must not exist. Without it nothing is written.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Where tokens and keys are written, one a file, for their owner alone; `secrets` beside FILE when absent.
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Where the library was mounted, when their configuration does not tell or tells something else.
    #[arg(long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
}

/// Arguments of `import check-links`.
#[derive(Debug, Args)]
pub struct CheckLinksArgs {
    /// The directory.
    pub dir: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// One of the programs.
struct Theirs {
    name: &'static str,
    file: &'static str,
    read: fn(&Path) -> Result<Map<String, Value>, String>,
    carry: fn(&mut Plan, Map<String, Value>),
}

/// Runs one of them.
pub fn run(command: &ImportCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        ImportCommand::Decypharr(args) => import(args, &DECYPHARR),
        ImportCommand::Zurg(args) => import(args, &ZURG),
        ImportCommand::RdtClient(args) => import(args, &RDT_CLIENT),
        ImportCommand::CheckLinks(args) => check_links(args, file),
    }
}

const DECYPHARR: Theirs = Theirs {
    name: "decypharr",
    file: "config.json",
    read: |path| {
        let text = text_of(path)?;
        serde_json::from_str(&text).map_err(|error| {
            // Its own words may quote a value.
            let (line, column) = (error.line(), error.column());
            format!(
                "{}, line {line}: not valid JSON (column {column})",
                path.display()
            )
        })
    },
    carry: decypharr::carry,
};

const ZURG: Theirs = Theirs {
    name: "zurg",
    file: "config.yml",
    read: |path| {
        zurg::read(&text_of(path)?).map_err(|error| format!("{}, {error}", path.display()))
    },
    carry: zurg::carry,
};

const RDT_CLIENT: Theirs = Theirs {
    name: "rdt-client",
    file: "rdtclient.db",
    read: |path| {
        if !path.is_file() {
            return Err(format!("{}: no such file", path.display()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(rdt_client::read(path))
    },
    carry: rdt_client::carry,
};

fn text_of(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn import(args: &ImportArgs, theirs: &Theirs) -> Result<(), Failure> {
    let path = match args.path.is_dir() {
        true => args.path.join(theirs.file),
        false => args.path.clone(),
    };
    let wrong = |words: String| Failure::new(words, None).with_code(USAGE);
    let given = (theirs.read)(&path).map_err(wrong)?;
    let write = args.write.as_deref().map(std::path::absolute).transpose();
    let write = write.doing(|| "current directory".into())?;
    let secrets = match (&args.secrets, &write) {
        (Some(dir), _) => std::path::absolute(dir).doing(|| "current directory".into())?,
        (None, Some(file)) => file.with_file_name("secrets"),
        (None, None) => PathBuf::from(SECRETS),
    };
    let mut plan = Plan::new(&secrets);
    if let Some(mount) = &args.mount {
        plan.set(
            &["mount", "path"],
            mount.to_string_lossy().into_owned(),
            "--mount",
        );
    }
    (theirs.carry)(&mut plan, given);
    let header = format!(
        "Made by `debridfs import {}` from {}.",
        theirs.name,
        path.display()
    );
    let text = plan.render(&header, false);
    let config = check(&text)?;
    match &write {
        None => {
            println!("{}", plan.render(&header, true));
            for secret in &plan.secrets {
                println!(
                    "# would be written, for its owner alone: {}",
                    secret.path.display()
                );
            }
        }
        Some(file) => {
            // Whoever is not root is who will run the engine.
            let owner = serve::owner(&config);
            write_all(file, &text, &plan, owner)?;
            println!(
                "written: {} and {} file(s) of secrets in {}",
                file.display(),
                plan.secrets.len(),
                secrets.display()
            );
        }
    }
    report(&plan, theirs.name);
    Ok(())
}

/// The result has to be one that starts.
fn check(text: &str) -> Result<Config, Failure> {
    let dir = tempfile::tempdir().doing(|| "temporary directory".into())?;
    let file = dir.path().join("imported.toml");
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .doing(|| file.display().to_string())?;
    // What else the environment says is not for this file.
    let process = Environment::of_process();
    let environment = Environment {
        puid: process.puid,
        pgid: process.pgid,
        ..Environment::default()
    };
    Ok(config::load(Some(&file), &environment)?.config)
}

/// Writes nothing if anything is there already. Secrets belong to `owner`, as whom the engine reads them.
fn write_all(file: &Path, text: &str, plan: &Plan, owner: Option<Owner>) -> Result<(), Failure> {
    let paths = plan.secrets.iter().map(|secret| secret.path.as_path());
    for path in paths.chain([file]) {
        if fs::symlink_metadata(path).is_ok() {
            let help = "choose another --write or --secrets, or move it away; nothing was written";
            return Err(Failure::new(
                format!("{} is there already", path.display()),
                Some(help),
            ));
        }
    }
    let give = |path: &Path| match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    };
    let create = |path: &Path, private: bool, text: &str| {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let (dir_mode, mode) = if private {
            (0o700, 0o600)
        } else {
            (0o755, 0o644)
        };
        if !dir.is_dir() {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o755)
                .create(dir.parent().unwrap_or(Path::new("/")))
                .and_then(|()| builder.mode(dir_mode).create(dir))
                .and_then(|()| if private { give(dir) } else { Ok(()) })
                .doing(|| dir.display().to_string())?;
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .and_then(|mut out| out.write_all(text.as_bytes()))
            .and_then(|()| if private { give(path) } else { Ok(()) })
            .doing(|| path.display().to_string())
    };
    for secret in &plan.secrets {
        create(&secret.path, true, &secret.text)?;
    }
    create(file, plan.holds_secrets(), text)
}

fn report(plan: &Plan, name: &str) {
    let width = plan
        .rows
        .iter()
        .map(|row| row.theirs.chars().count())
        .max()
        .unwrap_or(0)
        .min(50);
    println!();
    for row in &plan.rows {
        let (word, words) = match &row.outcome {
            Outcome::Carried(ours) => ("carried ", ours.as_str()),
            Outcome::LeftOut(why) => ("left out", why.as_str()),
            Outcome::Unknown => ("UNKNOWN ", "not understood, and not carried"),
        };
        println!("{word}  {:<width$}  {words}", row.theirs);
    }
    let count = |of: fn(&Outcome) -> bool| plan.rows.iter().filter(|row| of(&row.outcome)).count();
    println!(
        "\n{} carried, {} left out, {} unknown",
        count(|outcome| matches!(outcome, Outcome::Carried(_))),
        count(|outcome| matches!(outcome, Outcome::LeftOut(_))),
        count(|outcome| matches!(outcome, Outcome::Unknown)),
    );
    if !plan.has(&["provider"]) {
        println!("note: no account was carried over: `debridfs serve` needs one");
    }
    if !plan.has(&["mount", "path"]) {
        println!(
            "note: {name} does not tell where its library is mounted: give it as --mount, so that symlinks go on"
        );
    }
    println!(
        "next: stop {name}, start debridfs, then `debridfs import check-links DIR` for the directories of your symlinks"
    );
}

fn check_links(args: &CheckLinksArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.doing(|| "runtime".into())?;
    let checked = runtime.block_on(links::check(&instance, &args.dir))?;
    if args.json {
        let text = serde_json::to_string_pretty(&checked).doing(|| "links".into())?;
        println!("{text}");
    } else {
        for (link, target) in &checked.dangling {
            println!("dangles: {} -> {}", link.display(), target.display());
        }
        for (place, links) in &checked.mounted_elsewhere {
            println!(
                "{links} would lead to the library if it were mounted at {}",
                place.display()
            );
        }
        println!(
            "{} lead to the library, {} to releases not looked into yet, {} dangle, {} lead elsewhere",
            checked.resolve,
            checked.not_known_yet,
            checked.dangling.len(),
            checked.others,
        );
    }
    match checked.dangling.is_empty() && checked.mounted_elsewhere.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(1)),
    }
}
