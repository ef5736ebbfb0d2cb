//! The tree while its library changes.

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::NodeId;
use debridfs_catalogue::{Archive, Copy, Findings, Layout, Library, Named};
use debridfs_provider::{ContentId, HosterLink, Source, TorrentStatus, Verdict};
use tokio::sync::watch;

use super::{Demanded, Tree};
use crate::snapshot::Snapshot;
use crate::testing::{Account, Shelf, at, config, no_account, nobody, torrent};
use debridfs_vfs::{Answer, Attr, Change, Error, ErrorKind, ReadOut, ReadRequest, Result, Vfs};

fn now<T>(answer: Answer<T>) -> Result<T> {
    match answer {
        Answer::Now(result) => result,
        Answer::Later(_) => panic!("has to wait"),
    }
}

async fn later<T>(answer: Answer<T>) -> Result<T> {
    match answer {
        Answer::Now(_) => panic!("does not have to wait"),
        Answer::Later(answer) => answer.await,
    }
}

fn at_path(tree: &Tree, path: &str) -> Result<Attr> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .try_fold(tree.root(), |attr, name| {
            now(tree.lookup(attr.id, name.as_bytes()))
        })
}

/// A tree without an account.
fn start(
    library: Arc<Library>,
    demand: impl Fn(ContentId) -> Demanded + Send + Sync + 'static,
) -> (watch::Sender<Arc<Library>>, Arc<Tree>) {
    let (sender, receiver) = watch::channel(library);
    let tree = Tree::new(config(Layout::Tree), receiver, no_account(), demand);
    (sender, tree)
}

/// A tree over an account; files that are not known are not asked for.
fn start_over(
    account: &Account,
    library: Arc<Library>,
) -> (watch::Sender<Arc<Library>>, Arc<Tree>) {
    let (sender, receiver) = watch::channel(library);
    let content = account.content.clone();
    let tree = Tree::new(config(Layout::Tree), receiver, content, nobody);
    (sender, tree)
}

