//! One ranged GET.

use std::ops::Range;

use async_trait::async_trait;
use debridfs_base::http::{StreamingClient, Url};
use http::header::{ACCEPT_ENCODING, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::answer;
use crate::error::Cause;
use crate::source::{Answer, RangeSource};

/// Objects of web servers.
pub(crate) struct HttpSource {
    client: StreamingClient,
}

impl HttpSource {
    pub(crate) fn new(client: StreamingClient) -> Self {
        Self { client }
    }
}

fn parse(address: &str) -> Result<Url, Cause> {
    Url::parse(address).map_err(|_| unusable())
}

fn unusable() -> Cause {
    Cause::WrongAnswer("an unusable address".to_owned())
}

#[async_trait]
impl RangeSource for HttpSource {
    fn host(&self, address: &str) -> Result<(String, u16), Cause> {
        let url = parse(address)?;
        let name = url.host_str().ok_or_else(unusable)?;
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        Ok((name.to_owned(), port))
    }

    async fn get(&self, address: &str, range: &Range<u64>, size: u64) -> Result<Answer, Cause> {
        let url = parse(address)?;
        let (first, last) = (range.start, range.end - 1);
        let asked = HeaderValue::try_from(format!("bytes={first}-{last}"));
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, asked.map_err(|_| unusable())?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answer = self.client.get(url.clone(), headers).await;
        let answer = answer.map_err(|error| match Cause::of_transport(error) {
            Cause::Connect(words) => {
                let host = url.host_str().unwrap_or("the CDN");
                Cause::Connect(format!("{host}: {words}"))
            }
            cause => cause,
        })?;
        let (head, pieces) = answer.into_parts();
        if head.status.is_redirection() {
            let target = head.headers.get(LOCATION);
            let target = redirect_target(&url, target.and_then(|value| value.to_str().ok()))?;
            return Ok(Answer::Elsewhere(target.into()));
        }
        if let Err(cause) = answer::check(head.status, &head.headers, range, size) {
            return Ok(Answer::Refused(cause));
        }
        Ok(Answer::Bytes(pieces))
    }
}

/// Where a redirect leads; never from a protected address to one that anybody on the way can read.
fn redirect_target(from: &Url, location: Option<&str>) -> Result<Url, Cause> {
    let wrong = |why: &str| Cause::WrongAnswer(format!("a redirect {why}"));
    let target = location
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| wrong("to nowhere"))?;
    match (from.scheme(), target.scheme()) {
        (_, "https") | ("http", "http") => Ok(target),
        _ => Err(wrong("to an insecure address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_addresses_as_safe_as_before() {
        let target = |from: &str, location| {
            let from = Url::parse(from).unwrap();
            redirect_target(&from, location)
                .ok()
                .map(|url| url.to_string())
        };
        let secure = "https://cdn/d/1";
        for (from, location, expected) in [
            (secure, Some("/d/2"), Some("https://cdn/d/2")),
            (secure, Some("https://b/d/2"), Some("https://b/d/2")),
            (secure, Some("http://cdn/d/2"), None),
            (secure, Some("ftp://cdn/d/2"), None),
            (secure, Some("file:///etc/passwd"), None),
            (secure, None, None),
            ("http://cdn/d/1", Some("http://b/"), Some("http://b/")),
            ("http://cdn/d/1", Some("https://b/"), Some("https://b/")),
        ] {
            assert_eq!(
                target(from, location).as_deref(),
                expected,
                "{from} {location:?}"
            );
        }
    }
}
