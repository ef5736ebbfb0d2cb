//! Requests that wait: interrupts, deadlines, a full table.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use debridfs_handover::journal::Layout;

use super::engine;
use super::library::content;
use super::small_keeper::{Shape, SmallKeeper};
use super::until;

/// A process that reads a file.
fn reader(path: &Path, direct: bool) -> Child {
    let mut command = Command::new("dd");
    command
        .arg(format!("if={}", path.display()))
        .args(["of=/dev/null", "bs=128k", "count=1"]);
    if direct {
        command.arg("iflag=direct");
    }
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// Reads one block past the page cache.
pub fn read_direct(path: &Path, at: u64) -> std::io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)?;
    let mut buffer = vec![0; 4096];
    let got = file.read_at(&mut buffer, at)?;
    buffer.truncate(got);
    Ok(buffer)
}

pub fn stuck_readers_can_be_killed() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let stuck = keeper.point().join("stuck.bin");
    let mut readers: Vec<_> = (0..10).map(|_| reader(&stuck, true)).collect();
    until("all wait", || keeper.engine().count("pending") == 10);
    // One of these asks for the page that all wait for.
    readers.extend((0..10).map(|_| reader(&stuck, false)));
    until("one more waits", || keeper.engine().count("pending") > 10);
    for reader in &mut readers {
        reader.kill().unwrap();
    }
    let killed = Instant::now();
    for reader in &mut readers {
        assert_eq!(reader.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "{:?}",
        killed.elapsed()
    );
    until("all are counted", || {
        keeper.engine().count("interrupted") >= 10
    });
    until("only readahead waits", || {
        keeper.engine().count("pending") <= 2
    });
}

pub fn a_stuck_read_ends() {
    let keeper = SmallKeeper::serve(Shape {
        deadline: Duration::from_millis(700),
        ..Shape::default()
    });
    let started = Instant::now();
    let error = read_direct(&keeper.point().join("stuck.bin"), 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert!(started.elapsed() >= Duration::from_millis(690));
    until("its entry is free", || keeper.journal.held().is_empty());
}

pub fn a_deadline_runs_through_replays() {
    let deadline = Duration::from_secs(8);
    let mut keeper = SmallKeeper::serve(Shape {
        deadline,
        ..Shape::default()
    });
    let stuck = keeper.point().join("stuck.bin");
    let started = Instant::now();
    let read = std::thread::spawn(move || read_direct(&stuck, 0).map(drop));
    until("it waits", || keeper.engine().count("pending") == 1);
    keeper.kill_engine();
    std::thread::sleep(deadline.saturating_sub(started.elapsed()));
    keeper.start_engine();
    let again = Instant::now();
    let error = read.join().unwrap().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    // Counted from the replay it would take another 8 s.
    assert!(
        again.elapsed() < Duration::from_secs(7),
        "{:?}",
        again.elapsed()
    );
}

pub fn a_full_table_makes_wait() {
    full_table(Vec::new());
}

/// There one thread reads at a time, until it has to wait.
pub fn a_full_table_makes_wait_on_one_processor() {
    full_table(vec![(engine::ONE_PROCESSOR, "yes".into())]);
}

fn full_table(env: Vec<(&'static str, String)>) {
    let mut layout = Layout::for_slots(2);
    (layout.small, layout.small_stand_in) = (6, 2);
    (layout.large, layout.large_stand_in) = (3, 1);
    let mut keeper = SmallKeeper::serve(Shape {
        layout,
        env,
        ..Shape::default()
    });
    let gated = keeper.point().join("gated.bin");
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..40u64)
            .map(|index| {
                let gated = &gated;
                scope.spawn(move || {
                    let bytes = read_direct(gated, index * 4096).unwrap();
                    assert!(bytes == content(9, index * 4096, 4096));
                })
            })
            .collect();
        until("the table is full", || {
            keeper.engine().count("pending") == 6
        });
        until("the slots are full", || {
            keeper.journal.slots().all(|slot| slot.in_use())
        });
        keeper.engine().ask("open-gate");
        readers
            .into_iter()
            .for_each(|reader| reader.join().unwrap());
    });
    until("all is free again", || keeper.journal.held().is_empty());
}

/// The reader is killed while no engine runs: the interrupt waits in the kernel, the read in the journal.
pub fn an_interrupt_survives_a_kill() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let mut reader = reader(&keeper.point().join("stuck.bin"), true);
    until("it waits", || keeper.engine().count("pending") == 1);
    keeper.kill_engine();
    reader.kill().unwrap();
    keeper.start_engine();
    until("the reader is gone", || {
        reader.try_wait().unwrap().is_some()
    });
    assert_eq!(keeper.engine().count("interrupted"), 1);
}

pub fn serving_ends_with_the_mount() {
    let mut keeper = SmallKeeper::serve(Shape::default());
    let stuck = keeper.point().join("stuck.bin");
    let read = std::thread::spawn(move || read_direct(&stuck, 0).map(drop));
    until("it waits", || keeper.engine().count("pending") == 1);
    keeper.abort();
    assert!(read.join().unwrap().is_err());
    until("the engine ends", || keeper.engine().ended());
}
