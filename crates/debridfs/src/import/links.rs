//! `debridfs import check-links`: whether symlinks that others made lead somewhere in our tree.
//!
//! The running engine is asked, never the mount: a walk over a large farm then costs nothing and cannot hang.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use debridfs_control::{WhyReport, WhyState};
use serde::Serialize;

use crate::failure::{Doing, Failure};
use crate::instance::Instance;

/// What became of the links of a farm.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    /// Lead to something in the library.
    pub resolve: u64,
    /// Lead into a release whose files are not known yet.
    pub not_known_yet: u64,
    /// Lead into the mount, to nothing: each with its target.
    pub dangling: Vec<(PathBuf, PathBuf)>,
    /// Would lead into the library if it were mounted there; by that place.
    pub mounted_elsewhere: BTreeMap<PathBuf, u64>,
    /// Lead to other places.
    pub others: u64,
}

/// Looks at every symlink at and below `farm`, not through them.
pub async fn check(instance: &Instance, farm: &Path) -> Result<Checked, Failure> {
    let mount = instance.status().await?.mount.path;
    let mut checked = Checked::default();
    let mut directories = vec![farm.to_owned()];
    while let Some(directory) = directories.pop() {
        let doing = || directory.display().to_string();
        let mut entries = fs::read_dir(&directory)
            .doing(doing)?
            .collect::<Result<Vec<_>, _>>()
            .doing(doing)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().doing(doing)?;
            let path = entry.path();
            // The mount itself may lie below.
            if kind.is_dir() && path != mount {
                directories.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).doing(doing)?;
                link(instance, &mount, path, target, &mut checked).await?;
            }
        }
    }
    checked.dangling.sort();
    Ok(checked)
}

async fn link(
    instance: &Instance,
    mount: &Path,
    link: PathBuf,
    target: PathBuf,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let whole = match target.is_absolute() {
        true => target.clone(),
        false => link.parent().unwrap_or(Path::new("/")).join(&target),
    };
    let whole = plain(&whole);
    if let Ok(inside) = whole.strip_prefix(mount) {
        match instance.why(&whole).await? {
            Ok(report) if is_it(&report, inside) => checked.resolve += 1,
            _ if is_unknown(instance, mount, inside).await? => checked.not_known_yet += 1,
            _ => checked.dangling.push((link, target)),
        }
        return Ok(());
    }
    // Whatever it is called here: the engine finds the view in the path.
    match instance.why(&whole).await? {
        Ok(report) if whole.ends_with(&report.path) && report.release.is_some() => {
            let depth = Path::new(&report.path).components().count();
            let place = whole.ancestors().nth(depth).unwrap_or(Path::new("/"));
            *checked
                .mounted_elsewhere
                .entry(place.to_owned())
                .or_insert(0) += 1;
        }
        _ => checked.others += 1,
    }
    Ok(())
}

fn is_it(report: &WhyReport, inside: &Path) -> bool {
    Path::new(&report.path) == inside && report.state != WhyState::NotKnownYet
}

/// Whether it lies in a release whose files the provider has not told.
async fn is_unknown(instance: &Instance, mount: &Path, inside: &Path) -> Result<bool, Failure> {
    let release: PathBuf = inside.components().take(2).collect();
    let said = instance.why(&mount.join(release)).await?;
    Ok(said.is_ok_and(|report| report.state == WhyState::NotKnownYet))
}

/// A path without `.` and `..`, as far as that can be told by its text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
