//! Snapshots case by case, and against a model of plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use debridfs_base::NodeId;
use debridfs_catalogue::{Contents, Copy, Layout, Library};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::{Missing, Snapshot, VERSION_ID};
use crate::testing::{Shelf, config, torrent};
use debridfs_vfs::{Attr, Change, DirEntry, ErrorKind, Kind};

fn snapshot(library: Arc<Library>, layout: Layout, before: Option<&Snapshot>) -> Snapshot {
    Snapshot::new(library, Arc::new(config(layout).into()), before)
}

fn one(layout: Layout, torrents: Vec<Copy>) -> Snapshot {
    snapshot(Shelf::new().of(torrents), layout, None)
}

impl Snapshot {
    fn at(&self, path: &str) -> Result<Attr, ErrorKind> {
        let mut id = NodeId::ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            id = self
                .attr(self.lookup(id, name.as_bytes()).map_err(kind)?)
                .id;
        }
        Ok(self.attr(self.node(id).map_err(kind)?))
    }

    fn names(&self, path: &str) -> Vec<String> {
        let lines = self.list(self.at(path).unwrap().id, 0, usize::MAX).unwrap();
        let mut names: Vec<_> = lines.into_iter().skip(2).map(|line| line.name).collect();
        names.sort();
        names
    }
}

