//! `debridfs cache …`.

use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use debridfs_web::{CachedLine, Purged, Warmth};
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use crate::cli::{CacheCommand, CachePathArgs, PurgeArgs};
use crate::control::Instance;
use crate::failure::{Doing, Failure};
use crate::status::bytes;

/// A warming that came no further for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries the command out.
pub fn run(command: &CacheCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "runtime".into())?;
    let instance = |args| Instance::find(args, file);
    match command {
        CacheCommand::Ls {
            json,
            instance: args,
        } => runtime.block_on(list(&instance(args)?, *json)),
        CacheCommand::Purge(args) => runtime.block_on(purge(&instance(&args.instance)?, args)),
        CacheCommand::Warm(args) => runtime.block_on(warm(&instance(&args.instance)?, args)),
        CacheCommand::Pin(args) => runtime.block_on(pin(&instance(&args.instance)?, args, "pin")),
        CacheCommand::Unpin(args) => {
            runtime.block_on(pin(&instance(&args.instance)?, args, "unpin"))
        }
    }
}

/// The call `name` about `path`.
fn about(name: &str, path: &Path, reader: Option<u64>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("path", &lexical(path).to_string_lossy());
    if let Some(reader) = reader {
        query.append_pair("reader", &reader.to_string());
    }
    format!("/cache/{name}?{}", query.finish())
}

/// `path` without `.` and `..`, as the engine wants it. The file system is not asked: it may be our own mount.
fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            _ => out.push(part),
        }
        out
    })
}

async fn list(instance: &Instance, json: bool) -> Result<(), Failure> {
    let said = instance.ask(Method::GET, "/cache").await?;
    if json {
        let text = serde_json::to_string_pretty(&said).doing(|| "list".into())?;
        println!("{text}");
        return Ok(());
    }
    let mut lines: Vec<CachedLine> =
        serde_json::from_value(said).doing(|| "the engine's answer".into())?;
    lines.sort_by(|a, b| (&a.path, a.id, &a.class).cmp(&(&b.path, b.id, &b.class)));
    print!("{}", for_people(&lines));
    Ok(())
}

fn for_people(lines: &[CachedLine]) -> String {
    let mut out = format!(
        "{:>10}  {:>4}  {:<8}  {:<20}  FILE\n",
        "CACHED", "", "FOR", "LAST USED"
    );
    for line in lines {
        let share = line.cached.saturating_mul(100) / line.size.max(1);
        let used = i64::try_from(line.used).ok();
        let used = used.and_then(|used| Timestamp::from_second(used).ok());
        let used = used.map_or_else(String::new, |used| used.to_string());
        let path = match &line.path {
            Some(path) => path.clone(),
            None => format!("(not shown) {:016x}", line.id),
        };
        let pinned = if line.pinned { "  [pinned]" } else { "" };
        let cached = bytes(line.cached);
        out += &format!(
            "{cached:>10}  {share:>3}%  {:<8}  {used:<20}  {path}{pinned}\n",
            line.class
        );
    }
    let all: u64 = lines.iter().map(|line| line.cached).sum();
    out + &format!("{:>10}  of {} files\n", bytes(all), lines.len())
}

async fn purge(instance: &Instance, args: &PurgeArgs) -> Result<(), Failure> {
    let call = match &args.path {
        Some(path) => about("purge", path, None),
        None => "/cache/purge".into(),
    };
    let said = instance.ask(Method::POST, &call).await?;
    let purged: Purged = serde_json::from_value(said).doing(|| "the engine's answer".into())?;
    println!("{} files, {} freed", purged.files, bytes(purged.bytes));
    Ok(())
}

async fn pin(instance: &Instance, args: &CachePathArgs, what: &str) -> Result<(), Failure> {
    let said = instance
        .ask(Method::POST, &about(what, &args.path, None))
        .await?;
    println!("{} files {what}ned", said["files"]);
    Ok(())
}

async fn warm(instance: &Instance, args: &CachePathArgs) -> Result<(), Failure> {
    let style = "{bytes:>12} of {total_bytes}  [{wide_bar}] {binary_bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).doing(|| "progress bar".into())?;
    // Without a terminal nothing is drawn.
    let bar = ProgressBar::new(0).with_style(style);
    let reader = u64::from(std::process::id());
    let mut best = (0, Instant::now());
    loop {
        let said = instance
            .ask(Method::POST, &about("warm", &args.path, Some(reader)))
            .await?;
        let warmth: Warmth = serde_json::from_value(said).doing(|| "the engine's answer".into())?;
        bar.set_length(warmth.total);
        bar.set_position(warmth.cached);
        if warmth.cached == warmth.total {
            bar.finish_and_clear();
            println!(
                "{} files, {} in the cache",
                warmth.files,
                bytes(warmth.total)
            );
            return Ok(());
        }
        if warmth.cached > best.0 {
            best = (warmth.cached, Instant::now());
        } else if best.1.elapsed() > PATIENCE {
            bar.abandon();
            let why = warmth
                .trouble
                .unwrap_or_else(|| "the disk takes nothing".into());
            let message = format!(
                "{} of {} are in the cache, and it comes no further: {why}",
                bytes(warmth.cached),
                bytes(warmth.total)
            );
            return Err(Failure::new(
                message,
                Some("`debridfs status` shows how the provider and the disk do"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_without_asking_the_file_system() {
        for (path, clean) in [
            ("/mnt/dfs/./__all__/x/../Film A", "/mnt/dfs/__all__/Film A"),
            ("__all__/Film", "__all__/Film"),
        ] {
            assert_eq!(lexical(Path::new(path)), Path::new(clean));
        }
        let call = about("warm", Path::new("__all__/A & B"), Some(7));
        assert_eq!(call, "/cache/warm?path=__all__%2FA+%26+B&reader=7");
    }

    #[test]
    fn the_list_names_what_is_not_shown_any_more() {
        let line = CachedLine {
            path: Some("__all__/Film/film.mkv".into()),
            id: 7,
            size: 4 << 20,
            cached: 1 << 20,
            class: "playback".into(),
            pinned: true,
            used: 1_800_000_000,
        };
        let gone = CachedLine {
            path: None,
            pinned: false,
            ..line.clone()
        };
        let text = for_people(&[line, gone]);
        assert!(
            text.contains(
                "1.0 MiB   25%  playback  2027-01-15T08:00:00Z  __all__/Film/film.mkv  [pinned]"
            ),
            "{text}"
        );
        assert!(text.contains("(not shown) 0000000000000007"), "{text}");
        assert!(text.ends_with("2.0 MiB  of 2 files\n"), "{text}");
    }
}
