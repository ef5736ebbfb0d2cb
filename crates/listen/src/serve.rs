//! The one accept loop: every listener of the program goes through it, whatever it speaks, so what
//! holds for all connections holds here.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::accept::{Accept, is_of_one};
use crate::activity::{Activity, Busy, Stream};
use crate::crowd::{Crowd, Entry, Seat, count};
use crate::handshake::{self, has_begun, shake_hands};
use crate::http_counts::{FrontName, HttpCounts, HttpFronts, HttpReport};
use crate::recent::Lines;
use crate::{Attempts, ByteBudget, Limits, Network, Tls, http};

/// How long accepting waits after an error of the process (no descriptor, no memory).
const RETRY: Duration = Duration::from_millis(100);
/// What telling a caller that it is one too many may take, and how many are told at one time.
pub(crate) const REFUSING: Duration = Duration::from_secs(1);
const REFUSALS: usize = 16;
/// Connections that are let in one after the other, before it is the turn of those that are there.
const TOGETHER: usize = 16;
/// Bytes of a request that are read to be thrown away: with some unread the answer would be lost.
pub(crate) const UNREAD: u64 = 16 << 10;

/// What all listeners of a program share.
#[derive(Debug)]
pub struct Listeners {
    limits: Limits,
    fronts: Mutex<Vec<Front>>,
    bodies: Arc<ByteBudget>,
    http: HttpFronts,
    attempts: Arc<Attempts>,
    lines: Lines,
    refusals: Arc<Semaphore>,
}

/// One listener, and who is connected to it.
#[derive(Debug, Clone)]
pub struct Front {
    name: &'static str,
    crowd: Arc<Crowd>,
    shared: Arc<Listeners>,
}

/// Who is connected.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The caller's address; none on a unix socket.
    pub peer: Option<IpAddr>,
    /// Whether the connection is one of TLS.
    pub encrypted: bool,
    activity: Arc<Activity>,
}

/// Figures of one listener since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontReport {
    /// What is served there.
    pub name: &'static str,
    /// Connections now.
    pub connections: u64,
    /// Connections that were let in.
    pub accepted: u64,
    /// Connections that were one too many.
    pub refused: u64,
    /// Connections that did nothing and made room for others.
    pub made_room: u64,
    /// Connections that ended as no request came.
    pub idle: u64,
    /// Connections that ended as a body did not come, or an answer was not taken.
    pub slow: u64,
    /// Errors of accepting: no descriptor was left, for example.
    pub errors: u64,
}

impl Listeners {
    /// Listeners that hold to `limits`.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            fronts: Mutex::default(),
            bodies: ByteBudget::new(limits.bodies),
            http: HttpFronts::default(),
            attempts: Arc::default(),
            lines: Lines::default(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
        })
    }

    /// The listener for what is called `name` in the log and in figures: the same one each time, as
    /// whoever serves it may have to begin anew.
    pub fn front(self: &Arc<Self>, name: &'static str) -> Front {
        self.front_of(name, self.limits)
    }

    /// The same for a protocol whose clients stay connected without a request for up to `idle`.
    pub fn front_with_idle(self: &Arc<Self>, name: &'static str, idle: Duration) -> Front {
        let mut limits = self.limits;
        limits.times.idle = idle;
        self.front_of(name, limits)
    }

    fn front_of(self: &Arc<Self>, name: &'static str, limits: Limits) -> Front {
        let mut fronts = self.fronts.lock();
        if let Some(known) = fronts.iter().find(|known| known.name == name) {
            return known.clone();
        }
        let front = Front {
            name,
            crowd: Crowd::new(limits),
            shared: self.clone(),
        };
        fronts.push(front.clone());
        front
    }

    /// The one table of failed logins.
    pub fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    /// What requests' bodies take of the memory now.
    pub fn bodies(&self) -> &Arc<ByteBudget> {
        &self.bodies
    }

    /// Requests over HTTP, by front.
    pub fn http(&self) -> Vec<HttpReport> {
        self.http.report()
    }

    /// How each listener does.
    pub fn report(&self) -> Vec<FrontReport> {
        self.fronts.lock().iter().map(Front::report).collect()
    }
}

impl Guest {
    /// A whole request is there: the connection is in use until what is returned is dropped. While
    /// none is, it may be closed to make room, and is closed after a while.
    pub fn begin(&self) -> Busy {
        self.activity.begin()
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }
}

