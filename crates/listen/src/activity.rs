//! What a connection waits for, and since when: by that it is ended when it takes too long, and
//! makes room for others when it does nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::Times;

/// How long a connection may do nothing before it can be closed to make room: a request follows its
/// handshake sooner, also from another continent. It bounds how fast a flood turns a full listener
/// over, so it is short: 128 connections, 2560 a second.
pub(crate) const GRACE: Duration = Duration::from_millis(50);
/// How long a caller may take nothing of an answer before it can be closed to make room.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Why a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was needed for another one.
    MadeRoom,
    /// There was no request, or only a part of its head.
    Idle,
    /// A body did not come.
    SlowBody,
    /// Nobody took the answer.
    SlowWrite,
}

/// When a connection can be closed to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// Now: first those without a request, then those whose body is waited for, then those who take
    /// no answer; of each the one that has waited for longest.
    Now(u8, Instant),
    /// Not before this time.
    Later(Instant),
    /// It is being answered.
    Never,
}

#[derive(Debug)]
struct State {
    /// Requests that are being answered.
    requests: u32,
    /// When the last one ended, or when the first byte of the next one came.
    since: Instant,
    /// Whether a part of a request is there.
    begun: bool,
    /// While a body is waited for: when its reading began, and when its last part came.
    body: Option<(Instant, Option<Instant>)>,
    /// Since when nothing of an answer could be written.
    blocked: Option<Instant>,
}

/// What one connection does. A protocol says when it has a whole request ([`Activity::begin`]); the
/// rest is seen by the [`Stream`].
#[derive(Debug)]
pub struct Activity {
    state: Mutex<State>,
    /// Told when it has to make room.
    pub(crate) evicted: Notify,
}

