//! Mounts by `fusermount3`, or `fusermount`, as a user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use debridfs_base::mountinfo;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use crate::cases::SOON;
use crate::stopping::hold_a_notification;
use crate::world::{World, ends_within, fusectl, open_device_for_users, program, signal};

pub fn as_a_user_with_fusermount() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    as_a_user(&World::empty(), Path::new(&path));
}

/// As on a host that has FUSE 2 alone: Debian's, or by its name that of FUSE 3.
pub fn as_a_user_with_fusermount_of_fuse_2() {
    let world = World::empty();
    let bin = world.root().join("bin");
    fs::create_dir(&bin).unwrap();
    // Where it lies set-uid programs may be forbidden.
    mount("none", &bin, "tmpfs", MountFlags::empty(), None).unwrap();
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/fuse2/bin");
    let places = [unpacked.as_path(), Path::new("/usr/bin"), Path::new("/bin")];
    let found = places.map(|place| place.join("fusermount"));
    let found = found.iter().find(|file| file.is_file());
    let ours = bin.join("fusermount");
    fs::copy(found.expect("`make setup`"), &ours).unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o4755)).unwrap();
    as_a_user(&world, &bin);
    unmount(&bin, UnmountFlags::DETACH).unwrap();
}

/// The programs want a user with a name.
const NOBODY: u32 = 65_534;

/// A keeper of a user who has the programs in `path` alone.
fn keep_as_user(world: &World, path: &Path, words: &[&str]) -> Child {
    open_device_for_users(world.root());
    chown(world.root(), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(world.control(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = program();
    command
        .arg("as-keeper")
        .args([world.mount(), world.socket(), world.control()])
        .args(words)
        .env("PATH", path);
    let log = fs::File::create(world.root().join("log")).unwrap();
    command.uid(NOBODY).gid(NOBODY).stderr(log).spawn().unwrap()
}

fn as_a_user(world: &World, path: &Path) {
    let mut keeper = keep_as_user(world, path, &[]);
    world.until_served();
    let mut read = program();
    read.args(["as-reader", "read", &world.file("data")])
        .stdout(Stdio::piped())
        .uid(NOBODY)
        .gid(NOBODY);
    let result = ends_within(&mut read.spawn().unwrap(), SOON);
    let engine = world.engine();
    signal(engine, Signal::KILL);
    world.until_served_by_another(engine);
    signal(keeper.id(), Signal::TERM);
    let ended = ends_within(&mut keeper, SOON);
    unmount("/dev/fuse", UnmountFlags::DETACH).unwrap();
    assert!(matches!(result, Some(Ok(_))), "{result:?}");
    assert!(matches!(ended, Some(Ok(_))), "{ended:?}\n{}", world.log());
    assert!(!mountinfo::is_mounted(&world.mount()));
}

/// Where `fusectl` is mounted, as hosts have it.
pub fn as_a_user_whose_notification_waits_for_a_read() {
    let world = World::empty();
    fusectl();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut keeper = keep_as_user(&world, Path::new(&path), &[]);
    world.until_served();
    hold_a_notification(&world, Command::new("dd").uid(NOBODY).gid(NOBODY));
    signal(keeper.id(), Signal::TERM);
    let ended = ends_within(&mut keeper, SOON);
    unmount("/dev/fuse", UnmountFlags::DETACH).unwrap();
    assert!(matches!(ended, Some(Ok(_))), "{ended:?}\n{}", world.log());
    assert!(!mountinfo::is_mounted(&world.mount()));
}

/// The program is installed while the keeper runs.
pub fn as_a_user_without_fusermount() {
    let world = World::empty();
    let bin = world.root().join("bin");
    fs::create_dir(&bin).unwrap();
    world.set("without-mount");
    let mut keeper = keep_as_user(&world, &bin, &["child", "optional"]);
    world.until("served without a mount", |world| {
        let trouble = world.status().and_then(|status| status.mount_trouble);
        trouble.is_some_and(|one| {
            one.reason
                .contains("neither it nor fusermount is installed")
        }) && world.control().join("unmounted").exists()
    });
    symlink("/usr/bin/fusermount3", bin.join("fusermount3")).unwrap();
    world.until("mounted", |world| mountinfo::is_mounted(&world.mount()));
    world.until_served();
    signal(keeper.id(), Signal::TERM);
    let ended = ends_within(&mut keeper, SOON);
    unmount("/dev/fuse", UnmountFlags::DETACH).unwrap();
    assert!(matches!(ended, Some(Ok(_))), "{ended:?}\n{}", world.log());
}
