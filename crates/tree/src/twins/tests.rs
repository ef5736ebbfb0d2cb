//! Files of releases without a common info-hash.

use std::time::Duration;

use debridfs_base::NodeId;
use debridfs_catalogue::{Copy, File, Layout, Library};
use debridfs_provider::{ContentId, ContentKind};
use debridfs_vfs::{Answer, Client, ReadRequest, Vfs};
use tokio::sync::watch;

use super::alike;
use crate::Tree;
use crate::testing::{Account, Shelf, config, hash, nobody, torrent};

/// What a provider tells no info-hash of.
fn nameless(mut copy: Copy) -> Copy {
    copy.content = digest(&copy.filename);
    copy
}

fn digest(name: &str) -> ContentId {
    ContentId::of(ContentKind::Cloud, name.as_bytes())
}

fn file(library: &Library, release: impl Into<ContentId>, name: &str) -> File {
    let release = &library.release(release).unwrap().release;
    let files = &release.tree().unwrap().files;
    files
        .iter()
        .find(|file| &*file.name == name)
        .unwrap()
        .clone()
}

#[test]
fn what_may_be_several_files_is_none() {
    let mut shelf = Shelf::new();
    // Their sizes are 100, 200 and 300.
    let season = ["/S1/E01.mkv", "/S1/E02.mkv", "/S1/E03.mkv"];
    let library = shelf.of(vec![
        torrent(1, "Show", Some(&season)),
        // Two of it have the same base name and size as one here.
        nameless(torrent(2, "By path", Some(&season[..1]))),
        nameless(torrent(3, "By name", Some(&["/x/E00.mkv", "/E02.mkv"]))),
        nameless(torrent(4, "Twice", Some(&["/a", "/b", "/y/E03.mkv"]))),
        nameless(torrent(5, "Twice more", Some(&["/a", "/b", "/z/E03.mkv"]))),
        // Another size.
        nameless(torrent(6, "Size", Some(&["/E09.mkv", "/E01.mkv"]))),
        // Another torrent is another torrent.
        torrent(7, "Repack", Some(&season)),
    ]);
    let of = |release: ContentId, name: &str| {
        let file = file(&library, release, name);
        let release = &library.release(release).unwrap().release;
        alike(&library, release, &file)
    };
    let id = |release: ContentId, name: &str| file(&library, release, name).id;
    assert_eq!(of(hash(1), "E01.mkv"), [id(digest("By path"), "E01.mkv")]);
    assert_eq!(of(hash(1), "E02.mkv"), [id(digest("By name"), "E02.mkv")]);
    assert_eq!(of(hash(1), "E03.mkv"), []);
    // From there it is one of two torrents by its path, which may both be it.
    let both = of(digest("By path"), "E01.mkv");
    assert_eq!(both.len(), 2);
    assert_eq!(
        of(digest("By name"), "E02.mkv"),
        [],
        "it may be of two torrents"
    );
    assert_eq!(of(digest("Size"), "E01.mkv"), []);
}

async fn read(tree: &Tree, id: NodeId) -> Vec<u8> {
    let request = ReadRequest {
        id,
        handle: 0,
        offset: 0,
        size: 100,
        deadline: Duration::from_secs(30),
        client: Client::Own,
    };
    match tree.read(request) {
        Answer::Now(bytes) => bytes.unwrap().concat(),
        Answer::Later(bytes) => bytes.await.unwrap().concat(),
    }
}

#[tokio::test]
async fn equal_ends_make_a_place_and_others_none() {
    let account = Account::new().await;
    let mut shelf = Shelf::new();
    let named = |name: &str, mut copy: Copy| {
        copy.filename = name.into();
        copy
    };
    let mut films = vec![
        account.film(1),
        nameless(named("Same", account.film(2))),
        nameless(named("Differs", account.other(3))),
    ];
    let library = shelf.of(films.clone());
    let id = |content: ContentId| file(&library, content, "Film.mkv").id;
    let (own, same, differs) = (id(hash(1)), id(digest("Same")), id(digest("Differs")));
    let (sender, receiver) = watch::channel(library.clone());
    let tree = Tree::new(
        config(Layout::Tree),
        receiver,
        account.content.clone(),
        nobody,
    );
    let places = |id| tree.sources(id).len();
    assert_eq!(
        places(own),
        1,
        "what was not compared is a source of nothing"
    );

    let compared = tree.compare(own).await;
    let came = compared.iter().map(|files| (files.other, files.equal));
    assert_eq!(came.collect::<Vec<_>>(), [(differs, false), (same, true)]);
    assert_eq!((places(own), places(same), places(differs)), (2, 2, 1));
    assert_eq!(tree.compare(own).await, [], "once");
    assert_eq!(
        tree.sources(own)[0].torrent,
        films[0].id,
        "its own comes first"
    );

    // Its own place is lost: it is read from the other one.
    films[0].links.clear();
    sender.send_replace(shelf.of(films));
    let shown = async {
        while places(own) != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), shown)
        .await
        .unwrap();
    assert_eq!(read(&tree, own).await, account.bytes(0..100));
}
