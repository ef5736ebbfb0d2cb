//! Wrong answers of the API, and outages.

use std::time::Duration;

use debridfs_sim::{ApiFault, Generated, LibrarySpec, Outage, OutageMode, Page};

use crate::support::{call, form, get, one_film, sim, torrents};

fn on(endpoint: &str) -> ApiFault {
    ApiFault {
        endpoint: Some(endpoint.into()),
        ..ApiFault::default()
    }
}

#[tokio::test]
async fn a_forced_answer_applies_so_many_times_to_its_endpoint() {
    let sim = sim(&one_film(10));
    let headers = [("retry-after".to_owned(), "7".to_owned())].into();
    let id = sim.fail_api(ApiFault {
        times: Some(2),
        skip: 1,
        status: Some(429),
        headers,
        ..on("torrents")
    });
    assert_eq!(get(&sim, "user").await.status, 200);
    assert_eq!(get(&sim, "torrents").await.status, 200);
    for _ in 0..2 {
        let answer = get(&sim, "torrents").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (429, "7")
        );
    }
    assert_eq!(get(&sim, "torrents").await.status, 200);
    let status = &sim.faults()[0];
    assert_eq!((status.id, status.hits), (id, 2));
    sim.clear_fault(id).unwrap();
    assert!(sim.clear_fault(id).is_err());
}

#[tokio::test]
async fn codes_pages_and_bodies() {
    let sim = sim(&one_film(10));
    let once = |fault: ApiFault| {
        sim.fail_api(ApiFault {
            times: Some(1),
            ..fault
        });
    };
    once(ApiFault {
        code: Some(19),
        ..on("unrestrict/link")
    });
    let link = form("link", &torrents(&sim)[0].links[0]);
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.code(),
        (503, 19)
    );
    assert_eq!(sim.counters().cdn.gets, 0);
    once(ApiFault {
        page: Some(Page::Malformed),
        ..on("torrents")
    });
    let malformed = get(&sim, "torrents").await;
    assert_eq!(malformed.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&malformed.body.unwrap()).is_err());
    once(ApiFault {
        page: Some(Page::Html),
        status: Some(502),
        ..on("torrents")
    });
    let html = get(&sim, "torrents").await;
    assert_eq!(
        (html.status.as_u16(), html.header("content-type")),
        (502, "text/html")
    );
    once(ApiFault {
        status: Some(204),
        ..on("torrents")
    });
    assert!(get(&sim, "torrents").await.body.unwrap().is_empty());
    once(ApiFault {
        body: Some("[]".into()),
        ..on("torrents")
    });
    assert_eq!(get(&sim, "torrents").await.body.unwrap(), "[]");
    once(ApiFault {
        contains: Some("info/XYZ".into()),
        code: Some(-1),
        ..ApiFault::default()
    });
    assert_eq!(get(&sim, "torrents").await.status, 200);
    assert_eq!(get(&sim, "torrents/info/XYZ").await.code(), (500, -1));
}

#[tokio::test]
async fn cut_bodies_halved_lists_and_lost_answers() {
    let sim = sim(&LibrarySpec::generated(&Generated {
        releases: 10,
        ..Generated::default()
    }));
    let once = |fault: ApiFault| {
        sim.fail_api(ApiFault {
            times: Some(1),
            ..fault
        });
    };
    once(ApiFault {
        cut_body: Some(100),
        ..on("torrents")
    });
    let cut = get(&sim, "torrents").await;
    assert!(cut.body.is_none() && cut.header("content-length").parse::<u32>().unwrap() > 100);
    once(ApiFault {
        keep_items: Some(5),
        ..on("torrents")
    });
    let half = get(&sim, "torrents").await;
    assert_eq!(
        (
            half.json().as_array().unwrap().len(),
            half.header("x-total-count")
        ),
        (5, "10")
    );
    once(ApiFault {
        lose_answer: true,
        ..on("unrestrict/link")
    });
    let link = form("link", &torrents(&sim)[0].links[0]);
    assert!(
        call(&sim, "POST", "unrestrict/link", &link)
            .await
            .body
            .is_none()
    );
    assert_eq!(
        get(&sim, "downloads").await.header("x-total-count"),
        "1",
        "the call was carried out"
    );
    once(ApiFault {
        reset: true,
        ..on("torrents/delete")
    });
    let id = torrents(&sim)[0].id.clone();
    assert!(
        call(&sim, "DELETE", &format!("torrents/delete/{id}"), "")
            .await
            .body
            .is_none()
    );
    assert_eq!(torrents(&sim).len(), 10, "the call was not carried out");
    assert_eq!(sim.counters().outcome("torrents/delete", "reset"), 1);
}

#[tokio::test(start_paused = true)]
async fn delays_and_hangs() {
    let sim = sim(&one_film(10));
    let start = tokio::time::Instant::now();
    sim.fail_api(ApiFault {
        delay_ms: 5000,
        times: Some(1),
        ..on("user")
    });
    assert_eq!(get(&sim, "user").await.status, 200);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    let id = sim.fail_api(ApiFault {
        hang: true,
        ..on("user")
    });
    let hanging = tokio::spawn({
        let sim = sim.clone();
        async move { get(&sim, "user").await.body }
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!hanging.is_finished());
    sim.clear_fault(id).unwrap();
    assert!(hanging.await.unwrap().is_none());
    sim.configure(|settings| settings.api_delay_ms = 100);
    let start = tokio::time::Instant::now();
    get(&sim, "user").await;
    assert_eq!(start.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn outages() {
    let sim = sim(&one_film(10));
    sim.set_outage(Outage {
        api: OutageMode::Unavailable,
        ..Outage::default()
    });
    let answer = get(&sim, "torrents").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (503, "text/html")
    );
    sim.set_outage(Outage {
        api: OutageMode::Reset,
        ..Outage::default()
    });
    assert!(get(&sim, "torrents").await.body.is_none());
    sim.set_outage(Outage {
        api: OutageMode::Hang,
        ..Outage::default()
    });
    assert!(
        tokio::time::timeout(Duration::from_secs(600), get(&sim, "torrents"))
            .await
            .is_err()
    );
    sim.set_outage(Outage::default());
    assert_eq!(get(&sim, "torrents").await.status, 200);
    let counters = sim.counters();
    assert_eq!(
        ["503", "reset", "hang", "200"].map(|outcome| counters.outcome("torrents", outcome)),
        [1, 1, 1, 1]
    );
}
