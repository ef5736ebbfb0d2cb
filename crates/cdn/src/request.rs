//! One checked request for part of an object: leave to ask its host, redirects, and a second request when the answer is late.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::http::Pieces;
use debridfs_provider::{KeyTraffic, Priority};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, timeout};

use crate::cdn::Cdn;
use crate::error::{Blame, Cause};
use crate::hosts::{Host, Lead, Pass, Urgency};
use crate::links::Lease;
use crate::others::Others;
use crate::source::Answer;
use crate::stats::add;
use crate::tuning::http::MOST_REDIRECTS;

/// A checked answer whose bytes are under way. Dropping it closes the connection unless all came.
pub(crate) struct Download {
    pieces: Pieces,
    /// In the object.
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
    /// In the object; not empty.
    pub(crate) range: &'a Range<u64>,
    /// Size of the whole object.
    pub(crate) size: u64,
    /// How long the answer may take to begin.
    pub(crate) first_byte: Duration,
    /// Where the bytes are as well: as long as that is well, no host that refuses is waited for.
    pub(crate) others: Option<Others<'a>>,
    /// It only makes things faster: then it waits for nothing, and its refusal says nothing about the host.
    pub(crate) spare: bool,
    /// In the queue for a connection.
    pub(crate) urgency: &'a Urgency,
}

impl Request<'_> {
    /// Sends it. `None`: when the connection was to be had, `wanted` said that it is not needed any more; or it would have had to be
    /// waited for, for a spare one.
    pub(crate) async fn send(
        &self,
        cdn: &Cdn,
        lease: &Lease,
        wanted: impl Fn() -> bool,
    ) -> Result<Option<Download>, Cause> {
        let mut address = lease.link.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let (name, port) = lease.account.source.host(&address)?;
            let host = cdn.hosts.get(&name, port);
            let pass = self.enter(&host, lease).await?;
            let Some(pass) = pass.filter(|_| wanted()) else {
                return Ok(None);
            };
            let asked = Instant::now();
            let asking = Asking {
                cdn,
                lease,
                address: &address,
                request: self,
            };
            match asking.hedged(pass, &host).await? {
                (Answer::Elsewhere(target), _) => address = target,
                (Answer::Refused(cause), pass) => {
                    if cause.blame() == Blame::Host && !self.spare {
                        pass.refused(&cause);
                    }
                    return Err(cause);
                }
                (Answer::Bytes(pieces), mut pass) => {
                    host.pace.answered(asked.elapsed());
                    pass.succeeded();
                    cdn.hosts.served(&host);
                    return Ok(Some(Download {
                        pieces,
                        at: self.range.start,
                        end: self.range.end,
                        pass,
                        traffic: lease.traffic.clone(),
                        used_up: false,
                    }));
                }
            }
        }
        Err(Cause::WrongAnswer("too many redirects".to_owned()))
    }

    /// Waits for leave to ask `host`, unless the bytes are better had elsewhere. `None` for a spare one that would have to wait.
    async fn enter(&self, host: &Arc<Host>, lease: &Lease) -> Result<Option<Pass>, Cause> {
        let connections = &lease.account.connections;
        let Some(others) = &self.others else {
            return match self.spare {
                true => Ok(host.enter_now(connections, self.urgency.priority())),
                false => Ok(Some(host.enter(connections, self.urgency).await)),
            };
        };
        if let Some(cause) = host.long_refusal()
            && others.are_well()
        {
            return Err(cause);
        }
        if self.spare {
            return Ok(host.enter_now(connections, self.urgency.priority()));
        }
        tokio::select! {
            biased;
            pass = host.enter(connections, self.urgency) => Ok(Some(pass)),
            cause = others.are_better(host) => Err(cause),
        }
    }
}

/// One question that may be asked twice.
struct Asking<'a> {
    cdn: &'a Cdn,
    lease: &'a Lease,
    address: &'a str,
    request: &'a Request<'a>,
}

impl Asking<'_> {
    async fn ask(&self) -> Result<Answer, Cause> {
        add(&self.cdn.counters.requests, 1);
        let &Request {
            range,
            size,
            first_byte,
            ..
        } = self.request;
        let source = &self.lease.account.source;
        timeout(first_byte, source.get(self.address, range, size))
            .await
            .unwrap_or(Err(Cause::FirstByte(first_byte)))
    }

    /// The answer, or that to a second request on another connection when the first is late, whichever is there first; the other
    /// one is given up. With the leave of the one that was answered.
    async fn hedged(&self, pass: Pass, host: &Arc<Host>) -> Result<(Answer, Pass), Cause> {
        let mut first = pin!(self.ask());
        let late = if self.request.spare {
            None
        } else {
            host.pace.late()
        };
        let Some(late) = late else {
            return Ok((first.await?, pass));
        };
        if let Ok(in_time) = timeout(late, &mut first).await {
            return Ok((in_time?, pass));
        }
        let priority: Priority = self.request.urgency.priority();
        let other = host.enter_now(&self.lease.account.connections, priority);
        let Some(other) = other.filter(|_| may_hedge(self.cdn, host)) else {
            return Ok((first.await?, pass));
        };
        let mut second = pin!(self.ask());
        tokio::select! {
            answer = &mut first => match answer {
                Ok(answer) => Ok((answer, pass)),
                Err(_) => Ok((second.await?, other)),
            },
            answer = &mut second => match answer {
                Ok(answer) => Ok((answer, other)),
                Err(_) => Ok((first.await?, pass)),
            },
        }
    }
}

/// Takes leave for a second request beside one that is late or slow: rarely, and never from a host that refuses or is waited for.
pub(crate) fn may_hedge(cdn: &Cdn, host: &Host) -> bool {
    let granted = host.is_generous() && host.pace.take_hedge();
    if granted {
        add(&cdn.counters.hedges, 1);
    }
    granted
}

impl Download {
    pub(crate) fn lead(&self) -> &Lead {
        self.pass.lead()
    }

    /// Where the next byte lies in the object.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes still to come.
    pub(crate) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes; `None` when the range is complete. A body that is too short, too long or stands still is an error.
    pub(crate) async fn next(
        &mut self,
        cdn: &Cdn,
        stall: Duration,
    ) -> Result<Option<Bytes>, Cause> {
        if self.at == self.end {
            // Lets the client see the end of a chunked body, so that the connection can be used again.
            let _ = self.pieces.next().now_or_never();
            return Ok(None);
        }
        if self.used_up {
            return Err(Cause::TrafficUsedUp);
        }
        let bytes = match timeout(stall, self.pieces.next()).await {
            Ok(Some(bytes)) => bytes.map_err(Cause::of_transport)?,
            Ok(None) => return Err(Cause::Transport("the body is too short".to_owned())),
            Err(_) => {
                add(&cdn.counters.stalls, 1);
                return Err(Cause::Stalled(stall));
            }
        };
        let length = bytes.len() as u64;
        if length > self.left() {
            return Err(Cause::WrongAnswer("the body is too long".to_owned()));
        }
        self.at += length;
        add(&cdn.counters.bytes_fetched, length);
        if let Some(traffic) = &self.traffic {
            self.used_up = !traffic.add(length);
        }
        Ok(Some(bytes))
    }
}
