//! What a read of bytes in memory costs: the answer, and no other memory.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use debridfs_content::ReadRequest;
use support::{Bench, LONG, MIB};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
struct Counting;

// SAFETY: everything is left to the system's allocator; the counter is a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_allocates_its_answer_alone() {
    let bench = Bench::patient(64 * MIB).await;
    let read = 128 << 10;
    bench.read(1, 5, 0, read, LONG).await.unwrap();
    let file = bench.file(1).file_id();
    let request = ReadRequest {
        handle: 5,
        offset: 4096,
        size: 4096,
        deadline: LONG,
    };
    bench.content.try_read(file, &request).unwrap();
    let before = ALLOCATIONS.with(Cell::get);
    for _ in 0..100 {
        bench.content.try_read(file, &request).unwrap();
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 100);
}
