//! How much memory a release takes, from the store's rows to the tree's indices.

use std::alloc::{GlobalAlloc, Layout as Shape, System};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use debridfs_base::{Secret, TokioClock};
use debridfs_catalogue::{Catalogue, CatalogueConfig, FolderNaming, Layout, ViewRules};
use debridfs_content::{Content, ContentConfig};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount, NoLinks, Provider};
use debridfs_sim::{Generated, InProcess, LibrarySpec, Sim};
use debridfs_tree::{Tree, TreeConfig};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const RELEASES: u32 = 1000;
/// Bytes for each of the releases, with one file each and names of 30 to 60 bytes.
const MOST: usize = 3200;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts what all threads hold.
struct Counting;

/// What the system's allocator takes for an allocation: a multiple of 16 with a word of its own, and
/// 32 bytes at least.
fn taken(layout: Shape) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

// SAFETY: everything is left to the system's allocator; the counter is an atomic number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Shape) -> *mut u8 {
        LIVE.fetch_add(taken(layout), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Shape) {
        LIVE.fetch_sub(taken(layout), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

async fn catalogue(dir: &Path, sim: &Sim) -> (Arc<Catalogue>, Arc<dyn Provider>) {
    let config = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(sim.token())),
        ..AccountConfig::of(&real_debrid::KIND)
    };
    let clock = Arc::new(TokioClock::starting_at(start()));
    let transport = Arc::new(InProcess::new(sim.router()));
    let provider = DebridAccount::with_transport(config, transport, clock.clone()).unwrap();
    let provider = Arc::new(provider) as Arc<dyn Provider>;
    let providers = vec!["rd".to_owned()];
    let rules = ViewRules::new(FolderNaming::default(), providers, &BTreeMap::new());
    let mut config = CatalogueConfig::new(dir.join("catalogue.db"), rules.unwrap());
    config.clock = clock;
    let catalogue = Catalogue::open(config, vec![provider.clone()]).await;
    (catalogue.unwrap(), provider)
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_release_takes_no_more_than_its_share() {
    let spec = LibrarySpec::generated(&Generated {
        releases: RELEASES,
        files_per_release: 1,
        seed: 7,
    });
    let sim = Sim::starting_at(&spec, start()).unwrap();
    let dir = tempfile::Builder::new()
        .prefix("debridfs-size-")
        .tempdir()
        .unwrap();
    // The first sync fills the store.
    let (first, _) = catalogue(dir.path(), &sim).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(first.clone().run(shutdown.clone()));
    let complete = |_: &_| first.status().complete;
    first.library().wait_for(complete).await.unwrap();
    shutdown.cancel();
    running.await.unwrap();
    drop(first);

    let before = LIVE.load(Ordering::Relaxed);
    let (second, provider) = catalogue(dir.path(), &sim).await;
    let library = LIVE.load(Ordering::Relaxed) - before;
    let content = Content::new(
        ContentConfig::default(),
        vec![provider],
        Arc::new(NoLinks),
        Handle::current(),
    );
    let config = TreeConfig {
        uid: 0,
        gid: 0,
        umask: 0,
        layout: Layout::Tree,
        orders: Default::default(),
        strm: Default::default(),
        version: "debridfs".into(),
    };
    let tree = Tree::new(config, second.library(), content, |_| {
        panic!("all files are known")
    });
    let all = LIVE.load(Ordering::Relaxed) - before;
    assert_eq!(second.library().borrow().all().len(), RELEASES as usize);
    let each = all / RELEASES as usize;
    println!(
        "{each} bytes a release, {} of them in the catalogue",
        library / RELEASES as usize
    );
    assert!(each <= MOST, "{each} bytes a release");
    drop(tree);
}
