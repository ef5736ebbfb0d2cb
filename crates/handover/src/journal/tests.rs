use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::InHeader;

/// A request of `length` bytes as the kernel would give it.
fn request(unique: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![7; length];
    bytes[..4].copy_from_slice(&(length as u32).to_ne_bytes());
    bytes[8..16].copy_from_slice(&unique.to_ne_bytes());
    bytes
}

fn small_layout() -> Layout {
    Layout {
        slots: 2,
        small: 8,
        large: 4,
        small_stand_in: 2,
        large_stand_in: 1,
        cells: 4,
    }
}

fn pair() -> (Arc<Journal>, Arc<Journal>) {
    let (keeper, fd) = Journal::create(small_layout()).unwrap();
    let engine = Journal::map(fd.as_fd(), small_layout()).unwrap();
    (Arc::new(keeper), Arc::new(engine))
}

/// Lets a socket stand in for the device: a read copies the request into the slot.
fn receive(journal: &Journal, slot: u32, bytes: &[u8]) {
    let (mut device, end) = UnixStream::pair().unwrap();
    device.write_all(bytes).unwrap();
    let count = journal.slot(slot).unwrap().receive(end.as_fd()).unwrap();
    assert_eq!(count, bytes.len());
}

const ORIGIN: Origin = Origin {
    fd: 1,
    arrival: 5,
    suspicion: 0,
};

#[test]
fn every_place_is_inside_and_apart_from_the_others() {
    for slots in [1, 2, 8, MAX_SLOTS] {
        let layout = Layout::for_slots(slots);
        layout.check().unwrap();
        let mut end = layout.cell(layout.cells);
        for id in 0..layout.entries() {
            let (start, room) = layout.entry(id);
            assert!(start >= end && start % 8 == 0 && room % 8 == 0);
            end = start + layout::entry_field::REQUEST + room;
        }
        assert!(layout.slot(0) >= end && layout.slot(0).is_multiple_of(4096));
        assert_eq!(layout.slot(slots), layout.total());
        assert!(layout.total() < 8 << 20, "fits the usual RLIMIT_MEMLOCK");
    }
    const { assert!(LARGE_REQUEST >= InHeader::LEN + 8 + 256) };
    const { assert!(SMALL_REQUEST >= InHeader::LEN + 48) };
}

#[test]
fn a_request_read_into_a_slot_survives_its_engine() {
    let (keeper, engine) = pair();
    receive(&engine, 1, &request(42, 80));
    assert_eq!(engine.taken(), 1);
    drop(engine);
    let aftermath = keeper.after_death(End::Crashed);
    assert_eq!((aftermath.waiting, aftermath.suspects), (1, 1));
    let (region, held) = Region::adopt(Arc::clone(&keeper));
    assert_eq!(held.len(), 1);
    assert_eq!(
        (
            held[0].unique(),
            held[0].origin.fd,
            held[0].origin.suspicion
        ),
        (42, 2, CONDEMNED_AT / 2)
    );
    assert!(held[0].origin.arrival > 0);
    assert!(matches!(held[0].place, Place::Entry(_)));
    assert!(!keeper.slot(1).unwrap().in_use());
    region.release(held[0].place);
    assert!(keeper.held().is_empty());
}

