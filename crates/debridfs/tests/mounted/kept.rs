//! A service manager keeps the connection (`FileDescriptorStoreMax` of systemd): keeper and engine may be killed at once, and a service be
//! restarted, under readers.

use std::path::Path;
use std::time::Duration;

use debridfs_base::mountinfo;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;

use crate::attached::{self, BUILD};
use crate::support::{
    Instance, Reader, ServiceManager, Settings, Simulator, connection, film, until,
};

/// How often both are killed.
const ROUNDS: u32 = 12;

const LONG: Duration = Duration::from_secs(120);

const MODES: [&str; 4] = ["buffered", "direct", "mmap", "handle"];

fn prepare() -> (Simulator, ServiceManager, Instance) {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let manager = ServiceManager::start();
    let mut instance = Instance::prepare(&simulator, Settings::default());
    instance.launch_under(&manager);
    instance.wait_synced();
    (simulator, manager, instance)
}

fn start_readers(simulator: &Simulator, instance: &Instance) -> Vec<(&'static str, Reader)> {
    let (name, key) = simulator.file("Film.2024.1080p.mkv");
    let path = instance.mount().join("__all__/Film.2024.1080p").join(name);
    let reader = |mode| (mode, Reader::start(mode, &path, key));
    MODES.map(reader).into()
}

