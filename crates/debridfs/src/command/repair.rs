//! `debridfs repair …`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use debridfs_control::Found;
use debridfs_repair::RepairStatus;

use super::{plain, print_json, runtime, say};
use crate::failure::Failure;
use crate::instance::{Instance, InstanceArgs, ReportArgs};

/// Subcommands of `repair`.
#[derive(Debug, Subcommand)]
pub enum RepairCommand {
    /// List releases that cannot be read, or are said so, with the evidence and what was done.
    Ls(ReportArgs),
    /// Look now whether a file or release can be read, with links made anew.
    #[command(after_long_help = "\
Ends with 0 when it can be read, 1 when not or when nothing can be told. What is found counts as one
check of several: nothing is done for one answer.

Example:
  debridfs repair check /mnt/dfs/__all__/Film.2024")]
    Check(RepairCheckArgs),
    /// Treat what is confirmed although so many releases are bad that their provider is suspected.
    #[command(after_long_help = "\
Without a PATH, all releases that are listed now. They still have to be confirmed, and are treated
few in an hour.

Example:
  debridfs repair run Film.2024")]
    Run(RepairRunArgs),
}

/// Arguments of `repair check`.
#[derive(Debug, Args)]
pub struct RepairCheckArgs {
    /// Below the mount, or relative to its root or to `__all__`.
    pub path: PathBuf,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `repair run`.
#[derive(Debug, Args)]
pub struct RepairRunArgs {
    /// Below the mount, or relative to its root or to `__all__`.
    pub path: Option<PathBuf>,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Runs one of them.
pub fn run(command: &RepairCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        RepairCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let status = runtime()?.block_on(instance.client.repair())?;
            if args.json {
                return print_json(&status, "repair");
            }
            say(&for_people(&plain(&status)?));
            Ok(())
        }
        RepairCommand::Check(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = args.path.to_string_lossy();
            let check = plain(&runtime()?.block_on(instance.client.check(&path))?)?;
            let (name, found) = (check.name, check.found.as_str());
            match check.words {
                Some(words) => say(&format!("{name}: {found}: {words}")),
                None => say(&format!("{name}: {found}")),
            }
            match check.found {
                Found::Well => Ok(()),
                Found::Gone | Found::Bad | Found::Unclear => Err(Failure::silent(1)),
            }
        }
        RepairCommand::Run(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = args.path.as_ref();
            let path = path.map(|path| path.to_string_lossy().into_owned());
            let approved = runtime()?.block_on(instance.client.approve(path))?;
            say(&format!("approved: {approved}"));
            Ok(())
        }
    }
}

fn for_people(status: &RepairStatus) -> String {
    let mut out = String::new();
    for (name, words) in &status.quiet {
        out += &format!("nothing is believed of {name}: {words}\n");
    }
    for name in &status.never_added {
        out += &format!(
            "nothing is added at {name} by itself, as its terms forbid it; \
             `debridfs provider move` does it when you ask\n"
        );
    }
    for patient in &status.patients {
        out += &format!(
            "{} {:<12} since {}  {}\n",
            patient.hash,
            patient.stage.label(),
            patient.since,
            patient.name
        );
        if !patient.broken.is_empty() {
            let broken: Vec<&str> = patient.broken.iter().map(String::as_str).collect();
            out += &format!("    bad at {}\n", broken.join(", "));
        }
        for file in &patient.files {
            out += &format!("    file: {file}\n");
        }
        for evidence in &patient.evidence {
            out += &format!("    {}  {}\n", evidence.at, evidence.words);
        }
    }
    if status.patients.is_empty() {
        out += "nothing is known to be bad\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_what_is_wrong_and_why_nothing_is_done() {
        let patient = serde_json::json!({
            "hash": "ab".repeat(20), "name": "Film", "stage": "suspect", "since": "2026-01-01T00:00:00Z", "files": ["film.mkv"],
            "providers": ["rd", "ad"], "broken": ["rd"], "next": "2026-01-01T00:00:00Z",
            "evidence": [{ "at": "2026-01-01T00:00:00Z", "words": "no link" }],
        });
        let shown = for_people(&RepairStatus {
            quiet: vec![("rd".into(), "503".into())],
            never_added: vec!["tb".into()],
            patients: vec![serde_json::from_value(patient).unwrap()],
            ..RepairStatus::default()
        });
        for part in [
            "of rd: 503",
            "nothing is added at tb",
            "suspect",
            "Film",
            "bad at rd\n",
            "film.mkv",
            "no link",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let nothing = for_people(&RepairStatus::default());
        assert_eq!(nothing, "nothing is known to be bad\n");
    }
}
