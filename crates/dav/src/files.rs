//! Files by GET and HEAD: `/files/TOKEN/PATH`, where PATH is one of the mount.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_base::media::{is_audio, is_video};
use debridfs_listen::{Attempts, Right, Signed, TokenError, Tokens, TooMany, peer};
use debridfs_vfs::{Attr, Client, Error, ErrorKind, Kind, Vfs};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::conditions::{Part, Version};
use crate::transfers::Transfers;

/// The name of the front in the log.
const FRONT: &str = "files over HTTP";
/// What one read may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// What stays as it is in the part of an address between two slashes.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

struct Front {
    vfs: Arc<dyn Vfs>,
    tokens: Arc<Tokens>,
    attempts: Arc<Attempts>,
    transfers: Transfers,
}

/// Serves the files of `vfs` to whoever shows one of `tokens`; wrong ones are counted in `attempts`.
pub fn router(vfs: Arc<dyn Vfs>, tokens: Arc<Tokens>, attempts: Arc<Attempts>) -> Router {
    let front = Front {
        vfs,
        tokens,
        attempts,
        transfers: Transfers::default(),
    };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

/// The path and query of an address for `path`, which is relative to the mount; to be put behind `http://HOST:PORT`.
pub fn address(token: &str, path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let parts: Vec<String> = parts
        .map(|part| utf8_percent_encode(part, PLAIN).to_string())
        .collect();
    format!("/files/{token}/{}", parts.join("/"))
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

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let mut answer = match answer(&front, &request.into_parts().0).await {
        Ok(answer) => answer,
        Err(status) => (status, status.canonical_reason().unwrap_or_default()).into_response(),
    };
    let headers = answer.headers_mut();
    let plain = |text: &'static str| HeaderValue::from_static(text);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, plain("nosniff"));
    // The address holds the token.
    headers.insert(header::REFERRER_POLICY, plain("no-referrer"));
    headers.insert(header::CACHE_CONTROL, plain("private"));
    match answer.status() {
        StatusCode::METHOD_NOT_ALLOWED => {
            answer
                .headers_mut()
                .insert(header::ALLOW, plain("GET, HEAD"));
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            answer.headers_mut().insert(header::RETRY_AFTER, plain("5"));
        }
        StatusCode::TOO_MANY_REQUESTS => {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, plain("60"));
        }
        _ => {}
    }
    answer
}

