//! What views show, case by case, and against a model.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use debridfs_provider::{ContentId, TorrentStatus};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Built, Memory, ShownView, ViewBuilder, ViewRules};
use crate::library::{ALL, BAD};
use crate::testing::{at, hash, known, now, record};
use crate::{BadReason, Contents, Copy, FolderConfig, FolderNaming};
use debridfs_base::NodeId;

fn rules(naming: FolderNaming, folders: &str) -> ViewRules {
    let folders: BTreeMap<String, FolderConfig> = toml::from_str(folders).unwrap();
    ViewRules::new(naming, vec!["rd".into(), "ad".into()], &folders).unwrap()
}

fn builder() -> ViewBuilder {
    with_folders("")
}

fn with_folders(folders: &str) -> ViewBuilder {
    ViewBuilder::new(rules(FolderNaming::default(), folders), Memory::default())
}

fn names<'a>(built: &'a Built, view: &str) -> Vec<&'a str> {
    let view = built.views.iter().find(|shown| shown.name == view).unwrap();
    view.entries.iter().map(|entry| &*entry.name).collect()
}

fn arcs(records: impl IntoIterator<Item = Copy>) -> Vec<Arc<Copy>> {
    records.into_iter().map(Arc::new).collect()
}

#[test]
fn a_ready_release_shows_at_once_and_its_files_later() {
    let mut builder = builder();
    let built = builder.build(&arcs([record(1, "Film.mkv")]), now());
    assert_eq!(names(&built, ALL), ["Film"]);
    assert_eq!(names(&built, "rd"), ["Film"]);
    assert!(names(&built, BAD).is_empty() && names(&built, "ad").is_empty());
    assert!(matches!(
        built.views[0].entries[0].release.contents,
        Contents::Unknown
    ));

    let built = builder.build(&arcs([known(1, "Film.mkv", &["/Film.mkv"])]), now());
    let Contents::Known(tree) = &built.views[0].entries[0].release.contents else {
        panic!()
    };
    assert_eq!(&*tree.files[0].name, "Film.mkv");
    assert_eq!(
        tree.sources(&tree.files[0]).next().unwrap().link.0,
        "https://host/d/1-0"
    );
    assert!(built.newly_shown.is_empty() && built.view_changes.is_empty());
    assert_eq!(
        built.views[0].changed,
        at(1),
        "contents do not touch the view"
    );
}

#[test]
fn original_names_wait_for_the_info_call() {
    let mut builder = ViewBuilder::new(rules(FolderNaming::Original, ""), Memory::default());
    assert!(names(&builder.build(&arcs([record(1, "Film")]), now()), ALL).is_empty());
    let built = builder.build(&arcs([known(1, "Film", &["/a"])]), now());
    assert_eq!(names(&built, ALL), ["Film"]);
}

#[test]
fn a_release_that_fails_before_it_was_good_shows_as_bad_only_and_else_as_both() {
    let good = record(1, "Film.mkv");
    let mut failed = good.clone();
    failed.status = TorrentStatus::Dead;
    let built = builder().build(&arcs([failed.clone()]), now());
    assert!(names(&built, ALL).is_empty());
    assert_eq!(names(&built, BAD), ["Film"]);
    assert_eq!(
        built.views[1].entries[0].release.bad,
        Some(BadReason::Failed)
    );

    let mut builder = builder();
    let mut store = Store::default();
    store.apply(builder.build(&arcs([good]), now()));
    // Also after a restart.
    let restarted = ViewBuilder::new(rules(FolderNaming::default(), ""), store.memory());
    for mut builder in [builder, restarted] {
        let built = builder.build(&arcs([failed.clone()]), now());
        assert_eq!(names(&built, ALL), ["Film"]);
        assert_eq!(names(&built, BAD), ["Film"]);
    }
}

