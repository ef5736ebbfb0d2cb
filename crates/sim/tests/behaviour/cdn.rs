//! The CDN when all is well.

use std::time::Duration;

use axum::body::Body;
use debridfs_sim::{Clip, FileSpec, LibrarySpec, ReleaseSpec, content};
use http::Request;

use crate::support::{direct, fetch, one_film, send, sim, torrents, unrestrict};

const SIZE: u64 = 80_000_000_000;

fn bytes(sim: &debridfs_sim::Sim, offset: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    content::fill(torrents(sim)[0].files[0].key.unwrap(), offset, &mut out);
    out
}

#[tokio::test]
async fn ranges_of_a_file_that_no_disk_holds() {
    let sim = sim(&one_film(SIZE));
    let url = direct(&sim).await;
    for (range, start, length) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 5),
        ("bytes=40000000001-40001000000", 40_000_000_001, 1_000_000),
        ("bytes=79999999990-", SIZE - 10, 10),
        ("bytes=-7", SIZE - 7, 7),
        ("bytes=79999999999-99999999999", SIZE - 1, 1),
    ] {
        let answer = fetch(&sim, "GET", &url, Some(range)).await;
        assert_eq!(answer.status, 206, "{range}");
        let end = start + length - 1;
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {start}-{end}/{SIZE}")
        );
        assert_eq!(answer.header("content-length"), length.to_string());
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("content-type"), "video/x-matroska");
        assert_eq!(
            answer.body.unwrap(),
            bytes(&sim, start, length as usize),
            "{range}"
        );
    }
}

#[tokio::test]
async fn head_tells_size_and_nothing_else() {
    let sim = sim(&one_film(SIZE));
    let url = direct(&sim).await;
    let head = fetch(&sim, "HEAD", &url, None).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "80000000000")
    );
    assert!(head.body.unwrap().is_empty());
    assert!(head.headers.contains_key("etag"));
    let counters = sim.counters();
    assert_eq!(
        (counters.cdn.heads, counters.cdn.gets, counters.cdn.bytes),
        (1, 0, 0)
    );
    assert_eq!(counters.cdn.transfers.total, 0);
    assert_eq!(fetch(&sim, "POST", &url, None).await.status, 405);
}

#[tokio::test]
async fn ranges_outside_the_file_are_not_satisfiable() {
    let sim = sim(&one_film(100));
    let url = direct(&sim).await;
    for range in ["bytes=100-", "bytes=200-300", "bytes=-0"] {
        let answer = fetch(&sim, "GET", &url, Some(range)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-range")),
            (416, "bytes */100")
        );
    }
    for ignored in ["bytes=5-4", "lines=1-2", "bytes=1-2,5-6"] {
        let answer = fetch(&sim, "GET", &url, Some(ignored)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.unwrap().len()),
            (200, 100)
        );
    }
}

#[tokio::test]
async fn a_changed_file_is_not_continued() {
    let sim = sim(&one_film(100));
    let url = direct(&sim).await;
    let etag = fetch(&sim, "HEAD", &url, None)
        .await
        .header("etag")
        .to_owned();
    for (tag, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let path = &url[url.find("/d/").unwrap()..];
        let request = Request::get(path)
            .header("range", "bytes=1-2")
            .header("if-range", tag);
        assert_eq!(
            send(&sim, request.body(Body::empty()).unwrap())
                .await
                .status
                .as_u16(),
            status
        );
    }
}

#[tokio::test]
async fn unknown_links_and_any_name_behind_a_known_one() {
    let sim = sim(&one_film(100));
    let url = direct(&sim).await;
    let base = url.rsplit_once('/').unwrap().0;
    assert_eq!(
        fetch(&sim, "GET", &format!("{base}/other.name"), None)
            .await
            .status,
        200
    );
    assert_eq!(fetch(&sim, "GET", base, None).await.status, 200);
    for unknown in ["/d/AAAAAAAAAAAAA/x.mkv", "/d/short", "/d/"] {
        let answer = fetch(&sim, "GET", unknown, None).await;
        assert_eq!(answer.status, 404, "{unknown}");
    }
    assert_eq!(
        fetch(&sim, "GET", "/d/AAAAAAAAAAAAA/x.mkv", None)
            .await
            .header("x-error"),
        "link_not_found"
    );
}

