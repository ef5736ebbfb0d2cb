//! Reads of real programs, recorded through a real mount (see `traces/README.md`), given to the classifier and to the reader again.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use debridfs_content::{Pattern, ReaderClass, TraceLine, parse_trace};
use support::{Bench, LONG, MIB, patient};

use ReaderClass::{Copy, Playback, Probe, Scan};

/// Which trace, what its readers may be taken for, and what they are taken for in the end.
const EXPECTED: [(&str, &[ReaderClass], ReaderClass); 26] = [
    ("cat-film.mkv", &[Probe, Playback, Copy], Copy),
    ("ffmpeg-decode-film.mkv", &[Probe, Playback, Copy], Copy),
    ("ffmpeg-decode-film.ts", &[Probe, Playback, Copy], Copy),
    ("ffmpeg-key-frames-film.mkv", &[Probe, Playback, Copy], Copy),
    ("ffmpeg-sheet-film.mkv", &[Probe], Probe),
    ("ffmpeg-shot-faststart.mp4", &[Probe], Probe),
    ("ffmpeg-shot-film.avi", &[Probe], Probe),
    ("ffmpeg-shot-film.mkv", &[Probe], Probe),
    ("ffmpeg-shot-film.ts", &[Probe], Probe),
    ("ffmpeg-shot-index-at-end.mp4", &[Probe], Probe),
    ("ffprobe-faststart.mp4", &[Probe], Probe),
    ("ffprobe-film.avi", &[Probe], Probe),
    ("ffprobe-film.mkv", &[Probe], Probe),
    ("ffprobe-film.ts", &[Probe], Probe),
    ("ffprobe-index-at-end.mp4", &[Probe], Probe),
    ("ffprobe-intervals-film.mkv", &[Probe, Scan], Scan),
    ("ffprobe-intervals-index-at-end.mp4", &[Probe, Scan], Scan),
    ("file-film.mkv", &[Probe], Probe),
    ("mediainfo-faststart.mp4", &[Probe], Probe),
    ("mediainfo-film.avi", &[Probe], Probe),
    ("mediainfo-film.mkv", &[Probe], Probe),
    // It reads two thirds of the file in sequence, which nobody can tell from a copy.
    ("mediainfo-film.ts", &[Probe, Playback, Copy], Playback),
    ("mediainfo-index-at-end.mp4", &[Probe], Probe),
    // A player that takes in the whole file at once.
    ("mpv-play-film.mkv", &[Probe, Playback, Copy], Copy),
    ("mpv-play-film.ts", &[Probe, Playback, Copy], Copy),
    (
        "mpv-play-slowly-film.mkv",
        &[Probe, Playback, Copy],
        Playback,
    ),
];

/// One read of a trace.
struct Read {
    at: Duration,
    handle: u64,
    offset: u64,
    len: u64,
}

/// The size of the only file of a trace, and its reads.
fn reads(name: &str) -> (u64, Vec<Read>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let text = std::fs::read_to_string(dir.join(format!("{name}.jsonl"))).unwrap();
    let mut found = (0, Vec::new());
    for line in parse_trace(&text).unwrap() {
        match line {
            TraceLine::Trace { .. } => {}
            TraceLine::File { size, file: 1 } => found.0 = size,
            TraceLine::Read {
                t,
                file: 1,
                handle,
                offset,
                len,
                ..
            } => found.1.push(Read {
                at: Duration::from_millis(t),
                handle: handle.into(),
                offset,
                len,
            }),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(!found.1.is_empty(), "{name}");
    found
}

#[test]
fn every_trace_is_expected() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let there: BTreeSet<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned()))
        .collect();
    let expected = EXPECTED.map(|(name, ..)| name.to_owned());
    assert_eq!(there, expected.into());
}

#[test]
fn real_programs_are_taken_for_what_they_do() {
    for (name, allowed, last) in EXPECTED {
        let (size, reads) = reads(name);
        let mut patterns = BTreeMap::new();
        let mut told = Vec::new();
        for read in reads {
            let pattern = patterns
                .entry(read.handle)
                .or_insert_with(|| Pattern::new(size));
            told.push(pattern.note(read.at, &(read.offset..read.offset + read.len)));
        }
        let wrong = told.iter().find(|class| !allowed.contains(class));
        assert_eq!(wrong, None, "{name}: {told:?}");
        assert_eq!(told.last(), Some(&last), "{name}: {told:?}");
    }
}

/// What was read by those who look and scan is fetched once, and little more: never the rest of the file.
#[tokio::test(flavor = "multi_thread")]
async fn looks_and_scans_fetch_little_more_than_they_read() {
    let looks = EXPECTED
        .into_iter()
        .filter(|(_, allowed, _)| !allowed.contains(&Playback));
    for (name, allowed, _) in looks {
        let (size, reads) = reads(name);
        let bench = Bench::with(patient(), [(1, size)], |provider| provider).await;
        let mut read_by = BTreeMap::new();
        for read in reads {
            let len = read.len.try_into().unwrap();
            bench
                .read(1, read.handle, read.offset, len, LONG)
                .await
                .unwrap();
            *read_by.entry(read.handle).or_insert(0) += read.len;
        }
        let sent = bench.cdn.sent();
        // Each handle's first fetch may be for nothing; a look that goes on for long may end anywhere, and on a busy machine it has several
        // connections by then.
        let first = read_by.len() as u64 * (MIB + MIB / 8);
        let read: u64 = read_by.values().sum();
        let most = match allowed.contains(&Scan) {
            true => read + read / 4 + first,
            false => 2 * read + first,
        };
        assert!(sent <= most, "{name}: {sent} for {read}");
    }
}