#[test]
fn the_earliest_added_keeps_the_plain_name_and_nothing_changes_afterwards() {
    let mut builder = builder();
    let torrents = arcs([record(3, "X.mkv"), record(2, "X.avi"), record(4, "X")]);
    let built = builder.build(&torrents, now());
    assert_eq!(names(&built, ALL), ["X", "X [00000003]", "X [00000004]"]);
    assert_eq!(built.views[0].entries[0].release.id, hash(2));
    // One added earlier comes late; the first one goes.
    let torrents = arcs([record(1, "X"), record(3, "X.mkv"), record(4, "Y")]);
    let built = builder.build(&torrents, now());
    assert_eq!(
        names(&built, ALL),
        ["X [00000001]", "X [00000003]", "X [00000004]"]
    );
    assert_eq!(
        built.retired,
        [
            (built.views[0].id, "X".into()),
            (built.views[2].id, "X".into())
        ]
    );
}

#[test]
fn a_torrent_that_is_not_ready_yet_keeps_the_name_it_asked_for_first() {
    let mut early = record(1, "X");
    early.status = TorrentStatus::Downloading;
    let mut builder = builder();
    let built = builder.build(&arcs([early, record(2, "X")]), now());
    assert_eq!(names(&built, ALL), ["X [00000002]"]);
    let built = builder.build(&arcs([record(1, "X"), record(2, "X")]), now());
    assert_eq!(names(&built, ALL), ["X", "X [00000002]"]);
}

#[test]
fn removed_releases_leave_all_and_go_from_bad_in_time() {
    let mut builder = builder();
    let mut torrent = known(1, "X", &["/a"]);
    builder.build(&arcs([torrent.clone()]), now());
    torrent.removed = Some(now());
    let later = now() + SignedDuration::from_mins(1);
    let built = builder.build(&arcs([torrent.clone()]), later);
    assert!(names(&built, ALL).is_empty() && names(&built, "rd").is_empty());
    assert_eq!(names(&built, BAD), ["X"]);
    assert_eq!(built.views[0].changed, later);
    let end = built.next_change.unwrap();
    assert_eq!(end, now() + crate::REMOVED_SHOWN);
    let built = builder.build(&arcs([torrent]), end);
    assert!(names(&built, BAD).is_empty());
    assert_eq!(built.next_change, None);
    // Its name stays its own.
    let built = builder.build(&arcs([known(2, "X", &["/a"])]), end);
    assert_eq!(names(&built, ALL), ["X [00000002]"]);
}

#[test]
fn a_release_leaves_the_view_of_a_provider_that_lost_it() {
    let mut builder = builder();
    let here = known(1, "X", &["/a"]);
    let mut there = here.clone();
    there.provider = "ad".into();
    let built = builder.build(&arcs([here.clone(), there.clone()]), now());
    assert_eq!(
        (names(&built, "rd"), names(&built, "ad")),
        (vec!["X"], vec!["X"])
    );
    there.removed = Some(now());
    let built = builder.build(&arcs([here, there]), now());
    assert_eq!(
        (names(&built, "rd"), names(&built, "ad")),
        (vec!["X"], vec![])
    );
    assert!(names(&built, BAD).is_empty());
}

const MEDIA: &str = "
    anime = { group = 'media', group_order = 10, filters.any_file_inside_regex = '/nime/' }
    shows = { group = 'media', group_order = 20, filters.has_episodes = true }
    movies = { group = 'media', group_order = 30, only_show_the_biggest_file = true, filters.regex = '/.*/' }
    big = { filters.size_gt = '1KB' }
    fresh = { filters.last_added = '1h' }
";

