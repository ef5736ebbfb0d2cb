//! WebDAV (RFC 4918, class 1, read-only) at `/dav/`, and pages for browsers at the same addresses.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use debridfs_listen::{Caller, Right, digest, peer};
use debridfs_vfs::{Attr, DirEntry, Kind};

use crate::content::Asked;
use crate::front::{Front, NAME};
use crate::multistatus::{self, Resource};
use crate::page;
use crate::paths::{encoded_path, find, names};
use crate::propfind::Wanted;
use crate::refusal::Refusal;

/// Where it is served.
pub(crate) const PREFIX: &str = "/dav";
/// Methods that are served.
const ALLOWED: &str = "OPTIONS, GET, HEAD, PROPFIND";
/// Methods that would write, or lock what is written.
const WRITES: [&str; 9] = [
    "PUT",
    "DELETE",
    "MKCOL",
    "MOVE",
    "COPY",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
];
/// Bytes of a PROPFIND's body. Those of Windows and macOS have half a KiB.
const LONGEST_BODY: usize = 64 << 10;
/// Lines of a directory that are asked for at one time.
const LINES: usize = 1024;
/// What a PROPFIND of depth infinity is answered (RFC 4918, 9.1).
const FINITE_DEPTH: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>";

/// Answers a request whose path begins with [`PREFIX`].
pub(crate) async fn answer(
    front: &Front,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let peer = peer(&request.extensions);
    // Before anything else: also OPTIONS tells nothing to strangers.
    let caller = match front.logins.caller(NAME, peer, &request.headers).await {
        Ok(caller) => caller,
        Err(refused) => return Ok(refused.into_response()),
    };
    if !caller.may(Right::Read) {
        return Err(StatusCode::FORBIDDEN.into());
    }
    let path = request.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let call = Call {
        front,
        request,
        caller,
        path,
    };
    match request.method.as_str() {
        "OPTIONS" => Ok(options()),
        "PROPFIND" => call.propfind(body).await,
        "GET" | "HEAD" => call.get().await,
        method if WRITES.contains(&method) => Err(StatusCode::FORBIDDEN.into()),
        _ => {
            let mut answer = Refusal::from(StatusCode::METHOD_NOT_ALLOWED).into_response();
            let allowed = HeaderValue::from_static(ALLOWED);
            answer.headers_mut().insert(header::ALLOW, allowed);
            Ok(answer)
        }
    }
}

fn options() -> Response {
    let headers = [
        ("allow", ALLOWED),
        ("dav", "1"),
        // Windows asks FrontPage's questions without it.
        ("ms-author-via", "DAV"),
        ("accept-ranges", "bytes"),
        ("content-length", "0"),
    ];
    (StatusCode::OK, headers).into_response()
}

struct Call<'a> {
    front: &'a Front,
    request: &'a Parts,
    caller: Caller,
    /// Behind [`PREFIX`].
    path: &'a str,
}

impl Call<'_> {
    async fn find(&self) -> Result<Attr, Refusal> {
        Ok(find(self.front.vfs.as_ref(), &self.caller.root, self.path).await?)
    }

    /// The address of the node, as it is written in answers: each name encoded in one way, and a slash
    /// at the end of a directory's.
    fn address(&self, kind: Kind) -> String {
        // A path that led to a node is one.
        let names = names(self.path).unwrap_or_default();
        let names: Vec<_> = names
            .iter()
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        let path = encoded_path(&names.join("/"));
        match (path.is_empty(), kind) {
            (true, _) => format!("{PREFIX}/"),
            (false, Kind::Directory) => format!("{PREFIX}/{path}/"),
            (false, Kind::File) => format!("{PREFIX}/{path}"),
        }
    }

    /// All lines of a directory but `.` and `..`. The answer begins once all are there: a listing that
    /// breaks off is an error, and never a shorter directory.
    async fn list(&self, directory: Attr) -> Result<Vec<DirEntry>, Refusal> {
        let mut all = Vec::new();
        let mut cookie = 0;
        loop {
            let lines = self.front.vfs.read_dir(directory.id, cookie, LINES);
            let lines = lines.get().await?;
            let Some(last) = lines.last() else {
                return Ok(all);
            };
            cookie = last.cookie;
            let names = lines.into_iter();
            all.extend(names.filter(|line| line.name != "." && line.name != ".."));
        }
    }

    async fn propfind(&self, body: Body) -> Result<Response, Refusal> {
        let depth = self.request.headers.get("depth");
        let children = match depth.map(HeaderValue::as_bytes) {
            Some(b"0") => false,
            Some(b"1") => true,
            // Without the header it is infinity.
            None => return Ok(no_depth()),
            Some(depth) if depth.eq_ignore_ascii_case(b"infinity") => return Ok(no_depth()),
            Some(_) => return Err(StatusCode::BAD_REQUEST.into()),
        };
        let body = to_bytes(body, LONGEST_BODY).await;
        let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let wanted = Wanted::parse(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let attr = self.find().await?;
        let address = self.address(attr.kind);
        let name = names(self.path).unwrap_or_default();
        let name = name.last().map_or_else(Default::default, |name| {
            String::from_utf8_lossy(name).into_owned()
        });
        let mut resources = vec![Resource {
            address: address.clone(),
            name,
            attr,
        }];
        if children && attr.kind == Kind::Directory {
            let lines = self.list(attr).await?;
            resources.extend(
                lines
                    .into_iter()
                    .map(|line| Resource::below(&address, line)),
            );
        }
        let used = self.front.vfs.statfs().bytes;
        let body = multistatus::body(Arc::new(wanted), resources, used);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(XML));
        if let Ok(address) = HeaderValue::try_from(address) {
            headers.insert(header::CONTENT_LOCATION, address);
        }
        Ok((StatusCode::MULTI_STATUS, headers, body).into_response())
    }

    async fn get(&self) -> Result<Response, Refusal> {
        let attr = self.find().await?;
        let is_for_people = page::is_wanted(&self.request.headers);
        if attr.kind == Kind::File {
            if is_for_people && self.request.uri.query() == Some("play") {
                return Ok(page::player(&self.address(attr.kind)));
            }
            let asked = Asked {
                request: self.request,
                name: self.path,
                caller: digest(&self.caller.name),
            };
            return asked.answer(self.front, attr).await;
        }
        if !self.path.ends_with('/') {
            // Addresses on the page are relative to it.
            let address = self.address(attr.kind);
            return Ok(
                (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, address)]).into_response(),
            );
        }
        let lines = self.list(attr).await?;
        Ok(match is_for_people {
            true => page::index(&self.address(attr.kind), lines, self.request.uri.query()),
            false => plain(&lines),
        })
    }
}

const XML: &str = "application/xml; charset=utf-8";

fn no_depth() -> Response {
    let body = Bytes::from_static(FINITE_DEPTH.as_bytes());
    (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, XML)], body).into_response()
}

/// A listing for scripts: a name a line, with a slash at the end of a directory's. A line feed in a name
/// is written as `?`, as ls(1) does.
fn plain(lines: &[DirEntry]) -> Response {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.name.replace(['\n', '\r'], "?"));
        if line.attr.kind == Kind::Directory {
            text.push('/');
        }
        text.push('\n');
    }
    ([(header::VARY, "Accept")], text).into_response()
}
