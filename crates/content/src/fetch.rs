//! One ranged GET: its way through redirects, its check, and the time each part of it may take.

use std::error::Error as _;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use debridfs_provider::{KeyTraffic, Priority};
use futures_util::FutureExt as _;
use http::header::{ACCEPT_ENCODING, LOCATION, RANGE};
use reqwest::{Response, Url};
use tokio::time::{Instant, timeout};

use crate::answer;
use crate::error::{Blame, Cause};
use crate::hosts::{Host, Lead, Pass, Urgency};
use crate::links::Lease;
use crate::reader::Context;
use crate::stats::add;

/// Redirects followed before the link counts as broken.
const MOST_REDIRECTS: usize = 4;

/// Pieces of a body that are smaller are copied when memory is short. hyper reads into buffers of 8 to 408 KiB and hands out what came in them, so
/// that a few bytes may hold a whole buffer; large pieces fill theirs at least by half, and a copy of them would cost more than it saves.
const SNUG: usize = 64 << 10;

/// A checked answer whose body is under way. Dropping it closes the connection unless the body is complete.
pub(crate) struct Body {
    response: Response,
    at: u64,
    end: u64,
    pass: Pass,
    /// The traffic these bytes count as.
    traffic: Option<KeyTraffic>,
    /// There is no more of it.
    used_up: bool,
}

/// What to ask for.
pub(crate) struct Request<'a> {
    pub(crate) range: &'a Range<u64>,
    /// Size of the whole file.
    pub(crate) size: u64,
    /// How long the answer may take to begin.
    pub(crate) first_byte: Duration,
    /// Whether the bytes are elsewhere as well: then a host that asked for a long pause is not waited for.
    pub(crate) other_sources: bool,
    /// It only makes things faster: then it waits for nothing, and its refusal says nothing about the host.
    pub(crate) spare: bool,
    /// In the queue for a connection: those who wait for bytes before those who only read ahead.
    pub(crate) urgency: &'a Urgency,
}

/// Sends `request`. `None`: when the connection was to be had, `wanted` said that nobody needs it any more; or it would have had to be
/// waited for, for a spare one.
pub(crate) async fn open(
    context: &Context,
    lease: &Lease,
    request: &Request<'_>,
    wanted: impl Fn() -> bool,
) -> Result<Option<Body>, Cause> {
    let &Request {
        range,
        size,
        first_byte,
        other_sources,
        spare,
        urgency,
    } = request;
    let unusable = || Cause::WrongAnswer("an unusable address".to_owned());
    let mut url = Url::parse(&lease.link.url).map_err(|_| unusable())?;
    for _ in 0..=MOST_REDIRECTS {
        let name = url.host_str().ok_or_else(unusable)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        let host = context.hosts.get(&name, port);
        if other_sources && let Some(cause) = host.long_refusal() {
            return Err(cause);
        }
        let pass = if spare {
            host.enter_now(&lease.connections, urgency.priority())
        } else {
            Some(host.enter(&lease.connections, urgency).await)
        };
        let Some(mut pass) = pass.filter(|_| wanted()) else {
            return Ok(None);
        };
        let asked = Instant::now();
        let asking = Asking {
            context,
            lease,
            url: &url,
            range,
            first_byte,
        };
        let late = if spare { None } else { host.pace.late() };
        let (response, other) = asking.hedged(&host, late, urgency.priority()).await?;
        pass = other.unwrap_or(pass);
        if response.status().is_redirection() {
            url = redirected(&url, &response)?;
            continue;
        }
        if let Err(cause) = answer::check(response.status(), response.headers(), range, size) {
            if cause.blame() == Blame::Host && !spare {
                pass.refused(&cause);
            }
            return Err(cause);
        }
        host.pace.answered(asked.elapsed());
        pass.succeeded();
        return Ok(Some(Body {
            response,
            at: range.start,
            end: range.end,
            pass,
            traffic: lease.traffic.clone(),
            used_up: false,
        }));
    }
    Err(Cause::WrongAnswer("too many redirects".to_owned()))
}

/// One GET that may be sent twice.
struct Asking<'a> {
    context: &'a Context,
    lease: &'a Lease,
    url: &'a Url,
    range: &'a Range<u64>,
    first_byte: Duration,
}

