//! The CDN: `/d/ID/NAME`, `/dl/ID/NAME` or `/dld/UUID?token=…`, HEAD and ranged GET.

mod body;
mod range;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use tokio::time::Instant;

pub use range::{ByteRange, RangeRequest, parse_range};

use crate::account::{Download, Traffic};
use crate::connection::{Connection, Listener};
use crate::counters::LinkRegister;
use crate::cut::{abort, unavailable};
use crate::fault::{CdnFaultKind, FaultId, OutageMode};
use crate::pause::{pause, pause_precisely};
use crate::random::Id13;
use crate::settings::Settings;
use crate::shaper::Shaper;
use crate::sim::Sim;
use crate::transfers::End;
use crate::vendors::{Kind, torbox};
use body::{Plan, SlowStart, Transfer};

/// A refusal: status, `X-Error`, `Retry-After` in seconds.
type Refusal = (u16, Option<String>, Option<u32>);

/// The URL is no longer good, or never was: of a link that has expired.
fn expired(kind: Kind) -> Refusal {
    match kind {
        Kind::RealDebrid => (404, Some("link_expired".into()), None),
        Kind::TorBox => (400, None, None),
        Kind::AllDebrid | Kind::DebridLink => (404, None, None),
        Kind::Premiumize => (403, None, None),
    }
}

/// The file is gone from the account.
fn revoked(kind: Kind) -> Refusal {
    match kind {
        Kind::RealDebrid => (404, Some("invalid_download_code".into()), None),
        Kind::TorBox | Kind::AllDebrid | Kind::DebridLink | Kind::Premiumize => (404, None, None),
    }
}

/// The direct link of a URL.
fn asked(sim: &Sim, uri: &Uri) -> Option<Arc<Download>> {
    match sim.kind() {
        Kind::RealDebrid | Kind::AllDebrid | Kind::DebridLink | Kind::Premiumize => {
            let path = uri.path();
            let rest = path.strip_prefix(match sim.kind() {
                Kind::AllDebrid | Kind::DebridLink | Kind::Premiumize => "/dl/",
                _ => "/d/",
            });
            let id = rest?.split('/').next()?;
            sim.download(Id13::parse(id).filter(|_| id.len() == 13)?)
        }
        Kind::TorBox => {
            let uuid = uri.path().strip_prefix("/dld/")?;
            let download = sim.download(torbox::presigned(uri.query()?)?)?;
            (torbox::uuid(download.link) == uuid).then_some(download)
        }
    }
}

/// Answers one request for `/d/…`.
pub(crate) async fn handle(sim: Sim, request: Request) -> Response {
    let counters = &sim.inner.counters;
    let (request, _) = request.into_parts();
    let connection = request.extensions.get::<Arc<Connection>>().cloned();
    if let Some(connection) = &connection {
        connection.carries_cdn();
    }
    match request.method {
        Method::GET => counters.cdn_gets.fetch_add(1, Relaxed),
        Method::HEAD => counters.cdn_heads.fetch_add(1, Relaxed),
        _ => {
            counters.cdn_outcome("405".into());
            return refuse((405, None, None));
        }
    };
    match sim.inner.faults.outage().cdn {
        OutageMode::None => {}
        OutageMode::Unavailable => {
            counters.cdn_outcome("503".into());
            return unavailable();
        }
        OutageMode::Hang => {
            counters.cdn_outcome("hang".into());
            sim.inner
                .faults
                .outage_over(|outage| outage.cdn != OutageMode::Hang)
                .await;
            return abort();
        }
        OutageMode::Reset => {
            counters.cdn_outcome("reset".into());
            return abort();
        }
    }
    let response = answer(&sim, &request, connection).await;
    let outcome = match &response {
        Ok(response) => response.status().as_u16().to_string(),
        Err(_) => "reset".into(),
    };
    counters.cdn_outcome(outcome);
    response.unwrap_or_else(|Reset| abort())
}

/// The connection is to be reset without an answer.
struct Reset;

