//! Whatever a client sends, it gets an answer.

use std::panic::AssertUnwindSafe;

use axum::body::Body;
use debridfs_sim::{LibrarySpec, RangeRequest, parse_range};
use http::Request;
use tower::ServiceExt;

use crate::support::sim;
use crate::torbox::torbox;

#[test]
fn any_range_header_gives_a_part_of_the_file() {
    bolero::check!()
        .with_type::<(String, u64)>()
        .cloned()
        .for_each(|(text, size)| {
            for header in [text.clone(), format!("bytes={text}")] {
                if let RangeRequest::Part(range) = parse_range(Some(&header), size) {
                    assert!(
                        range.start < range.end && range.end <= size,
                        "{header:?} of {size}"
                    );
                }
            }
        });
}

const PATHS: [(&str, &str); 10] = [
    ("GET", "/rest/1.0/torrents?"),
    ("GET", "/rest/1.0/torrents/info/"),
    ("POST", "/rest/1.0/torrents/addMagnet?"),
    ("PUT", "/rest/1.0/torrents/addTorrent?"),
    ("POST", "/rest/1.0/torrents/selectFiles/"),
    ("POST", "/rest/1.0/unrestrict/link?"),
    ("POST", "/rest/1.0/unrestrict/check?"),
    ("GET", "/rest/1.0/traffic/details?"),
    ("GET", "/d/"),
    ("GET", "/"),
];

const OF_TORBOX: [(&str, &str); 9] = [
    ("GET", "/v1/api/torrents/mylist?"),
    ("POST", "/v1/api/torrents/createtorrent?"),
    ("POST", "/v1/api/torrents/controltorrent?"),
    ("GET", "/v1/api/torrents/requestdl?"),
    ("GET", "/v1/api/torrents/checkcached?"),
    ("POST", "/v1/api/torrents/torrentinfo?"),
    ("POST", "/v1/api/usenet/createusenetdownload?"),
    ("POST", "/v1/api/queued/controlqueued?"),
    ("GET", "/dld/"),
];

/// The first byte chooses vendor and path; what follows up to a line feed is the rest of the URL, then comes the body.
#[test]
fn any_call_is_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // A call that panics ends the test: nobody uses the simulators after it.
    let sims = AssertUnwindSafe([sim, torbox].map(|of| {
        let sim = of(&LibrarySpec::demo());
        sim.configure(|settings| {
            settings.calls_per_minute = 0;
            settings.torbox.creates_per_minute = 0;
            settings.torbox.creates_per_hour = 0;
            settings.torbox.links_per_5_minutes = 0;
        });
        sim
    }));
    let token = format!("Bearer {}", sims[0].token());
    bolero::check!().for_each(|input: &[u8]| {
        let (choice, rest) = input.split_first().unwrap_or((&0, &[]));
        let choice = usize::from(*choice);
        let (sim, (method, path)) = match choice < 128 {
            true => (&sims[0], PATHS[choice % PATHS.len()]),
            false => (&sims[1], OF_TORBOX[choice % OF_TORBOX.len()]),
        };
        let mut parts = rest.splitn(2, |byte| *byte == b'\n');
        let tail = String::from_utf8_lossy(parts.next().unwrap_or(&[])).into_owned();
        let body = parts.next().unwrap_or(&[]).to_vec();
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}{tail}"))
            .header("authorization", &token)
            .header("content-type", "multipart/form-data; boundary=x")
            .body(Body::from(body));
        // What is no URL cannot be sent.
        let Ok(request) = request else { return };
        let response = runtime.block_on(sim.router().oneshot(request)).unwrap();
        let status = response.status().as_u16();
        // TorBox says so of an unknown id.
        assert!(status != 500 || choice >= 128, "{path}{tail}");
    });
}