#[test]
fn custom_folders_and_groups() {
    let mut builder = with_folders(MEDIA);
    let mut big = known(3, "Film", &["/Film.mkv", "/extra/bonus.mkv"]);
    big.bytes = 2000;
    let torrents = arcs([
        known(1, "Show", &["/Show.S01E01.mkv"]),
        known(2, "Cartoon.S01E01", &["/nime.S01E01.mkv"]),
        big,
        record(4, "Secret"),
    ]);
    let built = builder.build(&torrents, at(3602));
    assert_eq!(names(&built, "anime"), ["Cartoon.S01E01"]);
    assert_eq!(names(&built, "shows"), ["Show"]);
    assert_eq!(
        names(&built, "movies"),
        ["Film"],
        "unknown files: not even in the last of the group"
    );
    assert_eq!(names(&built, "big"), ["Film"]);
    assert_eq!(names(&built, "fresh"), ["Cartoon.S01E01", "Film", "Secret"]);
    let next = built.next_change.unwrap();
    assert!(next > at(3602) && next < at(3603));
    let built = builder.build(&torrents, next);
    assert_eq!(names(&built, "fresh"), ["Film", "Secret"]);

    let movies = built
        .views
        .iter()
        .find(|view| view.name == "movies")
        .unwrap();
    let Contents::Known(tree) = &movies.entries[0].release.contents else {
        panic!()
    };
    assert_eq!(tree.files.len(), 1);
    assert_eq!(&*tree.files[0].name, "bonus.mkv");
    let Contents::Known(whole) = &built.views[0].entries[1].release.contents else {
        panic!()
    };
    assert!(
        whole.files.iter().any(|file| file.id == tree.files[0].id),
        "the same file"
    );
    assert_eq!(movies.entries[0].dir_ids.len(), 2);
}

#[test]
fn a_folder_that_is_not_configured_any_more_is_told() {
    let torrents = arcs([known(1, "Show", &["/a"])]);
    let mut store = Store::default();
    store.apply(with_folders("old = { filters.regex = 'S' }").build(&torrents, now()));
    let built = ViewBuilder::new(rules(FolderNaming::default(), ""), store.memory())
        .build(&torrents, now());
    assert_eq!(built.retired, [(NodeId::ROOT, "old".to_owned())]);
    assert!(
        built
            .view_changes
            .iter()
            .all(|change| change.dropped && change.view == "old")
    );
    store.apply(built);
    assert_eq!(store.views.len(), 4);
}

#[test]
fn what_did_not_change_is_shared_with_the_build_before() {
    let mut builder = builder();
    let mut torrents = arcs([known(1, "A", &["/a"]), known(2, "B", &["/b"])]);
    let first = builder.build(&torrents, now());
    let again = builder.build(&torrents, now());
    for (was, is) in first.views.iter().zip(&again.views) {
        assert!(Arc::ptr_eq(&was.entries, &is.entries));
    }
    torrents[1] = Arc::new(known(2, "B", &["/b", "/c"]));
    let third = builder.build(&torrents, now());
    let (was, is) = (&first.views[0].entries, &third.views[0].entries);
    assert!(Arc::ptr_eq(&was[0].release, &is[0].release));
    assert!(!Arc::ptr_eq(&was[1].release, &is[1].release));
    torrents[1] = Arc::new(known(2, "B", &["/b"]));
    let fourth = builder.build(&torrents, now());
    let gone = (fourth.views[0].entries[1].dir_ids[0], "c".to_owned());
    assert!(
        fourth.retired.contains(&gone),
        "a file that is gone is told"
    );
}

// ---- Against a model.

/// What a store keeps of builds.
#[derive(Debug, Clone, Default)]
struct Store {
    releases: HashMap<ContentId, super::ShownRelease>,
    ids: Vec<crate::IdOverride>,
    views: BTreeMap<String, (Timestamp, BTreeSet<ContentId>)>,
}

impl Store {
    fn apply(&mut self, built: Built) {
        self.releases
            .extend(built.newly_shown.into_iter().map(|shown| (shown.id, shown)));
        self.ids.extend(built.new_ids);
        for change in built.view_changes {
            if change.dropped {
                assert!(self.views.remove(&change.view).is_some());
                continue;
            }
            let view = self.views.entry(change.view).or_default();
            view.0 = change.changed;
            for hash in change.left {
                assert!(view.1.remove(&hash), "left without having been there");
            }
            for hash in change.joined {
                assert!(view.1.insert(hash), "joined twice");
            }
        }
    }

    fn memory(&self) -> Memory {
        Memory {
            releases: self.releases.values().cloned().collect(),
            ids: self.ids.clone(),
            views: self
                .views
                .iter()
                .map(|(name, (changed, members))| ShownView {
                    name: name.clone(),
                    changed: *changed,
                    members: members.iter().copied().collect(),
                })
                .collect(),
        }
    }
}