async fn answer(
    sim: &Sim,
    request: &Parts,
    connection: Option<Arc<Connection>>,
) -> Result<Response, Reset> {
    let Some(download) = asked(sim, &request.uri) else {
        return Ok(refuse(match sim.kind() {
            Kind::RealDebrid => (404, Some("link_not_found".into()), None),
            kind => expired(kind),
        }));
    };
    let head = request.method == Method::HEAD;
    let link = sim.inner.counters.link(download.link);
    if head { &link.heads } else { &link.gets }.fetch_add(1, Relaxed);

    let settings = sim.settings();
    let wait = Duration::from_millis(settings.first_byte_ms.into());
    match connection {
        Some(_) => pause_precisely(Instant::now() + wait).await,
        None => pause(wait).await,
    }
    let (fault, transfer, traffic) = match decide(sim, &settings, &download, &link, head) {
        Decision::Refuse(refusal) => return Ok(refuse(refusal)),
        Decision::Instead(id, kind) => return instead(sim, request, &download, id, kind).await,
        Decision::Serve {
            fault,
            transfer,
            traffic,
        } => (fault, transfer, traffic),
    };
    let served = Served::new(&request.headers, &download, fault.as_ref());
    let Some(transfer) = transfer.filter(|_| served.status != StatusCode::RANGE_NOT_SATISFIABLE)
    else {
        return Ok(served.respond(&download, Body::empty()));
    };
    let (stop, end, slow_start) = match fault {
        Some((_, CdnFaultKind::CloseAfter { bytes })) => (bytes, End::Close, None),
        Some((_, CdnFaultKind::ResetAfter { bytes })) => (bytes, End::Reset, None),
        Some((id, CdnFaultKind::StallAfter { bytes })) => (bytes, End::Stall(id), None),
        Some((_, CdnFaultKind::ExpireAfter { bytes })) => (bytes, End::Expire, None),
        Some((
            _,
            CdnFaultKind::SlowStart {
                wait_ms,
                rate,
                bytes,
            },
        )) => {
            let shaper = Shaper::new(rate);
            let slow = SlowStart {
                wait: Duration::from_millis(wait_ms),
                shaper,
                bytes,
            };
            (u64::MAX, End::Complete, Some(slow))
        }
        _ => (u64::MAX, End::Complete, None),
    };
    let plan = Plan {
        transfer,
        traffic,
        connection,
        download: download.clone(),
        offset: served.offset,
        length: served.length,
        stop: stop.min(served.length),
        // A fault that lies behind the end of the body does not happen.
        end: if stop <= served.length {
            end
        } else {
            End::Complete
        },
        slow_start,
        rate: settings.connection_rate,
        wrong_bytes: matches!(fault, Some((_, CdnFaultKind::WrongBytes))),
    };
    Ok(served.respond(&download, body::body(plan)))
}

enum Decision {
    Refuse(Refusal),
    /// A fault that leaves nothing of the true answer.
    Instead(FaultId, CdnFaultKind),
    Serve {
        fault: Option<(FaultId, CdnFaultKind)>,
        /// `None` for HEAD.
        transfer: Option<Transfer>,
        traffic: Arc<Traffic>,
    },
}

/// Looks at limits and opens the transfer, both under one lock, so that no limit is ever exceeded by one.
fn decide(
    sim: &Sim,
    settings: &Settings,
    download: &Download,
    link: &Arc<LinkRegister>,
    head: bool,
) -> Decision {
    let _gate = sim.inner.transfer_gate.lock();
    let names = [download.id.as_str(), download.link.as_str()];
    let open = [
        link.transfers.open(),
        sim.inner.counters.cdn_transfers.open(),
    ];
    let fault = sim.inner.faults.take_cdn(names, &download.file, head, open);
    if let Some((id, kind)) = &fault
        && kind.replaces_the_answer()
    {
        return Decision::Instead(*id, kind.clone());
    }
    let (now, kind) = (sim.inner.clock.now_ms(), sim.kind());
    let known_ms = match kind {
        Kind::RealDebrid | Kind::AllDebrid | Kind::DebridLink | Kind::Premiumize => {
            download.generated_ms
        }
        Kind::TorBox => download.generated_ms + i64::from(settings.torbox.token_delay_ms),
    };
    if now < known_ms || now >= download.expires_ms.load(Relaxed) {
        return Decision::Refuse(expired(kind));
    }
    let account = sim.with_account(download.account, |account| {
        // A link of Real-Debrid or Debrid-Link outlives its torrent. At Debrid-Link nothing is asked that could refuse a file.
        let gone = match kind {
            Kind::TorBox => account.link(download.link).is_none(),
            Kind::DebridLink => account.broken_links.contains_key(&download.link),
            Kind::RealDebrid | Kind::AllDebrid | Kind::Premiumize => false,
        };
        (!gone).then(|| (account.traffic.clone(), account.transfers.clone()))
    });
    let Ok(Some((traffic, transfers))) = account else {
        return Decision::Refuse(revoked(kind));
    };
    if settings.traffic_cap > 0 && traffic.on(&sim.inner.clock.day(now)) >= settings.traffic_cap {
        return Decision::Refuse((503, Some("bandwidth_exceeded".into()), None));
    }
    let full = |limit: u32, open: u64| limit > 0 && open >= u64::from(limit);
    if !head
        && (full(settings.max_parallel, transfers.load(Relaxed))
            || full(settings.max_parallel_per_link, open[0]))
    {
        return Decision::Refuse((429, None, Some(1)));
    }
    let transfer = (!head).then(|| Transfer::begin(sim.clone(), link.clone(), transfers));
    Decision::Serve {
        fault,
        transfer,
        traffic,
    }
}

