//! One call: its turn, the request, what the answer means, and whether to ask again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use parking_lot::RwLock;

use super::call::{Answer, Call};
use super::config::AccountConfig;
use super::decode::Decoded;
use super::health::Health;
use super::scheduler::{Outcome, Scheduler, Turn};
use crate::vendors::Vendor;
use crate::{Error, Priority, Result, Verdict};
use debridfs_base::http::{Transport, TransportError};
use debridfs_base::{Backoff, HumanDuration, Secret, WallClock};

/// A call that only reads is made this often at most; one that changes something, once.
const MOST_ATTEMPTS: u32 = 3;
/// The waits before repetitions, on average.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
/// A repetition that would have to wait longer than this is left to the caller.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Makes calls with one key.
pub(crate) struct Caller {
    /// The settings of this key.
    pub(crate) config: AccountConfig,
    pub(crate) vendor: Arc<dyn Vendor>,
    pub(crate) base: String,
    pub(crate) token: RwLock<Secret>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) scheduler: Scheduler,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn WallClock>,
}

/// A vendor's way to its API, for one question: with one key, at one urgency.
#[derive(Clone, Copy)]
pub(crate) struct Api<'a> {
    caller: &'a Caller,
    priority: Priority,
}

impl Api<'_> {
    /// Makes `call` when its turn has come, and reads the answer with `decode`. Repeats it a few
    /// times, each with a turn of its own, if it only reads and the failure is a hiccup.
    pub(crate) async fn call<T>(
        &self,
        call: &Call,
        decode: impl Fn(&Answer) -> Decoded<T>,
    ) -> Result<T> {
        self.caller.call(self.priority, call, decode).await
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.caller.clock.now()
    }

    /// A failure that is known without asking.
    pub(crate) fn error(&self, what: &str, verdict: Verdict, words: &str) -> Error {
        self.caller.error(what, verdict, words)
    }
}

/// A failed call, and what is of interest here alone.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The token itself was refused.
    pub(crate) refuses_token: bool,
    /// To be told as it is, without another attempt.
    final_word: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            refuses_token: false,
            final_word: false,
        }
    }
}