#[derive(Debug, Clone)]
struct Plan {
    name: u32,
    provider: &'static str,
    /// Which of the files are selected; `None` while unknown.
    selected: Option<u8>,
    state: u32,
}

const FILES: [[&str; 5]; 5] = [
    ["/a.mkv", "/S/a.mkv", "/S", "/S/E01.S01E01.mkv", "/b\0"],
    ["/S", "/S", "/S/S", "/a.mkv", "/T/a.mkv"],
    ["/1/a", "/2/a", "/3/a", "/a [2]", "/a"],
    ["/x/y/z", "/x/y", "/x", "/X", "/nime"],
    ["", "/", "/.", "//..", "/a/../b"],
];

fn plans() -> impl Strategy<Value = BTreeMap<(u32, u32), Plan>> {
    let plan = (
        0u32..3,
        prop::sample::select(vec!["rd", "ad"]),
        prop::option::of(1u8..32),
        0u32..8,
    )
        .prop_map(|(name, provider, selected, state)| Plan {
            name,
            provider,
            selected,
            state,
        });
    prop::collection::btree_map((0u32..5, 0u32..2), plan, 0..8)
}

fn records(plans: &BTreeMap<(u32, u32), Plan>) -> Vec<Arc<Copy>> {
    let record = |(&(n, copy), plan): (&(u32, u32), &Plan)| {
        let name = format!("Release.{}.mkv", plan.name);
        let mut record = match plan.selected {
            Some(selected) => {
                // The files of a torrent are fixed by its hash; the selection is not.
                let mut record = known(n, &name, &FILES[n as usize]);
                let detail = record.detail.as_mut().unwrap();
                for (index, file) in detail.files.iter_mut().enumerate() {
                    file.selected = selected & 1 << index != 0;
                }
                record
                    .links
                    .truncate(detail.files.iter().filter(|file| file.selected).count());
                record
            }
            None => record(n, &name),
        };
        record.id.0 += &format!("-{copy}");
        record.provider = plan.provider.into();
        record.added = at(i64::from(n) * 10 + i64::from(copy));
        match plan.state {
            0 => record.removed = Some(at(50_000)),
            1 => record.status = TorrentStatus::Dead,
            2 => record.status = TorrentStatus::Downloading,
            3 => record.links.truncate(1),
            _ => {}
        }
        Arc::new(record)
    };
    plans.iter().map(record).collect()
}

type Shape = Vec<(
    String,
    NodeId,
    Timestamp,
    Vec<(
        String,
        Vec<NodeId>,
        ContentId,
        Option<Vec<(NodeId, String)>>,
    )>,
)>;

/// All that can be seen of views.
fn shape(built: &Built) -> Shape {
    let contents = |contents: &Contents| match contents {
        Contents::Unknown => None,
        Contents::Known(tree) => Some(
            tree.files
                .iter()
                .map(|file| {
                    (
                        file.id,
                        format!("{}/{}", tree.dirs[file.dir as usize], file.name),
                    )
                })
                .collect(),
        ),
    };
    built
        .views
        .iter()
        .map(|view| {
            let entries = view.entries.iter().map(|entry| {
                let release = &entry.release;
                (
                    entry.name.to_string(),
                    entry.dir_ids.to_vec(),
                    release.id,
                    contents(&release.contents),
                )
            });
            (view.name.clone(), view.id, view.changed, entries.collect())
        })
        .collect()
}

