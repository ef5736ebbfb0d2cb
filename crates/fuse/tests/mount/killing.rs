//! Engines that die.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use debridfs_handover::FromKeeper;

use super::browsing::Handle;
use super::library::{LARGE, MANY, content};
use super::reading::{WAYS, verify};
use super::small_keeper::{Shape, SmallKeeper};
use super::until;
use super::waiting::read_direct;

/// Kills in one run; `DEBRIDFS_FUSE_TEST_KILLS` asks for more.
const KILLS: u64 = 25;

pub fn readers_survive_kills() {
    let kills =
        std::env::var("DEBRIDFS_FUSE_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut keeper = SmallKeeper::serve(Shape::default());
    // A process of their own: while a page fault waits for the engine, its process can start no other.
    let mut readers = Command::new(std::env::current_exe().unwrap())
        .arg("role:readers")
        .arg(keeper.point())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut replayed = 0;
    for kill in 0..kills {
        let before = keeper.journal.taken();
        until("requests come", || keeper.journal.taken() > before + 5);
        std::thread::sleep(Duration::from_millis(7 * (kill % 11)));
        let aftermath = keeper.kill_engine();
        assert!(aftermath.condemned.is_empty(), "{aftermath:?}");
        replayed += aftermath.waiting;
        keeper.start_engine();
        assert!(readers.try_wait().unwrap().is_none(), "the readers failed");
    }
    drop(readers.stdin.take());
    assert!(readers.wait().unwrap().success(), "the readers failed");
    println!("  {kills} kills, {replayed} requests replayed");
    assert!(
        replayed > 0,
        "no request was ever in hand: the test shows nothing"
    );
}

/// Reads, walks and opens, with `direct` further readers past the page cache, until standard input ends; a failure ends the process at once.
pub fn readers(root: &Path, direct: u64) {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::abort();
    }));
    let handle = Handle::of(&root.join("a/b/c.txt"));
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let worst = AtomicU64::new(0);
    let again = |what: &dyn Fn()| {
        while !stop.load(SeqCst) {
            let started = Instant::now();
            what();
            worst.fetch_max(started.elapsed().as_millis() as u64, SeqCst);
            rounds.fetch_add(1, SeqCst);
        }
    };
    std::thread::scope(|scope| {
        for way in WAYS {
            for (name, node) in [("now.bin", 3), ("later.bin", 4)] {
                let (path, again) = (root.join(name), &again);
                scope.spawn(move || again(&|| verify(&path, node, LARGE, way).unwrap()));
            }
        }
        for reader in 0..direct {
            let (path, again) = (root.join("later.bin"), &again);
            scope.spawn(move || {
                let turn = AtomicU64::new(reader);
                again(&|| {
                    let at = turn.fetch_add(1, SeqCst) * 65_536 % (LARGE & !0xffff);
                    let got = read_direct(&path, at).unwrap();
                    assert!(got == content(4, at, got.len()), "direct read at {at}");
                });
            });
        }
        scope.spawn(|| {
            again(&|| {
                let lines = fs::read_dir(root.join("many")).unwrap().map(Result::unwrap);
                assert_eq!(lines.count() as u64, MANY);
            });
        });
        scope.spawn(|| {
            again(&|| {
                let mount = fs::File::open(root).unwrap();
                handle.open(&mount, libc::O_RDONLY).unwrap();
                fs::metadata(root.join("a/b/c.txt")).unwrap();
            });
        });
        scope.spawn(|| {
            again(&|| {
                // Pages, names and inodes are asked for again.
                fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
                std::thread::sleep(Duration::from_millis(30));
            });
        });
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        stop.store(true, SeqCst);
    });
    let (rounds, worst) = (rounds.load(SeqCst), worst.load(SeqCst));
    println!("  {rounds} rounds, the longest {worst} ms");
}

/// What the journal is for.
pub fn without_a_journal_readers_hang() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let gated = keeper.point().join("gated.bin");
    let read = std::thread::spawn(move || read_direct(&gated, 0));
    until("it waits", || keeper.engine().count("pending") == 1);
    keeper.kill_engine();
    keeper.journal.empty();
    keeper.start_engine();
    keeper.engine().ask("open-gate");
    assert_eq!(keeper.engine().count("replayed"), 0);
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        !read.is_finished(),
        "somebody answered a request that nobody knew"
    );
    keeper.abort();
    assert!(read.join().unwrap().is_err());
}

/// A request that crashes whoever works on it ends after two engines; one that waits meanwhile is not blamed.
pub fn deadly_requests_end() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let (gated, deadly) = (
        keeper.point().join("gated.bin"),
        keeper.point().join("deadly.bin"),
    );
    let innocent: Vec<_> = (0..5u64)
        .map(|index| {
            let gated = gated.clone();
            std::thread::spawn(move || read_direct(&gated, index * 4096).unwrap())
        })
        .collect();
    until("they wait", || keeper.engine().count("pending") == 5);
    let killer = std::thread::spawn(move || read_direct(&deadly, 0).map(drop));
    for death in 1..=2 {
        let (signal, aftermath) = keeper.bury_engine();
        assert_eq!(signal, Some(libc::SIGABRT));
        assert_eq!(aftermath.condemned.len(), death / 2, "{aftermath:?}");
        if death == 1 {
            keeper.spawn_engine();
        }
    }
    let error = killer.join().unwrap().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    keeper.start_engine();
    until("the others are replayed", || {
        keeper.engine().count("replayed") == 5
    });
    keeper.engine().ask("open-gate");
    for (index, reader) in innocent.into_iter().enumerate() {
        assert!(reader.join().unwrap() == content(9, index as u64 * 4096, 4096));
    }
}

pub fn the_crash_hook() {
    let hook = vec![
        (debridfs_fuse::CRASH_VARIABLE, "crash-me".to_owned()),
        (debridfs_fuse::ALLOW_VARIABLE, "1".to_owned()),
    ];
    let mut keeper = SmallKeeper::serve(Shape {
        env: hook,
        ..Shape::default()
    });
    let path = keeper.point().join("please-crash-me-now");
    let lookup = std::thread::spawn(move || fs::metadata(path).map(drop));
    assert_eq!(keeper.bury_engine().0, Some(libc::SIGABRT));
    keeper.spawn_engine();
    let (signal, aftermath) = keeper.bury_engine();
    assert_eq!(
        (signal, aftermath.condemned.len()),
        (Some(libc::SIGABRT), 1)
    );
    let error = lookup.join().unwrap().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    keeper.set_env(vec![]);
    keeper.start_engine();
    assert!(keeper.point().join("one.txt").exists());
}

/// A stopped engine: the keeper reads in its place and gives it everything when it goes on.
pub fn requests_of_the_stand_in() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let pid = rustix::process::Pid::from_raw(keeper.engine().pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let root = keeper.point();
    let readers: Vec<_> = (0..20u64)
        .map(|index| {
            let path = root.join("now.bin");
            std::thread::spawn(move || read_direct(&path, index * 4096).unwrap())
        })
        .collect();
    let mut taken = 0;
    until("the stand-in has some", || {
        taken += keeper.stand_in();
        taken > 0
    });
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    until("all are answered", || {
        keeper.stand_in();
        keeper.tell(&FromKeeper::TakeStandIn);
        std::thread::sleep(Duration::from_millis(5));
        readers.iter().all(|reader| reader.is_finished())
    });
    for (index, reader) in readers.into_iter().enumerate() {
        assert!(reader.join().unwrap() == content(3, index as u64 * 4096, 4096));
    }
    until("nothing is held", || keeper.journal.held().is_empty());
}