#[tokio::test]
async fn clips_and_empty_files() {
    let mut files: Vec<_> = Clip::ALL
        .iter()
        .map(|clip| FileSpec::clip(format!("/{clip:?}.{}", clip.extension()), *clip))
        .collect();
    files.push(FileSpec::generated("/empty.mkv", 0));
    let sim = sim(&LibrarySpec {
        seed: 1,
        releases: vec![ReleaseSpec::new("Clips", files)],
    });
    let links = torrents(&sim)[0].links.clone();
    for (clip, link) in Clip::ALL.iter().zip(&links) {
        let url = unrestrict(&sim, link).await;
        assert_eq!(
            fetch(&sim, "GET", &url, None).await.body.unwrap(),
            clip.bytes()
        );
        let part = fetch(&sim, "GET", &url, Some("bytes=10-19")).await;
        assert_eq!(part.body.unwrap(), clip.bytes()[10..20]);
    }
    let empty = unrestrict(&sim, &links[4]).await;
    assert_eq!(
        fetch(&sim, "GET", &empty, None).await.body.unwrap().len(),
        0
    );
    assert!(
        Clip::ALL
            .iter()
            .map(|clip| clip.bytes().len())
            .sum::<usize>()
            < 600_000
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_take_the_time_that_is_set() {
    let sim = sim(&one_film(10_000_000));
    let url = direct(&sim).await;
    let time = async |range: &str| {
        let start = tokio::time::Instant::now();
        assert_eq!(fetch(&sim, "GET", &url, Some(range)).await.status, 206);
        start.elapsed()
    };
    sim.configure(|settings| settings.first_byte_ms = 150);
    assert_eq!(time("bytes=0-99999").await, Duration::from_millis(150));
    sim.configure(|settings| (settings.first_byte_ms, settings.connection_rate) = (0, 1_000_000));
    let near = |took: Duration, ms: u64| {
        // The timer has milliseconds, and each block rounds up to one.
        let wanted = Duration::from_millis(ms);
        assert!(
            took >= wanted && took < wanted + Duration::from_millis(100),
            "{took:?}, not {ms} ms"
        );
    };
    near(time("bytes=0-1999999").await, 2000);
    sim.configure(|settings| (settings.connection_rate, settings.total_rate) = (0, 1_000_000));
    let start = tokio::time::Instant::now();
    tokio::join!(
        time("bytes=0-999999"),
        time("bytes=0-999999"),
        time("bytes=0-999999")
    );
    near(start.elapsed(), 3000);
    sim.configure(|settings| settings.total_rate = 0);
    assert_eq!(time("bytes=0-999999").await, Duration::ZERO);
}

#[tokio::test]
async fn bytes_and_transfers_are_counted_exactly() {
    let sim = sim(&one_film(SIZE));
    let url = direct(&sim).await;
    let link = torrents(&sim)[0].links[0][26..].to_owned();
    for range in ["bytes=0-999", "bytes=1000000-1999999", "bytes=-1"] {
        fetch(&sim, "GET", &url, Some(range)).await;
    }
    fetch(&sim, "HEAD", &url, None).await;
    fetch(&sim, "GET", "/d/AAAAAAAAAAAAA/x", None).await;
    let counters = sim.counters();
    assert_eq!(
        (counters.cdn.gets, counters.cdn.heads, counters.cdn.bytes),
        (4, 1, 1_001_001)
    );
    assert_eq!(
        (
            counters.cdn.outcomes["206"],
            counters.cdn.outcomes["200"],
            counters.cdn.outcomes["404"]
        ),
        (3, 1, 1)
    );
    let of_link = counters.links[&link];
    assert_eq!(
        (
            of_link.gets,
            of_link.heads,
            of_link.bytes,
            of_link.unrestricts
        ),
        (3, 1, 1_001_001, 1)
    );
    assert_eq!(
        (
            of_link.transfers.open,
            of_link.transfers.total,
            of_link.transfers.peak
        ),
        (0, 3, 1)
    );
    sim.reset_counters();
    let counters = sim.counters();
    assert_eq!(
        (counters.calls, counters.cdn.bytes, counters.links.len()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_file_of_this_machine_is_served_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("holiday.mkv");
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = FileSpec {
        local: Some(path.clone()),
        bytes: None,
        ..FileSpec::generated("/Holiday.mkv", 0)
    };
    let library = LibrarySpec {
        seed: 1,
        releases: vec![ReleaseSpec::new("Holiday", vec![file])],
    };
    let sim = sim(&library);
    assert_eq!(torrents(&sim)[0].files[0].bytes, 300_000);
    let url = direct(&sim).await;
    let part = fetch(&sim, "GET", &url, Some("bytes=1000-250999")).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.body.unwrap(), bytes[1000..251_000]);
    std::fs::remove_file(&path).unwrap();
    assert!(debridfs_sim::Sim::new(&library).is_err());
}