#[test]
fn a_slot_in_use_is_not_read_over() {
    let (_keeper, engine) = pair();
    receive(&engine, 0, &request(1, 40));
    let (_device, end) = UnixStream::pair().unwrap();
    let error = engine.slot(0).unwrap().receive(end.as_fd()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn a_request_that_only_waits_is_no_suspect() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(Arc::clone(&engine));
    region.store(&request(1, 80), ORIGIN).unwrap();
    let worked_on = region.store(&request(2, 80), ORIGIN).unwrap();
    receive(&engine, 0, &request(3, 80));
    engine.slot(0).unwrap().set_waiting(true);
    std::mem::forget(engine.enter(worked_on));
    let aftermath = keeper.after_death(End::Crashed);
    assert_eq!((aftermath.waiting, aftermath.suspects), (3, 1));
    let suspicion = |unique| keeper.find(unique).unwrap().origin.suspicion;
    assert_eq!(
        (suspicion(1), suspicion(2), suspicion(3)),
        (0, CONDEMNED_AT / 2, 0)
    );
}

#[test]
fn a_request_that_two_engines_died_of_is_condemned() {
    let (keeper, engine) = pair();
    receive(&engine, 0, &request(9, 80));
    assert!(keeper.after_death(End::Crashed).condemned.is_empty());
    let (_, held) = Region::adopt(Arc::clone(&engine));
    let Place::Entry(id) = held[0].place else {
        panic!("not moved")
    };
    std::mem::forget(engine.enter(id));
    let aftermath = keeper.after_death(End::Crashed);
    assert_eq!(aftermath.condemned.len(), 1);
    assert_eq!(aftermath.waiting, 0);
    keeper.settle(&aftermath.condemned[0], false);
    assert!(keeper.held().is_empty());
}

#[test]
fn a_crash_is_blamed_on_what_the_crashing_thread_had_in_hand_alone() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(Arc::clone(&engine));
    let culprit = region.store(&request(1, 80), ORIGIN).unwrap();
    let bystander = region.store(&request(2, 80), ORIGIN).unwrap();
    receive(&engine, 0, &request(3, 80));
    std::mem::forget(engine.enter(bystander));
    let crash = engine.enter(culprit);
    note_crash(engine.crash_field(), false);
    std::mem::forget(crash);
    assert_eq!(keeper.after_death(End::Crashed).suspects, 1);
    let suspicion = |unique| keeper.find(unique).unwrap().origin.suspicion;
    assert_eq!(
        (suspicion(1), suspicion(2), suspicion(3)),
        (CONDEMNED_AT / 2, 0, 0)
    );
}

#[test]
fn a_signal_from_outside_is_nobody_s_fault() {
    let (keeper, engine) = pair();
    receive(&engine, 0, &request(9, 80));
    let in_hand = InHand::take(Place::Slot(0));
    note_crash(engine.crash_field(), true);
    drop(in_hand);
    assert_eq!(keeper.after_death(End::Crashed).suspects, 0);
    // The note was for that death only.
    assert_eq!(keeper.after_death(End::Crashed).suspects, 1);
}

#[test]
fn being_killed_while_at_work_is_held_against_a_request_only_in_the_long_run() {
    let (keeper, engine) = pair();
    receive(&engine, 0, &request(9, 80));
    for _ in 1..CONDEMNED_AT {
        assert!(keeper.after_death(End::Killed).condemned.is_empty());
    }
    assert_eq!(keeper.after_death(End::Killed).condemned.len(), 1);
}

#[test]
fn an_engine_that_was_told_to_end_blames_nobody() {
    let (keeper, engine) = pair();
    receive(&engine, 0, &request(9, 80));
    assert_eq!(keeper.after_death(End::AsTold).suspects, 0);
    assert_eq!(keeper.find(9).unwrap().origin.suspicion, 0);
}

#[test]
fn a_move_cut_in_half_gives_the_request_once() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(Arc::clone(&engine));
    receive(&engine, 0, &request(4, 80));
    let slot = engine.slot(0).unwrap();
    region.store(&request(4, 80), slot.origin()).unwrap();
    let (_, held) = Region::adopt(Arc::clone(&keeper));
    assert_eq!(held.len(), 1);
    assert!(!slot.in_use());
}

