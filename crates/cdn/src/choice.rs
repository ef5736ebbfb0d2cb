//! Which of a file's copies is asked: the configured order, but those in trouble last and those that differ never. Within one provider it is
//! the cheapest: one whose link is known, and of those one to whose host a connection is open.

use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{Priority, Source};
use tokio::time::timeout;

use crate::cdn::Cdn;
use crate::check::sample;
use crate::error::Cause;
use crate::links::Ready;
use crate::stats::add;
use crate::trouble::Trouble;
use crate::tuning::standing::LIMIT;

/// The copy to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) source: &'a Source,
    /// Who is next should it fail.
    pub(crate) next: Option<(&'a Source, Ready)>,
    /// Nobody comes before it by the configured order.
    pub(crate) is_first: bool,
    /// Who comes before it, and whose provider is in trouble.
    pub(crate) away: Option<&'a Source>,
}

impl Cdn {
    /// How many of `sources` of `file` may be used.
    pub(crate) fn usable(&self, file: u64, sources: &[Source]) -> usize {
        let usable = |source: &&Source| sources.len() == 1 || !self.copies.differs(file, source);
        sources.iter().filter(usable).count()
    }

    /// Chooses among `sources` of `file` after `trouble`.
    pub(crate) fn choose<'a>(
        &self,
        file: u64,
        sources: &'a [Source],
        call: Priority,
        trouble: &Trouble,
    ) -> Result<Choice<'a>, Cause> {
        if let [source] = sources {
            return Ok(Choice {
                source,
                next: None,
                is_first: true,
                away: None,
            });
        }
        let mut ranked = Vec::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            if self.copies.differs(file, source) {
                continue;
            }
            let same = |other: &Source| other.provider == source.provider;
            let order = sources.iter().position(same).unwrap_or(number);
            let ready = self.links.ready(source, call);
            let last = trouble.has_left(source);
            let cost = (ready, ready == Ready::Kept && !self.is_warm(source));
            ranked.push(((last, ready >= Ready::Paused, order, cost, number), source));
        }
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        let Some((best, source)) = ranked.first().copied() else {
            let first = sources.first().ok_or(Cause::NoSource)?;
            return Err(Cause::Differs(first.torrent.0.clone()));
        };
        let before = |order: usize| order < best.2;
        let away = |(rank, _): &&((_, _, usize, (Ready, _), _), _)| {
            before(rank.2) && rank.3.0 == Ready::Away
        };
        Ok(Choice {
            source,
            next: (ranked.get(1))
                .filter(|(rank, _)| !rank.0)
                .map(|(rank, source)| (*source, rank.3.0)),
            is_first: !ranked.iter().any(|(rank, _)| before(rank.2)),
            away: ranked.iter().find(away).map(|(_, other)| *other),
        })
    }

    /// Whether a connection is open to where the known link of `source` leads.
    fn is_warm(&self, source: &Source) -> bool {
        let host = self.links.host(source);
        host.is_some_and(|(name, port)| self.hosts.is_warm(&name, port))
    }

    /// Looks whether the provider of `source` is well again, if it is time, with a few bytes of a file of `size` bytes.
    pub(crate) fn look_for(self: &Arc<Self>, source: Option<&Source>, size: u64) {
        let Some(source) = source.filter(|source| self.links.is_due(&source.provider)) else {
            return;
        };
        let (cdn, source) = (self.clone(), source.clone());
        self.links.runtime().spawn(async move {
            let look = async {
                let lease = cdn.links.get(&source, Priority::User).await;
                let lease = lease.map_err(|none| none.cause)?;
                sample(&cdn, size, &source, &lease).await
            };
            let came = timeout(LIMIT, look).await;
            if matches!(came, Ok(Ok(()))) {
                tracing::info!(provider = %source.provider, "it is well again");
                add(&cdn.counters.returns, 1);
                cdn.links.came(&source.provider);
            }
        });
    }

    /// Makes the link of `source`, which may be needed soon, if few others are being made so.
    pub(crate) fn stand_by(self: &Arc<Self>, source: &Source, ready: Ready) {
        if ready != Ready::Call {
            return;
        }
        let Ok(place) = self.standing_by.clone().try_acquire_owned() else {
            return;
        };
        let (cdn, source) = (self.clone(), source.clone());
        self.links.runtime().spawn(async move {
            // What comes of it is for who needs it.
            let _ = cdn.links.get(&source, Priority::User).await;
            drop(place);
        });
    }

    /// How long the first byte of a copy is waited for where there is another one.
    pub(crate) fn short_patience(&self) -> Duration {
        self.config
            .first_byte_timeout
            .min(self.config.stall_timeout)
    }
}
