//! What happens, as server-sent events.
//!
//! One task looks at the engine and tells all clients of what changed. The last [`KEPT`] events are kept for clients that
//! come back with `Last-Event-ID`. A client that does not keep up loses events, and is told how many.

mod seen;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use debridfs_base::Attention;
use debridfs_control::{QueuedJob, RunningEngine};
use debridfs_fuse::Decision;
use futures_util::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Home;
use crate::problem::{Problem, Problems};
use seen::Seen;

/// Events that wait for a slow client, and that are kept for one that comes back.
const KEPT: usize = 256;
/// Clients at one time.
const CLIENTS: usize = 32;
/// A client that hears nothing for so long is sent a comment.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is looked whether something happened.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn routes() -> OpenApiRouter<Home> {
    OpenApiRouter::new().routes(routes!(follow_events))
}

/// What happened. Its kind is the `event` of a server-sent event, and the rest its `data`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Event {
    /// `library`: releases came or went.
    Library(LibraryEvent),
    /// `grab`: a download was added, is a step further, waits, or was removed.
    Grab(GrabEvent),
    /// `attention`: something has to be looked at, or no longer.
    Attention(AttentionEvent),
    /// `repair`: something was found out about a release that cannot be read.
    Repair(RepairEvent),
    /// `rollout`: something was decided about a rollout of a backend.
    Rollout(RolloutEvent),
    /// `lost`: events are missing here; what they were about has to be asked for.
    Lost(LostEvent),
}

/// Releases came or went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct LibraryEvent {
    /// Releases in `__all__` now.
    pub releases: usize,
    /// How many came.
    pub added: usize,
    /// How many went.
    pub removed: usize,
    /// Names of some of those that came.
    pub added_names: Vec<String>,
    /// Names of some of those that went.
    pub removed_names: Vec<String>,
}

/// A download changed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GrabEvent {
    /// The download as it is now, or was last.
    pub job: QueuedJob,
    /// Whether it is gone.
    pub removed: bool,
}

/// A line of attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AttentionEvent {
    /// The line.
    pub attention: Attention,
    /// Whether it holds no longer.
    pub over: bool,
}

/// How far repair is with a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RepairEvent {
    /// Its info-hash.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// The stage: `suspect`, `spared`, `quarantined`, `treated`, `recovering`, `replaced`, `given-up`; `well` when nothing is held against it any more.
    pub stage: String,
}

/// What was decided about a rollout of a backend.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RolloutEvent {
    /// The decision.
    pub decision: Decision,
}

/// Events are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LostEvent {
    /// How many, if that is known.
    pub events: Option<u64>,
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Library(_) => "library",
            Self::Grab(_) => "grab",
            Self::Attention(_) => "attention",
            Self::Repair(_) => "repair",
            Self::Rollout(_) => "rollout",
            Self::Lost(_) => "lost",
        }
    }
}

/// An event with its place among all.
#[derive(Debug)]
struct Numbered {
    number: u64,
    event: Event,
}

/// Tells clients what happens.
#[derive(Debug)]
pub struct Events {
    /// Tells the events of this engine from those of the one before.
    run: String,
    sender: broadcast::Sender<Arc<Numbered>>,
    /// The newest last. Held while one is sent, so that a client that comes meanwhile misses none and hears none twice.
    kept: Mutex<VecDeque<Arc<Numbered>>>,
    clients: Arc<Semaphore>,
}

impl Events {
    /// None yet, of an engine that is told from others by `run`.
    pub fn new(run: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            run: run.into(),
            sender: broadcast::Sender::new(KEPT),
            kept: Mutex::default(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
        })
    }

    /// Looks at `engine` and tells what changes, until it is dropped.
    pub async fn watch(self: Arc<Self>, engine: Arc<RunningEngine>) {
        let mut seen = Seen::default();
        // What holds at the start is no event.
        seen.look(&engine).await;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for event in seen.look(&engine).await {
                self.tell(event);
            }
        }
    }

    fn tell(&self, event: Event) {
        let mut kept = self.kept.lock();
        let number = kept.back().map_or(1, |last| last.number + 1);
        let numbered = Arc::new(Numbered { number, event });
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(numbered.clone());
        // There may be no client.
        let _ = self.sender.send(numbered);
    }

    /// The events after the one that a client heard `last`, and those that are still to come; nothing when there are too many
    /// clients.
    fn follow(self: &Arc<Self>, last: Option<&str>) -> Option<impl Stream<Item = Told> + use<>> {
        let turn = self.clients.clone().try_acquire_owned().ok()?;
        let kept = self.kept.lock();
        let receiver = self.sender.subscribe();
        let missed = last.map_or_else(Vec::new, |last| self.since(last, &kept));
        drop(kept);
        let to_come = Coming {
            receiver,
            _turn: turn,
        };
        let to_come = stream::unfold(to_come, Coming::next);
        Some(stream::iter(missed).chain(to_come))
    }

    /// What a client missed.
    fn since(&self, last: &str, kept: &VecDeque<Arc<Numbered>>) -> Vec<Told> {
        let number = last.rsplit_once('-').filter(|(run, _)| *run == self.run);
        let number = number.and_then(|(_, number)| number.parse::<u64>().ok());
        let Some(number) = number else {
            return vec![Told::Lost(None)];
        };
        let newest = kept.back().map_or(0, |last| last.number);
        let later = kept.iter().filter(|one| one.number > number).cloned();
        let mut told: Vec<Told> = later.map(Told::Event).collect();
        let lost = newest.saturating_sub(number) - told.len() as u64;
        if lost > 0 {
            told.insert(0, Told::Lost(Some(lost)));
        }
        told
    }

    fn shown(&self, told: &Told) -> sse::Event {
        let lost;
        let (id, event) = match told {
            Told::Event(one) => (Some(one.number), &one.event),
            Told::Lost(events) => {
                lost = Event::Lost(LostEvent { events: *events });
                (None, &lost)
            }
        };
        // Flat structs of text and numbers, which always have a form in JSON.
        let data = serde_json::to_string(event).unwrap_or_default();
        let shown = sse::Event::default().event(event.kind()).data(data);
        match id {
            Some(number) => shown.id(format!("{}-{number}", self.run)),
            None => shown,
        }
    }
}

