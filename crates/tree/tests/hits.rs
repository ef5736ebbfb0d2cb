//! What a read of bytes in memory costs: the answer, and no other memory.

use std::alloc::{GlobalAlloc, Layout as Shape, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{NodeId, Secret};
use debridfs_catalogue::{
    Copy, CopyDetail, FolderNaming, Layout, Library, Memory, ViewBuilder, ViewRules,
};
use debridfs_content::{Content, ContentConfig};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{
    AccountConfig, DebridAccount, HosterLink, InfoHash, NoLinks, TorrentFile, TorrentId,
    TorrentStatus,
};
use debridfs_sim::{FileSpec, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, serve};
use debridfs_tree::{Tree, TreeConfig};
use debridfs_vfs::{Answer, Vfs};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;

const SIZE: u64 = 4 << 20;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
struct Counting;

// SAFETY: everything is left to the system's allocator; the counter is a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Shape) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Shape) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

async fn account() -> Served {
    // An error is a second installation, by another test of this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let film = FileSpec::generated("/film.mkv", SIZE);
    let library = LibrarySpec {
        seed: 1,
        releases: vec![ReleaseSpec::new("Film", vec![film])],
    };
    let sim = Sim::new(&library).unwrap();
    serve(sim, ServeOptions::default()).await.unwrap()
}

fn reader(served: &Served) -> Arc<Content> {
    let config = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(served.token())),
        api_url: served.api_url(),
        ..AccountConfig::of(&real_debrid::KIND)
    };
    let provider = Arc::new(DebridAccount::new(config).unwrap());
    // Requests are counted: no time limit is met, however long the machine pauses.
    let config = ContentConfig {
        first_byte_timeout_ms: 60_000,
        stall_timeout_ms: 60_000,
        idle_connection_ms: 600_000,
        idle_memory_ms: 600_000,
        ..ContentConfig::default()
    };
    Content::new(config, vec![provider], Arc::new(NoLinks), Handle::current())
}

/// The account's film.
fn library(served: &Served) -> Arc<Library> {
    let links = served.sim().torrents(0).unwrap().remove(0).links;
    let rules = ViewRules::new(
        FolderNaming::Filename,
        vec!["rd".to_owned()],
        &BTreeMap::new(),
    );
    let mut builder = ViewBuilder::new(rules.unwrap(), Memory::default());
    let film = Copy {
        provider: "rd".into(),
        id: TorrentId("T1".to_owned()),
        content: InfoHash([0xab; 20]).into(),
        filename: "Film".into(),
        bytes: SIZE,
        status: TorrentStatus::Downloaded,
        added: Timestamp::UNIX_EPOCH,
        ended: Some(Timestamp::UNIX_EPOCH),
        links: links.into_iter().map(HosterLink).collect(),
        detail: Some(CopyDetail {
            original_filename: "Film".into(),
            files: [TorrentFile {
                id: 1,
                path: "/film.mkv".into(),
                bytes: SIZE,
                selected: true,
            }]
            .into(),
        }),
        archive: None,
        removed: None,
    };
    let views = builder
        .build(&[Arc::new(film)], Timestamp::UNIX_EPOCH)
        .views;
    Arc::new(Library::new(1, true, views))
}

fn now<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Now(result) => result.unwrap(),
        Answer::Later(_) => panic!("has to wait"),
    }
}

#[tokio::test]
async fn a_hit_allocates_its_answer_alone() {
    const BLOCK: u64 = 4096;
    let served = account().await;
    let content = reader(&served);
    let (_sender, library) = watch::channel(library(&served));
    let config = TreeConfig {
        uid: 0,
        gid: 0,
        umask: 0,
        layout: Layout::Tree,
        version: "debridfs".into(),
        orders: Default::default(),
        strm: Default::default(),
    };
    let tree = Tree::new(config, library, content.clone(), |_| {
        panic!("all files are known")
    });
    let mut id = NodeId::ROOT;
    for name in ["__all__", "Film", "film.mkv"] {
        id = now(tree.lookup(id, name.as_bytes())).id;
    }
    let request = |offset, size| debridfs_vfs::ReadRequest {
        id,
        handle: 5,
        offset,
        size,
        deadline: Duration::from_secs(60),
        client: debridfs_vfs::Client::Own,
    };
    // What is not in memory is asked of its sources.
    let Answer::Later(fetched) = tree.read(request(0, 1 << 20)) else {
        panic!("it is not in memory");
    };
    assert_eq!(fetched.await.unwrap().concat().len(), 1 << 20);
    let requests = content.stats().cdn.requests;
    assert!(requests > 0);
    // The first look at a piece of a body makes it one that can be shared.
    for block in 0..256 {
        drop(now(tree.read(request(block * BLOCK, BLOCK as u32))));
    }
    let before = allocations();
    for block in 0..256 {
        drop(now(tree.read(request(block * BLOCK, BLOCK as u32))));
    }
    assert_eq!(allocations() - before, 256);
    assert_eq!(content.stats().cdn.requests, requests);
}
