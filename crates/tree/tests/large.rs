//! A library of 100 000 files: how long a build takes and how much memory a file costs. Times are printed and not judged: `make bench` measures them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use debridfs_base::NodeId;
use debridfs_catalogue::{
    Copy, CopyDetail, FolderConfig, FolderNaming, Layout, Library, Memory, ViewBuilder, ViewRules,
};
use debridfs_content::{Content, ContentConfig};
use debridfs_provider::{HosterLink, InfoHash, NoLinks, TorrentFile, TorrentId, TorrentStatus};
use debridfs_tree::{Tree, TreeConfig};
use debridfs_vfs::{Answer, Change, Kind, Vfs};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::watch;

const RELEASES: u32 = 10_000;
const FILES: u32 = 10;

fn record(n: u32) -> Arc<Copy> {
    let mut hash = [0x5a; 20];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    let name = format!("Show.{n:05}.With.A.Usual.Name.S01.1080p.WEB.H264-GROUP");
    let file = |i: u32| TorrentFile {
        id: i + 1,
        path: format!(
            "/Season 1/Show.{n:05}.With.A.Usual.Name.S01E{i:02}.1080p.WEB.H264-GROUP.mkv"
        ),
        bytes: 1 << 30,
        selected: true,
    };
    let added = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + i64::from(n));
    Arc::new(Copy {
        provider: "realdebrid".into(),
        id: TorrentId(format!("{n:013}")),
        content: InfoHash(hash).into(),
        filename: name.clone(),
        bytes: u64::from(FILES) << 30,
        status: TorrentStatus::Downloaded,
        added,
        ended: Some(added),
        links: (0..FILES)
            .map(|i| HosterLink(format!("https://real-debrid.com/d/{n:08}{i:05}")))
            .collect(),
        detail: Some(CopyDetail {
            original_filename: name,
            files: (0..FILES).map(file).collect(),
        }),
        archive: None,
        removed: None,
    })
}

/// Resident bytes of this process.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn now<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Now(result) => result.unwrap(),
        Answer::Later(_) => panic!("has to wait"),
    }
}

#[tokio::test]
async fn a_hundred_thousand_files() {
    let time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000);
    let filters = "[series]\nfilters.has_episodes = true\n[other]\nfilters.regex = '720p'";
    let folders: BTreeMap<String, FolderConfig> = toml::from_str(filters).unwrap();
    let rules =
        ViewRules::new(FolderNaming::default(), vec!["realdebrid".into()], &folders).unwrap();
    let mut builder = ViewBuilder::new(rules, Memory::default());
    let mut records: Vec<_> = (0..RELEASES).map(record).collect();
    let files = (RELEASES * FILES) as usize;

    let links = Arc::new(NoLinks);
    let content = Content::new(
        ContentConfig::default(),
        Vec::new(),
        links,
        Handle::current(),
    );
    let empty = resident();
    let since = Instant::now();
    let library = |views, generation| Arc::new(Library::new(generation, true, views));
    let first = library(builder.build(&records, time).views, 1);
    println!("first build of views: {:?}", since.elapsed());
    let catalogue = resident();
    let since = Instant::now();
    let (sender, receiver) = watch::channel(first);
    let config = TreeConfig {
        uid: 0,
        gid: 0,
        umask: 0,
        layout: Layout::Tree,
        version: String::new(),
        orders: Default::default(),
        strm: Default::default(),
    };
    let tree = Tree::new(config, receiver, content, |_| {
        panic!("walking asks for nothing")
    });
    println!("first snapshot: {:?}", since.elapsed());
    let shown = resident();
    let per_file = |bytes: usize| bytes as f64 / files as f64;
    println!(
        "bytes per file with three views of each: {:.0} for the library, {:.0} for the snapshot",
        per_file(catalogue - empty),
        per_file(shown - catalogue),
    );
    assert!(per_file(shown - empty) < 800.0, "memory is bounded");

    let since = Instant::now();
    let mut open = vec![NodeId::ROOT];
    let (mut dirs, mut leaves) = (0, 0);
    while let Some(id) = open.pop() {
        dirs += 1;
        let mut cookie = 0;
        loop {
            let lines = now(tree.read_dir(id, cookie, 64));
            let Some(last) = lines.last() else { break };
            cookie = last.cookie;
            for line in lines.iter().filter(|line| !line.name.starts_with('.')) {
                match line.attr.kind {
                    Kind::Directory => open.push(line.attr.id),
                    Kind::File => leaves += 1,
                }
            }
        }
    }
    println!(
        "walk of {dirs} directories and {leaves} files: {:?}",
        since.elapsed()
    );
    assert_eq!(leaves, 3 * files + 1);

    let mut changes = tree.changes();
    let mut newer = (*records[4]).clone();
    newer.links[0].0.push('x');
    newer.added -= SignedDuration::from_secs(1);
    records[4] = Arc::new(newer);
    records.push(record(RELEASES));
    let since = Instant::now();
    let second = library(builder.build(&records, time).views, 2);
    println!("build of views after a change: {:?}", since.elapsed());
    let since = Instant::now();
    sender.send_replace(second);
    let told = changes.recv().await.unwrap();
    println!("snapshot and changes: {:?}", since.elapsed());
    assert!(told.iter().all(|change| matches!(change, Change::Node(_))));
    // Three views, two directories of the changed release in each, its files.
    assert_eq!(told.len(), 3 + 3 * 2 + FILES as usize);
}