fn kind(missing: Missing) -> ErrorKind {
    match missing {
        Missing::Failed(error) => error.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tree_layout_shows_directories_and_finds_unambiguous_base_names() {
    let show = torrent(
        1,
        "Show",
        Some(&[
            "/S01/a.mkv",
            "/S01/Subs/x.srt",
            "/S02/b.mkv",
            "/S02/Subs/x.srt",
            "/i.nfo",
        ]),
    );
    let tree = one(Layout::Tree, vec![show]);
    assert_eq!(tree.names("/"), ["__all__", "__bad__", "rd", "version.txt"]);
    assert_eq!(tree.names("/__all__/Show"), ["S01", "S02", "i.nfo"]);
    assert_eq!(tree.names("/__all__/Show/S01"), ["Subs", "a.mkv"]);
    assert_eq!(tree.at("/__all__/Show").unwrap().nlink, 4);
    assert_eq!(tree.at("/__all__").unwrap().nlink, 3);
    assert_eq!(tree.at("/").unwrap().nlink, 5);
    assert_eq!(tree.at("/__all__/Show/S01/a.mkv").unwrap().nlink, 1);
    // The same file by its base name, and in another view; directories differ by view.
    let file = tree.at("/__all__/Show/S02/b.mkv").unwrap();
    assert_eq!(tree.at("/__all__/Show/b.mkv").unwrap(), file);
    assert_eq!(tree.at("/rd/Show/S02/b.mkv").unwrap(), file);
    assert_ne!(
        tree.at("/rd/Show").unwrap().id,
        tree.at("/__all__/Show").unwrap().id
    );
    // Two of that name; the second one has a name of its own in the flat layout.
    assert_eq!(tree.at("/__all__/Show/x.srt"), Err(ErrorKind::NotFound));
    assert_eq!(
        tree.at("/__all__/Show/x [2].srt"),
        tree.at("/__all__/Show/S02/Subs/x.srt")
    );
    // Base names are found in the release itself only.
    assert_eq!(tree.at("/__all__/Show/S01/b.mkv"), Err(ErrorKind::NotFound));
    assert_eq!(tree.at("/__all__/Show/S01/x.srt"), Err(ErrorKind::NotFound));
}

#[test]
fn the_flat_layout_shows_base_names_and_finds_paths() {
    let show = torrent(1, "Show", Some(&["/S01/a.mkv", "/S01/x.srt", "/S02/x.srt"]));
    let flat = one(Layout::Flat, vec![show]);
    assert_eq!(flat.names("/__all__/Show"), ["a.mkv", "x [2].srt", "x.srt"]);
    assert_eq!(flat.at("/__all__/Show").unwrap().nlink, 2);
    assert_eq!(
        flat.at("/__all__/Show/x [2].srt"),
        flat.at("/__all__/Show/S02/x.srt")
    );
    assert_eq!(
        flat.at("/__all__/Show/x.srt"),
        flat.at("/__all__/Show/S01/x.srt")
    );
    let file = flat.at("/__all__/Show/a.mkv").unwrap();
    let above = flat.lookup(file.id, b"..").unwrap();
    assert_eq!(flat.attr(above), flat.at("/__all__/Show").unwrap());
}

#[test]
fn attributes_follow_the_configuration() {
    let tree = one(Layout::Tree, vec![torrent(1, "Film", Some(&["/Film.mkv"]))]);
    let dir = tree.at("/__all__/Film").unwrap();
    let file = tree.at("/__all__/Film/Film.mkv").unwrap();
    assert_eq!((dir.mode, file.mode), (0o555, 0o444));
    assert_eq!((file.uid, file.gid, file.size), (1000, 1001, 100));
    assert_eq!(dir.mtime, crate::testing::at(1));
    assert_eq!(file.mtime, dir.mtime);
    let mut private = config(Layout::Tree);
    private.umask = 0o077;
    let tree = Snapshot::new(tree.library.clone(), Arc::new(private.into()), None);
    assert_eq!(tree.at("/").unwrap().mode, 0o500);
    assert_eq!(tree.at("/version.txt").unwrap().mode, 0o400);
    assert_eq!(tree.at("/version.txt").unwrap().size, 13);
    assert_eq!(tree.statfs().bytes, 100);
}

#[test]
fn dot_and_dot_dot_are_found_for_any_id() {
    let tree = one(
        Layout::Tree,
        vec![torrent(1, "Show", Some(&["/S01/a.mkv"]))],
    );
    let id = |path: &str| tree.at(path).unwrap().id;
    for path in [
        "/",
        "/version.txt",
        "/rd",
        "/rd/Show",
        "/rd/Show/S01",
        "/rd/Show/S01/a.mkv",
    ] {
        assert_eq!(tree.attr(tree.lookup(id(path), b".").unwrap()).id, id(path));
    }
    for (path, above) in [
        ("/", "/"),
        ("/version.txt", "/"),
        ("/rd", "/"),
        ("/rd/Show", "/rd"),
        ("/rd/Show/S01", "/rd/Show"),
        ("/rd/Show/S01/a.mkv", "/__all__/Show/S01"),
    ] {
        assert_eq!(
            tree.attr(tree.lookup(id(path), b"..").unwrap()).id,
            id(above),
            "{path}"
        );
    }
}

#[test]
fn refusals() {
    let tree = one(Layout::Tree, vec![torrent(1, "Film", Some(&["/Film.mkv"]))]);
    let fails = |parent: NodeId, name: &[u8]| kind(tree.lookup(parent, name).unwrap_err());
    let film = tree.at("/__all__/Film").unwrap().id;
    assert_eq!(fails(film, &[b'x'; 256]), ErrorKind::NameTooLong);
    assert_eq!(fails(film, &[b'x'; 255]), ErrorKind::NotFound);
    assert_eq!(fails(film, b"\xff\xfe"), ErrorKind::NotFound);
    assert_eq!(fails(film, b""), ErrorKind::NotFound);
    assert_eq!(fails(VERSION_ID, b"x"), ErrorKind::NotDirectory);
    assert_eq!(fails(NodeId(0), b"x"), ErrorKind::Stale);
    assert_eq!(fails(NodeId(u64::MAX), b"."), ErrorKind::Stale);
    let file = tree.at("/__all__/Film/Film.mkv").unwrap().id;
    assert_eq!(
        kind(tree.list(file, 0, 9).unwrap_err()),
        ErrorKind::NotDirectory
    );
}

#[test]
fn before_the_first_complete_list_a_view_is_unavailable_and_never_empty() {
    let library = Shelf::new().of(Vec::new());
    let library = Arc::new(Library::new(1, false, library.views.clone()));
    let tree = snapshot(library, Layout::Tree, None);
    assert_eq!(tree.names("/"), ["__all__", "__bad__", "rd", "version.txt"]);
    let all = tree.at("/__all__").unwrap().id;
    assert_eq!(kind(tree.list(all, 0, 9).unwrap_err()), ErrorKind::NotYet);
    assert_eq!(kind(tree.lookup(all, b"x").unwrap_err()), ErrorKind::NotYet);
    assert_eq!(
        kind(tree.node(NodeId(1 << 40)).unwrap_err()),
        ErrorKind::NotYet
    );
    assert!(tree.lookup(NodeId::ROOT, b"version.txt").is_ok());
}

#[test]
fn the_view_of_an_account_in_its_first_sync_is_unavailable_alone() {
    let library = Shelf::new().of(vec![torrent(1, "Film", Some(&["/Film.mkv"]))]);
    let mut waiting = (*library).clone();
    waiting.waiting.insert("rd".to_owned());
    let before = snapshot(Arc::new(waiting), Layout::Tree, None);
    let rd = before.at("/rd").unwrap().id;
    let unknown = ErrorKind::NotYet;
    assert_eq!(kind(before.list(rd, 0, 9).unwrap_err()), unknown);
    assert_eq!(kind(before.lookup(rd, b"Film").unwrap_err()), unknown);
    assert_eq!(before.names("/__all__"), ["Film"]);
    // It may be one of that account.
    let anybodys = NodeId(1 << 40);
    assert_eq!(kind(before.node(anybodys).unwrap_err()), unknown);
    // The kernel asks again once it answers.
    let after = snapshot(library, Layout::Tree, Some(&before));
    assert_eq!(before.changes_to(&after), [Change::Node(rd)]);
    assert_eq!(after.names("/rd"), ["Film"]);
    assert_eq!(kind(after.node(anybodys).unwrap_err()), ErrorKind::Stale);
}

#[test]
fn unknown_files_are_waited_for() {
    let tree = one(Layout::Tree, vec![torrent(1, "Film", None)]);
    let film = tree.at("/__all__/Film").unwrap().id;
    assert!(matches!(tree.list(film, 0, 9), Err(Missing::Contents(_))));
    assert!(matches!(tree.lookup(film, b"x"), Err(Missing::Contents(_))));
    assert!(matches!(tree.node(NodeId(1 << 40)), Err(Missing::Node(_))));
    assert!(tree.lookup(film, b"..").is_ok());
    assert_eq!(tree.statfs().bytes, 1000);
}

// ---- Against a model.

/// With a folder that shows other trees of the same files.
fn shelf() -> Shelf {
    let folders = "biggest = { only_show_the_biggest_file = true, filters.regex = '.' }";
    Shelf::with_folders(&toml::from_str(folders).unwrap())
}

/// A torrent that may change: which of its paths it has, or none known.
#[derive(Debug, Clone)]
struct Plan {
    name: u32,
    paths: Option<BTreeSet<String>>,
    /// How much earlier an older copy of it was added, in seconds.
    older: i64,
}

const PARTS: [&str; 8] = ["a", "b", "a b", "a.mkv", "Subs", "ä", "x [2].srt", "x.srt"];

fn plans() -> impl Strategy<Value = BTreeMap<u32, Plan>> {
    let part = prop::sample::select(PARTS.to_vec());
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| format!("/{}", parts.join("/")));
    let paths = prop::option::weighted(0.7, prop::collection::btree_set(path, 1..8));
    let plan =
        (0u32..4, paths, 0i64..2).prop_map(|(name, paths, older)| Plan { name, paths, older });
    prop::collection::btree_map(0u32..6, plan, 0..6)
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Tree), Just(Layout::Flat)]
}

