//! Views that show films as `.strm` files.

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::NodeId;
use debridfs_catalogue::{Layout, Library, strm_of};
use debridfs_vfs::{Answer, Attr, Change, Client, DirEntry, ErrorKind, ReadRequest, Result, Vfs};
use jiff::Timestamp;
use tokio::sync::watch;

use super::Tree;
use crate::StrmTexts;
use crate::testing::{Shelf, at, config, no_account, nobody, torrent};

fn now<T>(answer: Answer<T>) -> Result<T> {
    match answer {
        Answer::Now(result) => result,
        Answer::Later(_) => panic!("has to wait"),
    }
}

fn find(tree: &Tree, path: &str) -> Result<Attr> {
    let mut names = path.split('/');
    names.try_fold(tree.root(), |attr, name| {
        now(tree.lookup(attr.id, name.as_bytes()))
    })
}

/// Lines of a directory without its first two.
fn list(tree: &Tree, path: &str) -> Result<Vec<DirEntry>> {
    let id = find(tree, path)?.id;
    let whole = now(tree.read_dir(id, 0, 1000))?;
    // Line by line it is the same.
    let mut cookie = 0;
    for line in &whole {
        let next = now(tree.read_dir(id, cookie, 1))?;
        assert_eq!((&next[0].name, next[0].attr), (&line.name, line.attr));
        cookie = line.cookie;
    }
    assert!(now(tree.read_dir(id, cookie, 1))?.is_empty());
    Ok(whole[2..].to_vec())
}

fn names(tree: &Tree, path: &str) -> Vec<String> {
    let lines = list(tree, path).unwrap().into_iter();
    let mut names: Vec<String> = lines.map(|line| line.name).collect();
    names.sort();
    names
}

fn text(tree: &Tree, id: NodeId, offset: u64, size: u32) -> String {
    let request = ReadRequest {
        id,
        handle: 0,
        offset,
        size,
        deadline: Duration::from_secs(1),
        client: Client::Own,
    };
    String::from_utf8(now(tree.read(request)).unwrap().concat()).unwrap()
}

/// Texts with the film's id and name, and a token.
fn texts(token: &'static str, since: Timestamp) -> StrmTexts {
    StrmTexts::new(since, move |film, name| {
        format!("{token} {film:?} {name}\n")
    })
}

/// A library with the view `strm` of everything, and `only` of the largest file.
fn shelf() -> Shelf {
    let folders = "[strm]\nfilters = { size_gt = 0 }\nas = \"strm\"\n\
        [only]\nfilters = { size_gt = 0 }\nonly_show_the_biggest_file = true\nas = \"strm\"";
    Shelf::with_folders(&toml::from_str(folders).unwrap())
}

fn tree(layout: Layout, library: Arc<Library>) -> (watch::Sender<Arc<Library>>, Arc<Tree>) {
    let (sender, receiver) = watch::channel(library);
    let mut config = config(layout);
    config.strm = ["strm", "only"].map(str::to_owned).into();
    (sender, Tree::new(config, receiver, no_account(), nobody))
}

const PATHS: [&str; 6] = [
    "/S01/Film.2020.mkv",
    "/S01/Film.2020.en.srt",
    "/Clip.mkv",
    "/Clip.mp4",
    "/Extra.mkv",
    "/Extra.strm",
];