fn read(id: NodeId, offset: u64, size: u32) -> ReadRequest {
    ReadRequest {
        id,
        handle: 0,
        offset,
        size,
        deadline: Duration::from_secs(30),
        client: debridfs_vfs::Client::Own,
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

fn joined(bytes: ReadOut) -> Vec<u8> {
    bytes.concat()
}

#[tokio::test(start_paused = true)]
async fn looking_into_an_unknown_release_asks_for_its_files_and_answers_with_them() {
    let mut shelf = Shelf::new();
    let first = shelf.of(vec![torrent(1, "Film", None), torrent(2, "Other", None)]);
    let second = shelf.of(vec![
        torrent(1, "Film", Some(&["/Film.mkv"])),
        torrent(2, "Other", None),
    ]);
    let (sender, receiver) = watch::channel(first);
    let publisher = sender.clone();
    let demand = move |release| -> Demanded {
        assert_eq!(release, crate::testing::hash(1));
        let (publisher, second) = (publisher.clone(), second.clone());
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            publisher.send_replace(second);
            Ok(())
        })
    };
    let tree = Tree::new(config(Layout::Tree), receiver, no_account(), demand);
    let film = at_path(&tree, "/__all__/Film").unwrap();
    let lines = later(tree.read_dir(film.id, 0, 10)).await.unwrap();
    assert_eq!(
        lines.iter().map(|line| &*line.name).collect::<Vec<_>>(),
        [".", "..", "Film.mkv"]
    );
    assert_eq!(
        at_path(&tree, "/__all__/Film/Film.mkv").unwrap(),
        lines[2].attr
    );
    // Walking attributes and names of releases asked for nothing more: `Other` would have failed the assertion.
    now(tree.attr(at_path(&tree, "/__all__/Other").unwrap().id)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_for_files_ends() {
    let library = Shelf::new().of(vec![torrent(1, "Film", None)]);
    let (_sender, tree) = start(library.clone(), |_| Box::pin(std::future::pending()));
    let film = at_path(&tree, "/__all__/Film").unwrap().id;
    let since = tokio::time::Instant::now();
    assert_eq!(
        kind(later(tree.lookup(film, b"x")).await),
        ErrorKind::TimedOut
    );
    assert_eq!(since.elapsed(), super::CONTENTS_DEADLINE);

    let refused = || debridfs_provider::Error {
        provider: "rd".into(),
        verdict: Verdict::BackOff,
        http_status: None,
        code: None,
        retry_after: None,
        message: "over the limit".into(),
    };
    let (_sender, tree) = start(library.clone(), move |_| {
        Box::pin(async move { Err(refused().into()) })
    });
    let error: Error = later(tree.read_dir(film, 0, 9)).await.unwrap_err();
    assert_eq!(
        (error.kind, &*error.to_string()),
        (ErrorKind::Unavailable, "rd: over the limit")
    );
    let cause = error.cause::<debridfs_catalogue::Error>();
    assert!(matches!(
        cause,
        Some(debridfs_catalogue::Error::Provider(_))
    ));

    let (_sender, tree) = start(library, |_| Box::pin(async { Ok(()) }));
    assert_eq!(
        kind(later(tree.read_dir(film, 0, 9)).await),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn a_read_waits_until_it_is_known_which_link_gives_the_file() {
    let account = Account::new().await;
    let mut missing = torrent(1, "Film", Some(&["/Film.mkv", "/Other.mkv", "/Third.mkv"]));
    let [link] = &account.film(1).links[..] else {
        panic!("one link")
    };
    missing.links = vec![missing.links[1].clone(), link.clone()];
    let named = |name: &str, size, link: &HosterLink| Named {
        link: link.clone(),
        name: name.to_owned(),
        size,
    };
    let findings = Findings::Named(vec![
        named("", 0, &missing.links[0]),
        named("Film.mkv", 100, link),
    ]);
    let examined = Copy {
        archive: Some(Arc::new(Archive {
            link: missing.links[0].clone(),
            findings,
        })),
        ..missing.clone()
    };
    let mut shelf = Shelf::new();
    shelf.of(vec![torrent(1, "Film", None)]);
    let before = shelf.of(vec![missing]);
    let after = shelf.of(vec![examined]);

    let (sender, receiver) = watch::channel(before.clone());
    let demand = move |_| -> Demanded {
        let (sender, after) = (sender.clone(), after.clone());
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            sender.send_replace(after);
            Ok(())
        })
    };
    let content = account.content.clone();
    let tree = Tree::new(config(Layout::Tree), receiver, content, demand);
    let film = at_path(&tree, "/__all__/Film/Film.mkv").unwrap().id;
    let bytes = later(tree.read(read(film, 0, 4))).await.unwrap();
    assert_eq!(joined(bytes), account.bytes(0..4));
    // By now all is known of the others that there is.
    let other = at_path(&tree, "/__all__/Film/Other.mkv").unwrap().id;
    assert_eq!(kind(now(tree.read(read(other, 0, 4)))), ErrorKind::Lost);

    // The provider could not be asked.
    let (_sender, tree) = start(before, |_| Box::pin(async { Ok(()) }));
    let refused = later(tree.read(read(film, 0, 4))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    let words = refused.to_string();
    assert!(words.contains("could not be looked up"), "{words}");
}

#[tokio::test]
async fn an_id_known_from_before_waits_until_the_files_are_known_again() {
    let account = Account::new().await;
    let known = vec![account.film(1)];
    let mut shelf = Shelf::new();
    let whole = shelf.of(known.clone());
    let (_keep, tree) = start_over(&account, whole);
    let file = at_path(&tree, "/__all__/Film/Film.mkv").unwrap();

    // A fresh catalogue knows the release, and its files a little later.
    let mut shelf = Shelf::new();
    let unknown = shelf.of(vec![torrent(1, "Film", None)]);
    let (sender, tree) = start_over(&account, unknown);
    let waiting = tree.read(ReadRequest {
        deadline: Duration::from_secs(10),
        ..read(file.id, 0, 4)
    });
    let whole = shelf.of(known);
    let publish = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        sender.send_replace(whole);
    };
    let (bytes, ()) = tokio::join!(later(waiting), publish);
    assert_eq!(joined(bytes.unwrap()), account.bytes(0..4));
    assert_eq!(now(tree.attr(file.id)).unwrap(), file);
    // Now that everything is known, what is not there is gone.
    assert_eq!(kind(now(tree.attr(NodeId(1 << 50)))), ErrorKind::Stale);
}

#[tokio::test]
async fn reads() {
    let mut bad = torrent(2, "Bad", Some(&["/a.mkv", "/b.mkv"]));
    bad.links.truncate(1);
    let account = Account::new().await;
    let library = Shelf::new().of(vec![account.film(1), bad]);
    let (_sender, receiver) = watch::channel(library);
    // The links of the bad one cannot be looked at.
    let demand = |_| -> Demanded { Box::pin(async { Ok(()) }) };
    let content = account.content.clone();
    let tree = Tree::new(config(Layout::Tree), receiver, content, demand);
    let film = at_path(&tree, "/__all__/Film/Film.mkv").unwrap();
    let expected = account.bytes(90..100);
    let requests = || account.content.stats().cdn.requests;
    assert_eq!(requests(), 0);
    assert_eq!(
        joined(later(tree.read(read(film.id, 90, 50))).await.unwrap()),
        expected
    );
    assert_eq!(requests(), 1);
    // What is in memory is answered at once.
    assert_eq!(
        joined(now(tree.read(read(film.id, 90, 50))).unwrap()),
        expected
    );
    assert_eq!(requests(), 1);

    let dir = at_path(&tree, "/__all__/Film").unwrap();
    assert_eq!(
        kind(now(tree.read(read(dir.id, 0, 1)))),
        ErrorKind::IsDirectory
    );
    assert_eq!(kind(now(tree.open(dir.id))), ErrorKind::IsDirectory);
    let (one, two) = (
        now(tree.open(film.id)).unwrap(),
        now(tree.open(film.id)).unwrap(),
    );
    assert_ne!(one, two);
    let readers = || account.content.stats().readers;
    for handle in [one, two] {
        let request = ReadRequest {
            handle,
            ..read(film.id, 0, 9)
        };
        let bytes = joined(later(tree.read(request)).await.unwrap());
        assert_eq!(bytes, account.bytes(0..9));
    }
    assert_eq!(readers(), 3);
    Vfs::release(&*tree, one);
    assert_eq!(readers(), 2);

    let version = at_path(&tree, "/version.txt").unwrap();
    assert_eq!(
        joined(now(tree.read(read(version.id, 0, 100))).unwrap()),
        b"debridfs 0.0\n"
    );
    assert_eq!(
        joined(now(tree.read(read(version.id, 9, 2))).unwrap()),
        b"0."
    );
    assert!(now(tree.read(read(version.id, 13, 2))).unwrap().is_empty());
    assert!(
        now(tree.read(read(version.id, u64::MAX, 2)))
            .unwrap()
            .is_empty()
    );

    // A bad release is listed with its sizes; its bytes are not to be had.
    let file = at_path(&tree, "/__bad__/Bad/b.mkv").unwrap();
    assert_eq!(file.size, 200);
    let error = later(tree.read(read(file.id, 0, 1))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("links"), "{error}");
}

#[tokio::test]
async fn extended_attributes() {
    let mut bad = torrent(2, "Bad", Some(&["/b.mkv"]));
    bad.status = TorrentStatus::Dead;
    let known = torrent(1, "Show", Some(&["/a.mkv", "/b.mkv"]));
    let library = Shelf::new().of(vec![known, bad, torrent(3, "New", None)]);
    let style = Arc::new(config(Layout::Tree).into());
    let snapshot = Snapshot::new(library.clone(), style, None);
    let (_sender, tree) = start(library, nobody);
    // The first file of each release has a link.
    let link_age = |source: &Source| {
        let first = source.link.0.ends_with("-0");
        first.then_some(Duration::from_secs(77))
    };
    let attributes = |path: &str| -> Vec<(String, String)> {
        let id = at_path(&tree, path).unwrap().id;
        let node = snapshot.node(id).unwrap();
        let value = |name: &String| snapshot.xattr(node, name, link_age).unwrap();
        let names = snapshot.xattrs(node, link_age);
        // The tree has no links, and all the others.
        let mut others = names.clone();
        others.retain(|name| !name.ends_with("link_age"));
        assert_eq!(now(tree.xattrs(id)).unwrap(), others);
        for name in &others {
            let shown = now(tree.xattr(id, name.as_bytes())).unwrap();
            assert_eq!(shown, value(name).into_bytes());
        }
        names
            .into_iter()
            .map(|name| (name["user.debridfs.".len()..].to_owned(), value(&name)))
            .collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    };
    let hash = |n: u32| format!("{n:08x}{}", "ab".repeat(16));
    let show = [("hash", &*hash(1)), ("provider", "rd")];
    assert_eq!(attributes("/__all__/Show"), pairs(&show));
    assert_eq!(attributes("/__all__/Show/b.mkv"), pairs(&show));
    assert_eq!(
        attributes("/__all__/Show/a.mkv"),
        pairs(&[show[0], show[1], ("link_age", "77")])
    );
    assert_eq!(
        attributes("/__bad__/Bad"),
        pairs(&[("hash", &hash(2)), ("provider", "rd"), ("reason", "failed")])
    );
    assert_eq!(
        attributes("/__all__/New"),
        pairs(&[("hash", &hash(3)), ("provider", "rd")])
    );
    assert!(attributes("/").is_empty() && attributes("/version.txt").is_empty());
    for name in ["user.debridfs.none", "user.other", "security.selinux", ""] {
        assert_eq!(
            kind(now(tree.xattr(NodeId::ROOT, name.as_bytes()))),
            ErrorKind::NoAttribute
        );
    }
}

#[tokio::test]
async fn changes_are_told_once_the_new_tree_is_in_place() {
    let account = Account::new().await;
    let mut shelf = Shelf::new();
    let film = account.film(1);
    let mut removed = film.clone();
    let (sender, tree) = start_over(&account, shelf.of(vec![film]));
    let mut changes = tree.changes();
    let id = |path: &str| at_path(&tree, path).unwrap().id;
    let file = id("/__all__/Film/Film.mkv");
    removed.removed = Some(at(1_000_000));
    sender.send_replace(shelf.of(vec![removed]));
    let told = changes.recv().await.unwrap();
    let gone = |view: &str| Change::Entry {
        parent: id(view),
        name: "Film".into(),
    };
    assert_eq!(told[..2], [gone("/__all__"), gone("/rd")]);
    let mut nodes = vec![NodeId::ROOT, id("/__all__"), id("/__bad__"), id("/rd")];
    nodes.sort();
    assert_eq!(
        told[2..],
        nodes.into_iter().map(Change::Node).collect::<Vec<_>>()
    );
    assert_eq!(kind(at_path(&tree, "/__all__/Film")), ErrorKind::NotFound);
    // Who had it open reads on.
    assert_eq!(id("/__bad__/Film/Film.mkv"), file);
    assert_eq!(
        joined(later(tree.read(read(file, 0, 1))).await.unwrap()),
        account.bytes(0..1)
    );

    drop(sender);
    drop(tree);
    assert!(
        changes.recv().await.is_none(),
        "the follower ends with its tree"
    );
}