fn records(plans: &BTreeMap<u32, Plan>) -> Vec<Arc<Copy>> {
    plans
        .iter()
        .map(|(n, plan)| {
            let paths: Option<Vec<&str>> = plan
                .paths
                .as_ref()
                .map(|paths| paths.iter().map(String::as_str).collect());
            let mut record = torrent(*n, &format!("Release {}", plan.name), paths.as_deref());
            record.added -= SignedDuration::from_secs(plan.older);
            Arc::new(record)
        })
        .collect()
}

/// Names that files have in the flat layout.
fn flat_names(library: &Library) -> Vec<&str> {
    let entries = library.views.iter().flat_map(|view| view.entries.iter());
    let trees = entries.filter_map(|entry| match &entry.release.contents {
        Contents::Known(tree) => Some(tree),
        Contents::Unknown => None,
    });
    trees
        .flat_map(|tree| tree.files.iter().map(|file| file.flat()))
        .collect()
}

/// A directory as a program sees it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    attr: Attr,
    /// `None`: its files are unknown.
    lines: Option<BTreeMap<String, NodeId>>,
}

/// Everything that listings reach, and directories that names of paths reach, by id.
fn walk(snapshot: &Snapshot) -> BTreeMap<NodeId, Seen> {
    let mut seen = BTreeMap::new();
    let mut open = vec![NodeId::ROOT];
    while let Some(id) = open.pop() {
        if seen.contains_key(&id) {
            continue;
        }
        let attr = snapshot.attr(snapshot.node(id).unwrap());
        let found = PARTS
            .iter()
            .filter_map(|part| snapshot.lookup(id, part.as_bytes()).ok());
        let found = found.map(|node| snapshot.attr(node));
        open.extend(
            found
                .filter(|attr| attr.kind == Kind::Directory)
                .map(|attr| attr.id),
        );
        let lines = match snapshot.list(id, 0, usize::MAX) {
            Ok(lines) => Some(lines),
            Err(Missing::Contents(_)) => None,
            Err(other) => panic!("{other:?}"),
        };
        for line in lines.iter().flatten().skip(2) {
            match line.attr.kind {
                Kind::Directory => open.push(line.attr.id),
                Kind::File => {
                    seen.insert(
                        line.attr.id,
                        Seen {
                            attr: line.attr,
                            lines: None,
                        },
                    );
                }
            }
        }
        let lines = lines.map(|lines| {
            lines
                .into_iter()
                .skip(2)
                .map(|line| (line.name, line.attr.id))
                .collect()
        });
        assert!(
            seen.insert(id, Seen { attr, lines }).is_none(),
            "a directory has one parent"
        );
    }
    seen
}

