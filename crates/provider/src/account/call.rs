//! One call: its turn, the request, what the answer means, and whether to ask again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::RwLock;

use super::config::RealDebridConfig;
use super::health::{Health, is_token_refusal};
use crate::vendors::real_debrid::decode::DecodeError;
use crate::vendors::real_debrid::verdicts;
use crate::{Error, Outcome, Priority, Result, Scheduler, Verdict};
use debridfs_base::Secret;
use debridfs_base::WallClock;
use debridfs_base::http::{Transport, TransportError};

/// A call that only reads is made this often at most; one that changes something, once.
const MOST_ATTEMPTS: u32 = 3;
/// The wait before the first repetition, on average; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A repetition that would have to wait longer than this is left to the caller.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// For this long after a throttled call, "infringing" may be a penalty rather than the truth (seen by Debrid Media Manager).
const QUIET_PERIOD: Duration = Duration::from_secs(30);

/// A request to the API.
pub(crate) struct Call {
    /// For messages: what is being done.
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    /// Path and query below the base.
    pub(crate) path: String,
    /// Body with its type.
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// Bytes of the largest sound answer.
    pub(crate) max_body: usize,
}

/// An answer that is a success.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body of a list: "no content" is how an empty one is told. An empty body with another status is none.
    pub(crate) fn list(&self) -> &[u8] {
        match self.status {
            StatusCode::NO_CONTENT => b"[]",
            _ => &self.body,
        }
    }

    /// `X-Total-Count`.
    pub(crate) fn total(&self) -> Option<u64> {
        let header = self.headers.get("x-total-count")?;
        header.to_str().ok()?.trim().parse().ok()
    }
}

/// Makes calls.
pub(crate) struct Caller {
    pub(crate) config: RealDebridConfig,
    pub(crate) base: String,
    pub(crate) token: RwLock<Secret>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) scheduler: Scheduler,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn WallClock>,
}