/// A request that is being answered; dropped when it is.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                requests: 0,
                since: Instant::now(),
                begun: false,
                body: None,
                blocked: None,
            }),
            evicted: Notify::new(),
        })
    }

    /// A request is there: the connection is in use until what is returned is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state.lock();
        state.requests += 1;
        state.begun = false;
        drop(state);
        Busy(self.clone())
    }

    /// The caller's handshake is over: from now on it has the time for a request that it would have
    /// after connecting. `begun` says that a part of a request came with the handshake's end.
    pub(crate) fn shook_hands(&self, begun: bool) {
        let mut state = self.state.lock();
        state.begun = begun;
        state.since = Instant::now();
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.requests = state.requests.saturating_sub(1);
        state.since = Instant::now();
        state.body = None;
    }

    /// The request cannot be answered before more of its body is there.
    pub(crate) fn wants_body(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        match &mut state.body {
            None => state.body = Some((now, Some(now))),
            Some((_, waits)) => *waits = waits.or(Some(now)),
        }
    }

    /// A part of the body is there, or its end.
    pub(crate) fn has_body(&self) {
        if let Some((_, waits)) = &mut self.state.lock().body {
            *waits = None;
        }
    }

    fn heard(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 && !state.begun {
            state.begun = true;
            state.since = Instant::now();
        }
    }

    fn wrote(&self, taken: bool) {
        let mut state = self.state.lock();
        state.blocked = match taken {
            true => None,
            false => state.blocked.or(Some(Instant::now())),
        };
    }

    /// When it has waited for too long, if it goes on as it does now.
    fn due(&self, times: &Times) -> Option<(Instant, Ended)> {
        let state = self.state.lock();
        let blocked = state.blocked.map(|at| (at + times.write, Ended::SlowWrite));
        let asked = match (state.requests, state.body) {
            (0, _) if state.begun => Some((state.since + times.head, Ended::Idle)),
            (0, _) => Some((state.since + times.idle, Ended::Idle)),
            (_, Some((begun, Some(waits)))) => {
                let at = (begun + times.body).min(waits + times.pause);
                Some((at, Ended::SlowBody))
            }
            _ => None,
        };
        // While an answer is still being taken there is no time yet for the next request.
        blocked.or(asked)
    }

    /// Returns when it has waited for too long.
    pub(crate) async fn overdue(&self, times: &Times) -> Ended {
        let often = times.shortest();
        loop {
            let now = Instant::now();
            let due = self.due(times);
            match due {
                Some((at, ended)) if at <= now => return ended,
                // What it waits for changes without a word, so it is looked at now and then.
                Some((at, _)) => tokio::time::sleep_until(at.min(now + often)).await,
                None => tokio::time::sleep(often).await,
            }
        }
    }

    /// When it can be closed to make room.
    pub(crate) fn claim(&self, now: Instant) -> Claim {
        let state = self.state.lock();
        let (rank, since, wait) = match (state.blocked, state.requests, state.body) {
            (Some(blocked), ..) => (2, blocked, STANDSTILL),
            (None, 0, _) => (0, state.since, GRACE),
            (None, _, Some((begun, Some(_)))) => (1, begun, GRACE),
            _ => return Claim::Never,
        };
        match since + wait <= now {
            true => Claim::Now(rank, since),
            false => Claim::Later(since + wait),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A connection whose reading and writing is noted.
#[derive(Debug)]
pub struct Stream<I> {
    io: I,
    activity: Arc<Activity>,
    /// A byte that was looked at, and is read again.
    peeked: Option<u8>,
}

impl<I> Stream<I> {
    pub(crate) fn new(io: I, activity: Arc<Activity>) -> Self {
        let peeked = None;
        Self {
            io,
            activity,
            peeked,
        }
    }

    /// The connection itself, to ask for its addresses or to set its options.
    pub fn get_ref(&self) -> &I {
        &self.io
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.wrote(written.is_ready());
        written
    }
}

impl<I: AsyncRead + Unpin> Stream<I> {
    /// The first byte, which is read again by others; nothing at the end.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) async fn peek(&mut self) -> io::Result<Option<u8>> {
        let mut first = [0];
        if self.read(&mut first).await? == 0 {
            return Ok(None);
        }
        self.peeked = Some(first[0]);
        Ok(self.peeked)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Stream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(first) = self.peeked.take()
        {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Stream<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn times() -> Times {
        Times::default()
    }

    async fn ended(activity: &Activity) -> (Ended, Duration) {
        let begun = Instant::now();
        let ended = activity.overdue(&times()).await;
        (ended, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_to_keep_us_waiting_has_its_end() {
        let times = times();
        let activity = Activity::new();
        assert_eq!(ended(&activity).await, (Ended::Idle, times.idle));

        activity.heard();
        assert_eq!(ended(&activity).await, (Ended::Idle, times.head));
        // One byte after the other does not make it longer.
        let activity = Activity::new();
        activity.heard();
        tokio::time::advance(times.head / 2).await;
        activity.heard();
        assert_eq!(ended(&activity).await, (Ended::Idle, times.head / 2));

        let activity = Activity::new();
        let busy = activity.begin();
        activity.wants_body();
        assert_eq!(ended(&activity).await, (Ended::SlowBody, times.pause));
        activity.has_body();
        activity.wrote(false);
        assert_eq!(ended(&activity).await, (Ended::SlowWrite, times.write));
        drop(busy);
        activity.wrote(true);
        assert_eq!(ended(&activity).await, (Ended::Idle, times.idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_ends_too_and_an_answer_may_take_its_time() {
        let times = times();
        let activity = Activity::new();
        let busy = activity.begin();
        let begun = Instant::now();
        let drip = async {
            loop {
                activity.wants_body();
                tokio::time::sleep(times.pause / 2).await;
                activity.has_body();
            }
        };
        tokio::select! {
            () = drip => unreachable!("it never ends"),
            ended = activity.overdue(&times) => assert_eq!(ended, Ended::SlowBody),
        }
        assert!(begun.elapsed() >= times.body && begun.elapsed() <= times.body + times.pause);
        activity.has_body();
        let hour = Duration::from_secs(3600);
        assert!(
            tokio::time::timeout(hour, activity.overdue(&times))
                .await
                .is_err()
        );
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_do_nothing_make_room_first() {
        let claim = |activity: &Activity| activity.claim(Instant::now());
        let now = Instant::now();
        let idle = Activity::new();
        assert_eq!(claim(&idle), Claim::Later(now + GRACE));
        let (sends, takes, works) = (Activity::new(), Activity::new(), Activity::new());
        let _busy = [sends.begin(), takes.begin(), works.begin()];
        sends.wants_body();
        takes.wrote(false);
        tokio::time::advance(STANDSTILL).await;
        let mut claims = [claim(&works), claim(&takes), claim(&sends), claim(&idle)];
        claims.sort();
        assert_eq!(
            claims,
            [
                Claim::Now(0, now),
                Claim::Now(1, now),
                Claim::Now(2, now),
                Claim::Never
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_sees_what_comes_and_what_is_not_taken() {
        let (mut caller, ours) = tokio::io::duplex(8);
        let activity = Activity::new();
        let mut stream = Stream::new(ours, activity.clone());
        caller.write_all(b"GET").await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        assert!(activity.state.lock().begun);
        let write = stream.write_all(b"more than eight bytes");
        let limit = Duration::from_millis(10);
        assert!(tokio::time::timeout(limit, write).await.is_err());
        assert!(activity.state.lock().blocked.is_some());
        caller.read_exact(&mut [0; 8]).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        assert!(activity.state.lock().blocked.is_none());
    }
}
