//! `debridfs queue …`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use debridfs_base::ByteSize;
use hyper::Method;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::sleep;

use super::runtime;
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs, with_arguments};

/// `queue …`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List downloads, with what is in the way of those that wait.
    Ls(QueueLsArgs),
    /// Add a magnet link or an info-hash.
    #[command(after_long_help = "\
Example:
  debridfs queue add --category tv 'magnet:?xt=urn:btih:…'")]
    Add(QueueAddArgs),
    /// Remove a download. With `--files` what was put in place goes as well, and `acquire.delete` says what becomes of the torrent.
    Rm(QueueRmArgs),
}

/// Arguments of `queue ls`.
#[derive(Debug, Args)]
pub struct QueueLsArgs {
    /// As JSON.
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,
    /// Follow those that are under way until none is left; each that is over is a line.
    #[arg(long)]
    pub watch: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `queue add`.
#[derive(Debug, Args)]
pub struct QueueAddArgs {
    /// The magnet link, or an info-hash.
    pub link: String,
    /// Its category.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub category: String,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `queue rm`.
#[derive(Debug, Args)]
pub struct QueueRmArgs {
    /// The info-hash.
    pub hash: String,
    /// Remove what was put in place as well.
    #[arg(long)]
    pub files: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// How often `--watch` asks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Of a whole bar.
const WHOLE: f64 = 1000.0;

/// Runs one of them.
pub fn run(command: &QueueCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    match command {
        QueueCommand::Ls(args) => {
            let instance = Instance::find(&args.instance, file)?;
            if args.watch {
                return runtime.block_on(watch(&instance));
            }
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

/// Shows what is under way until nothing is: a bar for each on a terminal, and a line for each that is over; elsewhere a line for each step.
async fn watch(instance: &Instance) -> Result<(), Failure> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{bar:20} {wide_msg}").doing(|| "bar".into())?;
    let mut shown: HashMap<String, (ProgressBar, String)> = HashMap::new();
    loop {
        let said = instance.ask(Method::GET, "/queue").await?;
        let mut before = std::mem::take(&mut shown);
        for job in said["jobs"].as_array().into_iter().flatten() {
            let (hash, step) = (text(job, "hash"), text(job, "step"));
            let known = before.remove(hash);
            let was = known.as_ref().map(|(_, step)| step.clone());
            let under_way = is_under_way(job);
            if !under_way && known.is_none() {
                continue;
            }
            let (bar, _) = known.unwrap_or_else(|| {
                let bar = ProgressBar::new(WHOLE as u64).with_style(style.clone());
                (bars.add(bar), String::new())
            });
            if !under_way {
                bar.finish_and_clear();
            }
            if !under_way || (bars.is_hidden() && was.as_deref() != Some(step)) {
                bars.suspend(|| println!("{}", line(job)));
            }
            if under_way {
                let share = job["progress"].as_f64().unwrap_or(0.0);
                bar.set_position((share * WHOLE) as u64);
                bar.set_message(line(job));
                shown.insert(hash.to_owned(), (bar, step.to_owned()));
            }
        }
        // Removed by somebody.
        before.values().for_each(|(bar, _)| bar.finish_and_clear());
        if shown.is_empty() {
            return Ok(());
        }
        sleep(WATCH_EVERY).await;
    }
}

/// Whether something is still to be done for it, and nobody stopped it.
fn is_under_way(job: &Value) -> bool {
    let settled = matches!(text(job, "step"), "complete" | "failed");
    !settled && job["stopped"] != true
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
    let size = ByteSize(job["bytes"].as_u64().unwrap_or(0));
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
