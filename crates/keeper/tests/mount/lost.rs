//! Mounts that are lost, hang or are there before, and what is mounted over them.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use debridfs_base::mountinfo;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::Signal;

use crate::cases::{SOON, ends_well, reads};
use crate::world::{World, ends_within, fusectl, program, signal};

pub fn detach(world: &World, flags: UnmountFlags) {
    unmount(world.mount(), flags).unwrap();
}

pub fn abort(world: &World) {
    let minor = mountinfo::find(&world.mount()).unwrap().unwrap().device.1;
    std::fs::write(fusectl().join(minor.to_string()).join("abort"), "1").unwrap();
}

pub fn mount_lost(lose: impl FnOnce(&World)) {
    let world = World::start(&[]);
    reads(&world, "data");
    let before = world.engine();
    lose(&world);
    let started = Instant::now();
    while !std::fs::read(world.file("data")).is_ok_and(|bytes| bytes.len() == 1 << 20) {
        assert!(started.elapsed() < SOON, "not back\n{}", world.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    world.until_served_by_another(before);
    let status = world.status().unwrap();
    assert_eq!((status.remounts, status.mounted), (1, true));
    let layers = mountinfo::layers(mountinfo::read().unwrap(), &world.mount());
    assert_eq!(layers.len(), 1, "a private mount keeps no dead layers");
    assert!(!world.log().contains("ERROR"), "{}", world.log());
}

/// Consumers that bound the mount point see the new mount only when it is on top of the old one.
pub fn a_shared_mount_is_stacked() {
    let mut world = World::shared();
    world.keep(&[]);
    world.until_served();
    let layers =
        |world: &World| mountinfo::layers(mountinfo::read().unwrap(), &world.mount()).len();
    let mut most = 0;
    for lost in 1..=7 {
        let engine = world.engine();
        abort(&world);
        world.until("mounted again", |world| {
            world.status().unwrap().remounts == lost
        });
        world.until_served_by_another(engine);
        reads(&world, "data");
        most = most.max(layers(&world));
    }
    assert_eq!(most, 5, "four dead ones below the living");
    assert!(world.end_keeper(Signal::TERM));
    assert_eq!(layers(&world), 0);
}

/// The keeper is lost and its engine stopped, so that nobody answers and nothing is dead: a
/// consumer that bound the mount point itself sees the next mount all the same.
pub fn a_hung_mount_is_ended_and_stacked() {
    let mut world = World::shared();
    world.keep(&["attached"]);
    world.until("kept", |world| world.status().is_some());
    let engine = world.attach();
    world.until_served();
    let bound = world.root().join("bound");
    std::fs::create_dir(&bound).unwrap();
    rustix::mount::mount_bind_recursive(world.mount(), &bound).unwrap();
    mount_change(&bound, MountPropagationFlags::DOWNSTREAM).unwrap();
    let mut waiting = {
        world.set("hold");
        let reader = world.reader(&["read", &world.file("slow")]);
        world.until("waiting", |world| world.in_flight() > 0);
        reader
    };
    signal(engine, Signal::STOP);
    world.end_keeper(Signal::KILL);
    world.keep(&["attached"]);
    world.until("mounted again", |world| {
        world.status().is_some_and(|status| status.mounted)
    });
    let freed = ends_within(&mut waiting, SOON);
    assert!(matches!(freed, Some(Err(_))), "{freed:?}\n{}", world.log());
    signal(engine, Signal::KILL);
    world.unset("hold");
    world.attach();
    world.until_served();
    let file = bound.join("data");
    ends_well(&mut world.reader(&["read", file.to_str().unwrap()]), &world);
    while unmount(&bound, UnmountFlags::DETACH).is_ok() {}
}

pub fn a_dead_mount_is_cleaned_at_start() {
    let mut world = World::start(&[]);
    let engine = world.engine();
    world.end_keeper(Signal::KILL);
    let gone = |_: &World| !std::path::Path::new(&format!("/proc/{engine}/exe")).exists();
    world.until("without its engine", gone);
    let error = std::fs::metadata(world.mount()).unwrap_err();
    let errno = error.raw_os_error().unwrap();
    assert!(
        [libc::ENOTCONN, libc::ECONNABORTED].contains(&errno),
        "{error}"
    );
    world.keep(&[]);
    world.until_served();
    reads(&world, "data");
    let layers = mountinfo::layers(mountinfo::read().unwrap(), &world.mount());
    assert_eq!(layers.len(), 1);
}

pub fn foreign_and_living_mounts_are_refused() {
    let world = World::start(&[]);
    let other = world.root().join("other-socket");
    let fails = |mount: &std::path::Path| {
        let mut command = program();
        command
            .arg("as-keeper")
            .arg(mount)
            .arg(&other)
            .arg(world.control());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        matches!(ends_within(&mut child, SOON), Some(Err(_)))
    };
    assert!(fails(&world.mount()));
    reads(&world, "data");
    // An unfinished FUSE mount of another kind.
    let foreign = world.root().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    let device = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&device);
    let data = format!("fd={number},rootmode=40000,user_id=0,group_id=0");
    let data = std::ffi::CString::new(data).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("other", &foreign, "fuse.other", flags, data.as_c_str()).unwrap();
    let refused = fails(&foreign);
    unmount(&foreign, UnmountFlags::DETACH | UnmountFlags::FORCE).unwrap();
    assert!(refused);
}

/// The directory of the mount point may be the engine's user's, who puts a link in its place: at the
/// start, and while the mount is away.
pub fn nothing_is_mounted_where_a_link_leads() {
    let mut world = World::empty();
    let treasure = world.root().join("treasure");
    std::fs::create_dir(&treasure).unwrap();
    std::os::unix::fs::symlink(&treasure, world.mount()).unwrap();
    world.keep(&["attached"]);
    world.until("refused", |world| world.log().contains("symbolic link"));
    std::fs::remove_file(world.mount()).unwrap();

    let mut world = World::start(&["attached"]);
    let treasure = world.root().join("treasure");
    std::fs::create_dir(&treasure).unwrap();
    let link = |world: &World| {
        let _ = std::fs::remove_dir(world.mount());
        std::os::unix::fs::symlink(&treasure, world.mount()).is_ok()
    };
    detach(&world, UnmountFlags::DETACH);
    // The keeper mounts again at once: sooner or later the link is there first.
    let started = Instant::now();
    while !link(&world) {
        assert!(started.elapsed() < SOON, "never first\n{}", world.log());
        if mountinfo::is_mounted(&world.mount()) {
            let _ = unmount(world.mount(), UnmountFlags::DETACH);
        }
    }
    world.until("refused", |world| world.log().contains("symbolic link"));
    assert!(!mountinfo::is_mounted(&treasure));
    std::fs::remove_file(world.mount()).unwrap();
    world.until("mounted again", |world| {
        mountinfo::is_mounted(&world.mount())
    });
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
}

/// It goes on in the same process, as attached engines do.
pub fn an_engine_that_lets_go_of_a_lost_mount_lives_on() {
    let mut world = World::start(&["attached"]);
    world.set("stays");
    let first = world.attach();
    world.until_served();
    world.attach();
    abort(&world);
    world.until_served_by_another(first);
    // Twice what an engine has to end.
    std::thread::sleep(Duration::from_secs(1));
    let name = fs::read_to_string(format!("/proc/{first}/cmdline")).unwrap_or_default();
    assert!(name.contains("as-sleeper"), "{name:?}\n{}", world.log());
}
