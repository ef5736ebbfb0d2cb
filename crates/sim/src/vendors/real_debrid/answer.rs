//! What the vendor's answers have of their own: its table of errors, and its lists.

use serde::Serialize;

pub(super) use crate::vendors::answer::Answer;

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

impl Answer {
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
        answer.code = Some(code.to_string().into());
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
}
