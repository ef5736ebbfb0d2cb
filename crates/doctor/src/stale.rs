//! Mounts that nobody serves, here and in containers, and who has to restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::mountinfo::{self, Mount};
use debridfs_keeper::probe::{self, State};

use crate::check::Check;
use crate::host::Host;
use crate::pods::Pods;

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
            format!(
                "`umount -l {place}`; `debridfs serve` does this for its own mounts at its start"
            ),
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
                "{place} ({kind}) does not answer within {} s; programs that access it hang",
                LIMIT.as_secs()
            );
            Some(Check::warning(name, seen, fix))
        }
    }
}

/// Who holds a mount of debridfs that is not mounted on the machine any more, or a copy that no later
/// mount reaches.
pub async fn holders(host: &Host) -> Vec<Check> {
    let name = "containers";
    let machine = host.mounts();
    let seen_from_here = |place: &Path| host.path(place).unwrap_or_else(|| place.to_path_buf());
    let mut live = served(&machine, |place| {
        probe::state(&seen_from_here(place), LIMIT)
    });
    if !host.is_here() {
        let here = mountinfo::read().unwrap_or_default();
        live.extend(served(&here, |place| probe::state(place, LIMIT)));
    }
    let sub_paths: BTreeSet<SubPath> = machine.iter().filter_map(sub_path).collect();
    let others = other_namespaces();
    let held: Vec<(u32, Held)> = others
        .seen
        .iter()
        .filter_map(|(pid, mounts)| {
            // By its own path: a library that only that process has mounted is none that it holds.
            let root = PathBuf::from(format!("/proc/{pid}/root"));
            let seen = |place: &Path| root.join(place.strip_prefix("/").unwrap_or(place));
            let state = |place: &Path| probe::state(&seen(place), LIMIT);
            Some((*pid, held(mounts, &live, state)?))
        })
        .collect();
    let mut checks = Vec::new();
    if !sub_paths.is_empty() || !held.is_empty() {
        let pods = Pods::of(host).await;
        checks.extend(sub_paths.iter().map(|one| one.check(&pods)));
        checks.extend(held.iter().map(|(pid, held)| held.check(*pid, &pods)));
    }
    if !host.is_seen() {
        checks.push(Check::warning(
            name,
            "unknown: the others cannot be seen from this container, so they may hold an old mount",
            "run `debridfs doctor` on the machine itself, or in a privileged pod with `hostPID: true`",
        ));
    } else if let Some(pid) = others.hidden {
        checks.push(not_all(pid));
    } else if checks.is_empty() {
        checks.push(Check::ok(name, "none holds an old or a private mount"));
    }
    checks
}

/// This process may not look at that one, and at others maybe.
fn not_all(pid: u32) -> Check {
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let seen = format!(
        "process {pid} ({}) and others like it may not be inspected, so they may hold an old mount",
        program.trim()
    );
    let fix = if rustix::process::geteuid().is_root() {
        "`debridfs doctor` needs CAP_SYS_PTRACE for it"
    } else {
        "sudo debridfs doctor"
    };
    Check::warning("containers", seen, fix)
}

/// What a container has that has to be made anew.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    /// Mounts that nobody serves, by their places.
    Dead(Vec<String>),
    /// A copy that no later mount reaches.
    Private(String),
}

fn held(
    mounts: &[Mount],
    live: &BTreeSet<(u32, u32)>,
    state: impl Fn(&Path) -> State,
) -> Option<Held> {
    let ours: Vec<&Mount> = mounts.iter().filter(|mount| mount.is_ours()).collect();
    let dead = dead_places(&ours, live, state);
    if !dead.is_empty() {
        return Some(Held::Dead(dead));
    }
    let of_this_machine = |mount: &&&Mount| live.contains(&mount.device);
    let private = |mount: &&&Mount| !mount.is_shared() && mount.master.is_none();
    let private = ours.iter().filter(of_this_machine).find(private)?;
    Some(Held::Private(private.mount_point.display().to_string()))
}

impl Held {
    fn check(&self, pid: u32, pods: &Pods) -> Check {
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let program = program.trim();
        let who = match pods.of_process(pid) {
            Some(container) => format!("process {pid} ({program}) and all in {container}"),
            None => format!("process {pid} ({program}) and its container"),
        };
        let seen = match self {
            Self::Dead(places) => format!("{who} hold a dead library at {}", places.join(" and ")),
            Self::Private(place) => {
                format!(
                    "{who} have a private copy of the library at {place}, which no later mount reaches"
                )
            }
        };
        let fix = "restart that container, or delete its pod where that fails (subPath); to need it never again, bind the parent \
                   directory of the mount point with HostToContainer (Docker `:rslave`)";
        Check::warning("containers", seen, fix)
    }
}

/// The places whose topmost layer nobody serves. All of them: one that a container has since it was
/// made must not hide the one that its programs read. What is `live` need not be asked.
fn dead_places(
    ours: &[&Mount],
    live: &BTreeSet<(u32, u32)>,
    state: impl Fn(&Path) -> State,
) -> Vec<String> {
    let covered = |mount: &Mount| ours.iter().any(|other| other.parent == mount.id);
    ours.iter()
        .filter(|mount| !live.contains(&mount.device) && !covered(mount))
        .take(MOST)
        .filter(|mount| state(&mount.mount_point) == State::Dead)
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

/// A container that has the library by `subPath`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SubPath {
    /// UID of its pod.
    pod: String,
    container: String,
}