impl Caller {
    /// The way to the API for a question of urgency `priority`.
    pub(crate) fn api(&self, priority: Priority) -> Api<'_> {
        Api {
            caller: self,
            priority,
        }
    }

    async fn call<T>(
        &self,
        priority: Priority,
        call: &Call,
        decode: impl Fn(&Answer) -> Decoded<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        let mut tried_new_token = false;
        loop {
            if let Some(refusal) = self.health.standing_refusal()
                && !self.reload_token()
            {
                return Err(refusal);
            }
            let failure = match self.once(priority, call, &decode).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let error = &failure.error;
            tracing::debug!(provider = %self.config.name, call = call.what, attempt, %error);
            if failure.refuses_token && !tried_new_token && self.reload_token() {
                tried_new_token = true;
                continue;
            }
            let Some(wait) = self.wait_before_next(call, &failure, attempt) else {
                return Err(failure.error);
            };
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn once<T>(
        &self,
        priority: Priority,
        call: &Call,
        decode: impl Fn(&Answer) -> Decoded<T>,
    ) -> std::result::Result<T, Failure> {
        let mut turn = self.turn(priority, call).await?;
        // Others may have learnt, while this call waited, that the token is refused.
        if let Some(refusal) = self.health.standing_refusal() {
            return Err(refusal.into());
        }
        let request = self.request(call)?;
        turn.start();
        let result = self.transport.send(request, call.max_body).await;
        let now = self.clock.now();
        let result = match result {
            Err(failure) => {
                turn.finish(Outcome::NoAnswer);
                Err(self.no_answer(call, &failure).into())
            }
            Ok(response) => {
                let result = self.read(call, response, decode);
                turn.finish(match &result {
                    Err(Failure { error, .. }) if error.verdict == Verdict::BackOff => {
                        Outcome::Refused {
                            retry_after: error.retry_after,
                        }
                    }
                    _ => Outcome::Answered,
                });
                result
            }
        };
        match &result {
            Ok(_) => self.health.answered(),
            Err(failure) if call.may_be_none && failure.error.verdict == Verdict::NotFound => {
                self.health.answered();
            }
            Err(failure) => self.health.failed(failure, now),
        }
        result
    }

    async fn turn(&self, priority: Priority, call: &Call) -> std::result::Result<Turn, Failure> {
        let turn = self.scheduler.turn_of(priority, call.word).await;
        turn.map_err(|wait| {
            let soon = HumanDuration::from_secs(wait.as_secs());
            let words = format!("too many such calls lately; the next may be made in {soon}");
            let mut error = self.error(call.what, Verdict::BackOff, words);
            error.retry_after = Some(wait);
            Failure {
                final_word: true,
                ..error.into()
            }
        })
    }

    fn request(&self, call: &Call) -> Result<http::Request<Bytes>> {
        let token = self.token.read();
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
                let words = "the token is not usable";
                self.error(call.what, Verdict::AccountRefused, words)
            })?;
        bearer.set_sensitive(true);
        let (content_type, body) = match &call.body {
            Some((content_type, body)) => (Some(&**content_type), body.clone()),
            None => (None, Bytes::new()),
        };
        let mut uri = format!("{}{}", self.base, call.path);
        if let Some(name) = call.token_in {
            let begin = if uri.contains('?') { '&' } else { '?' };
            let mut query = form_urlencoded::Serializer::new(String::new());
            uri.push(begin);
            uri.push_str(&query.append_pair(name, token.expose()).finish());
        }
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, &self.config.user_agent);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        request
            .body(body)
            .map_err(|error| self.error(call.what, Verdict::BadRequest, error))
    }

    fn read<T>(
        &self,
        call: &Call,
        response: http::Response<Bytes>,
        decode: impl Fn(&Answer) -> Decoded<T>,
    ) -> std::result::Result<T, Failure> {
        let (head, body) = response.into_parts();
        let http_status = Some(head.status.as_u16());
        if let Some(meaning) = self.vendor.meaning(call, head.status, &body) {
            let mut error = self.error(call.what, meaning.verdict, meaning.words);
            error.http_status = http_status;
            error.code = meaning.code;
            error.retry_after = self.retry_after(call, &head.headers);
            self.doubt(&mut error);
            return Err(Failure {
                refuses_token: meaning.refuses_token,
                final_word: meaning.considered && error.verdict == Verdict::Retry,
                error,
            });
        }
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body,
        };
        decode(&answer).map_err(|why| {
            let words = format!("the answer cannot be read: {why}");
            let mut error = self.error(call.what, Verdict::Malformed, words);
            error.http_status = http_status;
            error.into()
        })
    }

    /// Shortly after throttling, "infringing" is not believed: it becomes a [`Verdict::Retry`]
    /// after a quiet period ([`crate::Limits::penalty`]).
    fn doubt(&self, error: &mut Error) {
        if error.verdict != Verdict::Infringing {
            return;
        }
        let quiet = self.config.kind.limits.penalty;
        let since = self.scheduler.last_refusal().map(|at| at.elapsed());
        if let Some(since) = since.filter(|since| *since < quiet) {
            error.verdict = Verdict::Retry;
            error.retry_after = Some(quiet - since);
            error.message.push_str("; said while calls were throttled, so it may be a penalty: to be asked again after a quiet period");
        }
    }

    fn no_answer(&self, call: &Call, failure: &TransportError) -> Error {
        let verdict = match failure {
            TransportError::TooLarge(_) => Verdict::Malformed,
            TransportError::Request(_) => Verdict::BadRequest,
            TransportError::Connect(_)
            | TransportError::NotAllowed(_)
            | TransportError::NoHost(_)
            | TransportError::NoAnswer(_)
            | TransportError::TooSlow(_)
            | TransportError::Broken(_) => Verdict::Retry,
        };
        self.error(call.what, verdict, failure)
    }

    /// `Retry-After`, seconds or a date, as far as it is believed.
    fn retry_after(&self, call: &Call, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let asked = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let parser = jiff::fmt::rfc2822::DateTimeParser::new();
                let date = parser.parse_timestamp(text).ok()?;
                Duration::try_from(date.duration_since(self.clock.now())).ok()?
            }
        };
        Some(asked.min(self.config.kind.limits.longest_pause(call.word)))
    }

    /// How long to wait before `call` is made again, or `None` if it is not to be.
    fn wait_before_next(&self, call: &Call, failure: &Failure, attempt: u32) -> Option<Duration> {
        let only_reads = call.method == Method::GET || call.only_reads;
        if !only_reads || attempt >= MOST_ATTEMPTS || failure.final_word {
            return None;
        }
        let error = &failure.error;
        match error.verdict {
            // The scheduler holds all calls back; whether to wait long is for the caller to say.
            Verdict::BackOff => {
                let cooldown = self.scheduler.status().cooldown.unwrap_or_default();
                (cooldown <= LONGEST_WAIT).then_some(Duration::ZERO)
            }
            Verdict::Retry | Verdict::Malformed => {
                let pause = PAUSES.after(attempt).mul_f64(jitter());
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

    fn error(&self, what: &str, verdict: Verdict, words: impl std::fmt::Display) -> Error {
        Error {
            provider: self.config.name.clone(),
            verdict,
            http_status: None,
            code: None,
            retry_after: None,
            message: format!("{what}: {words}"),
        }
    }
}

/// 0.5 to 1.5, so that callers that failed together do not come back together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    0.5 + (random >> 11) as f64 / (1u64 << 53) as f64
}
