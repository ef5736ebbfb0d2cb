//! What a GET or HEAD of a file is answered.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use debridfs_listen::{peer, random};
use debridfs_vfs::{Attr, Client, Error, ErrorKind, ReadRequest};

use crate::conditions::{Part, Version};
use crate::front::Front;
use crate::kinds::kind_of;
use crate::lost::Fate;
use crate::refusal::Refusal;
use crate::transfers::{CallerKey, Section};

/// What one read may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A request for a file.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Parts,
    /// Its name, or a path that ends with that.
    pub(crate) name: &'a str,
    pub(crate) caller: CallerKey,
}

impl Asked<'_> {
    /// The answer for the file of `attr`.
    pub(crate) async fn answer(&self, front: &Front, attr: Attr) -> Result<Response, Refusal> {
        if let Some(elsewhere) = front.redirects.answer(self.request, attr.id).await {
            return Ok(elsewhere);
        }
        let version = Version::new(attr.id.0, attr.size, attr.mtime.as_second());
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        put(&mut headers, header::ETAG, version.etag.clone());
        let modified = httpdate::fmt_http_date(version.modified);
        put(&mut headers, header::LAST_MODIFIED, modified);
        let kind = kind_of(self.name);
        let (code, sections) = match version.asked_for(&self.request.method, &self.request.headers)
        {
            Part::Unchanged => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
            Part::Failed => return Ok((StatusCode::PRECONDITION_FAILED, headers).into_response()),
            Part::Unsatisfiable => {
                let size = format!("bytes */{}", attr.size);
                put(&mut headers, header::CONTENT_RANGE, size);
                return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
            }
            Part::Whole => {
                put(&mut headers, header::CONTENT_TYPE, kind.to_owned());
                (StatusCode::OK, vec![Section::File(0..attr.size)])
            }
            Part::Range(range) => {
                put(&mut headers, header::CONTENT_TYPE, kind.to_owned());
                let place = place(&range, attr.size);
                put(&mut headers, header::CONTENT_RANGE, place);
                (StatusCode::PARTIAL_CONTENT, vec![Section::File(range)])
            }
            Part::Several(ranges) => {
                let boundary = random().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
                let several = format!("multipart/byteranges; boundary={boundary}");
                put(&mut headers, header::CONTENT_TYPE, several);
                let sections = multipart(ranges, &boundary, kind, attr.size);
                (StatusCode::PARTIAL_CONTENT, sections)
            }
        };
        let length: u64 = sections.iter().map(Section::len).sum();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let body = match self.request.method {
            Method::HEAD => self.look(front, attr).await.map(|()| Body::empty()),
            _ => self.read(front, attr, sections).await,
        };
        let body = body.map_err(|error| self.failed(front, attr, error))?;
        Ok((code, headers, body).into_response())
    }

    fn client(&self) -> Client {
        Client::Http(peer(&self.request.extensions))
    }

    /// A HEAD costs no bytes: a read of none fails where it is known that there are none.
    async fn look(&self, front: &Front, attr: Attr) -> Result<(), Failed> {
        let request = ReadRequest {
            id: attr.id,
            handle: 0,
            offset: 0,
            size: 0,
            deadline: LIMIT,
            client: self.client(),
        };
        front.vfs.read(request).get().await?;
        match front.lost.of(attr.id) {
            None => Ok(()),
            Some(_) => Err(Error::from(ErrorKind::Lost).into()),
        }
    }

    async fn read(
        &self,
        front: &Front,
        attr: Attr,
        sections: Vec<Section>,
    ) -> Result<Body, Failed> {
        let turn = front.transfers.begin(self.caller);
        let turn = turn.ok_or(Failed::Busy)?;
        let (vfs, client) = (front.vfs.clone(), self.client());
        let body = front.transfers.body(turn, vfs, client, attr, sections);
        let body = body.await?;
        front.lost.found(attr.id);
        Ok(body)
    }

    fn failed(&self, front: &Front, attr: Attr, failed: Failed) -> Refusal {
        let error = match failed {
            Failed::Busy => return StatusCode::TOO_MANY_REQUESTS.into(),
            Failed::Read(error) => error,
        };
        if error.kind != ErrorKind::Lost {
            return error.into();
        }
        tracing::debug!(%error, "a film is lost");
        match front.lost.note(attr.id) {
            Fate::Gone => StatusCode::NOT_FOUND.into(),
            Fate::Waits(wait) => Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                retry_after: Some(wait),
            },
        }
    }
}

/// Why there is no body.
enum Failed {
    /// The caller has as many transfers as it may have.
    Busy,
    Read(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

/// None of the values holds what a header cannot.
fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// The value of `Content-Range`.
fn place(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// The body of several ranges (RFC 9110, 14.6), in the order in which they were asked for.
fn multipart(ranges: Vec<Range<u64>>, boundary: &str, kind: &str, size: u64) -> Vec<Section> {
    let mut sections = Vec::with_capacity(ranges.len() * 2 + 1);
    let text = |text: String| Section::Text(Bytes::from(text));
    for range in ranges {
        let place = place(&range, size);
        sections.push(text(format!(
            "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {place}\r\n\r\n"
        )));
        sections.push(Section::File(range));
    }
    sections.push(text(format!("\r\n--{boundary}--\r\n")));
    sections
}
