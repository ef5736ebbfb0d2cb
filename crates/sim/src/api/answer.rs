//! Answers, and the vendor's table of errors.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::random::hash_parts;

/// One of the vendor's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VendorError(pub(super) i32);

/// Code, HTTP status, text: "List of numeric error codes" of the vendor's documentation; where that names no status, the one that
/// clients report.
const CODES: [(i32, u16, &str); 39] = [
    (-1, 500, "internal_error"),
    (1, 400, "parameter_missing"),
    (2, 400, "bad_parameter_value"),
    (3, 404, "unknown_method"),
    (4, 405, "method_not_allowed"),
    (5, 429, "slow_down"),
    (6, 503, "ressource_unreachable"),
    (7, 404, "unknown_ressource"),
    (8, 401, "bad_token"),
    (9, 403, "permission_denied"),
    (10, 403, "two_factor_authentication_needed"),
    (11, 403, "two_factor_authentication_pending"),
    (12, 403, "invalid_login"),
    (13, 403, "invalid_password"),
    (14, 403, "account_locked"),
    (15, 403, "account_not_activated"),
    (16, 503, "unsupported_hoster"),
    (17, 503, "hoster_in_maintenance"),
    (18, 503, "hoster_limit_reached"),
    (19, 503, "hoster_unavailable"),
    (20, 403, "hoster_not_free"),
    (21, 509, "too_many_active_downloads"),
    (22, 403, "ip_not_allowed"),
    (23, 503, "traffic_exhausted"),
    (24, 503, "file_unavailable"),
    (25, 503, "service_unavailable"),
    (26, 413, "upload_too_big"),
    (27, 503, "upload_error"),
    (28, 403, "file_not_allowed"),
    (29, 400, "torrent_too_big"),
    (30, 400, "torrent_file_invalid"),
    (31, 202, "action_already_done"),
    (32, 503, "image_resolution_error"),
    (33, 202, "torrent_already_active"),
    (34, 429, "too_many_requests"),
    (35, 451, "infringing_file"),
    (36, 503, "fair_usage_limit"),
    (37, 403, "disabled_endpoint"),
    (38, 503, "unavailable"),
];

#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_code: i32,
}

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: Option<i32>,
    pub(super) headers: HeaderMap,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl Answer {
    /// No body.
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            code: None,
            headers: HeaderMap::new(),
            content_type: "application/json",
            body: Bytes::new(),
        }
    }

    pub(super) fn text(text: String) -> Self {
        Self {
            content_type: "text/plain; charset=utf-8",
            body: text.into(),
            ..Self::empty(200)
        }
    }

    pub(super) fn json<T: Serialize>(status: u16, value: &T) -> Self {
        // Nothing that is answered has map keys other than text, which is all that could fail here.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self {
            body: body.into(),
            ..Self::empty(status)
        }
    }

    pub(super) fn error(VendorError(code): VendorError) -> Self {
        let (_, status, error) = CODES
            .into_iter()
            .find(|(known, ..)| *known == code)
            .unwrap_or((code, 503, "unknown_error"));
        let mut answer = Self::json(
            status,
            &ErrorBody {
                error,
                error_code: code,
            },
        );
        answer.code = Some(code);
        answer
    }

    /// A page of a list of `total`; one without items has no body.
    pub(super) fn list<T: Serialize>(items: &[T], total: usize) -> Self {
        let mut answer = match items {
            [] => Self::empty(204),
            items => Self::json(200, &items),
        };
        answer.headers.insert("x-total-count", total.into());
        answer
    }

    /// Names the content, and answers 304 to whoever has it (`If-None-Match`).
    pub(super) fn with_etag(mut self, request: &HeaderMap) -> Self {
        if self.status != 200 {
            return self;
        }
        let etag = format!("\"{:016x}\"", hash_parts(&[&self.body]));
        let known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*");
        if let Ok(value) = HeaderValue::from_str(&etag) {
            self.headers.insert(header::ETAG, value);
        }
        if known {
            self.status = 304;
            self.body = Bytes::new();
        }
        self
    }

    /// Leaves the first entries of a list.
    pub(super) fn keep_items(&mut self, keep: usize) {
        if let Ok(mut items) =
            serde_json::from_slice::<Vec<Box<serde_json::value::RawValue>>>(&self.body)
        {
            items.truncate(keep);
            self.body = serde_json::to_vec(&items).unwrap_or_default().into();
            self.headers.remove(header::ETAG);
        }
    }

    /// How counters call it.
    pub(super) fn outcome(&self) -> String {
        match self.code {
            Some(code) => format!("{}/{code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub(super) fn respond(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let with_body = self.status != 204 && self.status != 304;
        *response.headers_mut() = self.headers;
        if with_body {
            let headers = response.headers_mut();
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(self.content_type));
        }
        response
    }
}