/// Paths and sizes that a library should show.
fn expected(library: &Library, layout: Layout) -> BTreeMap<String, u64> {
    let mut paths = BTreeMap::from([("/version.txt".to_owned(), 13)]);
    for view in &library.views {
        for entry in view.entries.iter() {
            let Contents::Known(tree) = &entry.release.contents else {
                continue;
            };
            for file in &tree.files {
                let dir = match tree.dirs[file.dir as usize].as_str() {
                    dir if dir.is_empty() || layout == Layout::Flat => String::new(),
                    dir => format!("/{dir}"),
                };
                let name = if layout == Layout::Flat {
                    file.flat()
                } else {
                    &file.name
                };
                let path = format!("/{}/{}{dir}/{name}", view.name, entry.name);
                assert!(paths.insert(path, file.size).is_none(), "paths are unique");
            }
        }
    }
    paths
}

fn files(snapshot: &Snapshot, seen: &BTreeMap<NodeId, Seen>) -> BTreeMap<String, u64> {
    let mut paths = BTreeMap::new();
    let mut open = vec![(String::new(), NodeId::ROOT)];
    while let Some((path, id)) = open.pop() {
        let attr = seen[&id].attr;
        if attr.kind == Kind::File {
            assert_eq!(
                snapshot.at(&path).unwrap(),
                attr,
                "{path} is found as it is listed"
            );
            paths.insert(path.clone(), attr.size);
        }
        for (name, id) in seen[&id].lines.iter().flatten() {
            open.push((format!("{path}/{name}"), *id));
        }
    }
    paths
}

