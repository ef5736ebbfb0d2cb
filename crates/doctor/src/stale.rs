//! Mounts that nobody serves, here and in containers, and who has to restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::mountinfo::{self, Mount};
use debridfs_keeper::probe::{self, State};

use crate::check::Check;

/// A mount that takes longer hangs; it is asked by a process that is left behind then.
const LIMIT: Duration = Duration::from_secs(2);
/// Mounts that are asked; a machine has a handful, and each hung one takes the limit.
const MOST: usize = 32;
/// Part of the path of what the kubelet binds for a `subPath`.
const SUB_PATHS: &str = "/volume-subpaths/";

/// Asks every FUSE and network mount of this namespace but `except`, which is looked at elsewhere.
pub fn mounts(except: Option<&Path>) -> Vec<Check> {
    let name = "stale mounts";
    let table = mountinfo::read().unwrap_or_default();
    let places: BTreeSet<PathBuf> = table
        .iter()
        .filter(|mount| mount.is_live_service())
        .map(|mount| mount.mount_point.clone())
        .filter(|place| Some(place.as_path()) != except)
        .collect();
    let mut checks = Vec::new();
    for place in places.iter().take(MOST) {
        let Some(top) = mountinfo::top(&mountinfo::layers(table.clone(), place)) else {
            continue;
        };
        checks.extend(judged(&top, probe::state(place, LIMIT)));
    }
    if checks.is_empty() {
        let seen = format!("none among {} FUSE and network mounts", places.len());
        checks.push(Check::ok(name, seen));
    }
    checks
}

fn judged(mount: &Mount, state: State) -> Option<Check> {
    let name = "stale mounts";
    let place = mount.mount_point.display();
    let kind = mount.fstype.to_string_lossy();
    match state {
        State::Answers => None,
        State::Dead => Some(Check::warning(
            name,
            format!("{place} ({kind}) is dead: Transport endpoint is not connected"),
            format!("`umount -l {place}`; `debridfs serve` does it for its own at its start"),
        )),
        State::Hung => {
            let fix = if kind.starts_with("fuse") {
                format!(
                    "echo 1 > /sys/fs/fuse/connections/{}/abort frees whoever waits; then `umount -l {place}`",
                    mount.device.1
                )
            } else {
                format!("`umount -f -l {place}`")
            };
            let seen = format!(
                "{place} ({kind}) does not answer within {} s; whoever looks at it hangs",
                LIMIT.as_secs()
            );
            Some(Check::warning(name, seen, fix))
        }
    }
}

/// Who holds a mount of debridfs that is not mounted here any more, or a copy that no later mount
/// reaches.
pub fn holders() -> Vec<Check> {
    let name = "containers";
    let here = mountinfo::read().unwrap_or_default();
    let live = served(&here, |place| probe::state(place, LIMIT));
    let mut checks: Vec<Check> = here.iter().filter_map(sub_path).collect();
    for (pid, mounts) in other_namespaces() {
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let who = format!("process {pid} ({}) and its container", program.trim());
        let fix = "restart that container; to need it never again, bind the parent directory of the mount point with HostToContainer (Docker `:rslave`)";
        let ours: Vec<&Mount> = mounts.iter().filter(|mount| mount.is_ours()).collect();
        let dead = dead_places(&ours, &live);
        if !dead.is_empty() {
            let seen = format!("{who} hold a dead library at {}", dead.join(" and "));
            checks.push(Check::warning(name, seen, fix));
        } else if let Some(private) = ours
            .iter()
            .find(|mount| !mount.is_shared() && mount.master.is_none())
        {
            let seen = format!(
                "{who} have a private copy of the library at {}, which no later mount reaches",
                private.mount_point.display()
            );
            checks.push(Check::warning(name, seen, fix));
        }
    }
    if checks.is_empty() {
        checks.push(Check::ok(name, "none holds an old or a private mount"));
    }
    checks
}

/// The places whose topmost layer is of a connection that is not mounted here. All of them: one that
/// a container has since it was made must not hide the one that its programs read.
fn dead_places(ours: &[&Mount], live: &BTreeSet<(u32, u32)>) -> Vec<String> {
    let covered = |mount: &Mount| ours.iter().any(|other| other.parent == mount.id);
    ours.iter()
        .filter(|mount| !live.contains(&mount.device) && !covered(mount))
        .map(|mount| mount.mount_point.display().to_string())
        .collect()
}

