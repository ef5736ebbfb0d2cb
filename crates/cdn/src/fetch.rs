//! One range of a file after the other: which of its sources is asked, with which link, and what follows from a failure.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_provider::{Priority, Source, Verdict};
use tokio::time::{Instant, sleep_until, timeout};

use crate::body::Body;
use crate::cdn::Cdn;
use crate::copies::{Sample, Trust};
use crate::error::{Blame, Cause};
use crate::events::EventKind;
use crate::hosts::{Need, Urgency};
use crate::links::{Lease, Ready};
use crate::others::Others;
use crate::request::Request;
use crate::stats::add;
use crate::trouble::Trouble;
use crate::tuning::copies::OVERLAP;
use crate::tuning::trouble::{FAILURES_PER_LINK, LINK_PATIENCE, LOOK_BACK};

/// Fetches ranges of one file, one after the other, and remembers what failed.
pub struct Fetch {
    cdn: Arc<Cdn>,
    /// Whose history tells what happened.
    file: u64,
    urgency: Arc<Urgency>,
    trouble: Trouble,
    /// Who is asked, and who is next.
    at: Option<Source>,
    next: Option<(Source, Ready)>,
    /// Before whom a link was asked for.
    call: Priority,
    /// Who gave the bytes before.
    gave: Option<Source>,
    /// It gives the first bytes that anybody gave of the file.
    first: bool,
    /// When to look whether a better source is to be had; `None` where there is none.
    look_back: Option<Instant>,
    /// How many copies were found to differ when it was chosen.
    marks: u64,
}

/// What to fetch.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Where the file's bytes are, the best first.
    pub sources: &'a [Source],
    /// Size of the file.
    pub size: u64,
    /// The part of the file; not empty.
    pub range: &'a Range<u64>,
    /// Gives so many of the bytes just before it as are known, at most: another source than that of the last range has to repeat them.
    pub before: &'a (dyn Fn(u64) -> Vec<u8> + Send + Sync),
    /// Before whom a link is asked for, if there is none.
    pub call: Priority,
}

impl Fetch {
    /// Fetches of the file `file` as urgent as `urgency` says; `gave` is the source of what was read before there.
    pub fn new(cdn: Arc<Cdn>, file: u64, urgency: Arc<Urgency>, gave: Option<Source>) -> Self {
        Self {
            cdn,
            file,
            urgency,
            trouble: Trouble::default(),
            at: None,
            next: None,
            call: Priority::Probe,
            gave,
            first: false,
            look_back: None,
            marks: 0,
        }
    }

    /// The source in use.
    pub fn source(&self) -> Option<&Source> {
        self.at.as_ref()
    }

