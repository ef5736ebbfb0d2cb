//! `debridfs queue …`.

use std::path::Path;

use hyper::Method;
use serde_json::Value;

use crate::cli::QueueCommand;
use crate::control::{Instance, with_arguments};
use crate::failure::{Doing, Failure};
use crate::status::{bytes, runtime};

/// Runs one of them.
pub fn run(command: &QueueCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    match command {
        QueueCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let said = runtime.block_on(instance.ask(Method::GET, "/queue"))?;
            if args.json {
                let text = serde_json::to_string_pretty(&said["jobs"]).doing(|| "queue".into())?;
                println!("{text}");
                return Ok(());
            }
            for job in said["jobs"].as_array().into_iter().flatten() {
                println!("{}", line(job));
            }
            Ok(())
        }
        QueueCommand::Add(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let path = with_arguments(
                "/queue/add",
                &[("link", &args.link), ("category", &args.category)],
            );
            let said = runtime.block_on(instance.ask(Method::POST, &path))?;
            println!("{} {}", text(&said, "hash"), text(&said, "name"));
            Ok(())
        }
        QueueCommand::Rm(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let files = args.files.to_string();
            let path = with_arguments("/queue/remove", &[("hash", &args.hash), ("files", &files)]);
            runtime.block_on(instance.ask(Method::POST, &path))?;
            println!("removed: {}", args.hash);
            Ok(())
        }
    }
}

fn text<'a>(job: &'a Value, key: &str) -> &'a str {
    job[key].as_str().unwrap_or_default()
}

/// One line: what, how far, how large, and what is in the way.
fn line(job: &Value) -> String {
    let percent = job["progress"].as_f64().unwrap_or(0.0) * 100.0;
    let step = match job["stopped"].as_bool() {
        Some(true) => "stopped",
        _ => text(job, "step"),
    };
    let size = bytes(job["bytes"].as_u64().unwrap_or(0));
    let mut line = format!(
        "{} {step:<8} {percent:>3.0} % {size:>10}  {:<10} {}",
        text(job, "hash"),
        text(job, "category"),
        text(job, "name"),
    );
    if let Some(reason) = job["reason"].as_str() {
        line += &format!("  ({reason})");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_in_the_way() {
        let job = serde_json::json!({
            "hash": "ab", "name": "Film", "category": "tv", "step": "failed", "stopped": false,
            "progress": 0.0, "bytes": 2048, "reason": "dead",
        });
        let line = line(&job);
        assert!(
            line.contains("failed") && line.ends_with("Film  (dead)"),
            "{line}"
        );
    }

    #[test]
    fn links_keep_their_ampersands() {
        let path = with_arguments("/queue/add", &[("link", "magnet:?xt=a&dn=b c")]);
        assert_eq!(path, "/queue/add?link=magnet%3A%3Fxt%3Da%26dn%3Db+c");
    }
}
