//! Nothing can be mounted, at the start or later: engines serve everything else meanwhile.

use std::fs;
use std::time::Duration;

use debridfs_base::mountinfo;
use debridfs_handover::EngineState;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::process::Signal;

use crate::cases::reads;
use crate::lost::detach;
use crate::world::{World, device_node, signal};

/// `/dev/fuse` cannot be opened while this lives, not even by root: its node lies in a mount
/// without devices.
struct Closed(tempfile::TempDir);

impl Closed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mount("none", dir.path(), "tmpfs", MountFlags::NODEV, None).expect("root");
        mount_bind(device_node(dir.path()), "/dev/fuse").unwrap();
        Self(dir)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let _ = unmount("/dev/fuse", UnmountFlags::DETACH);
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[track_caller]
fn until_unmounted(world: &World) -> u32 {
    let mut pid = None;
    world.until("served without a mount", |world| {
        let Some(status) = world.status() else {
            return false;
        };
        pid = status.engine_pid;
        let reason = status
            .mount_trouble
            .map_or_else(String::new, |one| one.reason);
        let told = fs::read_to_string(world.control().join("unmounted")).unwrap_or_default();
        !status.mounted
            && status.engine_state == EngineState::Serving
            && reason.contains("/dev/fuse")
            && told == reason
    });
    pid.unwrap()
}

#[track_caller]
fn until_mounted(world: &World) {
    world.until("mounted and served", |world| {
        world.status().is_some_and(|status| {
            status.mounted
                && status.mount_trouble.is_none()
                && status.engine_state == EngineState::Serving
        })
    });
}

/// The same engine gets the mount when the device appears, and the next one waits without when it is
/// lost and the device is gone again.
pub fn a_mount_comes_when_it_can(mode: &str) {
    let closed = Closed::new();
    let mut world = World::empty();
    world.set("without-mount");
    world.keep(&[mode, "optional"]);
    if mode == "attached" {
        world.until("kept", |world| world.status().is_some());
        world.attach();
    }
    let engine = until_unmounted(&world);
    assert!(!mountinfo::is_mounted(&world.mount()));
    drop(closed);
    until_mounted(&world);
    let status = world.status().unwrap();
    assert_eq!(
        (status.engine_pid, status.restarts, status.remounts),
        (Some(engine), 0, 0)
    );
    reads(&world, "data");
    // A kill is what it is with any mount.
    signal(engine, Signal::KILL);
    if mode == "attached" {
        world.attach();
    }
    world.until_served_by_another(engine);
    reads(&world, "data");

    fs::remove_file(world.control().join("unmounted")).unwrap();
    let engine = world.engine();
    let closed = Closed::new();
    detach(&world, UnmountFlags::DETACH);
    if mode == "attached" {
        world.until("away", |world| {
            world.status().is_some_and(|status| !status.mounted)
        });
        world.attach();
    }
    let next = until_unmounted(&world);
    assert_ne!(next, engine);
    drop(closed);
    until_mounted(&world);
    assert_eq!(world.engine(), next);
    reads(&world, "data");
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
    assert!(!mountinfo::is_mounted(&world.mount()));
}

/// An engine of a version that knows nothing of it waits, as ever.
pub fn an_engine_that_needs_the_mount_waits_for_it() {
    let closed = Closed::new();
    let mut world = World::empty();
    world.keep(&["attached", "optional"]);
    world.until("kept", |world| world.status().is_some());
    let engine = world.attach();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.status().unwrap().engine_state, EngineState::Absent);
    drop(closed);
    until_mounted(&world);
    assert_eq!(world.engine(), engine);
    reads(&world, "data");
}

pub fn a_mount_that_is_required_ends_the_keeper() {
    let _closed = Closed::new();
    let mut world = World::empty();
    world.keep(&["attached"]);
    assert!(world.keeper_gives_up(), "{}", world.log());
    assert!(
        world.log().contains("cannot open /dev/fuse"),
        "{}",
        world.log()
    );
}
