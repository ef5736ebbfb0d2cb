//! Why a file cannot be read: what the tree and the history of the file say, judged.

use debridfs_catalogue::{BadReason, VERSION_FILE};
use debridfs_content::{Content, CopyId, Event, EventKind};
use debridfs_tree::{Found, FoundFile};

use crate::{WhyEvent, WhyFile, WhyRelease, WhyReport, WhyState};

/// The report about `found`.
pub(crate) fn report(found: Found, content: &Content) -> WhyReport {
    let Found {
        path,
        release,
        files,
        omitted,
    } = found;
    let Some(release) = release else {
        let summary = match path.as_str() {
            VERSION_FILE => "the program's own file; it is always there",
            _ => "a directory of releases; name a release or a file",
        };
        return WhyReport {
            path,
            summary: summary.into(),
            ..WhyReport::default()
        };
    };
    let mut cause = None;
    let files: Vec<WhyFile> = files
        .into_iter()
        .map(|file| {
            let history = content.history(file.id.0);
            let (state, last) = judge(&history);
            cause = cause.or(last);
            let proven = content.proven(file.id.0);
            let copy = |copy: CopyId| (copy.provider, copy.torrent.0);
            WhyFile {
                serving: proven.serving.map(copy),
                differing: proven.differing.into_iter().map(copy).collect(),
                ..told(file, state, history)
            }
        })
        .collect();
    let worst = files.iter().map(|file| file.state).max();
    let (state, summary, advice) = match (release.bad, release.known) {
        (Some(reason), _) => {
            let (words, advice) = of_reason(reason);
            (WhyState::Bad, words.to_owned(), vec![advice.to_owned()])
        }
        (None, false) => (
            WhyState::NotKnownYet,
            "the provider has not told the files of this release yet".into(),
            vec!["look into it, which asks for them before all others".into()],
        ),
        (None, true) => {
            let state = worst.unwrap_or_default();
            let advice = cause.and_then(advice).map(str::to_owned);
            (state, summary(state, cause), advice.into_iter().collect())
        }
    };
    WhyReport {
        path,
        state,
        summary,
        advice,
        release: Some(WhyRelease {
            name: release.name,
            hash: release.hash,
            providers: release.providers,
            reason: release.bad.map(|reason| reason.as_str().into()),
            repair: None,
            copies: Vec::new(),
        }),
        files,
        omitted: omitted as u64,
    }
}

fn told(file: FoundFile, state: WhyState, history: Vec<Event>) -> WhyFile {
    WhyFile {
        path: file.path,
        size: file.size,
        sources: file.sources as u64,
        serving: None,
        differing: Vec::new(),
        state,
        events: history
            .into_iter()
            .map(|event| WhyEvent {
                first: event.first,
                last: event.last,
                count: event.count,
                what: word(event.kind).into(),
                provider: event.provider,
                detail: event.detail,
            })
            .collect(),
    }
}

/// How a file with this history stands, and what is the cause if it is in trouble.
fn judge(history: &[Event]) -> (WhyState, Option<EventKind>) {
    match history.last().map(|event| event.kind) {
        None => return (WhyState::Quiet, None),
        Some(EventKind::Recovered | EventKind::LinkMade) => return (WhyState::Fine, None),
        Some(_) => {}
    }
    // That a read failed, or went elsewhere, is what came of the cause.
    let since = history
        .iter()
        .rev()
        .take_while(|event| event.kind != EventKind::Recovered);
    let cause = since
        .map(|event| event.kind)
        .find(|kind| advice(*kind).is_some());
    (WhyState::Trouble, cause)
}

fn summary(state: WhyState, cause: Option<EventKind>) -> String {
    let words = match state {
        WhyState::Quiet => {
            "nothing was noted of it: it was not read lately, or every read went well"
        }
        WhyState::Fine => "it can be read: the last that was noted of it is good",
        WhyState::NotKnownYet | WhyState::Bad => "it cannot be read",
        WhyState::Trouble => match cause {
            Some(EventKind::NoLink) => "the provider gives no link at the moment",
            Some(EventKind::LinkBroken) => "the provider says that it cannot serve this file",
            Some(EventKind::AccountRefused) => "the provider refuses the account or its key",
            Some(EventKind::OutOfTraffic) => "the day's traffic is used up",
            Some(EventKind::LinkRefused) => "the CDN refuses the links of this file",
            Some(EventKind::HostRefused) => "the CDN server is busy or not well",
            Some(EventKind::NotAllowed) => {
                "the provider sends us to an address that is not asked: no public one, or one without TLS"
            }
            Some(EventKind::WrongAnswer) => {
                "the CDN sends other bytes than were asked for, so none are handed out"
            }
            Some(EventKind::Differs) => {
                "a copy gives other bytes than were read before, so it is not used, and no other copy can be read"
            }
            Some(EventKind::Stalled) => "the CDN takes requests and sends nothing",
            Some(EventKind::Network) => "there is no connection to the CDN, or it breaks",
            Some(
                EventKind::LinkMade
                | EventKind::FailOver
                | EventKind::ReadFailed
                | EventKind::Recovered,
            )
            | None => "reads fail; nothing tells why",
        },
    };
    words.into()
}