/// On a node, the path tells pod and container.
fn sub_path(mount: &Mount) -> Option<SubPath> {
    let place = mount.mount_point.to_string_lossy();
    let (_, rest) = mount
        .is_ours()
        .then(|| place.split_once(SUB_PATHS))
        .flatten()?;
    let mut parts = place.split('/').skip_while(|part| *part != "pods");
    Some(SubPath {
        pod: parts.nth(1).unwrap_or("?").to_owned(),
        container: rest.split('/').nth(1).unwrap_or("?").to_owned(),
    })
}

impl SubPath {
    fn check(&self, pods: &Pods) -> Check {
        let (container, pod) = (&self.container, pods.named(&self.pod));
        Check::warning(
            "subPath",
            format!(
                "container {container} of pod {pod} has the library by subPath: after a crash it sees the new mount, \
                 after an orderly stop that unmounts (a keeper without `keeper.linger`, `debridfs uninstall`) it does not, and then a \
                 restart of the container fails"
            ),
            "mount the parent directory with HostToContainer and without subPath; until then delete the pod after such a stop",
        )
    }
}

/// Mounts of other processes.
#[derive(Default)]
struct Others {
    /// Those of one process in every other namespace that can be looked into.
    seen: BTreeMap<u32, Vec<Mount>>,
    /// The first process that may not be looked at.
    hidden: Option<u32>,
}

fn other_namespaces() -> Others {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt"));
    let mut known: BTreeSet<PathBuf> = namespace("self").into_iter().collect();
    let mut others = Others::default();
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // The oldest of a container is the one that people know.
    pids.sort_unstable();
    for pid in pids {
        others.note(pid, namespace(&pid.to_string()), &mut known);
    }
    others
}

impl Others {
    /// Takes a process with its namespace, unless another one of that is `known`.
    fn note(&mut self, pid: u32, namespace: io::Result<PathBuf>, known: &mut BTreeSet<PathBuf>) {
        match namespace {
            Ok(namespace) => {
                if known.insert(namespace)
                    && let Ok(mounts) = mountinfo::read_of(pid)
                {
                    self.seen.insert(pid, mounts);
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.hidden = self.hidden.or(Some(pid));
            }
            // It has ended.
            Err(_) => {}
        }
    }
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
        let dead = |ours: &[&Mount]| dead_places(ours, &live, |_| State::Dead);
        assert_eq!(dead(&ours), [""; 0]);
        assert_eq!(dead(&ours[..1]), ["/volume"]);
        let two = table(
            "5 1 0:50 / /old ro - fuse.debridfs d ro\n6 1 0:51 / /live ro - fuse.debridfs d ro\n\
             7 1 0:52 / /volume ro - fuse.debridfs d ro",
        );
        let ours: Vec<&Mount> = two.iter().collect();
        assert_eq!(dead(&ours), ["/old", "/volume"]);
        // A library that is mounted there alone is served there.
        let own = |place: &Path| match place.to_str() {
            Some("/old") => State::Answers,
            _ => State::Dead,
        };
        assert_eq!(dead_places(&ours, &live, own), ["/volume"]);
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
    fn who_has_an_old_or_a_private_copy_has_to_restart() {
        let mounts = |fields: &str| {
            table(&format!(
                "5 1 0:50 / /volume ro {fields}- fuse.debridfs d ro"
            ))
        };
        let live = BTreeSet::from([(0, 50)]);
        let found =
            |mounts: &[Mount], live: &BTreeSet<(u32, u32)>| held(mounts, live, |_| State::Dead);
        let volume = || "/volume".to_owned();
        let old = found(&mounts("master:1 "), &BTreeSet::new());
        assert_eq!(old, Some(Held::Dead(vec![volume()])));
        assert_eq!(found(&mounts(""), &live), Some(Held::Private(volume())));
        assert_eq!(found(&mounts("master:1 "), &live), None);
        assert_eq!(found(&mounts("shared:1 "), &live), None);
        let said = old.unwrap().check(std::process::id(), &Pods::default());
        assert_eq!(said.outcome, Outcome::Warning);
        assert!(
            said.seen.contains("hold a dead library at /volume"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_seen_is_said_to_be_unknown() {
        let checks = holders(&Host::with_root(None)).await;
        let unseen = checks
            .iter()
            .find(|check| check.seen.contains("cannot be seen"));
        assert_eq!(unseen.map(|check| check.outcome), Some(Outcome::Warning));
        let (mut others, mut known) = (Others::default(), BTreeSet::new());
        others.note(7, Err(ErrorKind::NotFound.into()), &mut known);
        assert_eq!(others.hidden, None);
        for pid in [8, 9] {
            others.note(pid, Err(ErrorKind::PermissionDenied.into()), &mut known);
        }
        assert_eq!(others.hidden, Some(8));
        let said = not_all(8);
        assert_eq!(said.outcome, Outcome::Warning);
        assert!(said.seen.starts_with("process 8 "), "{said}");
    }

    #[test]
    fn a_sub_path_names_pod_and_container() {
        let place = "/var/lib/kubelet/pods/7f-9/volume-subpaths/media/sonarr/0";
        let text = |kind: &str| format!("5 1 0:50 / {place} ro shared:1 - {kind} d ro");
        // Stacked mounts are one volume.
        let stacked = table(&[text("fuse.debridfs"), text("fuse.debridfs")].join("\n"));
        let found: BTreeSet<SubPath> = stacked.iter().filter_map(sub_path).collect();
        assert_eq!(found.len(), 1);
        let said = found.first().unwrap().check(&Pods::default()).seen;
        assert!(said.contains("container sonarr of pod 7f-9"), "{said}");
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
