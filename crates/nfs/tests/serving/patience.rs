//! When a client has to ask again, and when no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use debridfs_nfs::Export;
use debridfs_vfs::{
    Answer, Attr, Call, DirEntry, ErrorKind, MemoryVfs, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};
use nfs3_types::nfs3::nfsstat3;
use tokio::sync::Semaphore;

use crate::support::*;

const JUKEBOX: nfsstat3 = nfsstat3::NFS3ERR_JUKEBOX;

fn impatient() -> Vec<Export> {
    let patience = Duration::from_millis(10);
    vec![Export {
        patience,
        ..export("all", "")
    }]
}

/// A library whose reads wait until there is a permit, and how many there were.
fn slow() -> (MemoryVfs, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, reads) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at, count) = (gate.clone(), reads.clone());
    let vfs = library().with_wait(move |call| match call {
        Call::Read(_) => {
            count.fetch_add(1, Ordering::Relaxed);
            let gate = at.clone();
            Some(Box::pin(async move {
                gate.acquire().await.unwrap().forget();
            }))
        }
        _ => None,
    });
    (vfs, gate, reads)
}

#[tokio::test]
async fn a_read_that_takes_long_goes_on_and_is_answered_when_it_is_asked_for_again() {
    let (vfs, gate, reads) = slow();
    let served = Served::with(vfs, impatient()).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    assert_eq!(read(&mut client, &film, 7, 100).await, Err(JUKEBOX));
    assert_eq!(read(&mut client, &film, 7, 100).await, Err(JUKEBOX));
    assert_eq!(served.server.report().delayed, 1);
    assert_eq!(served.server.report().clients[0].delayed, 2);
    gate.add_permits(1);
    let mut bytes = read(&mut client, &film, 7, 100).await;
    while bytes == Err(JUKEBOX) {
        bytes = read(&mut client, &film, 7, 100).await;
    }
    assert!(bytes.unwrap() == content(107)[7..]);
    assert_eq!(reads.load(Ordering::Relaxed), 1, "it was read once");
    assert_eq!(served.server.report().delayed, 0);
}

#[tokio::test]
async fn a_read_fails_once_its_deadline_has_passed_since_it_was_asked_for_first() {
    let (vfs, ..) = slow();
    let deadline = Duration::from_millis(100);
    let served = Served::at("127.0.0.1:0", Arc::new(vfs), impatient(), deadline).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    for _ in 0..2 {
        let begun = Instant::now();
        let mut asked = 0;
        loop {
            asked += 1;
            match read(&mut client, &film, 0, 100).await {
                Err(JUKEBOX) => {}
                Err(nfsstat3::NFS3ERR_IO) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(begun.elapsed() >= deadline && asked > 1, "{asked}");
        assert_eq!(served.server.report().delayed, 0);
    }
}

#[tokio::test]
async fn what_is_remembered_of_one_client_is_bounded() {
    let (vfs, ..) = slow();
    let patience = Duration::from_millis(1);
    let exports = vec![Export {
        patience,
        ..export("all", "")
    }];
    let served = Served::with(vfs, exports).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    for offset in 0..80 {
        assert_eq!(read(&mut client, &film, offset, 1).await, Err(JUKEBOX));
    }
    assert_eq!(served.server.report().delayed, 64);
}

#[tokio::test]
async fn reads_that_wait_hold_up_no_other_of_their_client() {
    let vfs = library().with_wait(|call| match call {
        Call::Read(request) if request.id == FILM => Some(Box::pin(std::future::pending())),
        _ => None,
    });
    let served = Served::with(vfs, vec![export("all", "")]).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    let other = handle(&mut client, "others/secret.mkv").await;
    let mut waiting = Vec::new();
    for offset in 0..32 {
        let mut client = served.mount("/all").await.unwrap();
        let film = film.clone();
        waiting.push(tokio::spawn(async move {
            read(&mut client, &film, offset, 512 << 10).await
        }));
    }
    // Twice as much as a client may have under way.
    let stalled = || served.server.report().memory;
    while stalled() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    assert!(read(&mut client, &other, 0, 9).await.unwrap() == content(5));
    let waited = begun.elapsed();
    assert!(
        waited < Duration::from_secs(5),
        "{waited:?}: as long as their patience"
    );
    waiting.iter().for_each(|one| one.abort());
}

/// A library that is not known yet.
struct Unknown {
    inner: MemoryVfs,
    known: Arc<AtomicBool>,
}

impl Unknown {
    fn answer<T>(&self, answer: impl FnOnce(&MemoryVfs) -> Answer<T>) -> Answer<T> {
        match self.known.load(Ordering::Relaxed) {
            true => answer(&self.inner),
            false => Answer::Now(Err(ErrorKind::NotYet.into())),
        }
    }
}

impl Vfs for Unknown {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        self.answer(|vfs| vfs.lookup(parent, name))
    }
    fn attr(&self, id: NodeId) -> Answer<Attr> {
        match id {
            // The root is there from the start.
            NodeId::ROOT => self.inner.attr(id),
            _ => self.answer(|vfs| vfs.attr(id)),
        }
    }
    fn open(&self, id: NodeId) -> Answer<u64> {
        self.answer(|vfs| vfs.open(id))
    }
    fn release(&self, handle: u64) {
        self.inner.release(handle);
    }
    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        self.answer(|vfs| vfs.read(request))
    }
    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        self.answer(|vfs| vfs.read_dir(id, cookie, max))
    }
    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        self.inner.xattr(id, name)
    }
    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        self.inner.xattrs(id)
    }
    fn statfs(&self) -> StatFs {
        self.inner.statfs()
    }
    fn root(&self) -> Attr {
        self.inner.root()
    }
}

#[tokio::test]
async fn until_the_library_is_known_nothing_is_empty_missing_or_stale() {
    let known = Arc::new(AtomicBool::new(true));
    let vfs = Unknown {
        inner: library(),
        known: known.clone(),
    };
    let deadline = Duration::from_millis(30);
    let served = Served::at("127.0.0.1:0", Arc::new(vfs), impatient(), deadline).await;
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    let dir = handle(&mut client, "films").await;
    known.store(false, Ordering::Relaxed);
    let begun = Instant::now();
    // Without end, other than a read that has begun.
    while begun.elapsed() < 3 * deadline {
        let attr = client.getattr(&film.clone().into()).await.unwrap();
        assert_eq!(status(attr), JUKEBOX);
        let found = lookup(&mut client, &dir, "film.mkv").await;
        assert_eq!(status(found), JUKEBOX);
        let root = client.root_nfs_fh3();
        assert_eq!(status(lookup(&mut client, &root, "films").await), JUKEBOX);
        assert_eq!(list(&mut client, &root).await, Err(JUKEBOX));
        assert_eq!(read(&mut client, &film, 0, 9).await, Err(JUKEBOX));
        tokio::task::yield_now().await;
    }
    let refused = served.mount("/all/films").await.err().unwrap();
    assert!(refused.contains("MNT3ERR_SERVERFAULT"), "{refused}");
    known.store(true, Ordering::Relaxed);
    assert!(read(&mut client, &film, 0, 9).await.unwrap() == content(9));
    assert_eq!(
        list(&mut client, &dir).await.unwrap(),
        [".", "..", "film.mkv"]
    );
}
