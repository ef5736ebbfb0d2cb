//! One range of a file after the other: which of its sources is asked, with which link, and what follows from a failure.

use std::ops::Range;
use std::sync::Arc;

use debridfs_provider::{Priority, Source};
use tokio::time::sleep_until;

use crate::body::Body;
use crate::cdn::Cdn;
use crate::error::{Blame, Cause};
use crate::events::EventKind;
use crate::hosts::{Need, Urgency};
use crate::links::Lease;
use crate::request::Request;
use crate::stats::add;
use crate::trouble::Trouble;
use crate::tuning::trouble::FAILURES_PER_LINK;

/// Fetches ranges of one file, one after the other, and remembers what failed.
pub struct Fetch {
    cdn: Arc<Cdn>,
    /// Whose history tells what happened.
    file: u64,
    urgency: Arc<Urgency>,
    trouble: Trouble,
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where the file's bytes are, the best first.
    pub sources: &'a [Source],
    /// Size of the file.
    pub size: u64,
    /// The part of the file; not empty.
    pub range: &'a Range<u64>,
    /// Before whom a link is asked for, if there is none.
    pub call: Priority,
}

impl Fetch {
    /// Fetches of the file `file` as urgent as `urgency` says, from its source number `source` at first.
    pub fn new(cdn: Arc<Cdn>, file: u64, urgency: Arc<Urgency>, source: usize) -> Self {
        Self {
            cdn,
            file,
            urgency,
            trouble: Trouble::at(source),
        }
    }

    /// The source in use, counted on without end.
    pub fn source(&self) -> usize {
        self.trouble.source
    }

    /// Whether the last attempt failed, or came to nothing.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble.in_a_row > 0
    }

    /// Whether each of `sources` said, the last time it was asked, that it cannot give the file: waiting
    /// is of no use.
    pub fn is_hopeless(&self, sources: &[Source]) -> bool {
        self.trouble.is_hopeless(sources.len())
    }

    /// All is well, whatever failed before.
    pub fn went_well(&mut self) {
        self.trouble = Trouble::at(self.trouble.source);
    }

    /// Asks for one range. `None`: when the connection was to be had, `wanted` said that it is not needed any more; or it would have had
    /// to be waited for, for a spare one.
    ///
    /// # Errors
    /// What failed; [`Self::failed`] decides what comes next.
    pub async fn open(
        &mut self,
        ask: &Ask<'_>,
        wanted: impl Fn() -> bool,
    ) -> Result<Option<Body>, Cause> {
        let source = self.trouble.source(ask.sources)?;
        let lease = match self.cdn.links.get(source, ask.call).await {
            Ok(lease) => Arc::new(lease),
            Err(no_link) => {
                self.trouble.soonest(no_link.until);
                return Err(no_link.cause);
            }
        };
        if lease.fresh {
            self.tell_of_new(&lease, source);
        }
        let (offset, size) = place_in_object(source, ask.size);
        let range = offset.saturating_add(ask.range.start)..offset.saturating_add(ask.range.end);
        let request = Request {
            range: &range,
            size,
            first_byte: self.cdn.config.first_byte(self.trouble.slow),
            other_sources: ask.sources.len() > 1,
            spare: self.urgency.need() == Need::Spare,
            urgency: &self.urgency,
        };
        match request.send(&self.cdn, &lease, wanted).await {
            Ok(Some(download)) => {
                lease.worked();
                self.cdn.events.came(self.file, &source.provider);
                let (cdn, urgency) = (self.cdn.clone(), self.urgency.clone());
                Ok(Some(Body::new(
                    cdn,
                    lease,
                    urgency,
                    (size, offset),
                    download,
                )))
            }
            Ok(None) => {
                // Only what is waited for goes on.
                self.trouble.in_a_row += 1;
                Ok(None)
            }
            Err(cause) => {
                self.blame(&lease, &cause);
                Err(cause)
            }
        }
    }

    fn blame(&self, lease: &Lease, cause: &Cause) {
        let elsewhere = matches!(
            cause,
            Cause::WrongAnswer(_) | Cause::Connect(_) | Cause::NotAllowed(_)
        );
        let distrusted = elsewhere && (self.trouble.in_a_row + 1).is_multiple_of(FAILURES_PER_LINK);
        match cause.blame() {
            Blame::Link => lease.refused(),
            Blame::Key => lease.out_of_traffic(),
            Blame::Host | Blame::Chance if distrusted => lease.distrust(),
            Blame::Host | Blame::Chance => {}
        }
    }

    fn tell_of_new(&self, lease: &Lease, source: &Source) {
        let words = match lease.link.key.is_first() {
            true => "a direct link was made".to_owned(),
            false => format!("a direct link was made with key {}", lease.link.key),
        };
        let events = &self.cdn.events;
        events.note(self.file, EventKind::LinkMade, &source.provider, &words);
    }

    /// An attempt failed, or its body did: decides which of `sources` is next and after what pause, and tells the file's history.
    pub fn failed(&mut self, cause: &Cause, sources: &[Source]) {
        let Cdn {
            counters, events, ..
        } = &*self.cdn;
        add(&counters.retries, 1);
        if matches!(cause, Cause::WrongAnswer(_)) {
            add(&counters.wrong_answers, 1);
        }
        tracing::debug!(file = self.file, %cause, "a fetch failed");
        let source = |number: usize| sources.get(number.checked_rem(sources.len())?);
        let before = self.trouble.source;
        self.trouble.note(cause, sources.len());
        let provider = source(before).map_or("", |source| &source.provider);
        events.note(self.file, cause.event(), provider, &cause.to_string());
        if sources.len() > 1
            && self.trouble.source != before
            && let Some(next) = source(self.trouble.source)
        {
            let words = format!("going on with torrent {}", next.torrent.0);
            events.note(self.file, EventKind::FailOver, &next.provider, &words);
        }
    }

    /// Waits until the next attempt makes sense.
    pub async fn pause(&mut self) {
        if let Some(until) = self.trouble.pause.take() {
            sleep_until(until).await;
        }
    }
}

/// Where a file of `size` bytes begins in the object that the link of `source` gives, and the size of that.
pub(crate) fn place_in_object(source: &Source, size: u64) -> (u64, u64) {
    match source.part {
        None => (0, size),
        Some(part) => (part.offset, part.container),
    }
}
