//! What views show, case by case, and against a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use debridfs_provider::TorrentStatus;

use super::{ALL, BAD, Built, Memory, ViewBuilder, ViewRules};
use crate::testing::{at, known, now, record};
use crate::{BadReason, Contents, FolderNaming, TorrentRecord};

fn builder() -> ViewBuilder {
    let rules =
        ViewRules::new(FolderNaming::default(), vec!["rd".into()], &BTreeMap::new()).unwrap();
    ViewBuilder::new(rules, Memory::default())
}

fn names<'a>(built: &'a Built, view: &str) -> Vec<&'a str> {
    let view = built.views.iter().find(|shown| shown.name == view).unwrap();
    view.entries
        .iter()
        .map(|entry| entry.name.as_str())
        .collect()
}

fn arcs(records: impl IntoIterator<Item = TorrentRecord>) -> Vec<Arc<TorrentRecord>> {
    records.into_iter().map(Arc::new).collect()
}

#[test]
fn a_ready_release_shows_at_once_and_its_files_later() {
    let mut builder = builder();
    let built = builder.build(&arcs([record(1, "Film.mkv")]), now());
    assert_eq!(names(&built, ALL), ["Film"]);
    assert_eq!(names(&built, "rd"), ["Film"]);
    assert!(names(&built, BAD).is_empty());
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
fn a_release_that_fails_before_it_was_good_shows_as_bad_only() {
    let mut failed = record(1, "Film.mkv");
    failed.status = TorrentStatus::Dead;
    let built = builder().build(&arcs([failed]), now());
    assert!(names(&built, ALL).is_empty());
    assert_eq!(names(&built, BAD), ["Film"]);
    assert_eq!(
        built.views[1].entries[0].release.bad,
        Some(BadReason::Failed)
    );
}
