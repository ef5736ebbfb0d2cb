//! Libraries: the demo, generated ones, hostile names, files.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use debridfs_sim::{
    FileSpec, Generated, LibraryError, LibrarySpec, LinkMode, Outcome, ReleaseSpec, Sim, Status,
};

use crate::support::{get, sim, torrents};

#[tokio::test]
async fn the_demo_shows_every_shape() {
    let sim = sim(&LibrarySpec::demo());
    let all = torrents(&sim);
    assert_eq!(all.len(), 14);
    let files = || all.iter().flat_map(|torrent| &torrent.files);
    assert!(files().any(|file| file.clip.is_some() && file.link.is_some()));
    assert!(files().any(|file| file.path.matches('/').count() > 1));
    assert!(files().any(|file| file.bytes > 70_000_000_000));
    let selected =
        |t: &debridfs_sim::TorrentView| t.files.iter().filter(|file| file.selected).count();
    assert!(
        all.iter().any(|t| t.links.len() == 1 && selected(t) > 1),
        "packed"
    );
    assert!(
        all.iter()
            .any(|t| t.links.len() > 1 && t.links.len() < selected(t)),
        "missing links"
    );
    let hashes: HashSet<_> = all.iter().map(|t| &t.hash).collect();
    assert_eq!(hashes.len(), 13, "one hash twice");
    assert!(
        all.iter()
            .any(|t| t.status == Status::WaitingFilesSelection)
    );
    // The same description is the same account.
    assert_eq!(torrents(&crate::support::sim(&LibrarySpec::demo())), all);
}

#[tokio::test]
async fn generated_libraries_are_made_of_their_seed() {
    let options = Generated {
        releases: 20,
        files_per_release: 40,
        seed: 5,
    };
    let library = LibrarySpec::generated(&options);
    assert_eq!(library, LibrarySpec::generated(&options));
    assert_ne!(
        library,
        LibrarySpec::generated(&Generated { seed: 6, ..options })
    );
    let sim = sim(&library);
    let all = torrents(&sim);
    assert_eq!(all.iter().map(|t| t.files.len()).sum::<usize>(), 800);
    let keys: HashSet<_> = all
        .iter()
        .flat_map(|t| &t.files)
        .map(|file| file.key)
        .collect();
    assert_eq!(keys.len(), 800);
    let ids: HashSet<_> = all.iter().map(|t| &t.id).collect();
    let links: HashSet<_> = all.iter().flat_map(|t| &t.links).collect();
    assert_eq!((ids.len(), links.len()), (20, 800));
}

