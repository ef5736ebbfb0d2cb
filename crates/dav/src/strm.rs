//! Films by the addresses in `.strm` files: `/strm/KEY/ID/NAME`. The id stays with the film over renames, other folders and
//! another layout; the name is for players, which look at its extension.

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_listen::{OWN, digest};
use debridfs_vfs::{ErrorKind, Kind, NodeId};

use crate::content::Asked;
use crate::front::Front;
use crate::paths::encoded;
use crate::refusal::Refusal;

/// What such addresses begin with.
pub(crate) const PREFIX: &str = "/strm/";

/// The path of an address of the film `id`.
pub(crate) fn address(key: &str, id: NodeId, name: &str) -> String {
    format!("{PREFIX}{key}/{:016x}/{}", id.0, encoded(name))
}

/// Answers a request for `rest`, which is what comes after [`PREFIX`].
///
/// Wrong keys are not counted as wrong logins are: nobody guesses one, and after the token was replaced a media server
/// asks for each film that it knows by its old address, which must not keep out others who call from there.
pub(crate) async fn answer(
    front: &Front,
    request: &Parts,
    rest: &str,
) -> Result<Response, Refusal> {
    let mut parts = rest.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let (key, id, name) = (part(), part(), part());
    let id = u64::from_str_radix(id, 16).ok().map(NodeId);
    let Some(id) = id.filter(|id| front.tokens.opens(key, id.0)) else {
        let words = "This address is not good any more, as its token was replaced: scan the folder of .strm files again.\n";
        return Ok((StatusCode::FORBIDDEN, words).into_response());
    };
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let mut answer = Refusal::from(StatusCode::METHOD_NOT_ALLOWED).into_response();
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(header::ALLOW, allowed);
        return Ok(answer);
    }
    let attr = match front.vfs.attr(id).get().await {
        Ok(attr) if attr.kind == Kind::File => attr,
        Err(error) if !matches!(error.kind, ErrorKind::Stale | ErrorKind::NotFound) => {
            return Err(error.into());
        }
        _ => {
            let words = "The library does not have this film any more.\n";
            return Ok((StatusCode::NOT_FOUND, words).into_response());
        }
    };
    let asked = Asked {
        request,
        name,
        caller: digest(OWN),
    };
    asked.answer(front, attr).await
}
