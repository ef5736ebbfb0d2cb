//! `debridfs cache …`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use debridfs_base::ByteSize;
use debridfs_cache::Purged;
use debridfs_control::{CallError, Warmth, words};
use indicatif::{ProgressBar, ProgressStyle};

use super::{plain, print_json, runtime, say};
use crate::failure::{Doing, Failure};
use crate::instance::{Instance, InstanceArgs};
use crate::library_path;

/// `cache …`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List what is cached.
    Ls {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// The instance's socket.
        #[command(flatten)]
        instance: InstanceArgs,
    },
    /// Remove files from the cache; the library is not touched.
    #[command(after_long_help = "\
Examples:
  debridfs cache purge __all__/Film
  debridfs cache purge --all")]
    Purge(PurgeArgs),
    /// Fetch all of a release or file into the cache. SIGINT stops; what was fetched stays.
    #[command(after_long_help = "\
Example:
  debridfs cache pin __all__/Film && debridfs cache warm __all__/Film    # and keep it")]
    Warm(CachePathArgs),
    /// Never evict what is cached of a release or file, now and later.
    Pin(CachePathArgs),
    /// Allow it to be evicted again.
    Unpin(CachePathArgs),
}

/// Arguments of `cache warm`, `pin` and `unpin`.
#[derive(Debug, Args)]
pub struct CachePathArgs {
    /// A file or directory in the mount, or relative to its root.
    pub path: PathBuf,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Arguments of `cache purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// A file or directory in the mount, or relative to its root.
    #[arg(required_unless_present = "all")]
    pub path: Option<PathBuf>,
    /// Everything.
    #[arg(long, conflicts_with = "path")]
    pub all: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// A warming that came no further for this time has failed. The files of releases may have to be asked for first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause after a call to warm that brought nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// Carries the command out.
pub fn run(command: &CacheCommand, file: Option<&Path>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let instance = |args| Instance::find(args, file);
    match command {
        CacheCommand::Ls {
            json,
            instance: args,
        } => runtime.block_on(list(&instance(args)?, *json)),
        CacheCommand::Purge(args) => runtime.block_on(purge(&instance(&args.instance)?, args)),
        CacheCommand::Warm(args) => runtime.block_on(warm(&instance(&args.instance)?, args)),
        CacheCommand::Pin(args) => runtime.block_on(pin(&instance(&args.instance)?, args, true)),
        CacheCommand::Unpin(args) => runtime.block_on(pin(&instance(&args.instance)?, args, false)),
    }
}

/// A bar of this style. Without a terminal nothing is drawn.
fn progress(style: &str) -> Result<ProgressBar, Failure> {
    let style = ProgressStyle::with_template(style).doing(|| "progress bar".into())?;
    Ok(ProgressBar::new(0).with_style(style))
}

async fn list(instance: &Instance, json: bool) -> Result<(), Failure> {
    let mut lines = instance.client.cached().await?;
    if json {
        return print_json(&lines, "list");
    }
    lines.sort_by(|a, b| (&a.path, a.id, &a.class).cmp(&(&b.path, b.id, &b.class)));
    say(&words::cache(&plain(&lines)?));
    Ok(())
}

async fn purge(instance: &Instance, args: &PurgeArgs) -> Result<(), Failure> {
    let place = match &args.path {
        Some(path) => Some(library_path::resolve(instance, path).await?),
        None => None,
    };
    let purged = purge_all(instance, place).await?;
    say(&format!(
        "{} files, {} freed",
        purged.files,
        ByteSize(purged.bytes)
    ));
    Ok(())
}

/// Calls until nothing is left; what was removed.
async fn purge_all(instance: &Instance, path: Option<PathBuf>) -> Result<Purged, Failure> {
    let bar = progress("{pos:>12} of {len} files  [{wide_bar}] {eta} left")?;
    let mut all = Purged::default();
    loop {
        let some = instance.client.purge(path.clone()).await?;
        all.files += some.files;
        all.bytes += some.bytes;
        if some.left == 0 {
            bar.finish_and_clear();
            return Ok(all);
        }
        bar.set_length(all.files + some.left);
        bar.set_position(all.files);
    }
}

async fn pin(instance: &Instance, args: &CachePathArgs, pinned: bool) -> Result<(), Failure> {
    let place = library_path::resolve(instance, &args.path).await?;
    let files = instance.client.pin(place, pinned).await?;
    let what = if pinned { "pinned" } else { "unpinned" };
    say(&format!("{files} files {what}"));
    Ok(())
}

async fn warm(instance: &Instance, args: &CachePathArgs) -> Result<(), Failure> {
    let bar =
        progress("{bytes:>12} of {total_bytes}  [{wide_bar}] {binary_bytes_per_sec}, {eta} left")?;
    let place = library_path::resolve(instance, &args.path).await?;
    let reader = u64::from(std::process::id());
    let mut later = 0;
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let warmth = match instance.client.warm(place.clone(), reader, later).await {
            Ok(warmth) => warmth,
            // The keeper will have another engine; what the last one had cached is still there.
            Err(CallError::Silent { .. })
                if since.elapsed() < PATIENCE && instance.has_keeper() =>
            {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        bar.set_length(warmth.total);
        bar.set_position(warmth.cached);
        if warmth.cached == warmth.total {
            bar.finish_and_clear();
            say(&format!(
                "{} files, {} in the cache",
                warmth.files,
                ByteSize(warmth.total)
            ));
            return Ok(());
        }
        let further = warmth.cached > most;
        if further {
            (most, since) = (warmth.cached, Instant::now());
        }
        if warmth.hopeless || (!further && since.elapsed() > PATIENCE) {
            bar.abandon();
            let (message, help) = stuck(&warmth);
            return Err(Failure::new(message, Some(help)));
        }
        // Others first.
        later += u64::from(warmth.trouble.is_some());
        // Against others who fill the cache only haste helps.
        if !further && warmth.fetched == 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why a warming ends before its end, and what to do about it.
fn stuck(warmth: &Warmth) -> (String, &'static str) {
    let (how, why, help) = match &warmth.trouble {
        trouble if warmth.hopeless => (
            "the rest cannot be read",
            trouble.as_deref().unwrap_or("nobody says why"),
            "`debridfs why` tells what to do about a file",
        ),
        None if warmth.fetched > 0 => (
            "it comes no further",
            "what is fetched is displaced by what others read meanwhile",
            "`debridfs cache pin` keeps it; or make the cache larger (content.cache.size)",
        ),
        trouble => (
            "it comes no further",
            trouble.as_deref().unwrap_or("the disk takes nothing"),
            "`debridfs status` shows how the provider and the disk do",
        ),
    };
    let (cached, total) = (ByteSize(warmth.cached), ByteSize(warmth.total));
    let message = format!("{cached} of {total} are in the cache, and {how}: {why}");
    (message, help)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    use axum::extract::{Query, State};
    use axum::routing::post;
    use axum::{Json, Router};

    use super::*;

    #[test]
    fn a_warming_that_ends_early_says_who_is_in_its_way() {
        let warmth = |fetched, trouble: Option<&str>, hopeless| Warmth {
            files: 1,
            cached: 17 << 20,
            total: 60 << 20,
            fetched,
            trouble: trouble.map(Into::into),
            hopeless,
        };
        for (warmth, says) in [
            (warmth(1 << 20, None, false), "displaced"),
            (warmth(0, None, false), "the disk takes nothing"),
            (warmth(1 << 20, Some("no answer"), false), "no answer"),
            (warmth(0, Some("no link"), true), "cannot be read: no link"),
        ] {
            let (said, _) = stuck(&warmth);
            assert!(
                said.contains("17.0 MiB of 60.0 MiB") && said.contains(says),
                "{said}"
            );
        }
    }

    /// Has ten files and removes four at each call.
    async fn purge_slowly(
        State(left): State<Arc<AtomicU64>>,
        Query(asked): Query<HashMap<String, String>>,
    ) -> Json<Purged> {
        assert_eq!(asked["path"], "__all__/A & B");
        let before = left.load(Relaxed);
        let files = before.min(4);
        left.store(before - files, Relaxed);
        Json(Purged {
            files,
            bytes: files * 100,
            left: before - files,
        })
    }

    #[tokio::test]
    async fn a_purge_goes_on_until_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::in_dir(dir.path());
        let listener = tokio::net::UnixListener::bind(instance.client.socket()).unwrap();
        let router = Router::new()
            .route("/cache/purge", post(purge_slowly))
            .with_state(Arc::new(10.into()));
        let server = tokio::spawn(axum::serve(listener, router).into_future());
        let path = PathBuf::from("__all__/A & B");
        let purged = purge_all(&instance, Some(path)).await.unwrap();
        assert_eq!((purged.files, purged.bytes), (10, 1000));
        server.abort();
    }
}
