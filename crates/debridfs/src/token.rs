//! `debridfs token …`.

use std::path::Path;

use hyper::Method;

use crate::cli::TokenCommand;
use crate::control::Instance;
use crate::failure::{Doing, Failure};
use crate::queue::{ask, with};

/// Runs one of them.
pub fn run(command: &TokenCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "runtime".into())?;
    match command {
        TokenCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let said = runtime.block_on(ask(&instance, Method::GET, "/tokens".into()))?;
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
            let path = with("/tokens/new", &[("name", &args.name)]);
            let said = runtime.block_on(ask(&instance, Method::POST, path))?;
            println!("{}", said["token"].as_str().unwrap_or_default());
        }
        TokenCommand::Revoke(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with("/tokens/revoke", &[("name", &args.name)]);
            let said = runtime.block_on(ask(&instance, Method::POST, path))?;
            println!("revoked: {}", args.name);
            match said["written_anew"].as_u64() {
                None | Some(0) => {}
                Some(jobs) => println!("downloads whose .strm files are written anew: {jobs}"),
            }
        }
    }
    Ok(())
}
