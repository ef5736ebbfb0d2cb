//! A keeper that is told to stop.

use std::fs;
use std::process::Command;
use std::time::Duration;

use debridfs_base::mountinfo;
use rustix::process::Signal;

use crate::cases::reads;
use crate::engine::REFUSED;
use crate::world::{World, signal};

pub fn a_clean_stop_leaves_nothing() {
    for sign in [Signal::TERM, Signal::INT] {
        let mut world = World::start(&[]);
        let engine = world.engine();
        signal(engine, Signal::STOP);
        signal(engine, Signal::CONT);
        assert!(world.end_keeper(sign), "{}", world.log());
        assert!(!std::path::Path::new(&format!("/proc/{engine}")).exists());
        assert!(!mountinfo::is_mounted(&world.mount()));
        assert!(!world.mount().exists() && !world.socket().exists());
    }
}

pub fn a_first_engine_that_another_instance_refuses_ends_the_keeper() {
    let refused = format!("refused={REFUSED}");
    let mut world = World::empty();
    world.set("refused");
    world.keep(&[&refused]);
    assert!(world.keeper_gives_up(), "{}", world.log());
    let log = world.log();
    let ended = format!("engine ended with status {REFUSED}");
    assert_eq!(log.matches(&ended).count(), 1, "{log}");
    assert!(log.contains("another instance uses"), "{log}");
    assert!(!mountinfo::is_mounted(&world.mount()));
    assert!(!world.mount().exists() && !world.socket().exists());

    // A mount that was served is kept for the next engine.
    let world = World::start(&[&refused]);
    world.set("refused");
    signal(world.engine(), Signal::KILL);
    world.until("refused twice", |world| {
        world.log().matches(&ended).count() >= 2
    });
    world.unset("refused");
    world.until_served();
    reads(&world, "data");
}

/// A notification waits for a read, umount(2) for the notification, and nobody answers the read any more.
pub fn a_stop_does_not_wait_for_a_notification_that_waits_for_a_read() {
    let mut world = World::start(&[]);
    hold_a_notification(&world, &mut Command::new("dd"));
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
    assert!(!mountinfo::is_mounted(&world.mount()));
}

/// Has a notification wait in the kernel for a read by `dd`, which is ended.
pub fn hold_a_notification(world: &World, dd: &mut Command) {
    world.set("hold");
    let mut reader = dd
        .args([&format!("if={}", world.file("slow")), "of=/dev/null"])
        .args(["bs=4096", "count=1"])
        .spawn()
        .unwrap();
    let engine_says = |world: &World, word| world.control().join(word).exists();
    world.until("held", |world| engine_says(world, "held"));
    world.set("forgets");
    world.until("told", |world| engine_says(world, "forgetting"));
    let helper = fs::read_to_string(world.control().join("forgetting")).unwrap();
    world.until("waiting in the kernel", |_| {
        fs::read_to_string(format!("/proc/{helper}/stat")).is_ok_and(|stat| stat.contains(") D "))
    });
    // Nobody has a file open any more, so that umount(2) takes all away itself.
    reader.kill().unwrap();
    reader.wait().unwrap();
}

pub fn a_stop_does_not_wait_for_an_engine_that_let_go() {
    let mut world = World::start(&["attached", "stop=600000"]);
    world.set("stays");
    let engine = world.attach();
    world.until_served();
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
    assert!(!mountinfo::is_mounted(&world.mount()));
    let name = std::fs::read_to_string(format!("/proc/{engine}/cmdline")).unwrap();
    assert!(name.contains("as-sleeper"), "{name}");
}

pub fn a_keeper_that_lingers_leaves_the_mount_to_its_engine() {
    let mut world = World::start(&["attached", "linger=200"]);
    world.attach();
    world.until_served();
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
    assert!(mountinfo::is_mounted(&world.mount()));
    assert!(
        world.log().contains("the mount stays for the next keeper"),
        "{}",
        world.log()
    );
    // What it left can be taken over: it is as if it had been killed.
    world.keep(&["attached"]);
    // This engine does not wait for a keeper.
    world.until("kept again", |world| world.status().is_some());
    world.attach();
    world.until_served();
    reads(&world, "data");
}

/// A rollout of both: the old engine ends while the old keeper waits, and the new engine comes before the new keeper.
pub fn a_keeper_that_lingers_waits_for_the_next_engine() {
    let mut world = World::start(&["attached", "linger=4000"]);
    let engine = world.attach();
    world.until_served();
    signal(world.status().unwrap().keeper_pid, Signal::TERM);
    // Late, so that the next one comes when the first time is over.
    std::thread::sleep(Duration::from_secs(3));
    signal(engine, Signal::KILL);
    std::thread::sleep(Duration::from_secs(2));
    world.attach();
    world.until_served_by_another(engine);
    reads(&world, "data");
    assert!(world.end_keeper(Signal::CONT), "{}", world.log());
    assert!(mountinfo::is_mounted(&world.mount()));
    world.keep(&["attached"]);
    world.until("kept again", |world| world.status().is_some());
}

/// Root as well, who could enter a directory of mode 0000, is refused and shown no empty library.
pub fn a_keeper_that_lingers_closes_the_mount_when_no_engine_comes() {
    let mut world = World::start(&["attached", "linger=1500"]);
    let engine = world.attach();
    world.until_served();
    let keeper = world.status().unwrap().keeper_pid;
    signal(keeper, Signal::TERM);
    // Nothing changes for readers meanwhile.
    reads(&world, "data");
    signal(engine, Signal::KILL);
    // Who waits in the root has it locked, and mount(2) would wait for him.
    let waits = world.mount().join("waits");
    let waiting = std::thread::spawn(move || fs::metadata(waits).unwrap_err().raw_os_error());
    world.until("closed", |world| {
        let top = mountinfo::find(&world.mount()).unwrap();
        top.is_some_and(|top| top.is_closed())
    });
    assert!(world.end_keeper(Signal::CONT), "{}", world.log());
    assert_eq!(waiting.join().unwrap(), Some(libc::ECONNABORTED));
    let mount = world.mount();
    let refused =
        |what: std::io::Result<()>| what.unwrap_err().raw_os_error() == Some(libc::EACCES);
    assert!(refused(fs::metadata(mount.join("data")).map(drop)));
    assert!(refused(fs::read_dir(&mount).map(drop)));
    assert!(refused(fs::create_dir(mount.join("series"))));
    // The next keeper shows the library in its place, and stops again; there are never many layers.
    for _ in 0..4 {
        world.keep(&["attached", "linger=300"]);
        world.until("kept again", |world| world.status().is_some());
        world.attach();
        world.until_served();
        reads(&world, "data");
        let engine = world.engine();
        signal(engine, Signal::KILL);
        assert!(world.end_keeper(Signal::TERM), "{}", world.log());
        assert!(refused(fs::metadata(mount.join("data")).map(drop)));
    }
    let layers = mountinfo::layers(mountinfo::read().unwrap(), &mount);
    assert!(layers.len() <= 6, "{layers:?}");
    assert!(debridfs_keeper::remove_mount_point(&mount).unwrap());
    assert!(!mount.exists());
}

/// What somebody wrote there while no keeper was there does not keep the library away.
pub fn a_directory_that_is_not_empty_is_mounted_over() {
    let mut world = World::empty();
    let below = world.mount().join("series");
    std::fs::create_dir_all(&below).unwrap();
    world.keep(&[]);
    world.until_served();
    reads(&world, "data");
    let log = world.log();
    assert!(log.contains("is not empty"), "{log}");
    assert!(world.end_keeper(Signal::TERM), "{}", world.log());
    assert!(below.exists());
}