#[test]
fn a_full_table_leaves_requests_in_their_slots_and_wakes_who_waits() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(Arc::clone(&engine));
    let mut ids = Vec::new();
    while let Ok(id) = region.store(&request(ids.len() as u64, 64), ORIGIN) {
        ids.push(id);
    }
    assert_eq!(ids.len(), 6 + 3, "small ones may use large entries");
    let soon = Duration::from_millis(1);
    assert_eq!(
        region.store_waiting(&request(99, 64), ORIGIN, soon),
        Err(StoreError::Full)
    );
    receive(&engine, 0, &request(50, 64));
    let (region, held) = Region::adopt(Arc::clone(&keeper));
    assert_eq!(held.len(), 10);
    assert_eq!(
        held.iter()
            .filter(|one| one.place == Place::Slot(0))
            .count(),
        1
    );
    std::thread::scope(|scope| {
        let waiter =
            scope.spawn(|| region.store_waiting(&request(99, 64), ORIGIN, Duration::from_secs(60)));
        region.release(Place::Entry(ids[0]));
        waiter.join().unwrap().unwrap();
    });
    let long = request(1, LARGE_REQUEST + 1);
    assert_eq!(region.store(&long, ORIGIN), Err(StoreError::Size));
}

#[test]
fn an_entry_of_the_stand_in_has_one_owner() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(Arc::clone(&engine));
    let first = keeper
        .store_stand_in(&request(1, 80), ORIGIN, true)
        .unwrap();
    keeper
        .store_stand_in(&request(2, 300), ORIGIN, true)
        .unwrap();
    keeper.settle(&keeper.at(Place::Entry(first)).unwrap(), true);
    let taken = region.take_stand_in();
    assert_eq!(taken.iter().map(Held::unique).collect::<Vec<_>>(), [2]);
    assert!(region.take_stand_in().is_empty());
    // The engine has it: the keeper only marks it.
    keeper.settle(&taken[0], true);
    let Place::Entry(id) = taken[0].place else {
        panic!("not an entry")
    };
    assert!(engine.entry(id).unwrap().is_answered());
    region.release(taken[0].place);
    assert!(keeper.held().is_empty());
    keeper
        .store_stand_in(&request(3, 300), ORIGIN, true)
        .unwrap();
    assert_eq!(
        keeper.store_stand_in(&request(4, 300), ORIGIN, true),
        Err(StoreError::Full)
    );
}

#[test]
fn what_was_freed_is_no_request_even_if_its_state_is_written_over() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(engine);
    let id = region.store(&request(8, 60), ORIGIN).unwrap();
    region.release(Place::Entry(id));
    keeper.entry(id).unwrap().set_state(entry::VALID);
    assert!(keeper.held().is_empty());
    assert_eq!(keeper.after_death(End::Killed).waiting, 0);
}

#[test]
fn an_arrival_in_the_future_puts_no_deadline_off() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(engine);
    let later = Origin {
        arrival: u64::MAX,
        ..ORIGIN
    };
    region.store(&request(8, 60), later).unwrap();
    receive(&keeper, 0, &request(10, 60));
    keeper.slot(0).unwrap().set_arrival(u64::MAX);
    assert_eq!(keeper.after_death(End::Killed).waiting, 2);
    let now = crate::awake_ns();
    let held = keeper.held();
    assert_eq!(held.len(), 2);
    assert!(
        held.iter().all(|held| held.origin.arrival <= now),
        "{held:?}"
    );
}

#[test]
fn a_late_mark_does_not_touch_the_next_request_in_the_entry() {
    let (keeper, engine) = pair();
    let (region, _) = Region::adopt(Arc::clone(&engine));
    let id = region.store(&request(2, 80), ORIGIN).unwrap();
    let seen = keeper.at(Place::Entry(id)).unwrap();
    region.release(Place::Entry(id));
    assert_eq!(region.store(&request(4, 80), ORIGIN), Ok(id));
    keeper.settle(&seen, true);
    assert!(!engine.entry(id).unwrap().is_answered());
    assert_eq!(keeper.after_death(End::Crashed).waiting, 1);
}

