//! `/downloader/…`: links of web hosts. One host is known, and nothing was ever downloaded from it.

use serde_json::json;

use super::call::Call;
use super::{Refusal, done};
use crate::vendors::answer::Answer;

const HOST: &str = "example.com";

pub(super) fn list() -> Answer {
    Answer::json(
        200,
        &json!({
            "success": true,
            "value": [],
            "pagination": { "page": 0, "pages": 1, "next": -1, "previous": -1 },
        }),
    )
}

/// No link leads to anything.
pub(super) fn add(call: &Call) -> Result<Answer, Refusal> {
    let url = call
        .text("url")
        .ok_or_else(|| Refusal::of("badArguments"))?;
    let word = match url.contains(HOST) {
        true => "fileNotFound",
        false => "notDebrid",
    };
    Err(Refusal::of(word))
}

pub(super) fn limits() -> Answer {
    let limit = |value: i64| json!({ "current": 0, "value": value });
    done(json!({
        "usagePercent": limit(100),
        "nextResetSeconds": limit(86_400),
        "daySize": limit(150 << 30),
        "dayCount": limit(500),
        "hosters": [{ "name": HOST, "daySize": limit(20 << 30), "dayCount": limit(100) }],
    }))
}

/// `hosts`, `hostnames`, `domains` or `regex`.
pub(super) fn hosts(what: &str) -> Answer {
    done(match what {
        "hosts" => json!([{
            "name": HOST, "type": "host", "status": 1, "isFree": true, "domains": [HOST],
            "regexs": ["^https?://example\\.com/"],
        }]),
        "regex" => json!(["^https?://example\\.com/"]),
        _ => json!([HOST]),
    })
}