proptest! {
    #[test]
    fn walking_finds_what_the_library_holds(plans in plans(), layout in layouts()) {
        let library = shelf().library(&records(&plans));
        let snapshot = snapshot(library.clone(), layout, None);
        let seen = walk(&snapshot);
        prop_assert_eq!(files(&snapshot, &seen), expected(&library, layout));
        if layout == Layout::Tree {
            prop_assert_eq!(snapshot.statfs().files as usize, seen.len());
        }
        for (id, node) in &seen {
            if let Some(lines) = &node.lines {
                let subdirs =
                    lines.values().filter(|id| seen[id].attr.kind == Kind::Directory).count();
                prop_assert_eq!(node.attr.nlink as usize, 2 + subdirs);
                for child in lines.values().filter(|id| seen[id].attr.kind == Kind::Directory) {
                    let above = snapshot.attr(snapshot.lookup(*child, b"..").unwrap());
                    prop_assert_eq!(above.id, *id);
                }
            }
        }
    }

    #[test]
    fn a_listing_read_in_parts_while_the_tree_changes_skips_and_doubles_nothing(
        old in plans(),
        new in plans(),
        layout in layouts(),
        sizes in prop::collection::vec(1usize..4, 1..40),
        switch in 0usize..10,
    ) {
        let mut shelf = shelf();
        let old = snapshot(shelf.library(&records(&old)), layout, None);
        let new = snapshot(shelf.library(&records(&new)), layout, Some(&old));
        let (before, after) = (walk(&old), walk(&new));
        for id in before.keys().filter(|id| after.contains_key(id)) {
            let (Some(was), Some(is)) = (&before[id].lines, &after[id].lines) else { continue };
            let mut lines: Vec<DirEntry> = Vec::new();
            let mut cookie = 0;
            let mut steps = sizes.iter().cycle().enumerate();
            loop {
                let (step, size) = steps.next().unwrap();
                let current = if step < switch { &old } else { &new };
                let part = current.list(*id, cookie, *size).unwrap();
                let Some(last) = part.last() else { break };
                prop_assert!(part.len() <= *size);
                prop_assert!(part.iter().all(|line| line.cookie > cookie && line.cookie < 1 << 63));
                cookie = last.cookie;
                lines.extend(part);
            }
            let told: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
            prop_assert_eq!(&told[..2], &[".", ".."]);
            for (name, child) in was {
                if is.get(name) == Some(child) {
                    prop_assert_eq!(told.iter().filter(|told| *told == name).count(), 1, "{}", name);
                }
            }
            for line in &lines[2..] {
                let known = [was, is].into_iter().any(|lines| lines.get(&line.name) == Some(&line.attr.id));
                prop_assert!(known, "{} was never there", line.name);
            }
        }
    }

    #[test]
    fn who_is_told_the_changes_knows_the_new_tree(
        old in plans(),
        new in plans(),
        layout in layouts(),
    ) {
        let mut shelf = shelf();
        let old = snapshot(shelf.library(&records(&old)), layout, None);
        let new = snapshot(shelf.library(&records(&new)), layout, Some(&old));
        let fresh = snapshot(new.library.clone(), layout, None);
        let (before, after) = (walk(&old), walk(&new));
        prop_assert_eq!(&after, &walk(&fresh), "taking over indices makes no difference");

        // What a kernel may remember: every name that can be looked up, every listing, all attributes.
        let mut names: BTreeMap<(NodeId, String), NodeId> = BTreeMap::new();
        let listed = before.values().flat_map(|seen| seen.lines.iter().flatten());
        let words: BTreeSet<&str> =
            listed.map(|(name, _)| name.as_str()).chain(PARTS).chain(flat_names(&old.library)).collect();
        for (id, _) in before.iter().filter(|(_, seen)| seen.lines.is_some()) {
            for name in &words {
                if let Ok(node) = old.lookup(*id, name.as_bytes()) {
                    names.insert((*id, (*name).to_owned()), old.attr(node).id);
                }
            }
        }
        let changes = old.changes_to(&new);
        let mut told = BTreeSet::new();
        for change in &changes {
            match change {
                Change::Entry { parent, name } => {
                    let was = names.remove(&(*parent, name.clone()));
                    let is = new.lookup(*parent, name.as_bytes()).ok().map(|node| new.attr(node).id);
                    // A directory that nobody could reach in the flat layout may be told of as well.
                    prop_assert!((was.is_some() && was != is) || !before.contains_key(parent), "{:?} was told for nothing", change);
                }
                Change::Node(id) => {
                    prop_assert!(told.insert(*id), "{:?} was told twice", change);
                    prop_assert!(before.get(id) != after.get(id) || !before.contains_key(id), "{:?} was told for nothing", change);
                }
            }
        }
        // Whatever can still be reached by remembered names is as it is now.
        let mut open = vec![NodeId::ROOT];
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !reached.insert(id) {
                continue;
            }
            if !told.contains(&id) && before.contains_key(&id) {
                let now = new.attr(new.node(id).unwrap());
                prop_assert_eq!(before[&id].attr, now);
                if let (Some(was), Some(seen)) = (&before[&id].lines, after.get(&id)) {
                    prop_assert_eq!(Some(was), seen.lines.as_ref());
                }
            }
            for ((parent, name), child) in names.range((id, String::new())..) {
                if *parent != id {
                    break;
                }
                match new.lookup(id, name.as_bytes()) {
                    Ok(node) => prop_assert_eq!(new.attr(node).id, *child, "{}", name),
                    // Its files are not known at the moment.
                    Err(Missing::Contents(_)) => continue,
                    Err(other) => return Err(TestCaseError::fail(format!("{name}: {other:?}"))),
                }
                open.push(*child);
            }
        }
    }
}