/// The answer of a fault that leaves nothing of the true one.
async fn instead(
    sim: &Sim,
    request: &Parts,
    download: &Download,
    id: FaultId,
    kind: CdnFaultKind,
) -> Result<Response, Reset> {
    match kind {
        CdnFaultKind::Status {
            status,
            x_error,
            retry_after,
        } => Ok(refuse((status, x_error, retry_after))),
        CdnFaultKind::MaxParallel { retry_after, .. } => Ok(refuse((429, None, retry_after))),
        CdnFaultKind::Expired => {
            download.expires_ms.store(sim.inner.clock.now_ms(), Relaxed);
            Ok(refuse(expired(sim.kind())))
        }
        CdnFaultKind::Hang => {
            sim.inner.faults.cleared(id).await;
            Err(Reset)
        }
        CdnFaultKind::Redirect { to } => {
            let other = request
                .extensions
                .get::<Arc<Listener>>()
                .and_then(|l| l.other.clone());
            let uri = &request.uri;
            let path_and_query = uri.path_and_query().map_or("/", |text| text.as_str());
            let target = to
                .or(other)
                .map(|base| format!("{}{}", base.trim_end_matches('/'), path_and_query));
            let mut response = refuse((302, None, None));
            if let Some(location) = target.and_then(|target| HeaderValue::from_str(&target).ok()) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            Ok(response)
        }
        _ => Err(Reset),
    }
}

/// What of the file is answered, and what the headers say about it.
struct Served {
    status: StatusCode,
    /// First byte of the body.
    offset: u64,
    /// Bytes of the body.
    length: u64,
    content_range: Option<String>,
}

impl Served {
    fn new(
        headers: &HeaderMap,
        download: &Download,
        fault: Option<&(FaultId, CdnFaultKind)>,
    ) -> Self {
        let size = download.content.size();
        let fault = fault.map(|(_, kind)| kind);
        let mut asked = headers
            .get(header::RANGE)
            .and_then(|value| value.to_str().ok());
        let current = headers
            .get(header::IF_RANGE)
            .is_none_or(|value| value.to_str().is_ok_and(|value| value == etag(download)));
        if !current || matches!(fault, Some(CdnFaultKind::IgnoreRange)) {
            asked = None;
        }
        let (mut start, mut end) = match parse_range(asked, size) {
            RangeRequest::Whole => {
                let length = match fault {
                    Some(
                        CdnFaultKind::ShortBody { bytes } | CdnFaultKind::ShortRange { bytes },
                    ) => size.min(*bytes),
                    _ => size,
                };
                return Self {
                    status: StatusCode::OK,
                    offset: 0,
                    length,
                    content_range: None,
                };
            }
            RangeRequest::Unsatisfiable => {
                return Self {
                    status: StatusCode::RANGE_NOT_SATISFIABLE,
                    offset: 0,
                    length: 0,
                    content_range: Some(format!("bytes */{size}")),
                };
            }
            RangeRequest::Part(range) => (range.start, range.end),
        };
        let mut total = size;
        match fault {
            Some(CdnFaultKind::WrongOffset { by }) => {
                start = start.saturating_add_signed(*by).min(size - 1);
                end = end.saturating_add_signed(*by).clamp(start + 1, size);
            }
            Some(CdnFaultKind::WrongTotal { by }) => total = size.saturating_add_signed(*by),
            Some(CdnFaultKind::ShortRange { bytes }) => {
                end = end.min(start.saturating_add((*bytes).max(1)))
            }
            _ => {}
        }
        let mut length = end - start;
        if let Some(CdnFaultKind::ShortBody { bytes }) = fault {
            length = length.min(*bytes);
        }
        Self {
            status: StatusCode::PARTIAL_CONTENT,
            offset: start,
            length,
            content_range: Some(format!("bytes {start}-{}/{total}", end - 1)),
        }
    }

    fn respond(self, download: &Download, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(mime_type(&download.filename)),
        );
        headers.insert(header::CONTENT_LENGTH, self.length.into());
        let disposition = format!(
            "attachment; filename*=UTF-8''{}",
            percent_encoded(&download.filename)
        );
        for (name, value) in [
            (header::CONTENT_DISPOSITION, Some(disposition)),
            (header::CONTENT_RANGE, self.content_range),
            (header::ETAG, Some(etag(download))),
        ] {
            // All three are made of ASCII alone, so every one of them is a value.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

fn etag(download: &Download) -> String {
    format!("\"{:016x}\"", download.content.version())
}

fn refuse((status, x_error, retry_after): Refusal) -> Response {
    let text = match (&x_error, status) {
        (Some(error), _) => error.clone(),
        (None, 400) => torbox::INVALID_TOKEN.to_owned(),
        (None, _) => String::new(),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some(value) = x_error.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert("x-error", value);
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The vendor's guess from the extension.
pub(crate) fn mime_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "mkv" => "video/x-matroska",
        "mp4" | "m4v" => "video/mp4",
        "avi" => "video/x-msvideo",
        "ts" => "video/mp2t",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "srt" => "application/x-subrip",
        "jpg" | "jpeg" => "image/jpeg",
        "nfo" | "txt" => "text/plain",
        "rar" => "application/x-rar-compressed",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// `text` for a path of a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(byte.into());
            } else {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}
