//! Looks whether a file can be read at all: with links made anew, from each of its sources, behind all other calls.
//!
//! A read that fails says little: its link may have been old, its deadline short, a host busy. Here only what says something of the file itself counts against
//! it, and every source has to say so.

use std::ops::Range;

use debridfs_provider::{Priority, Source, Verdict};

use crate::cdn::Cdn;
use crate::error::{Blame, Cause};
use crate::fetch::place_in_object;
use crate::hosts::{Need, Urgency};
use crate::links::Lease;
use crate::request::Request;
use crate::tuning::check::{END, PATIENCE, SAMPLE};

/// What a look at a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checkup {
    /// Bytes came from one of its sources.
    Well,
    /// Every source says that this file cannot be had; the last one's words.
    Bad(String),
    /// As `Bad`, and every source says so as it refuses the content ([`Verdict::Infringing`]).
    Infringing(String),
    /// At least one source could not be asked, or is not well itself.
    Unclear(String),
}

/// See [`Cdn::check`].
pub(crate) async fn check(cdn: &Cdn, file: u64, size: u64, sources: &[Source]) -> Checkup {
    let mut found = Checkup::Bad(Cause::NoSource.to_string());
    let mut infringing = true;
    for source in sources {
        let Err(cause) = look(cdn, size, source).await else {
            cdn.events.came(file, &source.provider);
            return Checkup::Well;
        };
        let words = format!("{}: {cause}", source.provider);
        infringing &= is_infringing(&cause);
        found = match (is_against(&cause), found) {
            (true, Checkup::Unclear(unclear)) => Checkup::Unclear(unclear),
            (true, _) => Checkup::Bad(words),
            (false, _) => Checkup::Unclear(words),
        };
    }
    match found {
        Checkup::Bad(words) if infringing && !sources.is_empty() => Checkup::Infringing(words),
        found => found,
    }
}

fn is_infringing(cause: &Cause) -> bool {
    let refused = Verdict::Infringing;
    matches!(cause, Cause::Link { verdict, .. } if *verdict == refused)
}

async fn look(cdn: &Cdn, size: u64, source: &Source) -> Result<(), Cause> {
    let lease = cdn.links.renew(source, Priority::Repair).await?;
    sample(cdn, size, source, &lease).await
}

/// Fetches some bytes of `source` by the link of `lease`.
pub(crate) async fn sample(
    cdn: &Cdn,
    size: u64,
    source: &Source,
    lease: &Lease,
) -> Result<(), Cause> {
    read(cdn, size, source, lease, 0..size.min(SAMPLE)).await?;
    Ok(())
}

/// The first and the last bytes of a file as one of its sources gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ends {
    /// 64 KiB each, less of a shorter file.
    Given {
        /// The first ones.
        head: Vec<u8>,
        /// The last ones.
        tail: Vec<u8>,
    },
    /// The source says that the file cannot be had; in its words.
    Refused(String),
    /// It gave nothing, for a reason that says nothing of the file.
    Unclear(String),
}

/// See [`Cdn::ends`].
pub(crate) async fn ends(cdn: &Cdn, size: u64, source: &Source) -> Ends {
    let fetched = async {
        let lease = cdn.links.renew(source, Priority::Repair).await?;
        let head = read(cdn, size, source, &lease, 0..size.min(END)).await?;
        let tail = read(cdn, size, source, &lease, size.saturating_sub(END)..size).await?;
        Ok((head, tail))
    };
    match fetched.await {
        Ok((head, tail)) => Ends::Given { head, tail },
        Err(cause) if is_against(&cause) => Ends::Refused(format!("{}: {cause}", source.provider)),
        Err(cause) => Ends::Unclear(format!("{}: {cause}", source.provider)),
    }
}

/// Fetches a range of the file by the link of `lease`.
async fn read(
    cdn: &Cdn,
    size: u64,
    source: &Source,
    lease: &Lease,
    range: Range<u64>,
) -> Result<Vec<u8>, Cause> {
    let (offset, container) = place_in_object(source, size);
    let range = offset + range.start..offset + range.end;
    let mut bytes = Vec::new();
    if range.is_empty() {
        return Ok(bytes);
    }
    let request = Request {
        range: &range,
        size: container,
        first_byte: PATIENCE,
        others: None,
        spare: false,
        urgency: &Urgency::new(Priority::Repair, Need::Waited),
    };
    let opened = request.send(cdn, lease, || true).await;
    if let Err(cause) = &opened
        && cause.blame() == Blame::Link
    {
        lease.refused();
    }
    let body = opened?;
    // It is always wanted, so there is one.
    let mut body = body.ok_or(Cause::Waiting)?;
    while let Some(piece) = body.next(cdn, PATIENCE).await? {
        bytes.extend_from_slice(&piece);
    }
    lease.worked();
    Ok(bytes)
}

/// Whether what went wrong speaks against the file, and not against provider, account, host, network or ourselves.
fn is_against(cause: &Cause) -> bool {
    match cause {
        Cause::Link { verdict, .. } => matches!(
            verdict,
            Verdict::NotFound
                | Verdict::LinkBroken
                | Verdict::FileUnavailable
                | Verdict::Infringing
                | Verdict::Rejected
        ),
        Cause::Status { .. } => cause.blame() == Blame::Link,
        Cause::WrongAnswer(_) | Cause::LinkRefused | Cause::NoSource => true,
        Cause::Waiting
        | Cause::Connect(_)
        | Cause::NotAllowed(_)
        | Cause::NoHost(_)
        | Cause::FirstByte(_)
        | Cause::Stalled(_)
        | Cause::Transport(_)
        | Cause::TrafficUsedUp
        | Cause::Differs(_)
        | Cause::Fallen
        | Cause::UnknownProvider(_) => false,
    }
}
