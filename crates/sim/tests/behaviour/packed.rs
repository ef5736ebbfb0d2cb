//! What the simulator packs, another program unpacks (`bsdtar` of Debian's libarchive-tools).

use std::fs;
use std::path::Path;
use std::process::Command;

use debridfs_sim::{Clip, FileSpec, LibrarySpec, LinkMode, PackFlaw, ReleaseSpec};

use crate::support::{call, form, sim, torrents};

fn bsdtar(arguments: &[&str], dir: &Path) -> (bool, String) {
    let output = Command::new("bsdtar")
        .args(arguments)
        .current_dir(dir)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("bsdtar runs: scripts/setup.sh test");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Writes the archive of a release of two clips and a generated file.
async fn archive(links: LinkMode, dir: &Path) {
    let mut release = ReleaseSpec::new(
        "Packed",
        vec![
            FileSpec::clip("/Film/Extras/Été: 1.mkv", Clip::Episode),
            FileSpec::clip("/Film/readme.srt", Clip::Subtitles),
            FileSpec::generated("/Film/北.mkv", 100_000),
        ],
    );
    release.links = links;
    let sim = sim(&LibrarySpec {
        seed: 1,
        releases: vec![release],
    });
    let link = torrents(&sim).remove(0).links.remove(0);
    let told = call(&sim, "POST", "unrestrict/link", &form("link", &link)).await;
    let size = told.json()["filesize"].as_u64().unwrap();
    let bytes = sim.expected(0, &link, 0, size as usize).unwrap();
    fs::write(dir.join("packed.rar"), bytes).unwrap();
}

#[tokio::test]
async fn another_program_finds_the_files_and_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    archive(LinkMode::Packed, dir.path()).await;
    let (listed, text) = bsdtar(&["-tf", "packed.rar"], dir.path());
    assert!(listed, "{text}");
    let mut names: Vec<_> = text.lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["Film/Extras/Été_ 1.mkv", "Film/readme.srt", "Film/北.mkv"]
    );
    // Generated content has no check-sum in the archive, which bsdtar would complain about.
    let clips = ["Film/Extras/Été_ 1.mkv", "Film/readme.srt"];
    let (unpacked, text) = bsdtar(&["-xf", "packed.rar", clips[0], clips[1]], dir.path());
    assert!(unpacked, "{text}");
    assert!(fs::read(dir.path().join(clips[0])).unwrap() == Clip::Episode.bytes());
    assert!(fs::read(dir.path().join(clips[1])).unwrap() == Clip::Subtitles.bytes());
}

#[tokio::test]
async fn another_program_cannot_read_the_flawed_ones() {
    // It does not look at the flag of encrypted files, and takes their bytes as they are.
    for flaw in [PackFlaw::Compressed, PackFlaw::TooLarge] {
        let dir = tempfile::tempdir().unwrap();
        archive(LinkMode::PackedBadly(flaw), dir.path()).await;
        let (unpacked, text) = bsdtar(&["-xf", "packed.rar"], dir.path());
        assert!(!unpacked, "{flaw:?}: {text}");
    }
}
