//! Looks, now and then, at the folders that others may break.

use std::io;
use std::path::Path;
use std::time::Duration;

use debridfs_acquire::Acquire;
use debridfs_base::instance_lock::IN_SHARED;
use debridfs_base::volume::Volume;
use debridfs_base::{AttentionKind, Board, Trouble};
use debridfs_preflight::Alone;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

/// How often the folders of downloads are tried.
const FOLDERS_EVERY: Duration = Duration::from_secs(20);
/// What a start waits for a volume, to lock a folder there.
const SOON: Duration = Duration::from_secs(2);
/// How soon what is wrong is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps other instances out of `dir` on `volume`, which the setting `key` names. A volume that does not answer soon is
/// tried again by whoever looks at it next.
///
/// # Errors
/// Another instance has it.
pub async fn keep_alone(
    alone: &Alone,
    volume: &Volume,
    key: &'static str,
    dir: &Path,
    lock: &'static str,
) -> Result<(), Trouble> {
    let (alone, path) = (alone.clone(), dir.to_owned());
    let keep = volume.run(dir, move || alone.keep(key, &path, lock));
    match timeout(SOON, keep).await {
        Ok(Ok(Err(in_use))) => Err(in_use.into()),
        _ => Ok(()),
    }
}

/// Keeps other instances out of the folders of `queue` that are there.
///
/// # Errors
/// Another instance has one.
pub async fn keep_folders(queue: &Acquire, alone: &Alone) -> Result<(), Trouble> {
    let volumes = queue.volumes();
    let all = volumes
        .iter()
        .map(|(folder, volume)| keep_alone(alone, volume, "acquire.downloads", folder, IN_SHARED));
    join_all(all).await.into_iter().collect()
}

/// Tries for ever whether the folders of `queue` can be written, and tells `board` which cannot. Ends with the trouble that
/// another instance has one.
pub async fn at_folders(queue: &Acquire, board: &Board, alone: &Alone) -> Trouble {
    loop {
        let mut is_well = true;
        for (folder, tried) in queue.try_folders().await {
            let subject = folder.display().to_string();
            match tried {
                Ok(()) => board.is_well(AttentionKind::Downloads, &subject),
                Err(error) => {
                    is_well = false;
                    let what = "downloads wait: their folder";
                    let trouble = of_folder(what, "acquire.downloads", &folder, &error);
                    board.tell(AttentionKind::Downloads, &subject, trouble);
                }
            }
        }
        if let Err(trouble) = keep_folders(queue, alone).await {
            return trouble;
        }
        sleep(if is_well { FOLDERS_EVERY } else { AGAIN }).await;
    }
}

/// Why the cache in `dir`, on `volume`, cannot be used.
pub async fn at_cache(volume: Option<Volume>, dir: &Path) -> Trouble {
    let path = dir.to_owned();
    let tried = match volume {
        Some(volume) => volume.run(dir, move || try_out(&path)).await,
        None => Ok(Err(io::Error::other("no thread could be started for it"))),
    };
    match tried {
        Ok(Err(error)) => of_folder("all is read from the network:", "cache_dir", dir, &error),
        Ok(Ok(())) => Trouble::new(
            format!("{} cannot be used now", dir.display()),
            "the log says why; it is tried again by itself",
        ),
        Err(silent) => Trouble::new(silent, "bring its disk back"),
    }
}

#[allow(clippy::disallowed_methods, reason = "on a thread of the volume")]
fn try_out(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!(".debridfs-try-{}", std::process::id()));
    std::fs::write(&path, "")?;
    std::fs::remove_file(&path)
}

fn of_folder(what: &str, key: &str, folder: &Path, error: &io::Error) -> Trouble {
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let path = folder.display();
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "as root: `mkdir -p {path} && chown -R {user}:{group} {path}`; it is tried again by itself"
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount its file system writable; it is tried again by itself".to_owned()
        }
        io::ErrorKind::StorageFull => "make room on its disk".to_owned(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            let words = format!("{what} {path} is no directory");
            let help = format!("put a directory in its place, or set another `{key}`");
            return Trouble::new(words, help);
        }
        _ => "mend it; it is tried again by itself".to_owned(),
    };
    let words = format!("{what} {path} cannot be written by user {user}: {error}");
    Trouble::new(words, help)
}