async fn answer(front: &Front, request: &Parts) -> Result<Response, StatusCode> {
    let path = request.uri.path();
    if path == "/" {
        return Ok("debridfs: files at /files/TOKEN/PATH".into_response());
    }
    let rest = path.strip_prefix("/files/").ok_or(StatusCode::NOT_FOUND)?;
    let (token, path) = rest.split_once('/').unwrap_or((rest, ""));
    let decoded = percent_decode_str(path).decode_utf8().ok();
    let now = Timestamp::now();
    let signed = decoded.and_then(|path| front.tokens.signed(token, &path, now));
    let signed = match signed {
        Some(Signed::Expired) => return Err(StatusCode::GONE),
        Some(Signed::Good(caller)) => Some(caller),
        None => None,
    };
    let mut caller = None;
    let is_good = || {
        caller = signed.or_else(|| front.tokens.caller(token));
        caller.is_some()
    };
    let peer = peer(&request.extensions);
    match front.attempts.judge(peer, FRONT, Some(token), is_good) {
        Ok(_) => {}
        Err(TooMany) => return Err(StatusCode::TOO_MANY_REQUESTS),
    }
    let caller = caller.filter(|caller| caller.may(Right::Read));
    let caller = caller.ok_or(StatusCode::FORBIDDEN)?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let found = find(front.vfs.as_ref(), &caller.root, path).await;
    let attr = found.map_err(status)?;
    if attr.kind != Kind::File {
        return Err(StatusCode::NOT_FOUND);
    }
    let version = Version::new(attr.id.0, attr.size, attr.mtime.as_second());
    let part = version.asked_for(&request.headers);
    let mut headers = HeaderMap::new();
    let mut put = |name, value: String| {
        // None of these holds what a header cannot.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    put(header::ACCEPT_RANGES, "bytes".to_owned());
    put(header::ETAG, version.etag.clone());
    put(
        header::LAST_MODIFIED,
        httpdate::fmt_http_date(version.modified),
    );
    let (code, range) = match part {
        Part::Unchanged => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        Part::Failed => return Ok((StatusCode::PRECONDITION_FAILED, headers).into_response()),
        Part::Unsatisfiable => {
            put(header::CONTENT_RANGE, format!("bytes */{}", attr.size));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
        Part::Whole => (StatusCode::OK, 0..attr.size),
        Part::Range(range) => {
            let last = range.end - 1;
            put(
                header::CONTENT_RANGE,
                format!("bytes {}-{last}/{}", range.start, attr.size),
            );
            (StatusCode::PARTIAL_CONTENT, range)
        }
    };
    put(header::CONTENT_TYPE, kind_of(path).to_owned());
    put(
        header::CONTENT_LENGTH,
        (range.end - range.start).to_string(),
    );
    let body = match request.method {
        Method::HEAD => Body::empty(),
        _ => {
            let turn = front.transfers.begin(token);
            let turn = turn.ok_or(StatusCode::TOO_MANY_REQUESTS)?;
            let (vfs, client) = (front.vfs.clone(), Client::Http(peer));
            let body = front.transfers.body(turn, vfs, client, attr, range);
            body.await.map_err(status)?
        }
    };
    Ok((code, headers, body).into_response())
}

/// The node at `path`, whose parts are percent-encoded, below `root`, whose parts are not.
async fn find(vfs: &dyn Vfs, root: &str, path: &str) -> Result<Attr, Error> {
    let mut attr = vfs.root();
    for part in root.split('/').filter(|part| !part.is_empty()) {
        attr = vfs.lookup(attr.id, part.as_bytes()).get().await?;
    }
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let name: Vec<u8> = percent_decode_str(part).collect();
        if name == b"." || name == b".." || name.contains(&b'/') {
            return Err(Error::new(ErrorKind::NotFound, "not a name"));
        }
        attr = vfs.lookup(attr.id, &name).get().await?;
    }
    Ok(attr)
}

/// The one place where failures of the tree become answers.
fn status(error: Error) -> StatusCode {
    tracing::debug!(%error, "a file was not served");
    match error.kind {
        ErrorKind::NotFound
        | ErrorKind::Stale
        | ErrorKind::NotDirectory
        | ErrorKind::IsDirectory
        | ErrorKind::NameTooLong
        | ErrorKind::NoAttribute => StatusCode::NOT_FOUND,
        ErrorKind::Unavailable | ErrorKind::NotYet | ErrorKind::Interrupted => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::ReadOnly | ErrorKind::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
    }
}

/// Films that no player takes for one stream.
const DISC_IMAGES: &[&str] = &["bin", "dat", "img", "iso", "nrg"];

/// The media type by the extension: players go by it.
fn kind_of(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "mkv" | "mk3d" => "video/x-matroska",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "avi" | "divx" | "xvid" | "bivx" => "video/x-msvideo",
        "mov" | "qt" => "video/quicktime",
        "ts" | "m2ts" | "mts" => "video/mp2t",
        "mpg" | "mpeg" | "vob" | "evo" | "m2v" => "video/mpeg",
        "wmv" => "video/x-ms-wmv",
        "asf" | "wtv" | "dvr-ms" => "video/x-ms-asf",
        "flv" | "f4v" => "video/x-flv",
        "3gp" => "video/3gpp",
        "ogv" | "ogm" => "video/ogg",
        "mp2" | "mp3" => "audio/mpeg",
        "aac" => "audio/aac",
        "ac3" => "audio/ac3",
        "wav" => "audio/wav",
        "wma" => "audio/x-ms-wma",
        "mka" => "audio/x-matroska",
        "flac" => "audio/flac",
        "m4a" | "m4b" => "audio/mp4",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "srt" => "application/x-subrip",
        "vtt" => "text/vtt",
        "pdf" => "application/pdf",
        "epub" => "application/epub+zip",
        extension if DISC_IMAGES.contains(&extension) => "application/octet-stream",
        _ if is_video(path) => "video/x-unknown",
        _ if is_audio(path) => "audio/x-unknown",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use debridfs_base::media::{AUDIO, VIDEO};

    use super::*;

    #[test]
    fn addresses_survive_any_name() {
        let path = "__all__/Ä & B #1?.mkv/100% [x].mkv";
        let address = address("TOKEN", path);
        assert_eq!(
            address,
            "/files/TOKEN/__all__/%C3%84%20%26%20B%20%231%3F.mkv/100%25%20%5Bx%5D.mkv"
        );
        let back = percent_decode_str(&address).decode_utf8().unwrap();
        assert_eq!(back, format!("/files/TOKEN/{path}"));
    }

    #[test]
    fn films_and_music_of_every_kind_are_told_as_such() {
        for extension in VIDEO.iter().filter(|name| !DISC_IMAGES.contains(name)) {
            let kind = kind_of(&format!("dir.x/Film.{}", extension.to_uppercase()));
            assert!(kind.starts_with("video/"), "{extension}: {kind}");
        }
        for extension in AUDIO {
            let kind = kind_of(&format!("Song.{extension}"));
            assert!(kind.starts_with("audio/"), "{extension}: {kind}");
        }
        for (name, kind) in [
            ("a.mkv", "video/x-matroska"),
            ("a.MK3D", "video/x-matroska"),
            ("a.m4b", "audio/mp4"),
            ("a.iso", "application/octet-stream"),
            ("a.txt", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }

    #[test]
    fn every_failure_has_its_answer() {
        let table = [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Stale, 404),
            (ErrorKind::NotDirectory, 404),
            (ErrorKind::IsDirectory, 404),
            (ErrorKind::NameTooLong, 404),
            (ErrorKind::NoAttribute, 404),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::NotYet, 503),
            (ErrorKind::Interrupted, 503),
            (ErrorKind::TimedOut, 504),
            (ErrorKind::ReadOnly, 405),
            (ErrorKind::Unsupported, 405),
            (ErrorKind::Invalid, 400),
        ];
        for (kind, code) in table {
            assert_eq!(status(kind.into()).as_u16(), code, "{kind:?}");
        }
    }
}
