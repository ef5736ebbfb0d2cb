//! Health and metrics: no login, and no answer that could take long. So they are for those who can reach the listener itself:
//! whoever comes by a proxy, such as an Ingress that is there for the pages, learns whether it is ready and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use debridfs_control::{EngineState, Instance};
use debridfs_listen::{FrontName, forwarding};
use serde::Deserialize;
use serde_json::json;

use crate::MountProbe;
use crate::metrics::{classic, encode};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Shared {
    instance: Arc<dyn Instance>,
    probe: MountProbe,
}

/// `/livez`, `/readyz` and `/metrics`.
pub fn public_router(instance: Arc<dyn Instance>, probe: MountProbe) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route_layer(map_response(async |answer| {
            FrontName("health").mark(answer)
        }))
        .with_state(Arc::new(Shared { instance, probe }))
}

/// `/livez` and `/readyz` of an engine that has nothing to serve yet. What is connected here is not kept: soon another
/// router answers at this address.
pub fn waiting_router(reason: &'static str) -> Router {
    let close = || [(header::CONNECTION, "close")];
    let live = move || async move { (close(), live().await) };
    let ready = move || async move {
        let body = json!({ "ready": false, "reasons": [reason] });
        (StatusCode::SERVICE_UNAVAILABLE, close(), Json(body))
    };
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}

/// The process answers; nothing more, as a restart would not mend anything else.
async fn live() -> &'static str {
    "ok\n"
}

/// What of the readiness is not asked for, as Kubernetes' own `/readyz` has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    exclude: Option<Exclude>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Exclude {
    /// For whoever sends callers to what is served over the network.
    Mount,
}