/// What to do about a cause; `None` for what is none.
fn advice(kind: EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::NoLink => {
            "reads go on by themselves when the provider is well; `debridfs status` has its last words"
        }
        EventKind::LinkBroken => {
            "each read asks again; if it stays so, add the release again at the provider, or let the arr search another"
        }
        EventKind::AccountRefused => {
            "look at token, subscription and IP address at the provider; `debridfs status` has its last words"
        }
        EventKind::OutOfTraffic => {
            "wait for the time that `debridfs status` names, add a key (`download_tokens`), or raise `daily_traffic` if it is set"
        }
        EventKind::LinkRefused => {
            "a new link is asked for at each read; if it stays so, add the release again at the provider"
        }
        EventKind::HostRefused => {
            "reads go on by themselves; if it happens often, lower `cdn_connections_per_host`"
        }
        EventKind::NotAllowed => {
            "look at what the name server says of that host; if the CDN is in your network, add it to `cdn_networks` of the provider"
        }
        EventKind::WrongAnswer => {
            "other links are tried; if it stays so, the file is damaged at the provider, or a proxy between changes answers"
        }
        EventKind::Differs => "remove that copy at its provider, and add the release there again",
        EventKind::Stalled | EventKind::Network => {
            "other connections are tried; if it stays so, look at the network, the name server, `proxy` and `cdn_ip`"
        }
        EventKind::LinkMade
        | EventKind::FailOver
        | EventKind::ReadFailed
        | EventKind::Recovered => return None,
    })
}

/// What helps where the provider's work on a release was no good.
const AGAIN: &str =
    "add it again at the provider with other files selected, or let the arr search another release";

/// Words and advice for a release in `__bad__`.
fn of_reason(reason: BadReason) -> (&'static str, &'static str) {
    match reason {
        BadReason::PackedRar => (
            "the provider packed the files of this release into one RAR, and it has not been looked into yet",
            "wait: packed releases are looked into one after the other when nothing else is to be done",
        ),
        BadReason::RarCompressed => (
            "the provider packed the files of this release into one RAR that is compressed",
            AGAIN,
        ),
        BadReason::RarEncrypted => (
            "the provider packed the files of this release into one RAR that is encrypted",
            AGAIN,
        ),
        BadReason::RarSolid => (
            "the provider packed the files of this release into one solid RAR, in which no file can be read alone",
            AGAIN,
        ),
        BadReason::RarSplit => (
            "the provider packed the files of this release into a RAR of several volumes",
            AGAIN,
        ),
        BadReason::RarDamaged => (
            "the provider packed the files of this release into one RAR that is damaged, or is none",
            AGAIN,
        ),
        BadReason::MissingLinks => (
            "the provider made fewer links than files were selected",
            AGAIN,
        ),
        BadReason::Removed => (
            "it is in no list of the provider any more; it is read on while its links live",
            "add it again at the provider, or let it go: it is forgotten after 30 days",
        ),
        BadReason::Unreadable => (
            "several checks, apart from each other and with links made anew, found that it cannot be read",
            "repair goes on with it by itself; `debridfs repair ls` says how far it is",
        ),
        BadReason::Blocked => (
            "its provider refuses it for the words in its name",
            "add it at another provider (`debridfs provider move`), or let the arr search another release: nothing is renamed, and no arr is told",
        ),
        BadReason::Failed => (
            "the provider reports an error, a virus, or a dead torrent",
            "let the arr search another release",
        ),
    }
}

/// The word of `--json`.
fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::LinkMade => "link_made",
        EventKind::NoLink => "no_link",
        EventKind::LinkBroken => "link_broken",
        EventKind::AccountRefused => "account_refused",
        EventKind::OutOfTraffic => "out_of_traffic",
        EventKind::LinkRefused => "link_refused",
        EventKind::HostRefused => "host_refused",
        EventKind::NotAllowed => "not_allowed",
        EventKind::WrongAnswer => "wrong_answer",
        EventKind::Differs => "differs",
        EventKind::Stalled => "stalled",
        EventKind::Network => "network",
        EventKind::FailOver => "fail_over",
        EventKind::ReadFailed => "read_failed",
        EventKind::Recovered => "recovered",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn history(kinds: &[EventKind]) -> Vec<Event> {
        let event = |kind: &EventKind| Event {
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            count: 1,
            kind: *kind,
            provider: "rd".into(),
            detail: String::new(),
        };
        kinds.iter().map(event).collect()
    }

    #[test]
    fn the_cause_is_what_came_before_the_failed_read() {
        use EventKind::*;
        for (kinds, state, cause) in [
            (&[][..], WhyState::Quiet, None),
            (&[LinkMade], WhyState::Fine, None),
            (
                &[LinkMade, Stalled, ReadFailed, Recovered],
                WhyState::Fine,
                None,
            ),
            (
                &[LinkMade, Stalled, ReadFailed],
                WhyState::Trouble,
                Some(Stalled),
            ),
            (
                &[OutOfTraffic, FailOver, ReadFailed],
                WhyState::Trouble,
                Some(OutOfTraffic),
            ),
            (&[Stalled, Recovered, ReadFailed], WhyState::Trouble, None),
        ] {
            assert_eq!(judge(&history(kinds)), (state, cause), "{kinds:?}");
        }
    }
}
