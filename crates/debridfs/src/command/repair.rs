//! `debridfs repair …`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::runtime;
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs, ReportArgs, with_arguments};

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

/// A check asks the provider for links, behind all other calls.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs one of them.
pub fn run(command: &RepairCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        RepairCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let said = runtime()?.block_on(instance.ask_within(Method::GET, "/repair", LIMIT))?;
            if args.json {
                let text = serde_json::to_string_pretty(&said).doing(|| "repair".into())?;
                println!("{text}");
            } else {
                print!("{}", for_people(&said));
            }
            Ok(())
        }
        RepairCommand::Check(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_path("/repair/check", Some(&args.path));
            let said = runtime()?.block_on(instance.ask_within(Method::POST, &path, LIMIT))?;
            let (name, found) = (text(&said, "name"), text(&said, "found"));
            match said["words"].as_str() {
                Some(words) => println!("{name}: {found}: {words}"),
                None => println!("{name}: {found}"),
            }
            match found {
                "well" => Ok(()),
                _ => Err(Failure::silent(1)),
            }
        }
        RepairCommand::Run(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_path("/repair/run", args.path.as_deref());
            let said = runtime()?.block_on(instance.ask_within(Method::POST, &path, LIMIT))?;
            println!("approved: {}", said["approved"]);
            Ok(())
        }
    }
}

fn with_path(call: &str, path: Option<&Path>) -> String {
    let Some(path) = path else {
        return call.to_owned();
    };
    with_arguments(call, &[("path", &path.to_string_lossy())])
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn for_people(said: &Value) -> String {
    let mut out = String::new();
    for quiet in list(said, "quiet") {
        let (name, words) = (&quiet[0], &quiet[1]);
        let [name, words] = [name, words].map(|one| one.as_str().unwrap_or_default());
        out += &format!("nothing is believed of {name}: {words}\n");
    }
    let mut any = false;
    for patient in list(said, "patients") {
        any = true;
        let stage = text(patient, "stage");
        out += &format!(
            "{} {stage:<12} since {}  {}\n",
            text(patient, "hash"),
            text(patient, "since"),
            text(patient, "name")
        );
        for file in list(patient, "files") {
            out += &format!("    file: {}\n", file.as_str().unwrap_or_default());
        }
        for evidence in list(patient, "evidence") {
            let (at, words) = (text(evidence, "at"), text(evidence, "words"));
            out += &format!("    {at}  {words}\n");
        }
    }
    if !any {
        out += "nothing is known to be bad\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_what_is_wrong_and_why_nothing_is_done() {
        let said = serde_json::json!({
            "quiet": [["rd", "503"]],
            "patients": [{
                "hash": "ab", "name": "Film", "stage": "suspect", "since": "2026-01-01T00:00:00Z", "files": ["film.mkv"],
                "evidence": [{ "at": "2026-01-01T00:00:00Z", "words": "no link" }],
            }],
        });
        let shown = for_people(&said);
        for part in ["of rd: 503", "suspect", "Film", "film.mkv", "no link"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let nothing = for_people(&serde_json::json!({ "patients": [] }));
        assert_eq!(nothing, "nothing is known to be bad\n");
    }
}