impl Front {
    /// Accepts connections for ever and serves `router` on each, by HTTP/1. Connections outlive this
    /// future: a dropped one only accepts no more.
    pub async fn serve(self, listener: impl Accept, router: Router) {
        let front = self.clone();
        let handle =
            move |stream, guest| http::connection(stream, guest, router.clone(), front.clone());
        self.accept(listener, http::TOO_MANY, handle).await;
    }

    /// As [`Self::serve`], by TLS where there is `tls`: then once there is a certificate.
    pub async fn serve_with(self, listener: impl Accept, router: Router, tls: Option<Arc<Tls>>) {
        let Some(tls) = tls else {
            return self.serve(listener, router).await;
        };
        tls.ready().await;
        let front = self.clone();
        let handle = move |stream, mut guest: Guest| {
            let (tls, router, front) = (tls.clone(), router.clone(), front.clone());
            async move {
                if let Some(mut stream) = shake_hands(stream, &tls).await {
                    guest.activity().shook_hands(has_begun(&mut stream));
                    guest.encrypted = true;
                    http::connection(stream, guest, router, front).await;
                }
            }
        };
        self.accept(listener, handshake::TOO_MANY, handle).await;
    }

    /// Accepts connections for ever and hands each to `handle`, for a protocol of any kind. Who is
    /// one too many is sent `refusal`. `handle` is dropped when its connection has to end.
    pub async fn accept<A, H, F>(self, mut listener: A, refusal: &'static str, handle: H)
    where
        A: Accept,
        H: Fn(Stream<A::Io>, Guest) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut let_in = 0_usize;
        loop {
            match listener.accept().await {
                Ok((io, peer)) => match self.seat(peer).await {
                    Some(seat) => {
                        let activity = seat.activity.clone();
                        let stream = Stream::new(io, activity.clone());
                        tokio::spawn(oversee(
                            seat,
                            handle(
                                stream,
                                Guest {
                                    peer,
                                    encrypted: false,
                                    activity,
                                },
                            ),
                        ));
                    }
                    None => self.refuse(io, peer, refusal),
                },
                Err(error) if is_of_one(&error) => {}
                Err(error) => {
                    count(&self.crowd.counters.errors);
                    if self.shared.lines.may_tell(None) {
                        tracing::error!(front = self.name, %error, "cannot accept connections; trying again (logged once a minute)");
                    }
                    self.crowd.shrink();
                    tokio::time::sleep(RETRY).await;
                }
            }
            // Those that were let in come to say something before many more are. Each turn of theirs takes a while where they are
            // many: whoever waits for one is not made to wait as often as there are others.
            let_in = let_in.wrapping_add(1);
            if let_in.is_multiple_of(TOGETHER) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A place for a connection, if there is one or will be in a moment.
    async fn seat(&self, peer: Option<IpAddr>) -> Option<Seat> {
        loop {
            match self.crowd.enter(peer.map(Network::of)) {
                Entry::In(seat) => return Some(seat),
                Entry::Later(at) => tokio::time::sleep_until(at).await,
                Entry::Full => return None,
            }
        }
    }

    fn refuse<I>(&self, mut io: I, peer: Option<IpAddr>, refusal: &'static str)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        count(&self.crowd.counters.refused);
        if self.shared.lines.may_tell(peer.map(Network::of)) {
            let limits = self.crowd.limits();
            tracing::warn!(
                front = self.name,
                ?peer,
                connections = limits.connections,
                per_address = limits.per_address,
                "a connection was refused: the limit is reached (server.connections, server.connections_per_address)"
            );
        }
        // Beyond a few at one time they are only closed.
        let Ok(turn) = self.shared.refusals.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let _turn = turn;
            let tell = async {
                io.write_all(refusal.as_bytes()).await?;
                io.shutdown().await?;
                tokio::io::copy(&mut io.take(UNREAD), &mut tokio::io::sink()).await
            };
            // It may not listen.
            let _ = tokio::time::timeout(REFUSING, tell).await;
        });
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn bodies(&self) -> &Arc<ByteBudget> {
        &self.shared.bodies
    }

    /// The counters of what is served here under `name`.
    pub(crate) fn http(&self, name: FrontName) -> Arc<HttpCounts> {
        self.shared.http.of(name.0)
    }

    fn report(&self) -> FrontReport {
        let counters = &self.crowd.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FrontReport {
            name: self.name,
            connections: self.crowd.len() as u64,
            accepted: read(&counters.accepted),
            refused: read(&counters.refused),
            made_room: read(&counters.made_room),
            idle: read(&counters.idle),
            slow: read(&counters.slow),
            errors: read(&counters.errors),
        }
    }
}

async fn oversee(seat: Seat, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        ended = seat.ended() => tracing::trace!(?ended, "a connection was ended"),
    }
}
