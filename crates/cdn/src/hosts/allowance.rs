//! What a host allows: nothing for a while after it refused, and no more transfers than it was seen to serve.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Cause;
use crate::tuning::hosts::{LIMIT_STEP, LONGEST_ABSENCE, LONGEST_LIMIT_STEP, LONGEST_RETRY_AFTER};
use crate::tuning::trouble::BACK_OFF;

/// What one host was seen to allow. Has no clock: the time is told.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Connections given out.
    passes: usize,
    /// Those of them whose request was answered with data.
    transfers: usize,
    /// Transfers that the host was seen to allow.
    limit: Option<Limit>,
    /// Not to be asked before this.
    blocked: Option<Instant>,
    /// The last of the refusals in a row.
    refusal: Option<Cause>,
    /// It asked for a long pause until then, for this reason.
    absent: Option<(Instant, Cause)>,
    /// Refusals in a row; while there are any, one request at a time tries.
    refusals: u32,
    trying: bool,
    last_success: Option<Instant>,
}

/// A learnt number of transfers.
#[derive(Debug, Clone, Copy)]
struct Limit {
    most: usize,
    /// When it was changed last.
    since: Instant,
    /// One more is tried after this time.
    step: Duration,
    /// It was raised, and nothing was refused since.
    raised: bool,
}

/// Whether a host may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Now,
    /// Not before this.
    At(Instant),
    /// When one of those who ask it has ended.
    Later,
}

/// One connection's part in what its host was seen to allow.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// It is the one that tries after a refusal.
    trying: bool,
    /// It was answered with data.
    transfer: bool,
}

impl Allowance {
    /// Whether the host may be asked now.
    pub(super) fn admission(&self, now: Instant) -> Admission {
        if let Some(until) = self.blocked
            && until > now
        {
            return Admission::At(until);
        }
        if self.refusals > 0 && self.trying {
            return Admission::Later;
        }
        match self.limit {
            Some(limit) if self.passes >= limit.most && now < limit.since + limit.step => {
                Admission::At(limit.since + limit.step)
            }
            _ => Admission::Now,
        }
    }

    /// Somebody asks the host: above the learnt limit only when it was time to try one more.
    pub(super) fn enter(&mut self, now: Instant) -> Attempt {
        if let Some(limit) = &mut self.limit
            && self.passes >= limit.most
        {
            if limit.raised {
                limit.step = LIMIT_STEP;
            }
            (limit.most, limit.since, limit.raised) = (limit.most + 1, now, true);
        }
        self.passes += 1;
        let trying = self.refusals > 0;
        self.trying |= trying;
        Attempt {
            trying,
            transfer: false,
        }
    }

    /// The host answered with data.
    pub(super) fn succeeded(&mut self, attempt: &mut Attempt, now: Instant) {
        if !std::mem::replace(&mut attempt.transfer, true) {
            self.transfers += 1;
        }
        self.refusals = 0;
        self.blocked = None;
        self.absent = None;
        self.refusal = None;
        self.last_success = Some(now);
        if std::mem::take(&mut attempt.trying) {
            self.trying = false;
        }
    }

    /// The host refused. When it serves others at the same time it wants fewer transfers (429), or only this file is
    /// not well; otherwise nobody asks for a while.
    pub(super) fn refused(&mut self, cause: &Cause, now: Instant) {
        let Cause::Status {
            status,
            retry_after,
            ..
        } = cause
        else {
            return;
        };
        if *status == 429 && self.transfers > 0 {
            // It serves others meanwhile: this was one too many, and all need not wait as long as it asks.
            self.allow_fewer(now);
            return;
        }
        let well = self
            .last_success
            .is_some_and(|last| now.duration_since(last) < BACK_OFF.longest);
        if retry_after.is_none() && (well || self.transfers > 0) {
            return;
        }
        self.refusals += 1;
        self.refusal = Some(cause.clone());
        let pause = match retry_after {
            Some(wish) => (*wish).clamp(BACK_OFF.first, LONGEST_RETRY_AFTER),
            None => BACK_OFF.after(self.refusals),
        };
        self.blocked = self.blocked.max(Some(now + pause));
        if cause.is_long_refusal() {
            let absence = retry_after.unwrap_or(LONGEST_ABSENCE).min(LONGEST_ABSENCE);
            self.absent = Some((now + absence, cause.clone()));
        }
    }

    /// The connection is closed or free for another request.
    pub(super) fn left(&mut self, attempt: &Attempt) {
        self.passes -= 1;
        if attempt.transfer {
            self.transfers -= 1;
        }
        if attempt.trying {
            self.trying = false;
        }
    }