/// Devices of mounts of debridfs here that somebody serves. One that is dead, or lies below another,
/// says nothing about who holds a copy of it.
fn served(here: &[Mount], state: impl Fn(&Path) -> State) -> BTreeSet<(u32, u32)> {
    let covered = |mount: &Mount| here.iter().any(|other| other.parent == mount.id);
    let mounts = here
        .iter()
        .filter(|mount| mount.is_ours() && !covered(mount));
    mounts
        .take(MOST)
        .filter(|mount| state(&mount.mount_point) != State::Dead)
        .map(|mount| mount.device)
        .collect()
}

/// On a node, the path tells pod and container.
fn sub_path(mount: &Mount) -> Option<Check> {
    let place = mount.mount_point.to_string_lossy();
    let (_, rest) = mount
        .is_ours()
        .then(|| place.split_once(SUB_PATHS))
        .flatten()?;
    let pod = place
        .split('/')
        .skip_while(|part| *part != "pods")
        .nth(1)
        .unwrap_or("?");
    let container = rest.split('/').nth(1).unwrap_or("?");
    Some(Check::warning(
        "subPath",
        format!(
            "container {container} of pod {pod} has the library by subPath: no later mount reaches it"
        ),
        "mount the parent directory with HostToContainer and without subPath; after a remount the pod has to be deleted, a restart of the container fails",
    ))
}

/// The mounts of one process in every other namespace that can be looked into.
fn other_namespaces() -> BTreeMap<u32, Vec<Mount>> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let mut seen: BTreeSet<PathBuf> = namespace("self").into_iter().collect();
    let mut found = BTreeMap::new();
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // The oldest of a container is the one that people know.
    pids.sort_unstable();
    for pid in pids {
        let Some(namespace) = namespace(&pid.to_string()) else {
            continue;
        };
        if seen.insert(namespace)
            && let Ok(mounts) = mountinfo::read_of(pid)
        {
            found.insert(pid, mounts);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    fn table(text: &str) -> Vec<Mount> {
        mountinfo::parse(text.as_bytes())
    }

    #[test]
    fn a_dead_layer_counts_only_when_nothing_lies_over_it() {
        let mounts = table(
            "5 1 0:50 / /volume ro master:1 - fuse.debridfs d ro\n6 5 0:51 / /volume ro master:2 - fuse.debridfs d ro",
        );
        let ours: Vec<&Mount> = mounts.iter().collect();
        let live = BTreeSet::from([(0, 51)]);
        assert_eq!(dead_places(&ours, &live), [""; 0]);
        assert_eq!(dead_places(&ours[..1], &live), ["/volume"]);
        let two = table(
            "5 1 0:50 / /old ro - fuse.debridfs d ro\n6 1 0:51 / /live ro - fuse.debridfs d ro\n\
             7 1 0:52 / /volume ro - fuse.debridfs d ro",
        );
        let ours: Vec<&Mount> = two.iter().collect();
        assert_eq!(dead_places(&ours, &live), ["/old", "/volume"]);
    }

    #[test]
    fn what_is_dead_here_or_covered_is_served_by_nobody() {
        let here = table(
            "5 1 0:50 / /mnt/dfs ro shared:1 - fuse.debridfs d ro\n6 5 0:51 / /mnt/dfs ro shared:2 - fuse.debridfs d ro\n\
             7 1 0:52 / /sub ro shared:3 - fuse.debridfs d ro",
        );
        let state = |place: &Path| match place.to_str() {
            Some("/sub") => State::Dead,
            _ => State::Answers,
        };
        assert_eq!(served(&here, state), BTreeSet::from([(0, 51)]));
    }

    #[test]
    fn a_sub_path_names_pod_and_container() {
        let place = "/var/lib/kubelet/pods/7f-9/volume-subpaths/media/sonarr/0";
        let text = |kind: &str| format!("5 1 0:50 / {place} ro shared:1 - {kind} d ro");
        let found = sub_path(&table(&text("fuse.debridfs"))[0]).unwrap();
        assert!(
            found.seen.contains("container sonarr of pod 7f-9"),
            "{found:?}"
        );
        assert_eq!(sub_path(&table(&text("ext4"))[0]), None);
    }

    #[test]
    fn dead_and_hung_have_their_own_fix() {
        let mount = &table("5 1 0:50 / /x ro - fuse.debridfs d ro")[0];
        assert_eq!(judged(mount, State::Answers), None);
        let fix = |state| judged(mount, state).and_then(|check| check.fix).unwrap();
        assert!(fix(State::Dead).contains("umount -l /x"));
        assert!(fix(State::Hung).contains("/sys/fs/fuse/connections/50/abort"));
        let outcome = judged(mount, State::Dead).map(|check| check.outcome);
        assert_eq!(outcome, Some(Outcome::Warning));
    }
}
