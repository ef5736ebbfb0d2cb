//! What the API is made of, and its router.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use debridfs_control::RunningEngine;
use debridfs_listen::{Caller, Right};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::events::{self, Events};
use crate::problem::Problem;
use crate::right::check;
use crate::{accounts, backend, cache, document, library, mcp, queue, reader, upkeep};

/// Where the API is.
pub const PREFIX: &str = "/api/v1";
/// A body is a magnet link at most.
const LONGEST_BODY: usize = 64 << 10;

/// What the API is made of.
#[derive(Clone)]
pub struct Api {
    /// The engine that it is about.
    pub engine: Arc<RunningEngine>,
    /// What happens there.
    pub events: Arc<Events>,
    /// The last lines of its log, the oldest first.
    pub log: fn() -> Vec<String>,
    /// Whether providers' own links are given away.
    pub provider_links: bool,
}

/// What the handlers share.
pub(crate) struct House {
    pub(crate) engine: Arc<RunningEngine>,
    pub(crate) events: Arc<Events>,
    pub(crate) log: fn() -> Vec<String>,
    pub(crate) provider_links: bool,
    /// The OpenAPI document in JSON.
    pub(crate) document: Bytes,
    /// The page that shows it, or why there is none.
    pub(crate) reader: Result<String, String>,
}

/// The state of handlers.
pub(crate) type Home = Arc<House>;

/// The OpenAPI document of the API.
pub fn openapi() -> OpenApi {
    described().1
}

fn described() -> (Router<Home>, OpenApi) {
    let routes = OpenApiRouter::new()
        .merge(library::routes())
        .merge(queue::routes())
        .merge(upkeep::routes())
        .merge(cache::routes())
        .merge(accounts::routes())
        .merge(backend::routes())
        .merge(events::routes());
    let (router, document) = OpenApiRouter::with_openapi(document::empty())
        .nest(PREFIX, routes)
        .split_for_parts();
    (router, document::with_rights(document))
}

/// `/api/v1` and `/mcp`, for requests that have a [`Caller`] among their extensions.
pub fn api_router(api: Api) -> Router {
    let (routes, document) = described();
    let house = House {
        engine: api.engine,
        events: api.events,
        log: api.log,
        provider_links: api.provider_links,
        reader: reader::page(&document),
        document: document.to_json().unwrap_or_default().into(),
    };
    routes
        .route(&format!("{PREFIX}/openapi.json"), get(show_document))
        .route(PREFIX, get(reader::show))
        .route(&format!("{PREFIX}/"), get(reader::show))
        .route(&format!("{PREFIX}/{{*rest}}"), axum::routing::any(nothing))
        .route("/mcp", mcp::route())
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(check))
        .layer(from_fn(mark))
        .with_state(Arc::new(house))
}

/// As [`api_router`], for callers who may do everything: those of the control socket.
pub fn owner_router(api: Api) -> Router {
    let owner = Caller {
        name: "control socket".to_owned(),
        root: String::new(),
        may: vec![Right::Read, Right::Manage],
    };
    api_router(api).layer(Extension(owner))
}

async fn show_document(State(house): State<Home>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, house.document.clone()).into_response()
}

async fn nothing() -> Problem {
    let words = "there is no such operation: GET /api/v1 lists them";
    Problem::new(StatusCode::NOT_FOUND, "not-found", words)
}

async fn not_allowed() -> Problem {
    let words = "not by this method: GET /api/v1 lists the operations";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", words)
}

/// What is answered is true now, and nothing else than it says.
async fn mark(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients are made of this text: what is in it once does not go by accident.
    #[test]
    fn the_document_names_each_operation_once_with_what_it_wants() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids = std::collections::BTreeSet::new();
        let mut operations = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            assert!(path.starts_with(PREFIX), "{path}");
            for (method, operation) in item.as_object().unwrap() {
                operations += 1;
                ids.insert(operation["operationId"].as_str().unwrap().to_owned());
                let right = &operation["security"][0]["token"][0];
                let wanted = match method == "get" && !path.contains("traces") {
                    true => "read",
                    false => "manage",
                };
                assert_eq!(right, wanted, "{method} {path}");
                assert!(!operation["summary"].as_str().unwrap().is_empty(), "{path}");
                let problem = &operation["responses"]["404"]["content"];
                assert!(problem["application/problem+json"].is_object(), "{path}");
            }
        }
        assert_eq!((ids.len(), operations), (43, 43));
    }

    #[test]
    fn the_reader_shows_every_operation() {
        let document = openapi();
        let page = reader::page(&document).unwrap();
        for path in document.paths.paths.keys() {
            assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
        }
        assert!(page.contains("form-Problem") && !page.contains("<script"));
    }
}