fn finish(readers: Vec<(&'static str, Reader)>) {
    for (mode, reader) in readers {
        let outcome = reader.finish();
        println!("{mode}: {outcome:?}");
        outcome.assert_clean(mode);
    }
}

#[test]
fn keeper_and_engine_are_killed_at_once_and_nobody_notices() {
    let (simulator, manager, mut instance) = prepare();
    assert_eq!(manager.ready(), 1);
    let mount = connection(&instance.mount());
    assert!(mount.is_some());
    let stored = manager.names();
    let readers = start_readers(&simulator, &instance);
    for round in 0..ROUNDS {
        // One that is killed before has said nothing, which a busy machine would be blamed for.
        until("it says that it is ready", LONG, || {
            manager.ready() == round + 1
        });
        std::thread::sleep(Duration::from_millis(250 + 37 * u64::from(round % 7)));
        instance.kill_all();
        // As long as a manager may take.
        std::thread::sleep(Duration::from_millis(100));
        instance.launch_under(&manager);
        instance.engine_pid();
        assert_eq!(connection(&instance.mount()), mount, "round {round}");
    }
    finish(readers);
    assert_eq!(connection(&instance.mount()), mount);
    assert_eq!(manager.names(), stored, "nothing gathers in the store");
    until("each says that it is ready", LONG, || {
        manager.ready() == ROUNDS + 1
    });
    assert_eq!(simulator.unrestricted(), 1, "a restart costs no new link");
    stop(&mut instance);
    until("the store is empty", Duration::from_secs(120), || {
        manager.names().is_empty()
    });
}

/// Whoever looks for the library while the service is stopped is refused, root as well.
pub fn stop(instance: &mut Instance) {
    assert!(instance.end(Signal::TERM).success());
    let top = mountinfo::find(&instance.mount()).expect("a mount table");
    assert!(top.is_some_and(|top| top.is_closed()), "{}", instance.log());
    let refused = std::fs::read_dir(instance.mount()).expect_err("closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn a_restart_of_the_service_keeps_the_mount() {
    let (simulator, manager, mut instance) = prepare();
    let mount = connection(&instance.mount());
    let readers = start_readers(&simulator, &instance);
    for round in 0..4 {
        std::thread::sleep(Duration::from_millis(300));
        // RestartKillSignal of the unit.
        assert!(
            instance.end(Signal::USR2).success(),
            "it ends in order, round {round}"
        );
        assert_eq!(connection(&instance.mount()), mount, "round {round}");
        instance.launch_under(&manager);
        instance.engine_pid();
        assert_eq!(connection(&instance.mount()), mount, "round {round}");
    }
    finish(readers);
    stop(&mut instance);
    instance.launch_under(&manager);
    instance.wait_synced();
    assert!(instance.mount().join("version.txt").exists());
}

#[test]
fn what_was_unmounted_meanwhile_is_mounted_anew() {
    let (_simulator, manager, mut instance) = prepare();
    // Connections are told apart by what was logged: the kernel gives their numbers again.
    let count = |instance: &Instance, text: &str| instance.log().matches(text).count();
    instance.kill_all();
    unmount(instance.mount(), UnmountFlags::DETACH).expect("unmounted");
    instance.launch_under(&manager);
    instance.wait_synced();
    assert_eq!(count(&instance, "mounted at"), 2);
    // What is kept from now on is the new one, and nothing of the old.
    instance.kill_all();
    instance.launch_under(&manager);
    instance.wait_synced();
    assert_eq!(count(&instance, "mounted at"), 2);
    assert_eq!(count(&instance, "over from the service manager"), 1);
    let names = manager.names();
    let notes = names.iter().filter(|name| name.ends_with(".note")).count();
    assert_eq!(notes, 1, "{names:?}");
    stop(&mut instance);
}

#[test]
fn without_a_manager_the_signal_for_a_restart_stops_in_order() {
    let simulator = Simulator::start(vec![film("Film.2024.1080p", 8 << 30)]);
    let mut instance = Instance::start(&simulator, Settings::default());
    assert!(instance.end(Signal::USR2).success());
    assert_eq!(connection(&instance.mount()), None);
}

#[test]
fn attached_parts_are_killed_in_every_combination() {
    let (simulator, instance) = attached::prepare();
    let manager = ServiceManager::start();
    let mut keeper = attached::keeper_under(&instance, &manager);
    let mount = Some(attached::wait_mounted(&instance));
    // Whoever starts engines may wait for that.
    until("the keeper is ready", Duration::from_secs(120), || {
        manager.ready() == 1
    });
    let mut engine = attached::engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let stored = manager.names();
    assert!(
        stored.contains(&"debridfs.1.engine".to_owned()),
        "{stored:?}"
    );
    let readers = start_readers(&simulator, &instance);
    let mut returns = 0;
    for round in 0..9 {
        std::thread::sleep(Duration::from_millis(300));
        let (of_keeper, of_engine) = [(true, true), (true, false), (false, true)][round % 3];
        if of_keeper {
            keeper.kill();
        }
        if of_engine {
            engine.kill();
        }
        if of_keeper {
            keeper = attached::keeper_under(&instance, &manager);
        }
        if of_engine {
            engine = attached::engine(&instance, Path::new(BUILD), &[]);
        } else {
            returns += 1;
            until("the engine brings it", Duration::from_secs(120), || {
                instance.log().matches(" back from engine").count() == returns
            });
        }
        instance.engine_pid();
        assert_eq!(connection(&instance.mount()), mount, "round {round}");
        assert_eq!(manager.names(), stored, "round {round}");
    }
    finish(readers);
    attached::stop(&instance, engine, &keeper);
}

#[test]
fn an_engine_that_hung_when_its_keeper_was_lost_never_meets_its_successor() {
    let (simulator, instance) = attached::prepare();
    let manager = ServiceManager::start();
    let mut keeper = attached::keeper_under(&instance, &manager);
    let mount = Some(attached::wait_mounted(&instance));
    let mut hung = attached::engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let readers = start_readers(&simulator, &instance);
    std::thread::sleep(Duration::from_millis(300));
    hung.signal_inner(Signal::STOP);
    keeper.kill();
    keeper = attached::keeper_under(&instance, &manager);
    let engine = attached::engine(&instance, Path::new(BUILD), &[]);
    // Both would read the same requests.
    until("the hung one is ended", Duration::from_secs(120), || {
        hung.has_ended()
    });
    until("the next one serves", Duration::from_secs(120), || {
        let status = instance.try_status();
        status.is_some_and(|status| status["keeper"]["restarts"] == 1)
    });
    assert_eq!(connection(&instance.mount()), mount);
    finish(readers);
    attached::stop(&instance, engine, &keeper);
}

#[test]
fn a_keeper_leaves_the_mount_to_an_attached_engine_and_to_nobody_else() {
    let (simulator, instance) = attached::prepare();
    let mut keeper = attached::keeper(&instance);
    let mount = Some(attached::wait_mounted(&instance));
    let engine = attached::engine(&instance, Path::new(BUILD), &[]);
    instance.wait_synced();
    let readers = start_readers(&simulator, &instance);
    keeper.signal(Signal::USR2);
    until("it ends", Duration::from_secs(120), || keeper.has_ended());
    assert_eq!(connection(&instance.mount()), mount);
    let mut keeper = attached::keeper(&instance);
    until("the mount is back", Duration::from_secs(120), || {
        instance.log().contains(" back from engine")
    });
    finish(readers);
    drop(engine);
    until("the keeper has no engine", Duration::from_secs(120), || {
        instance.log().contains("engine ended or was killed")
    });
    keeper.signal(Signal::USR2);
    until("it ends", Duration::from_secs(120), || keeper.has_ended());
    assert_eq!(connection(&instance.mount()), None);
}
