//! Releases that the provider packed into one RAR.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_sim::{
    ApiFault, CdnFault, CdnFaultKind, Clip, FileSpec, LinkMode, PackFlaw, ReleaseSpec,
};
use rustix::io::Errno;

use crate::support::{Instance, Reader, Settings, Simulator, film, find, run, streams, until};

/// What may take as long as the provider's limits and a busy machine make it.
const PATIENCE: Duration = Duration::from_secs(120);

fn release(name: &str, links: LinkMode) -> ReleaseSpec {
    let files = vec![
        FileSpec::generated(format!("/{name}/{name}: Part 1.mkv"), 40 << 20),
        FileSpec::clip(format!("/{name}/Extras/Été.mkv"), Clip::Episode),
        FileSpec::clip(format!("/{name}/readme.srt"), Clip::Subtitles),
    ];
    let mut release = ReleaseSpec::new(name, files);
    release.links = links;
    // Links of what has just become ready are waited for.
    release.added = Some("2026-01-01T00:00:00Z".parse().expect("a time"));
    release
}

fn reason(path: &Path) -> String {
    let path = path.to_str().expect("text");
    run(
        "getfattr",
        &["--only-values", "-n", "user.debridfs.reason", path],
    )
}

/// Waits until a release can be read; its directory.
fn wait_shown(instance: &Instance, name: &str) -> PathBuf {
    let bad = instance.mount().join("__bad__").join(name);
    let shown = instance.mount().join("__all__").join(name);
    let text = shown.join(name).join("readme.srt");
    until("the packed release can be read", PATIENCE, || {
        !bad.exists() && fs::read(&text).is_ok_and(|bytes| bytes == Clip::Subtitles.bytes())
    });
    shown
}

#[test]
fn a_packed_release_shows_the_files_inside_and_is_looked_into_once() {
    let simulator = Simulator::start(vec![
        release("Packed.2024", LinkMode::Packed),
        film("Plain.2024", 1 << 20),
    ]);
    let mut instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let looked_into = || instance.log().contains("looked into its RAR");
    until("the archive was looked into", PATIENCE, looked_into);
    // A range for each header, none of them of a file's bytes alone.
    let headers = simulator.transfers();
    assert!(headers <= 4, "{headers}");
    let shown = wait_shown(&instance, "Packed.2024");
    let top = shown.join("Packed.2024");
    assert_eq!(
        find(&shown, "%y %P\n"),
        [
            "d ",
            "d Packed.2024",
            "d Packed.2024/Extras",
            "f Packed.2024/Extras/Été.mkv",
            "f Packed.2024/Packed.2024: Part 1.mkv",
            "f Packed.2024/readme.srt",
        ]
    );
    assert_eq!(simulator.unrestricted(), 1, "one link for the archive");

    let (_, key) = simulator.file("Packed.2024: Part 1.mkv");
    let large = top.join("Packed.2024: Part 1.mkv");
    for mode in ["buffered", "direct"] {
        let reader = Reader::start(mode, &large, key);
        reader.finish().assert_clean(mode);
    }
    let mut last = [0; 4096];
    let size = fs::metadata(&large).expect("stat").len();
    assert_eq!(size, 40 << 20);
    let file = fs::File::open(&large).expect("opened");
    file.read_exact_at(&mut last, size - 4096).expect("read");
    let mut expected = [0; 4096];
    debridfs_sim::content::fill(key, size - 4096, &mut expected);
    assert!(last == expected, "the end of the file");
    let clip = top.join("Extras/Été.mkv");
    assert!(fs::read(&clip).expect("read") == Clip::Episode.bytes());
    assert!(fs::read(top.join("readme.srt")).expect("read") == Clip::Subtitles.bytes());
    let streams = streams(clip.to_str().expect("text"));
    assert!(streams.contains("video"), "{streams}");
    assert_eq!(simulator.unrestricted(), 1, "reading takes the same link");

    let number = fs::metadata(&large).expect("stat").ino();
    instance.stop();
    let transfers = simulator.transfers();
    instance.launch();
    instance.wait_synced();
    assert_eq!(fs::metadata(&large).expect("stat").ino(), number);
    // It would have begun by then: another release is examined meanwhile.
    simulator.add(release("Later.2024", LinkMode::Packed));
    wait_shown(&instance, "Later.2024");
    assert_eq!(simulator.unrestricted(), 2, "the link of the later one");
    assert!(simulator.transfers() <= transfers + 5);
}

#[test]
fn what_cannot_be_read_in_place_stays_in_bad_with_the_reason() {
    let simulator = Simulator::start(vec![
        release("Compressed", LinkMode::PackedBadly(PackFlaw::Compressed)),
        release("Encrypted", LinkMode::PackedBadly(PackFlaw::Encrypted)),
        release("Lying", LinkMode::PackedBadly(PackFlaw::TooLarge)),
    ]);
    let mut instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let expected = [
        ("Compressed", "rar-compressed"),
        ("Encrypted", "rar-encrypted"),
        ("Lying", "rar-damaged"),
    ];
    let bad = instance.mount().join("__bad__");
    for (name, word) in expected {
        until(word, PATIENCE, || reason(&bad.join(name)) == word);
        // No guess at where the bytes may be.
        let file = bad.join(format!("{name}/{name}/readme.srt"));
        let error = fs::read(&file).expect_err("no bytes");
        assert_eq!(error.raw_os_error(), Some(5), "{}: {error}", file.display());
    }
    instance.stop();
    let before = (simulator.transfers(), simulator.unrestricted());
    instance.launch();
    instance.wait_synced();
    for (name, word) in expected {
        assert_eq!(reason(&bad.join(name)), word, "kept over a restart");
    }
    simulator.add(release("Later.2024", LinkMode::Packed));
    wait_shown(&instance, "Later.2024");
    assert!(simulator.transfers() <= before.0 + 5);
    assert_eq!(simulator.unrestricted(), before.1 + 1);
}

#[test]
fn while_the_archive_cannot_be_reached_the_release_waits_in_bad() {
    let simulator = Simulator::start(vec![release("Packed.2024", LinkMode::Packed)]);
    simulator.fault(CdnFault::everywhere(CdnFaultKind::StallAfter { bytes: 0 }));
    let instance = Instance::start(&simulator, Settings::default());
    instance.wait_synced();
    let bad = instance.mount().join("__bad__/Packed.2024");
    until("it waits", PATIENCE, || bad.exists());
    until("its archive was asked for", PATIENCE, || {
        simulator.transfers() > 0
    });
    assert_eq!(reason(&bad), "packed-rar");
    simulator.clear_faults();
    wait_shown(&instance, "Packed.2024");
}

#[test]
fn a_file_with_a_link_is_read_at_the_first_look_while_another_has_none() {
    let simulator = Simulator::start(vec![release("Gap.2024", LinkMode::Missing(1))]);
    // Until then it is not known which file has none.
    simulator.api_fault(ApiFault {
        endpoint: Some("unrestrict/link".to_owned()),
        delay_ms: 1500,
        ..ApiFault::default()
    });
    let instance = Instance::start(&simulator, Settings::default());
    let shown = instance.mount().join("__all__/Gap.2024/Gap.2024");
    let clip = shown.join("Extras/Été.mkv");
    assert_eq!(fs::read(clip).expect("read"), Clip::Episode.bytes());
    let error = fs::read(shown.join("readme.srt")).expect_err("no link");
    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
}
