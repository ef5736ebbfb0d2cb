//! `debridfs queue …`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use debridfs_base::ByteSize;
use debridfs_base::terminal::escaped;
use debridfs_control::QueuedJob;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::sleep;

use super::{plain, print_json, runtime, say};
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs};

/// `queue …`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List downloads, with the reason for those that wait.
    Ls(QueueLsArgs),
    /// Add a magnet link or an info-hash.
    #[command(after_long_help = "\
Example:
  debridfs queue add --category tv 'magnet:?xt=urn:btih:…'")]
    Add(QueueAddArgs),
    /// Remove a download. `--files` also removes what was put in place, and `acquire.delete` decides about the torrent.
    Rm(QueueRmArgs),
}

/// Arguments of `queue ls`.
#[derive(Debug, Args)]
pub struct QueueLsArgs {
    /// As JSON.
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,
    /// Follow downloads in progress until none is left, and print a line for each that ends.
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
            let jobs = runtime.block_on(instance.client.queue())?;
            if args.json {
                return print_json(&jobs, "queue");
            }
            if jobs.is_empty() {
                say("no downloads");
            }
            for job in &plain(&jobs)? {
                say(&line(job));
            }
            Ok(())
        }
        QueueCommand::Add(args) => {
            let instance = Instance::find(&args.instance, file)?;
            let adding = instance.client.add_job(&args.link, &args.category);
            let added = runtime.block_on(adding)?;
            let hash = escaped(&added.hash);
            // A link without a name has that of its hash.
            match added.name == added.hash {
                true => say(&hash),
                false => say(&format!("{hash} {}", escaped(&added.name))),
            }
            Ok(())
        }
        QueueCommand::Rm(args) => {
            let instance = Instance::find(&args.instance, file)?;
            runtime.block_on(instance.client.remove_job(&args.hash, args.files))?;
            say(&format!("removed: {}", escaped(&args.hash)));
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
        let jobs = plain(&instance.client.queue().await?)?;
        let mut before = std::mem::take(&mut shown);
        for job in &jobs {
            let known = before.remove(&job.hash);
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
            if !under_way || (bars.is_hidden() && was.as_ref() != Some(&job.step)) {
                bars.suspend(|| say(&line(job)));
            }
            if under_way {
                bar.set_position((job.progress * WHOLE) as u64);
                bar.set_message(line(job));
                shown.insert(job.hash.clone(), (bar, job.step.clone()));
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
fn is_under_way(job: &QueuedJob) -> bool {
    !matches!(job.step.as_str(), "complete" | "failed") && !job.stopped
}

/// One line: what, how far, how large, and what is in the way.
fn line(job: &QueuedJob) -> String {
    let step = job.state();
    let mut line = format!(
        "{} {step:<8} {:>3.0} % {:>10}  {:<10} {}",
        job.hash,
        job.progress * 100.0,
        ByteSize(job.bytes),
        job.category,
        job.name,
    );
    if let Some(reason) = &job.reason {
        line += &format!("  ({reason})");
    }
    if let Some(route) = &job.route {
        line += &format!("  [{route}]");
    }
    line
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_line_tells_what_is_in_the_way() {
        let job = QueuedJob {
            hash: "ab".into(),
            name: "Film".into(),
            category: "tv".into(),
            step: "failed".into(),
            stopped: false,
            progress: 0.0,
            bytes: 2048,
            added: Timestamp::UNIX_EPOCH,
            completed: None,
            path: "/downloads/tv/Film".into(),
            evidence: None,
            told: None,
            reason: Some("dead".into()),
            provider: None,
            route: None,
            blocked: false,
        };
        let told = line(&job);
        assert!(
            told.contains("failed") && told.ends_with("Film  (dead)"),
            "{told}"
        );
        let job = QueuedJob {
            step: "waiting".into(),
            reason: None,
            route: Some("at ad, which has it cached".into()),
            ..job
        };
        let told = line(&job);
        assert!(
            told.ends_with("Film  [at ad, which has it cached]"),
            "{told}"
        );
        let blocked = QueuedJob {
            step: "failed".into(),
            blocked: true,
            ..job
        };
        assert!(line(&blocked).contains(" blocked "), "{blocked:?}");
    }
}