impl Asking<'_> {
    async fn send(&self) -> Result<Response, Cause> {
        add(&self.context.counters.requests, 1);
        let (first, last) = (self.range.start, self.range.end - 1);
        let cdn = self.lease.provider.cdn();
        let request = cdn
            .get(self.url.clone())
            .header(RANGE, format!("bytes={first}-{last}"))
            .header(ACCEPT_ENCODING, "identity");
        match timeout(self.first_byte, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(describe(&error, self.first_byte)),
            Err(_) => Err(Cause::FirstByte(self.first_byte)),
        }
    }

    /// The answer, or that to a second request on another connection when the first is `late`, whichever is there first; the other
    /// one is given up. With the leave of the second request, if it was that.
    async fn hedged(
        &self,
        host: &Arc<Host>,
        late: Option<Duration>,
        priority: Priority,
    ) -> Result<(Response, Option<Pass>), Cause> {
        let mut first = pin!(self.send());
        let Some(late) = late else {
            return Ok((first.await?, None));
        };
        if let Ok(in_time) = timeout(late, &mut first).await {
            return Ok((in_time?, None));
        }
        let leave = host.enter_now(&self.lease.connections, priority);
        let Some(leave) = leave.filter(|_| may_hedge(self.context, host)) else {
            return Ok((first.await?, None));
        };
        let mut second = pin!(self.send());
        tokio::select! {
            answer = &mut first => match answer {
                Ok(response) => Ok((response, None)),
                Err(_) => Ok((second.await?, Some(leave))),
            },
            answer = &mut second => match answer {
                Ok(response) => Ok((response, Some(leave))),
                Err(_) => Ok((first.await?, None)),
            },
        }
    }
}

/// Takes leave for a second request beside one that is late or slow: rarely, and never from a host that refuses or is waited for.
pub(crate) fn may_hedge(context: &Context, host: &Host) -> bool {
    let granted = host.is_generous() && host.pace.take_hedge();
    if granted {
        add(&context.counters.hedges, 1);
    }
    granted
}

fn redirected(from: &Url, response: &Response) -> Result<Url, Cause> {
    let target = response.headers().get(LOCATION);
    redirect_target(from, target.and_then(|value| value.to_str().ok()))
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

/// The error in words, without the URL, which is as good as a password.
fn describe(error: &reqwest::Error, first_byte: Duration) -> Cause {
    if error.is_timeout() && !error.is_connect() {
        return Cause::FirstByte(first_byte);
    }
    let mut root = error.source();
    while let Some(next) = root.and_then(|inner| inner.source()) {
        root = Some(next);
    }
    let words = root.map_or_else(|| "request failed".to_owned(), ToString::to_string);
    if error.is_connect() {
        let host = error.url().and_then(Url::host_str).unwrap_or("the CDN");
        Cause::Connect(format!("{host}: {words}"))
    } else {
        Cause::Transport(words)
    }
}

impl Body {
    pub(crate) fn lead(&self) -> &Lead {
        self.pass.lead()
    }

    /// Whether the whole range came.
    pub(crate) fn is_complete(&self) -> bool {
        self.at == self.end
    }

    /// The next bytes; `None` when the range is complete. A body that is too short, too long or stands still is an error.
    pub(crate) async fn next(
        &mut self,
        context: &Context,
        stall: Duration,
    ) -> Result<Option<Bytes>, Cause> {
        if self.at == self.end {
            // Lets the client see the end of a chunked body, so that the connection can be used again.
            let _ = self.response.chunk().now_or_never();
            return Ok(None);
        }
        if self.used_up {
            return Err(Cause::TrafficUsedUp);
        }
        let bytes = match timeout(stall, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Err(Cause::Transport("the body is too short".to_owned())),
            Ok(Err(error)) => return Err(describe(&error, stall)),
            Err(_) => {
                context.counters.stalls.fetch_add(1, Ordering::Relaxed);
                return Err(Cause::Stalled(stall));
            }
        };
        if bytes.len() as u64 > self.end - self.at {
            return Err(Cause::WrongAnswer("the body is too long".to_owned()));
        }
        self.at += bytes.len() as u64;
        add(&context.counters.bytes_fetched, bytes.len() as u64);
        if let Some(traffic) = &self.traffic {
            self.used_up = !traffic.add(bytes.len() as u64);
        }
        let loose = bytes.len() < SNUG && context.budget.is_tight();
        Ok(Some(if loose {
            Bytes::copy_from_slice(&bytes)
        } else {
            bytes
        }))
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
