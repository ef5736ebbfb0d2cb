//! Files by an address with a token in it: `/files/TOKEN/PATH`, where PATH is one of the mount.

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_listen::{Right, Signed, TokenError, Tokens, TooMany, digest, peer};
use debridfs_vfs::Kind;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::content::Asked;
use crate::front::{Front, NAME};
use crate::paths::{encoded_path, find};
use crate::refusal::Refusal;

/// The path and query of an address for `path`, which is relative to the mount; to be put behind `http://HOST:PORT`.
pub fn address(token: &str, path: &str) -> String {
    format!("/files/{token}/{}", encoded_path(path))
}

/// The path and query of an address that opens the file at `path`, relative to the mount, until `until`; the token `name`
/// signs it.
///
/// # Errors
/// [`TokenError::Unknown`].
pub fn signed_address(
    tokens: &Tokens,
    name: &str,
    path: &str,
    until: Timestamp,
) -> Result<String, TokenError> {
    Ok(address(&tokens.sign(name, path, until)?, path))
}

/// Answers a request for `rest`, which is what comes after `/files/`.
pub(crate) async fn answer(
    front: &Front,
    request: &Parts,
    rest: &str,
) -> Result<Response, Refusal> {
    let (token, path) = rest.split_once('/').unwrap_or((rest, ""));
    let decoded = percent_decode_str(path).decode_utf8().ok();
    let now = Timestamp::now();
    let signed = decoded.and_then(|path| front.tokens.signed(token, &path, now));
    let signed = match signed {
        Some(Signed::Expired) => return Err(StatusCode::GONE.into()),
        Some(Signed::Good(caller)) => Some(caller),
        None => None,
    };
    let mut caller = None;
    let is_good = || {
        caller = signed.or_else(|| front.tokens.caller(token));
        caller.is_some()
    };
    let peer = peer(&request.extensions);
    match front.attempts.judge(peer, NAME, Some(token), is_good) {
        Ok(_) => {}
        Err(TooMany) => return Err(StatusCode::TOO_MANY_REQUESTS.into()),
    }
    let caller = caller.filter(|caller| caller.may(Right::Read));
    let caller = caller.ok_or(StatusCode::FORBIDDEN)?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let mut answer = Refusal::from(StatusCode::METHOD_NOT_ALLOWED).into_response();
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(header::ALLOW, allowed);
        return Ok(answer);
    }
    let attr = find(front.vfs.as_ref(), &caller.root, path).await?;
    if attr.kind != Kind::File {
        return Err(StatusCode::NOT_FOUND.into());
    }
    let asked = Asked {
        request,
        name: path,
        caller: digest(&caller.name),
    };
    asked.answer(front, attr).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_any_name() {
        let path = "__all__/Ä & B #1?.mkv/100% [x].mkv";
        let address = address("TOKEN", path);
        assert_eq!(
            address,
            "/files/TOKEN/__all__/%C3%84%20%26%20B%20%231%3F.mkv/100%25%20%5Bx%5D.mkv"
        );
    }
}