    /// Whether the last attempt failed, or came to nothing.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble.in_a_row > 0
    }

    /// Whether each of `sources` said, the last time it was asked, that it cannot give the file: waiting
    /// is of no use.
    pub fn is_hopeless(&self, sources: &[Source]) -> bool {
        let usable = self.cdn.usable(self.file, sources);
        self.trouble.is_hopeless(usable)
    }

    /// All is well, whatever failed before.
    pub fn went_well(&mut self) {
        self.trouble = Trouble::default();
    }

    /// Takes note of `bytes` that came from `at` on, before they are used. Returns whether the rest is better had elsewhere: the source was found to
    /// differ meanwhile, or a better one is well again.
    pub fn came(&mut self, at: u64, bytes: &Bytes, ask: &Ask<'_>) -> bool {
        let Some(source) = &self.at else {
            return false;
        };
        let copies = &self.cdn.copies;
        if self.first {
            self.first = !copies.gave(self.file, source, at, bytes);
        }
        if ask.sources.len() < 2 {
            return false;
        }
        if copies.marks() != self.marks && copies.differs(self.file, source) {
            return true;
        }
        let now = Instant::now();
        if self.look_back.is_none_or(|look| now < look) {
            return false;
        }
        self.look_back = Some(now + LOOK_BACK);
        let choice = (self.cdn).choose(self.file, ask.sources, ask.call, &self.trouble);
        choice.is_ok_and(|choice| {
            self.cdn.look_for(choice.away, ask.size);
            choice.source.provider != source.provider && choice.is_first
        })
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
        let source = &self.choose(ask)?;
        let lease = Arc::new(self.lease(source, ask.call).await?);
        if lease.fresh {
            self.tell_of_new(&lease, source);
        }
        let several = ask.sources.len() > 1;
        let trust = match several {
            true => self.cdn.copies.trust(self.file, source),
            false => Trust::Agreed,
        };
        self.first = matches!(trust, Trust::First);
        let known = match (&trust, &self.gave) {
            (Trust::Agreed, None) => Vec::new(),
            (Trust::Agreed, Some(gave)) if !several || gave == source => Vec::new(),
            _ => (ask.before)(OVERLAP),
        };
        let mut opened = None;
        let is_proved = match trust {
            Trust::Unproved(sample) if known.is_empty() => {
                self.prove(ask, source, &lease, sample).await?
            }
            _ => true,
        };
        if is_proved {
            let range = ask.range.start - known.len() as u64..ask.range.end;
            opened = self.request(ask, source, &lease, range, wanted).await?;
        }
        let Some(mut body) = opened else {
            // Only what is waited for goes on.
            self.trouble.in_a_row += 1;
            return Ok(None);
        };
        if !known.is_empty() {
            let repeated = body.repeats(&known).await?;
            self.judge(source, repeated)?;
        }
        lease.worked();
        self.gave(source, several);
        body.standby = self.next.clone();
        Ok(Some(body))
    }

    /// Chooses the source of one range.
    fn choose(&mut self, ask: &Ask<'_>) -> Result<Source, Cause> {
        let cdn = &self.cdn;
        self.at = None;
        self.call = ask.call;
        let choice = cdn.choose(self.file, ask.sources, ask.call, &self.trouble)?;
        cdn.look_for(choice.away, ask.size);
        self.at = Some(choice.source.clone());
        self.next = choice.next.map(|(next, ready)| (next.clone(), ready));
        self.look_back = (!choice.is_first).then(|| Instant::now() + LOOK_BACK);
        self.marks = cdn.copies.marks();
        Ok(choice.source.clone())
    }

    /// Bytes of `source`, which may be one of `several`, are there.
    fn gave(&mut self, source: &Source, several: bool) {
        let Cdn {
            copies,
            links,
            events,
            ..
        } = &*self.cdn;
        if several && !self.first {
            copies.agrees(self.file, source);
        }
        links.came(&source.provider);
        events.came(self.file, &source.provider);
        self.gave = Some(source.clone());
    }

    /// The link of `source`. Where there is another one its provider has not all the time of the read.
    async fn lease(&mut self, source: &Source, call: Priority) -> Result<Lease, Cause> {
        let links = &self.cdn.links;
        let asking = links.get(source, call);
        let patience = match &self.next {
            Some((_, ready)) if *ready < Ready::Paused => LINK_PATIENCE,
            _ => Duration::MAX,
        };
        match timeout(patience, asking).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(no_link)) => {
                self.trouble.soonest(no_link.until);
                Err(no_link.cause)
            }
            Err(_) => {
                let cause = Cause::Link {
                    verdict: Verdict::Retry,
                    message: format!("no answer within {patience:?}"),
                    is_final: false,
                };
                links.is_late(&source.provider, &cause);
                Err(cause)
            }
        }
    }

    /// Sends the request for `range` of the file.
    async fn request(
        &self,
        ask: &Ask<'_>,
        source: &Source,
        lease: &Arc<Lease>,
        range: Range<u64>,
        wanted: impl Fn() -> bool,
    ) -> Result<Option<Body>, Cause> {
        let cdn = &self.cdn;
        let (offset, size) = place_in_object(source, ask.size);
        let range = offset.saturating_add(range.start)..offset.saturating_add(range.end);
        let mut first_byte = cdn.config.first_byte(self.trouble.slow);
        if self.next.is_some() && self.trouble.slow == 0 {
            first_byte = first_byte.min(cdn.short_patience());
        }
        let request = Request {
            range: &range,
            size,
            first_byte,
            others: (ask.sources.len() > 1).then(|| {
                Others::of(
                    cdn,
                    self.file,
                    ask.sources,
                    source,
                    self.call,
                    &self.trouble,
                )
            }),
            spare: self.urgency.need() == Need::Spare,
            urgency: &self.urgency,
        };
        match request.send(cdn, lease, wanted).await {
            Ok(download) => Ok(download.map(|download| {
                let (cdn, urgency) = (cdn.clone(), self.urgency.clone());
                Body::new(cdn, lease.clone(), urgency, (size, offset), download)
            })),
            Err(cause) => {
                self.blame(lease, &cause);
                Err(cause)
            }
        }
    }

    /// Has `source` repeat `sample`. Returns whether there was a connection for it.
    async fn prove(
        &self,
        ask: &Ask<'_>,
        source: &Source,
        lease: &Arc<Lease>,
        sample: Sample,
    ) -> Result<bool, Cause> {
        let range = sample.at..sample.at + sample.bytes.len() as u64;
        let opened = self.request(ask, source, lease, range, || true).await?;
        let Some(mut body) = opened else {
            return Ok(false);
        };
        let repeated = body.repeats(&sample.bytes).await?;
        // Lets the connection be used again.
        let _ = body.next().await;
        self.judge(source, repeated).map(|()| true)
    }

    /// Believes `source` from now on, or never again.
    fn judge(&self, source: &Source, repeated: bool) -> Result<(), Cause> {
        let copies = &self.cdn.copies;
        if repeated {
            copies.agrees(self.file, source);
            return Ok(());
        }
        if copies.mark(self.file, source) {
            add(&self.cdn.counters.copies_differing, 1);
            let (provider, torrent) = (&source.provider, &source.torrent.0);
            tracing::warn!(file = self.file, %provider, %torrent, "a copy differs from the others and is not used any more");
            self.cdn.links.differs(self.file, source);
        }
        Err(Cause::Differs(source.torrent.0.clone()))
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
        let cdn = self.cdn.clone();
        add(&cdn.counters.retries, 1);
        if matches!(cause, Cause::WrongAnswer(_)) {
            add(&cdn.counters.wrong_answers, 1);
        }
        tracing::debug!(file = self.file, %cause, "a fetch failed");
        let at = self.at.as_ref();
        let provider = at.map_or("", |source| &source.provider);
        (cdn.events).note(self.file, cause.event(), provider, &cause.to_string());
        let usable = cdn.usable(self.file, sources);
        let leaves = self.trouble.note(cause, at, usable);
        if sources.len() < 2 {
            return;
        }
        if !leaves {
            if let Some((next, ready)) = self.next.take()
                && self.call != Priority::Probe
            {
                cdn.stand_by(&next, ready);
            }
            return;
        }
        if cause.is_outage() {
            cdn.links.fell(provider);
        }
        if let Ok(choice) = cdn.choose(self.file, sources, self.call, &self.trouble)
            && self.at.as_ref() != Some(choice.source)
        {
            add(&cdn.counters.fail_overs, 1);
            let (provider, torrent) = (&choice.source.provider, &choice.source.torrent.0);
            let words = format!("going on with torrent {torrent}");
            (cdn.events).note(self.file, EventKind::FailOver, provider, &words);
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