#[test]
fn what_was_published_is_read_back_whole() {
    let (keeper, engine) = pair();
    assert_eq!(
        (keeper.published_root(), keeper.published_statfs()),
        (None, None)
    );
    engine.publish_root(&[3; ROOT_ATTR_LEN]);
    engine.publish_statfs(&[4; STATFS_LEN]);
    assert_eq!(keeper.published_root(), Some([3; ROOT_ATTR_LEN]));
    assert_eq!(keeper.published_statfs(), Some([4; STATFS_LEN]));
}

#[test]
fn a_file_that_could_be_cut_is_refused() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 23).unwrap();
    assert!(Journal::map(file.as_fd(), small_layout()).is_err());
    let (_journal, fd) = Journal::create(small_layout()).unwrap();
    let larger = Layout::for_slots(8);
    assert!(matches!(
        Journal::map(fd.as_fd(), larger),
        Err(JournalError::File(_))
    ));
}

#[test]
fn a_request_that_the_keeper_has_just_read_survives_it() {
    let (keeper, fd) = Journal::create(small_layout()).unwrap();
    let (mut device, end) = UnixStream::pair().unwrap();
    let mut buffer = [0; SLOT_SIZE];
    let mut read = |keeper: &Journal, request: &[u8]| {
        device.write_all(request).unwrap();
        let inbox = keeper.inbox().unwrap();
        assert_eq!(
            inbox.receive(end.as_fd(), &mut buffer).unwrap(),
            request.len()
        );
        assert_eq!(&buffer[..request.len()], request);
        // Killed here, before it could note it anywhere.
        std::mem::forget(inbox);
    };
    read(&keeper, &request(42, 300));
    drop(keeper);
    let next = Journal::map(fd.as_fd(), small_layout()).unwrap();
    assert_eq!(next.left_in_inboxes(), [request(42, 300)]);
    assert!(next.left_in_inboxes().is_empty(), "each is given once");
    // Of one that fits no entry enough is there to refuse it.
    let long = request(44, 3000);
    read(&next, &long);
    assert_eq!(next.left_in_inboxes(), [long[..LARGE_REQUEST].to_vec()]);
    // An engine that comes in between sees nothing of an inbox.
    let inbox = next.inbox().unwrap();
    let next = Arc::new(Journal::map(fd.as_fd(), small_layout()).unwrap());
    let (region, held) = Region::adopt(Arc::clone(&next));
    assert!(held.is_empty() && region.take_stand_in().is_empty() && next.held().is_empty());
    drop(inbox);
    assert!(next.entries().all(|entry| entry.is_free()));
}

/// A hostile engine can write anything anywhere in the journal.
#[test]
fn fuzz_no_bytes_harm_the_keeper() {
    bolero::check!()
        .with_type::<(Vec<(u16, u64)>, u64, bool)>()
        .for_each(|(words, unique, blame)| {
            let (keeper, engine) = pair();
            let total = engine.layout().total() / 8;
            for (at, value) in words {
                let offset = (*at as usize % total) * 8;
                engine.memory.store(offset, &value.to_ne_bytes());
            }
            let aftermath = keeper.after_death(if *blame { End::Crashed } else { End::Killed });
            for held in &aftermath.condemned {
                keeper.settle(held, true);
                keeper.settle(held, false);
            }
            for held in keeper.held() {
                assert!(held.request.len() >= InHeader::LEN);
            }
            let _ = keeper.find(*unique);
            let _ = (keeper.published_root(), keeper.published_statfs());
            let _ = keeper.store_stand_in(&request(*unique, 80), ORIGIN, true);
            for left in keeper.left_in_inboxes() {
                assert!((InHeader::LEN..=LARGE_REQUEST).contains(&left.len()));
            }
            drop(keeper.inbox());
            let (region, held) = Region::adopt(Arc::clone(&keeper));
            for one in held {
                region.release(one.place);
            }
            keeper.empty();
            assert!(keeper.held().is_empty());
        });
}