#[tokio::test]
async fn films_are_strm_files_and_all_else_is_as_it_is() {
    for layout in [Layout::Tree, Layout::Flat] {
        let library = shelf().of(vec![torrent(1, "Film", Some(&PATHS))]);
        let (_sender, tree) = tree(layout, library.clone());
        tree.show_strm(texts("one", at(9)));
        let clips = [
            "Clip.mkv.strm",
            "Clip.mp4.strm",
            "Extra.mkv.strm",
            "Extra.strm",
        ];
        let (dir, within) = match layout {
            Layout::Tree => ("S01/", [&clips[..], &["S01"]].concat()),
            Layout::Flat => (
                "",
                [&clips[..], &["Film.2020.en.srt", "Film.2020.strm"]].concat(),
            ),
        };
        assert_eq!(names(&tree, "strm/Film"), within);
        let below = |view: &str, name: &str| find(&tree, &format!("{view}/Film/{dir}{name}"));
        let film = below("__all__", "Film.2020.mkv").unwrap();
        let strm = below("strm", "Film.2020.strm").unwrap();
        assert_eq!(strm.id, strm_of(film.id));
        let expected = format!("one {:?} Film.2020.mkv\n", film.id);
        assert_eq!(text(&tree, strm.id, 0, 4096), expected);
        assert_eq!(text(&tree, strm.id, 4, 5), expected[4..9]);
        assert_eq!(text(&tree, strm.id, 4096, 5), "");
        assert_eq!((strm.size, strm.mtime), (expected.len() as u64, at(9)));
        assert_eq!(strm, now(tree.attr(strm.id)).unwrap());
        now(tree.open(strm.id)).unwrap();
        let up = now(tree.lookup(strm.id, b"..")).unwrap();
        assert_eq!(
            up.id,
            find(&tree, format!("strm/Film/{dir}").trim_end_matches('/'))
                .unwrap()
                .id
        );
        let path = tree.path(strm.id).unwrap();
        assert_eq!(path, format!("strm/Film/{dir}Film.2020.strm"));
        assert!(tree.path(film.id).unwrap().starts_with("__all__/"));
        assert!(tree.sources(strm.id).is_empty());
        // Subtitles are the same files; films themselves are not there, nor do other views have addresses.
        let srt = |view| below(view, "Film.2020.en.srt").unwrap();
        assert_eq!(srt("strm"), srt("__all__"));
        for (view, name) in [("strm", "Film.2020.mkv"), ("__all__", "Film.2020.strm")] {
            assert_eq!(below(view, name).unwrap_err().kind, ErrorKind::NotFound);
        }
        // A file of the torrent is never taken for an address of ours.
        let extra = |view| find(&tree, &format!("{view}/Film/Extra.strm")).unwrap();
        assert_eq!(extra("strm"), extra("__all__"));
        // The largest is the last.
        assert_eq!(names(&tree, "only/Film").len(), 1);
        // Another run of the program.
        let (_sender, again) =
            self::tree(layout, shelf().of(vec![torrent(1, "Film", Some(&PATHS))]));
        again.show_strm(texts("one", at(9)));
        assert_eq!(now(again.attr(strm.id)).unwrap(), strm);
        let found = tree
            .explain(std::path::Path::new("/mnt/dfs"), &path)
            .unwrap();
        assert_eq!((found.files.len(), found.files[0].id), (1, film.id));
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_first_text_strm_files_are_waited_for() {
    let library = shelf().of(vec![torrent(1, "Film", Some(&PATHS))]);
    let (_sender, tree) = tree(Layout::Tree, library);
    let strm = strm_of(find(&tree, "__all__/Film/Clip.mkv").unwrap().id);
    assert_eq!(list(&tree, "strm").unwrap().len(), 1);
    assert_eq!(list(&tree, "__all__/Film").unwrap().len(), 5);
    let film = find(&tree, "strm/Film").unwrap().id;
    let silent = tree.attr(strm).get().await;
    assert_eq!(silent.unwrap_err().kind, ErrorKind::TimedOut);
    let (lines, name) = (
        tree.read_dir(film, 0, 9),
        tree.lookup(film, b"Clip.mkv.strm"),
    );
    let (attr, open) = (tree.attr(strm), tree.open(strm));
    let waiting = [
        matches!(lines, Answer::Later(_)),
        matches!(name, Answer::Later(_)),
        matches!(attr, Answer::Later(_)),
        matches!(open, Answer::Later(_)),
    ];
    assert_eq!(waiting, [true; 4]);
    tree.show_strm(texts("one", at(9)));
    assert_eq!(lines.get().await.unwrap().len(), 7);
    assert_eq!(name.get().await.unwrap(), attr.get().await.unwrap());
    open.get().await.unwrap();
}

#[tokio::test]
async fn whoever_knew_the_old_texts_is_told_of_new_ones() {
    let mut shelf = shelf();
    let library = shelf.of(vec![torrent(1, "Film", Some(&PATHS))]);
    let (sender, tree) = tree(Layout::Tree, library);
    let mut changes = tree.changes();
    tree.show_strm(texts("one", at(9)));
    let films = [
        "Clip.mkv.strm",
        "Clip.mp4.strm",
        "Extra.mkv.strm",
        "S01/Film.2020.strm",
    ];
    let look = |film: &str| find(&tree, &format!("strm/Film/{film}")).unwrap();
    let mut nodes: Vec<Change> = films.map(|film| Change::Node(look(film).id)).into();
    nodes.sort_by_key(|change| format!("{change:?}"));
    let told = |mut told: Vec<Change>| {
        told.sort_by_key(|change| format!("{change:?}"));
        told
    };
    assert_eq!(told(changes.try_recv().unwrap()), nodes);
    // An engine that comes later tells a kernel that knew the one before.
    assert_eq!(told(tree.changes().try_recv().unwrap()), nodes);
    let before = films.map(look);
    tree.show_strm(texts("three", at(99)));
    assert_eq!(told(changes.try_recv().unwrap()), nodes);
    for (before, after) in before.iter().zip(films.map(look)) {
        assert_eq!(before.id, after.id);
        assert_eq!((after.size, after.mtime), (before.size + 2, at(99)));
    }
    // A new library keeps them, and what is gone is told by name.
    sender.send_replace(shelf.of(vec![torrent(1, "Film", Some(&PATHS[..5]))]));
    let more = changes.recv().await.unwrap();
    let parent = find(&tree, "strm/Film").unwrap().id;
    for name in ["Extra.mkv.strm", "Extra.strm"] {
        let name = name.to_owned();
        assert!(more.contains(&Change::Entry { parent, name }), "{more:?}");
    }
    assert_eq!(look("Extra.strm").id, before[2].id);
    assert_eq!(look("S01/Film.2020.strm").size, before[3].size + 2);
}
