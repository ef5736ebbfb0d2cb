//! The listener for programs that mount nothing: what is served where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_listen::{Attempts, FrontName, Logins, Tokens};
use debridfs_vfs::Vfs;

use crate::lost::Lost;
use crate::redirect::Redirects;
use crate::transfers::Transfers;
use crate::{files, page, strm, webdav};

/// The name of the front in the log.
pub(crate) const NAME: &str = "files over HTTP";

/// What all requests share.
pub(crate) struct Front {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) logins: Logins,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) transfers: Transfers,
    pub(crate) lost: Lost,
    pub(crate) redirects: Redirects,
}

/// Serves the files of `vfs`: at `/files/TOKEN/PATH` to whoever shows one of `tokens`, at `/strm/KEY/ID/NAME` to whoever has
/// such an address of [`crate::Addresses`], and by WebDAV at `/dav/PATH` to the callers of `logins`. Wrong tokens are counted in `attempts`, which `logins` should
/// count in as well. `redirects` says who is sent elsewhere.
pub fn router(
    vfs: Arc<dyn Vfs>,
    tokens: Arc<Tokens>,
    logins: Logins,
    attempts: Arc<Attempts>,
    redirects: Redirects,
) -> Router {
    let front = Front {
        vfs,
        tokens,
        logins,
        attempts,
        transfers: Transfers::default(),
        lost: Lost::default(),
        redirects,
    };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    let path = request.uri.path();
    let is_dav = path.strip_prefix(webdav::PREFIX);
    let (answer, name) = if is_dav.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        (webdav::answer(&front, &request, body).await, Some("webdav"))
    } else if let Some(rest) = path.strip_prefix("/files/") {
        (files::answer(&front, &request, rest).await, Some("files"))
    } else if let Some(rest) = path.strip_prefix(strm::PREFIX) {
        (strm::answer(&front, &request, rest).await, Some("strm"))
    } else {
        let answer = match path {
            "/" => Ok("debridfs: WebDAV at /dav/, files at /files/TOKEN/PATH\n".into_response()),
            "/style.css" => Ok(page::style()),
            _ => Err(StatusCode::NOT_FOUND.into()),
        };
        (answer, None)
    };
    let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
    let headers = answer.headers_mut();
    let mut put = |name, text| {
        headers.insert(name, HeaderValue::from_static(text));
    };
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // The address may hold a token.
    put(header::REFERRER_POLICY, "no-referrer");
    let private = HeaderValue::from_static("private");
    headers.entry(header::CACHE_CONTROL).or_insert(private);
    match name {
        Some(name) => FrontName(name).mark(answer),
        None => answer,
    }
}
