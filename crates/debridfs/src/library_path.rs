//! What a path on the command line means in the library. The mount is never touched: what the engine does not know is not on it.

use std::path::{Component, Path, PathBuf};

use debridfs_base::terminal::escaped;
use debridfs_control::{CallError, WhyReport};

use crate::failure::Failure;
use crate::instance::Instance;

/// What the engine knows of `path`, as it was given or else as it may have been meant here.
pub async fn explain(instance: &Instance, path: &Path) -> Result<WhyReport, Failure> {
    let here = std::env::current_dir().ok();
    // A symbolic link of a library that leads into the mount.
    let target = std::fs::read_link(path).ok();
    let mut refused = None;
    for meaning in meanings(path, here.as_deref(), target.as_deref()) {
        match instance.why(&meaning).await {
            Ok(report) => return Ok(report),
            Err(CallError::Refused(words)) => refused = refused.or(Some(words)),
            Err(error) => return Err(error.into()),
        }
    }
    let refused = refused.unwrap_or_else(|| format!("{} is no path", path.display()));
    let help = "name a path below the mount, or relative to its root, such as __all__/RELEASE";
    Err(Failure::new(escaped(&refused), Some(help)))
}

/// As [`explain`], also of what is less than a path: an info-hash, a part of a name, a download, or a
/// path in the downloads folder.
pub async fn explain_like(instance: &Instance, path: &Path) -> Result<WhyReport, Failure> {
    let exact = match explain(instance, path).await {
        Err(failure) if !failure.is_nobody() => failure,
        known => return known,
    };
    let here = std::env::current_dir().unwrap_or_default();
    // What is put in place for an arr has an absolute path. A name has no directory before it.
    let absolute = lexical(&here.join(path));
    let given = path.to_string_lossy().into_owned();
    let texts = [absolute.to_string_lossy().into_owned(), given];
    let mut refused = None;
    for text in texts {
        match instance.client.why_like(&text).await {
            Ok(report) => return Ok(report),
            Err(CallError::Refused(words)) => refused = Some(words),
            Err(error) => return Err(error.into()),
        }
    }
    let help = "name a path below the mount, an info-hash, or more of a name; `debridfs queue ls` lists downloads";
    Err(refused.map_or(exact, |words| Failure::new(escaped(&words), Some(help))))
}

/// The path relative to the root of the mount. While no engine answers it is taken as it was given.
pub async fn resolve(instance: &Instance, path: &Path) -> Result<PathBuf, Failure> {
    match explain(instance, path).await {
        Ok(report) => Ok(report.path.into()),
        Err(failure) if failure.is_nobody() => Ok(lexical(path)),
        Err(failure) => Err(failure),
    }
}

/// What `path` may mean in the directory `here`, the likeliest first, when it is a symbolic link to `target`.
fn meanings(path: &Path, here: Option<&Path>, target: Option<&Path>) -> Vec<PathBuf> {
    let first = path.components().next();
    let in_shell = matches!(first, Some(Component::CurDir | Component::ParentDir));
    let mut meanings = Vec::new();
    // `.` outside of the mount must not become its root.
    if !in_shell {
        meanings.push(lexical(path));
    }
    if path.is_relative()
        && let Some(here) = here
    {
        meanings.push(lexical(&here.join(path)));
    }
    if let Some(target) = target {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let dir = here.unwrap_or(Path::new("/")).join(dir);
        meanings.push(lexical(&dir.join(target)));
    }
    meanings
}

/// `path` without `.` and `..`. The file system is not asked: it may be our own mount.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_meant_as_given_then_from_here_then_where_it_leads() {
        for (path, target, means) in [
            (
                "/mnt/dfs/./__all__/x/../Film A",
                None,
                &["/mnt/dfs/__all__/Film A"][..],
            ),
            (
                "__all__/Film",
                None,
                &["__all__/Film", "/home/__all__/Film"],
            ),
            (".", None, &["/home"]),
            ("../mnt/dfs", None, &["/mnt/dfs"]),
            (
                "film.mkv",
                Some("/mnt/dfs/a.mkv"),
                &["film.mkv", "/home/film.mkv", "/mnt/dfs/a.mkv"],
            ),
            (
                "/media/film.mkv",
                Some("../mnt/a.mkv"),
                &["/media/film.mkv", "/mnt/a.mkv"],
            ),
        ] {
            let meant = meanings(
                Path::new(path),
                Some(Path::new("/home")),
                target.map(Path::new),
            );
            let means: Vec<_> = means.iter().map(PathBuf::from).collect();
            assert_eq!(meant, means, "{path}");
        }
    }
}