/// Whether the library is served here, by a look through the mount itself unless that is excluded.
/// What this program does without is named, and is no reason against it.
async fn ready(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(Wanted { exclude })) = wanted else {
        let words = "there is `/readyz`, and `/readyz?exclude=mount`\n";
        return (StatusCode::BAD_REQUEST, words).into_response();
    };
    let status = shared.instance.status();
    let mut reasons = Vec::new();
    match status.engine.state {
        EngineState::Serving => {}
        EngineState::Unmounted if exclude == Some(Exclude::Mount) => {}
        EngineState::Unmounted => {
            let trouble = status.mount.trouble.as_deref();
            let path = status.mount.path.display();
            reasons.push(trouble.map_or_else(|| format!("{path} is not mounted"), str::to_owned));
        }
        EngineState::Down | EngineState::Starting => {
            reasons.push("the engine does not serve the mount yet".to_owned());
        }
    }
    match &status.library {
        Some(library) if library.listed => {}
        Some(library) => reasons.extend(library.waits()),
        None => reasons.push("the library is not known yet".to_owned()),
    }
    let mut took = None;
    if exclude.is_none() && status.engine.state != EngineState::Unmounted {
        match shared.probe.look().await {
            Ok(time) => took = Some(time.as_secs_f64() * 1000.0),
            Err(error) => reasons.push(format!("{}: {error}", status.mount.path.display())),
        }
    }
    let code = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if forwarding(&headers).is_some() {
        return (code, Json(json!({ "ready": reasons.is_empty() }))).into_response();
    }
    let body = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "degraded": !status.healthy,
        "troubles": status.problems,
        "attention": status.attention,
        "mount": { "path": status.mount.path, "milliseconds": took },
    });
    (code, Json(body)).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(by) = forwarding(&headers) {
        let words = format!(
            "metrics need no login, so a proxy gets none ({by}): ask server.listen itself\n"
        );
        return (StatusCode::FORBIDDEN, words).into_response();
    }
    let text = encode(&shared.instance.status(), &shared.instance.measures());
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|accept| accept.to_str().ok());
    match accepted.any(|accept| accept.contains("application/openmetrics-text")) {
        true => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        false => ([(header::CONTENT_TYPE, CLASSIC)], classic(&text)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use axum::http::request::Builder;
    use debridfs_control::{Accepting, FirstSyncStatus, Status, WhyReport};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    struct Fixed(Status);

    impl Instance for Fixed {
        fn status(&self) -> Status {
            self.0.clone()
        }
        fn why(&self, _: &str) -> Result<WhyReport, String> {
            unreachable!("not served over TCP")
        }
        fn accept_loss(&self) -> Accepting {
            unreachable!("not served over TCP")
        }
    }

    async fn get(path: &str, status: Status, script: &str) -> (StatusCode, String) {
        ask(Request::get(path), status, script).await
    }

    async fn ask(request: Builder, status: Status, script: &str) -> (StatusCode, String) {
        let command = ["/bin/sh", "-c", script].map(Into::into).to_vec();
        let limit = if script.contains("sleep") {
            Duration::from_millis(300)
        } else {
            Duration::from_secs(60)
        };
        let probe = MountProbe::new(command, limit);
        let router = public_router(Arc::new(Fixed(status)), probe);
        let request = request.body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let code = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn alive_whatever_the_mount_does() {
        let (code, _) = get("/livez", Status::sample(), "exec sleep 1000").await;
        assert_eq!(code, StatusCode::OK);
    }

    #[tokio::test]
    async fn ready_only_when_listed_and_seen_through_the_mount() {
        let good = Status::sample();
        let (code, body) = get("/readyz", good.clone(), "exit 0").await;
        assert_eq!(code, StatusCode::OK, "{body}");
        let (code, body) = get("/readyz", good.clone(), "exit 1").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(body.contains("/mnt/dfs"), "{body}");
        let (code, body) = get("/readyz", good.clone(), "exec sleep 1000").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("no answer through the mount"), "{body}");
        let mut unlisted = good;
        let library = unlisted.library.as_mut().unwrap();
        library.first_sync.push(FirstSyncStatus {
            provider: "ad".into(),
            listed: true,
            named: 126,
            total: 800,
            seconds_left: Some(170),
            patience: None,
        });
        let (code, body) = get("/readyz", unlisted.clone(), "exit 0").await;
        assert_eq!(code, StatusCode::OK, "its view waits alone: {body}");
        unlisted.library.as_mut().unwrap().listed = false;
        let (code, body) = get("/readyz", unlisted, "exit 0").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        let reason = "the library waits: first sync of ad: 126 of 800 named, 3 min left";
        assert!(body.contains(reason), "{body}");
    }

    #[tokio::test]
    async fn without_a_mount_it_is_ready_for_those_alone_who_exclude_it() {
        let mut status = Status::sample();
        status.engine.state = EngineState::Unmounted;
        status.mount.trouble = Some("cannot open /dev/fuse".into());
        let status = status.judged();
        // No look is taken through a mount that is not there.
        let (code, body) = get("/readyz", status.clone(), "exit 0").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(body.contains("cannot open /dev/fuse"), "{body}");
        let (code, body) = get("/readyz?exclude=mount", status.clone(), "exit 1").await;
        assert_eq!(code, StatusCode::OK, "{body}");
        let mut unlisted = status;
        unlisted.library.as_mut().unwrap().listed = false;
        let (code, _) = get("/readyz?exclude=mount", unlisted, "exit 0").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        // A probe with a slip of the pen must not pass for the whole.
        for wrong in ["/readyz?exclude=mnt", "/readyz?without=mount"] {
            let (code, _) = get(wrong, Status::sample(), "exit 0").await;
            assert_eq!(code, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }

    #[tokio::test]
    async fn ready_without_a_part_that_does_not_run_and_it_is_named() {
        let mut status = Status::sample();
        status.library.as_mut().unwrap().store_trouble = Some("store x: in memory".into());
        status.down.push(debridfs_base::Down {
            part: "the sync".into(),
            words: "it ended by a defect".into(),
            help: "report it".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
            tries: 1,
        });
        let (code, body) = get("/readyz", status.judged(), "exit 0").await;
        assert_eq!(code, StatusCode::OK, "{body}");
        for words in [
            "\"degraded\":true",
            "\"kind\":\"part\"",
            "store x: in memory",
            "the sync does not run: it ended by a defect",
        ] {
            assert!(body.contains(words), "{body}");
        }
    }

    #[tokio::test]
    async fn alive_and_not_ready_while_there_is_nothing_to_serve() {
        for (path, code, words) in [
            ("/livez", StatusCode::OK, "ok"),
            ("/readyz", StatusCode::SERVICE_UNAVAILABLE, "no keeper"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = waiting_router("no keeper").oneshot(request).await.unwrap();
            assert_eq!(answer.status(), code);
            assert_eq!(answer.headers()[header::CONNECTION], "close");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(words), "{body:?}");
        }
    }

    #[tokio::test]
    async fn metrics_have_their_form() {
        let (code, body) = get("/metrics", Status::sample(), "exit 0").await;
        assert_eq!(code, StatusCode::OK);
        assert!(body.contains("\ndebridfs_library_releases 7.0\n"), "{body}");
        assert!(body.contains("\n# TYPE debridfs_provider_calls_total counter\n"));
        assert!(!body.contains("# EOF"), "{body}");
        let asked = Request::get("/metrics").header(
            header::ACCEPT,
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        );
        let (code, body) = ask(asked, Status::sample(), "exit 0").await;
        assert_eq!(code, StatusCode::OK);
        assert!(body.contains("\n# TYPE debridfs_provider_calls counter\n"));
        assert!(body.ends_with("# EOF\n"), "{body}");
    }

    /// An Ingress for the pages has this address, too.
    #[tokio::test]
    async fn by_a_proxy_there_is_no_more_than_whether_it_is_ready() {
        for header in ["x-forwarded-for", "forwarded", "via"] {
            let by = |path: &str| Request::get(path).header(header, "192.0.2.7");
            let (code, body) = ask(by("/metrics"), Status::sample(), "exit 0").await;
            assert_eq!(code, StatusCode::FORBIDDEN);
            assert!(!body.contains("debridfs_"), "{body}");
            for (script, code, ready) in [
                ("exit 0", StatusCode::OK, true),
                ("exit 1", StatusCode::SERVICE_UNAVAILABLE, false),
            ] {
                let said = ask(by("/readyz"), Status::sample(), script).await;
                assert_eq!(said, (code, json!({ "ready": ready }).to_string()));
            }
        }
    }
}