/// What a client is told.
#[derive(Debug, Clone)]
enum Told {
    Event(Arc<Numbered>),
    /// So many are missing, if that is known.
    Lost(Option<u64>),
}

/// What is still to come for a client.
struct Coming {
    receiver: broadcast::Receiver<Arc<Numbered>>,
    _turn: OwnedSemaphorePermit,
}

impl Coming {
    async fn next(mut self) -> Option<(Told, Self)> {
        let told = match self.receiver.recv().await {
            Ok(event) => Told::Event(event),
            Err(RecvError::Lagged(events)) => Told::Lost(Some(events)),
            Err(RecvError::Closed) => return None,
        };
        Some((told, self))
    }
}

/// What happens, as server-sent events
///
/// Kinds are `library`, `grab`, `attention`, `repair`, `rollout` and `lost`. A client that comes back with `Last-Event-ID` is told
/// what it missed, as far as that is kept. A comment comes every 15 s.
#[utoipa::path(get, path = "/events", tag = "instance",
    params(("last-event-id" = Option<String>, Header, description = "The `id` of the event that was heard last")),
    responses((status = 200, description = "What was asked for", body = Event, content_type = "text/event-stream"), Problems))]
async fn follow_events(State(house): State<Home>, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id");
    let last = last.map(|last| last.to_str().unwrap_or_default());
    let Some(stream) = house.events.follow(last) else {
        let words = format!("{CLIENTS} clients are told of events already");
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", words);
        return problem.into_response();
    };
    let events = house.events.clone();
    let shown = stream.map(move |told| Ok::<_, Infallible>(events.shown(&told)));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(shown).keep_alive(keep_alive).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(releases: usize) -> Event {
        Event::Library(LibraryEvent {
            releases,
            ..LibraryEvent::default()
        })
    }

    fn words(told: &Told) -> String {
        match told {
            Told::Event(one) => one.number.to_string(),
            Told::Lost(Some(events)) => format!("lost {events}"),
            Told::Lost(None) => "lost".to_owned(),
        }
    }

    /// The next `count` lines that the client hears.
    async fn heard(stream: impl Stream<Item = Told>, count: usize) -> Vec<String> {
        stream.take(count).map(|told| words(&told)).collect().await
    }

    #[tokio::test]
    async fn a_client_that_comes_back_hears_what_it_missed_once() {
        let events = Events::new("run");
        for number in 0..5 {
            events.tell(event(number));
        }
        let new = events.follow(None).unwrap();
        let back = events.follow(Some("run-3")).unwrap();
        let other = events.follow(Some("before-3")).unwrap();
        let nonsense = events.follow(Some("run-x")).unwrap();
        events.tell(event(5));
        assert_eq!(heard(new, 1).await, ["6"]);
        assert_eq!(heard(back, 3).await, ["4", "5", "6"]);
        assert_eq!(heard(other, 2).await, ["lost", "6"]);
        assert_eq!(heard(nonsense, 2).await, ["lost", "6"]);
    }

    #[tokio::test]
    async fn what_is_not_kept_any_more_is_counted() {
        let events = Events::new("run");
        let slow = events.follow(None).unwrap();
        for number in 0..KEPT + 10 {
            events.tell(event(number));
        }
        let back = events.follow(Some("run-1")).unwrap();
        assert_eq!(heard(back, 2).await, ["lost 9", "11"]);
        assert_eq!(heard(slow, 2).await, ["lost 10", "11"]);
    }

    #[tokio::test]
    async fn there_are_so_many_clients_and_no_more() {
        let events = Events::new("run");
        let mut all: Vec<_> = (0..CLIENTS)
            .map(|_| Box::pin(events.follow(None).unwrap()))
            .collect();
        assert!(events.follow(None).is_none());
        all.pop();
        assert!(events.follow(None).is_some());
    }
}
