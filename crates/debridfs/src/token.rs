//! `debridfs token …`.

use std::path::Path;

use hyper::Method;

use crate::cli::TokenCommand;
use crate::control::{Instance, with_arguments};
use crate::failure::{Doing, Failure};
use crate::status::runtime;

/// Runs one of them.
pub fn run(command: &TokenCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    match command {
        TokenCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let said = runtime.block_on(instance.ask(Method::GET, "/tokens"))?;
            if args.json {
                let text = serde_json::to_string_pretty(&said["tokens"]);
                println!("{}", text.doing(|| "tokens".into())?);
                return Ok(());
            }
            for token in said["tokens"].as_array().into_iter().flatten() {
                let text = |key: &str| token[key].as_str().unwrap_or_default();
                println!("{:<24} {}", text("name"), text("created"));
            }
        }
        TokenCommand::New(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_arguments("/tokens/new", &[("name", &args.name)]);
            let said = runtime.block_on(instance.ask(Method::POST, &path))?;
            println!("{}", said["token"].as_str().unwrap_or_default());
        }
        TokenCommand::Revoke(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_arguments("/tokens/revoke", &[("name", &args.name)]);
            let said = runtime.block_on(instance.ask(Method::POST, &path))?;
            println!("revoked: {}", args.name);
            match said["written_anew"].as_u64() {
                None | Some(0) => {}
                Some(jobs) => println!("downloads whose .strm files are written anew: {jobs}"),
            }
        }
    }
    Ok(())
}