impl Caller {
    /// Makes `call` when its turn has come, and reads the answer with `decode`. Repeats it a few times, each with a turn of its own,
    /// if it only reads and the failure is a hiccup.
    pub(crate) async fn call<T>(
        &self,
        priority: Priority,
        call: &Call,
        decode: impl Fn(&Answer) -> std::result::Result<T, DecodeError>,
    ) -> Result<T> {
        let mut attempt = 1;
        let mut tried_new_token = false;
        loop {
            if let Some(refusal) = self.health.standing_refusal()
                && !self.reload_token()
            {
                return Err(refusal);
            }
            let error = match self.once(priority, call, &decode).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            tracing::debug!(provider = %self.config.name, call = call.what, attempt, %error);
            if is_token_refusal(&error) && !tried_new_token && self.reload_token() {
                tried_new_token = true;
                continue;
            }
            let Some(wait) = self.wait_before_next(call, &error, attempt) else {
                return Err(error);
            };
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn once<T>(
        &self,
        priority: Priority,
        call: &Call,
        decode: impl Fn(&Answer) -> std::result::Result<T, DecodeError>,
    ) -> Result<T> {
        let mut turn = self.scheduler.turn(priority).await;
        // Others may have learnt, while this call waited, that the token is refused.
        if let Some(refusal) = self.health.standing_refusal() {
            return Err(refusal);
        }
        let request = self.request(call)?;
        turn.start();
        let result = self.transport.send(request, call.max_body).await;
        let now = self.clock.now();
        let result = match result {
            Err(failure) => {
                turn.finish(Outcome::NoAnswer);
                Err(self.no_answer(call, &failure))
            }
            Ok(response) => {
                let result = self.read(call, response, decode);
                turn.finish(match &result {
                    Err(error) if error.verdict == Verdict::BackOff => Outcome::Refused {
                        retry_after: error.retry_after,
                    },
                    _ => Outcome::Answered,
                });
                result
            }
        };
        match &result {
            Ok(_) => self.health.answered(),
            Err(error) => self.health.failed(error, now),
        }
        result
    }

    fn request(&self, call: &Call) -> Result<http::Request<Bytes>> {
        let token = self.token.read();
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| self.error(call, Verdict::AccountRefused, "the token is not usable"))?;
        bearer.set_sensitive(true);
        let (content_type, body) = match &call.body {
            Some((content_type, body)) => (Some(*content_type), body.clone()),
            None => (None, Bytes::new()),
        };
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base, call.path))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, &self.config.user_agent);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        request
            .body(body)
            .map_err(|error| self.error(call, Verdict::BadRequest, error.to_string()))
    }

    fn read<T>(
        &self,
        call: &Call,
        response: http::Response<Bytes>,
        decode: impl Fn(&Answer) -> std::result::Result<T, DecodeError>,
    ) -> Result<T> {
        let (head, body) = response.into_parts();
        if let Some(meaning) = verdicts::meaning(head.status, &body) {
            let mut error = self.error(call, meaning.verdict, meaning.words);
            error.http_status = Some(head.status.as_u16());
            error.code = meaning.code;
            error.retry_after = self.retry_after(&head.headers);
            self.doubt(&mut error);
            return Err(error);
        }
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body,
        };
        decode(&answer).map_err(|why| {
            let words = format!("the answer cannot be read: {why}");
            let mut error = self.error(call, Verdict::Malformed, words);
            error.http_status = Some(head.status.as_u16());
            error
        })
    }

    /// Shortly after throttling, "infringing" is not believed: it becomes a [`Verdict::Retry`] after a quiet period.
    fn doubt(&self, error: &mut Error) {
        if error.verdict != Verdict::Infringing {
            return;
        }
        let since = self.scheduler.last_refusal().map(|at| at.elapsed());
        if let Some(since) = since.filter(|since| *since < QUIET_PERIOD) {
            error.verdict = Verdict::Retry;
            error.retry_after = Some(QUIET_PERIOD - since);
            error.message.push_str("; said while calls were throttled, so it may be a penalty: to be asked again after a quiet period");
        }
    }

    fn no_answer(&self, call: &Call, failure: &TransportError) -> Error {
        let verdict = match failure {
            TransportError::TooLarge(_) => Verdict::Malformed,
            TransportError::Request(_) => Verdict::BadRequest,
            TransportError::Connect(_)
            | TransportError::NoAnswer(_)
            | TransportError::TooSlow(_)
            | TransportError::Broken(_) => Verdict::Retry,
        };
        self.error(call, verdict, failure.to_string())
    }

    /// `Retry-After`: seconds, or a date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()?;
        Duration::try_from(date.duration_since(self.clock.now())).ok()
    }

    /// How long to wait before `call` is made again, or `None` if it is not to be.
    fn wait_before_next(&self, call: &Call, error: &Error, attempt: u32) -> Option<Duration> {
        if call.method != Method::GET || attempt >= MOST_ATTEMPTS {
            return None;
        }
        match error.verdict {
            // The scheduler holds everybody back; who is not to wait that long decides himself.
            Verdict::BackOff => {
                let cooldown = self.scheduler.status().cooldown.unwrap_or_default();
                (cooldown <= LONGEST_WAIT).then_some(Duration::ZERO)
            }
            // An error code is the provider's considered answer (maintenance, a hoster's trouble); only "internal error" is not.
            Verdict::Retry if !matches!(error.code, None | Some(-1)) => None,
            Verdict::Retry | Verdict::Malformed => {
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << (attempt - 1))
                    .mul_f64(jitter());
                let wait = error.retry_after.map_or(pause, |asked| asked.max(pause));
                (wait <= LONGEST_WAIT).then_some(wait)
            }
            _ => None,
        }
    }

    /// Reads the token file again; tells whether it holds another token than before.
    fn reload_token(&self) -> bool {
        if self.config.token_file.is_none() {
            return false;
        }
        let Ok(fresh) = self.config.load_token() else {
            return false;
        };
        let mut token = self.token.write();
        if *token == fresh {
            return false;
        }
        *token = fresh;
        self.health.end_pause();
        tracing::info!(provider = %self.config.name, "the token file holds another token");
        true
    }

    pub(crate) fn error(
        &self,
        call: &Call,
        verdict: Verdict,
        words: impl std::fmt::Display,
    ) -> Error {
        Error {
            provider: self.config.name.clone(),
            verdict,
            http_status: None,
            code: None,
            retry_after: None,
            message: format!("{}: {words}", call.what),
        }
    }
}

/// 0.5 to 1.5, so that callers that failed together do not come back together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    0.5 + (random >> 11) as f64 / (1u64 << 53) as f64
}