proptest! {
    #[test]
    fn paths_and_ids_hold_through_changes_and_restarts(
        steps in prop::collection::vec((plans(), any::<bool>()), 1..6),
    ) {
        let fresh = |memory| ViewBuilder::new(rules(FolderNaming::default(), MEDIA), memory);
        let mut builder = fresh(Memory::default());
        let mut store = Store::default();
        let mut ever: HashMap<ContentId, String> = HashMap::new();
        let mut owners: HashMap<String, ContentId> = HashMap::new();
        let mut ids: HashMap<NodeId, String> = HashMap::new();
        for (step, (plans, restart)) in steps.into_iter().enumerate() {
            let records = records(&plans);
            let time = now() + SignedDuration::from_secs(step as i64);
            let built = builder.build(&records, time);
            for view in &built.views {
                prop_assert!(view.entries.windows(2).all(|pair| pair[0].name < pair[1].name));
                for entry in view.entries.iter() {
                    let hash = entry.release.id;
                    prop_assert_eq!(ever.entry(hash).or_insert(entry.name.to_string()), &*entry.name);
                    prop_assert_eq!(*owners.entry(entry.name.to_string()).or_insert(hash), hash);
                    let Contents::Known(tree) = &entry.release.contents else {
                        prop_assert_eq!(entry.dir_ids.len(), 1);
                        continue;
                    };
                    prop_assert_eq!(entry.dir_ids.len(), tree.dirs.len());
                    let dirs = entry.dir_ids.iter().zip(&tree.dirs).map(|(id, dir)| (*id, format!("{} {hash} {dir}", view.name)));
                    let files = tree.files.iter().map(|file| (file.id, format!("{hash} {}/{}", tree.dirs[file.dir as usize], file.name)));
                    for (id, what) in dirs.chain(files) {
                        prop_assert_eq!(ids.entry(id).or_insert(what.clone()), &what, "an id is forever");
                    }
                    let names: HashSet<_> = tree.files.iter().map(|file| (file.dir, &file.name)).collect();
                    prop_assert_eq!(names.len(), tree.files.len());
                    let flat: HashSet<_> = tree.files.iter().map(crate::File::flat).collect();
                    prop_assert_eq!(flat.len(), tree.files.len());
                }
            }
            let all: BTreeSet<ContentId> = built.views[0].entries.iter().map(|entry| entry.release.id).collect();
            for view in &built.views[2..] {
                prop_assert!(view.entries.iter().all(|entry| all.contains(&entry.release.id)));
            }
            let seen = shape(&built);
            store.apply(built);
            for (name, _, changed, entries) in &seen {
                let members: BTreeSet<ContentId> = entries.iter().map(|(_, _, hash, _)| *hash).collect();
                prop_assert_eq!(&store.views[name], &(*changed, members));
            }
            if restart {
                builder = fresh(store.memory());
                let again = builder.build(&records, time + SignedDuration::from_secs(1));
                prop_assert_eq!(shape(&again), seen, "a restart changes nothing");
                prop_assert!(again.view_changes.is_empty() && again.retired.is_empty());
                prop_assert!(again.newly_shown.is_empty());
            }
        }
    }

    #[test]
    fn a_lost_store_gives_the_same_paths_and_ids_in_any_order(
        plans in plans(),
        keys in prop::collection::vec(any::<u32>(), 8),
    ) {
        let records = records(&plans);
        let mut shuffled: Vec<_> = records.iter().zip(keys).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let one = with_folders(MEDIA).build(&records, now());
        let other = with_folders(MEDIA).build(shuffled.into_iter().map(|(record, _)| record), now());
        prop_assert_eq!(shape(&one), shape(&other));
        // Who was added first of those who ask for a name has the plain one. The oldest torrent still held asks for a hash.
        let mut asking: BTreeMap<ContentId, (Timestamp, Option<&str>)> = BTreeMap::new();
        for record in &records {
            let (added, name) = asking.entry(record.content).or_insert((record.added, None));
            *added = (*added).min(record.added);
            if record.removed.is_none() {
                name.get_or_insert(&record.filename);
            }
        }
        let mut first: HashMap<&str, (Timestamp, ContentId)> = HashMap::new();
        for (hash, (added, name)) in &asking {
            let Some(name) = name else { continue };
            let least = first.entry(name).or_insert((*added, *hash));
            *least = (*least).min((*added, *hash));
        }
        for entry in one.views[..2].iter().flat_map(|view| view.entries.iter()) {
            let hash = entry.release.id;
            let is_first = first.values().any(|(_, first)| *first == hash);
            prop_assert_eq!(is_first, !entry.name.contains('['), "{}", &entry.name);
        }
    }
}