#[tokio::test]
async fn a_hundred_thousand_files_are_there_at_once() {
    let start = Instant::now();
    let options = Generated {
        releases: 100_000,
        ..Generated::default()
    };
    let sim = sim(&LibrarySpec::generated(&options));
    let answer = get(&sim, "torrents?limit=5000&offset=90000").await;
    assert_eq!(answer.json().as_array().unwrap().len(), 5000);
    // Generous: this machine may be busy and this build is not optimised.
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn hostile_names_go_through_as_they_are() {
    let library = LibrarySpec::hostile();
    let sim = sim(&library);
    let mut names: Vec<String> = library
        .releases
        .iter()
        .map(|release| release.name.clone())
        .collect();
    names.reverse();
    let list = get(&sim, "torrents").await.json();
    let told: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["filename"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, names);
    for special in ["", ".", "..", "a/b", "nul\0inside", "version.txt"] {
        assert!(told.iter().any(|name| name == special), "{special:?}");
    }
    assert!(told.iter().any(|name| name.len() > 255));
    for torrent in torrents(&sim) {
        assert_eq!(
            get(&sim, &format!("torrents/info/{}", torrent.id))
                .await
                .status,
            200
        );
        for link in &torrent.links {
            let url = crate::support::unrestrict(&sim, link).await;
            assert_eq!(
                crate::support::fetch(&sim, "HEAD", &url, None).await.status,
                200,
                "{url}"
            );
            sim.configure(|settings| settings.calls_per_minute = 0);
        }
    }
}

const DOCUMENTED: &str = r#"
seed = 7

[[releases]]
name = "Aurora.Station.2024.2160p"
original_name = "Aurora Station"
hash = "0123456789abcdef0123456789abcdef01234567"
id = "ABCDEFGHIJKLM"
added = "2026-01-02T03:04:05Z"
status = "downloaded"
links = { missing = 1 }
copies = 1
cached = true
outcome = "dead"
files = [
    { path = "/Aurora.Station.2024.mkv", bytes = 80000000000 },
    { path = "/Subs/English.srt", clip = "subtitles" },
    { path = "/Proof/proof.jpg", bytes = 1000, selected = false },
]

[[releases]]
name = "Packed"
links = "packed"
files = [{ path = "/a", bytes = 1 }]
"#;

#[tokio::test]
async fn files_are_read_as_documented() {
    let library = LibrarySpec::from_toml(DOCUMENTED).unwrap();
    assert_eq!(library.releases[0].links, LinkMode::Missing(1));
    assert_eq!(library.releases[0].outcome, Outcome::Dead);
    assert_eq!(library.releases[1].links, LinkMode::Packed);
    let dir = tempfile::tempdir().unwrap();
    let toml = dir.path().join("library.toml");
    std::fs::write(&toml, DOCUMENTED).unwrap();
    assert_eq!(LibrarySpec::named(toml.to_str().unwrap()).unwrap(), library);
    let json = dir.path().join("library.json");
    std::fs::write(&json, serde_json::to_string(&library).unwrap()).unwrap();
    assert_eq!(LibrarySpec::named(json.to_str().unwrap()).unwrap(), library);
    let sim = sim(&library);
    let info = get(&sim, "torrents/info/ABCDEFGHIJKLM").await.json();
    assert_eq!(info["added"], "2026-01-02T03:04:05.000Z");
    assert_eq!(info["hash"], "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(info["links"].as_array().unwrap().len(), 1);
    assert_eq!(LibrarySpec::named("12").unwrap().releases.len(), 12);
    assert_eq!(LibrarySpec::named("demo").unwrap(), LibrarySpec::demo());
}

#[test]
fn descriptions_that_contradict_themselves_are_refused() {
    assert!(matches!(
        LibrarySpec::named("/nowhere/at.all"),
        Err(LibraryError::Read(..))
    ));
    assert!(matches!(
        LibrarySpec::from_toml("sead = 1"),
        Err(LibraryError::Parse(_))
    ));
    let refused = |change: fn(&mut ReleaseSpec)| {
        let mut release = ReleaseSpec::new("R", vec![FileSpec::generated("/a", 1)]);
        change(&mut release);
        let library = LibrarySpec {
            seed: 0,
            releases: vec![release.clone(), release],
        };
        matches!(Sim::new(&library), Err(LibraryError::Release { .. }))
    };
    assert!(!refused(|_| ()));
    assert!(refused(|release| release.hash = Some("0123".into())));
    assert!(refused(|release| release.id = Some("short".into())));
    assert!(
        refused(|release| release.id = Some("ABCDEFGHIJKLM".into())),
        "taken twice"
    );
    assert!(refused(
        |release| (release.id, release.copies) = (Some("ABCDEFGHIJKLM".into()), 2)
    ));
    assert!(refused(|release| release.files[0].bytes = None));
    assert!(refused(
        |release| release.files[0].local = Some("/dev/null".into())
    ));
}

/// What docs/simulator.md shows is taken, and has all keys that its table explains.
#[test]
fn the_library_in_the_documents_is_one() {
    let text = include_str!("../../../../docs/simulator.md");
    let (_, rest) = text.split_once("```json\n").unwrap();
    let (json, rest) = rest.split_once("```").unwrap();
    let library: LibrarySpec = serde_json::from_str(json).unwrap();
    Sim::new(&library).unwrap();
    let release = serde_json::to_value(&library.releases[0]).unwrap();
    let (table, _) = rest.split_once("## Calls").unwrap();
    for key in release.as_object().unwrap().keys() {
        assert!(table.contains(&format!("`{key}`")), "{key}");
    }
}