    /// The host wants fewer transfers. How many it allows is known when it refuses one more than it allowed before; the first time it
    /// is what is open now.
    fn allow_fewer(&mut self, now: Instant) {
        let (most, step) = match self.limit {
            None => (self.transfers, LIMIT_STEP),
            Some(limit) => {
                let step = match limit.raised {
                    true => (limit.step * 2).min(LONGEST_LIMIT_STEP),
                    false => limit.step,
                };
                (limit.most.min(self.passes).saturating_sub(1), step)
            }
        };
        self.limit = Some(Limit {
            most: most.max(self.transfers).max(1),
            since: now,
            step,
            raised: false,
        });
    }

    /// The refusal that keeps everybody away now, if the host asked for a long pause.
    pub(super) fn long_refusal(&self, now: Instant) -> Option<Cause> {
        let (until, cause) = self.absent.as_ref()?;
        (*until > now).then(|| cause.clone())
    }

    /// The refusal for which the host is not asked now, or by one request at a time.
    pub(super) fn refusal(&self, now: Instant) -> Option<Cause> {
        let blocked = self.blocked.is_some_and(|until| until > now);
        let is_closed = blocked || (self.refusals > 0 && self.trying);
        self.refusal.clone().filter(|_| is_closed)
    }

    /// Transfers that the host was seen to allow, if it refused one.
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit.map(|limit| limit.most)
    }

    /// Whether nothing was refused lately and no limit is known.
    pub(super) fn is_generous(&self) -> bool {
        self.refusals == 0 && self.limit.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, retry_after: Option<Duration>) -> Cause {
        Cause::Status {
            status,
            x_error: None,
            retry_after,
        }
    }

    /// A host that serves `transfers` and has refused one more.
    fn full(transfers: usize, now: Instant) -> (Allowance, Vec<Attempt>) {
        let mut host = Allowance::default();
        let mut all: Vec<_> = (0..transfers).map(|_| host.enter(now)).collect();
        for attempt in &mut all {
            host.succeeded(attempt, now);
        }
        let refused = host.enter(now);
        host.refused(&refusal(429, Some(Duration::from_secs(1))), now);
        host.left(&refused);
        (host, all)
    }

    #[test]
    fn one_more_is_tried_ever_more_seldom_and_its_refusal_takes_nothing_away() {
        let mut now = Instant::now();
        let (mut host, mut transfers) = full(4, now);
        // It serves others: nobody has to stay away.
        assert_eq!(host.blocked, None);
        // Two of them are between two requests when the next one is tried and refused.
        for attempt in transfers.drain(2..) {
            host.left(&attempt);
        }
        let mut step = LIMIT_STEP;
        for _ in 0..7 {
            let waiting = [host.enter(now), host.enter(now)];
            assert_eq!(host.admission(now), Admission::At(now + step));
            now += step;
            assert_eq!(host.admission(now), Admission::Now);
            let fifth = host.enter(now);
            host.refused(&refusal(429, Some(Duration::from_secs(1))), now);
            for attempt in waiting.iter().chain([&fifth]) {
                host.left(attempt);
            }
            step = (step * 2).min(LONGEST_LIMIT_STEP);
            assert_eq!(host.limit(), Some(4));
        }
    }

    #[test]
    fn a_host_is_asked_within_a_second_whatever_it_asks_for() {
        for asked in [1, 3600, 99_999_999_999, u64::MAX] {
            let now = Instant::now();
            let mut host = Allowance::default();
            let attempt = host.enter(now);
            host.refused(&refusal(429, Some(Duration::from_secs(asked))), now);
            host.left(&attempt);
            assert_eq!(
                host.admission(now),
                Admission::At(now + LONGEST_RETRY_AFTER)
            );
            assert_eq!(host.admission(now + LONGEST_RETRY_AFTER), Admission::Now);
            // Who has the bytes elsewhere as well comes back in time, too.
            assert!(host.long_refusal(now).is_some());
            let later = now + LONGEST_ABSENCE.min(Duration::from_secs(asked));
            assert_eq!(host.long_refusal(later), None);
        }
    }

    #[test]
    fn one_sick_file_does_not_stop_the_host() {
        let now = Instant::now();
        let mut host = Allowance::default();
        let mut well = host.enter(now);
        host.succeeded(&mut well, now);
        let sick = host.enter(now);
        host.refused(&refusal(503, None), now);
        host.left(&sick);
        assert_eq!(host.admission(now), Admission::Now);
    }
}
