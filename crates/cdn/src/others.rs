//! The other copies of a file while a request for one of them waits for its turn: it waits for no host that refuses and no provider in trouble as long as
//! one of them is well.

use std::pin::pin;

use debridfs_provider::{Priority, Source};

use crate::cdn::Cdn;
use crate::error::Cause;
use crate::hosts::Host;
use crate::links::Ready;
use crate::trouble::Trouble;

/// Where the bytes that are asked for are as well.
pub(crate) struct Others<'a> {
    cdn: &'a Cdn,
    /// The provider that is asked.
    provider: &'a str,
    /// The other copies that may be used.
    copies: Vec<Other<'a>>,
    call: Priority,
}

struct Other<'a> {
    source: &'a Source,
    /// The reader left it, or its provider was in trouble, when the request was made.
    left: bool,
    away: bool,
}

impl<'a> Others<'a> {
    /// Those of `sources` of `file` beside `at`, which is asked after `trouble`.
    pub(crate) fn of(
        cdn: &'a Cdn,
        file: u64,
        sources: &'a [Source],
        at: &'a Source,
        call: Priority,
        trouble: &Trouble,
    ) -> Self {
        let others = (sources.iter())
            .filter(|source| *source != at && !cdn.copies.differs(file, source))
            .map(|source| Other {
                source,
                left: trouble.has_left(source),
                away: cdn.links.ready(source, call) == Ready::Away,
            });
        Self {
            cdn,
            provider: &at.provider,
            copies: others.collect(),
            call,
        }
    }

    /// Whether one of them may be asked instead, as far as is known. One that was left counts once its provider has recovered.
    pub(crate) fn are_well(&self) -> bool {
        self.copies.iter().any(|copy| {
            self.cdn.links.ready(copy.source, self.call) < Ready::Paused
                && (!copy.left || copy.away)
        })
    }

    /// Resolves once `host` refuses or the provider is in trouble while another copy is well; says why it is not waited for.
    pub(crate) async fn are_better(&self, host: &Host) -> Cause {
        let mut standings = self.cdn.links.standings();
        loop {
            // Listened to from before the look, so that no refusal is missed.
            let mut refusal = pin!(host.refusal_to_come());
            refusal.as_mut().enable();
            standings.mark_unchanged();
            if self.are_well() {
                if let Some(cause) = host.refusal() {
                    return cause;
                }
                if self.cdn.links.is_away(self.provider) {
                    return Cause::Fallen;
                }
            }
            tokio::select! {
                () = refusal => {}
                changed = standings.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
            }
        }
    }
}
