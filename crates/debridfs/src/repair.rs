//! `debridfs repair …`.

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::cli::RepairCommand;
use crate::control::{Instance, with_arguments};
use crate::failure::{Doing, Failure};
use crate::status::runtime;

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
