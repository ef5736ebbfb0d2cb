//! What was seen of an engine last, and what changed since.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use debridfs_base::Attention;
use debridfs_catalogue::Library;
use debridfs_control::{Instance, QueuedJob, RunningEngine};
use debridfs_fuse::Decision;
use debridfs_repair::RepairStatus;

use super::{AttentionEvent, Event, GrabEvent, LibraryEvent, RepairEvent, RolloutEvent};

/// Names of releases that one event holds.
const MOST_NAMES: usize = 20;
/// Attention is a part of the status, which looks at everything: so many looks are made for one at it.
const ATTENTION_EVERY: u32 = 5;

/// What was seen last.
#[derive(Default)]
pub(super) struct Seen {
    library: Arc<Library>,
    revision: Option<u64>,
    jobs: HashMap<String, QueuedJob>,
    patients: BTreeMap<String, (String, &'static str)>,
    attention: Vec<Attention>,
    /// Number of the last decision about a rollout.
    decided: u64,
    looks: u32,
}

impl Seen {
    /// Looks at `engine`: what changed since the last look.
    pub(super) async fn look(&mut self, engine: &RunningEngine) -> Vec<Event> {
        let mut events = Vec::new();
        let library = engine.catalogue().library().borrow().clone();
        if library.generation != self.library.generation {
            let before = std::mem::replace(&mut self.library, library.clone());
            // Looks at every release.
            let compared = tokio::task::spawn_blocking(move || difference(&before, &library));
            events.extend(compared.await.ok().flatten().map(Event::Library));
        }
        let revision = engine.queue().get().map(|queue| queue.revision());
        if revision != self.revision {
            self.revision = revision;
            let jobs = engine.queued().unwrap_or_default();
            events.extend(self.grabs(jobs).into_iter().map(Event::Grab));
        }
        if let Ok(repair) = engine.patients() {
            events.extend(self.repair(&repair).into_iter().map(Event::Repair));
        }
        let rollout = engine.rollout();
        events.extend(self.rollout(rollout.last).map(Event::Rollout));
        if self.looks.is_multiple_of(ATTENTION_EVERY) {
            let attention = engine.status().attention;
            events.extend(self.attention(attention).into_iter().map(Event::Attention));
        }
        self.looks = self.looks.wrapping_add(1);
        events
    }

    fn grabs(&mut self, jobs: Vec<QueuedJob>) -> Vec<GrabEvent> {
        let mut events = Vec::new();
        let mut gone = std::mem::take(&mut self.jobs);
        for job in jobs {
            let before = gone.remove(&job.hash);
            if before.is_none_or(|before| !is_same(&before, &job)) {
                let job = job.clone();
                events.push(GrabEvent {
                    job,
                    removed: false,
                });
            }
            self.jobs.insert(job.hash.clone(), job);
        }
        let mut gone: Vec<QueuedJob> = gone.into_values().collect();
        gone.sort_by(|a, b| a.hash.cmp(&b.hash));
        let gone = gone.into_iter().map(|job| GrabEvent { job, removed: true });
        events.extend(gone);
        events
    }

    fn repair(&mut self, repair: &RepairStatus) -> Vec<RepairEvent> {
        let patients = repair.patients.iter();
        let now: BTreeMap<String, (String, &'static str)> = patients
            .map(|one| (one.hash.to_string(), (one.name.clone(), one.stage.label())))
            .collect();
        let event = |hash: &String, name: &String, stage: &str| RepairEvent {
            hash: hash.clone(),
            name: name.clone(),
            stage: stage.to_owned(),
        };
        let before = std::mem::take(&mut self.patients);
        let changed = now
            .iter()
            .filter(|(hash, one)| before.get(*hash) != Some(one));
        let mut events: Vec<RepairEvent> = changed
            .map(|(hash, (name, stage))| event(hash, name, stage))
            .collect();
        let gone = before.iter().filter(|(hash, _)| !now.contains_key(*hash));
        events.extend(gone.map(|(hash, (name, _))| event(hash, name, "well")));
        self.patients = now;
        events
    }

    fn rollout(&mut self, last: Vec<Decision>) -> impl Iterator<Item = RolloutEvent> + use<> {
        let before = self.decided;
        self.decided = last.last().map_or(before, |newest| newest.number);
        let new = last.into_iter().filter(move |one| one.number > before);
        new.map(|decision| RolloutEvent { decision })
    }

    fn attention(&mut self, lines: Vec<Attention>) -> Vec<AttentionEvent> {
        let same = |a: &Attention, b: &Attention| {
            (a.kind, &a.subject, &a.words) == (b.kind, &b.subject, &b.words)
        };
        let new = lines
            .iter()
            .filter(|line| !self.attention.iter().any(|before| same(before, line)));
        let over = self
            .attention
            .iter()
            .filter(|before| !lines.iter().any(|line| same(before, line)));
        let event = |line: &Attention, over| AttentionEvent {
            attention: line.clone(),
            over,
        };
        let mut events: Vec<AttentionEvent> = over.map(|line| event(line, true)).collect();
        events.extend(new.map(|line| event(line, false)));
        self.attention = lines;
        events
    }
}

/// Whether nothing changed but numbers that always do.
fn is_same(before: &QueuedJob, now: &QueuedJob) -> bool {
    let of = |job: &QueuedJob| {
        let words = (job.reason.clone(), job.provider.clone());
        (job.step.clone(), job.stopped, job.blocked, words)
    };
    of(before) == of(now)
}

/// What came and went; nothing when nothing did.
fn difference(before: &Library, now: &Library) -> Option<LibraryEvent> {
    let ids = |library: &Library| -> HashSet<_> {
        library.all().iter().map(|entry| entry.release.id).collect()
    };
    let (old, new) = (ids(before), ids(now));
    let only = |of: &Library, other: &HashSet<_>| -> (usize, Vec<String>) {
        let entries = of.all().iter();
        let names = entries.filter(|entry| !other.contains(&entry.release.id));
        let names: Vec<&str> = names.map(|entry| &*entry.name).collect();
        let some = names.iter().take(MOST_NAMES).map(|name| (*name).to_owned());
        (names.len(), some.collect())
    };
    let (added, added_names) = only(now, &old);
    let (removed, removed_names) = only(before, &new);
    (added + removed > 0).then_some(LibraryEvent {
        releases: new.len(),
        added,
        removed,
        added_names,
        removed_names,
    })
}

#[cfg(test)]
mod tests {
    use debridfs_base::AttentionKind;

    use super::*;

    fn job(hash: &str, step: &str) -> QueuedJob {
        let job = serde_json::json!({
            "hash": hash, "name": "Film", "category": "tv", "step": step, "stopped": false,
            "progress": 0.5, "bytes": 1, "added": "2026-01-01T00:00:00Z", "path": "/d/tv/Film",
        });
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn a_grab_is_told_when_it_is_a_step_further_and_when_it_goes() {
        let mut seen = Seen::default();
        let mut told = |jobs: Vec<QueuedJob>| -> Vec<(String, bool)> {
            let events = seen.grabs(jobs).into_iter();
            events
                .map(|event| (event.job.step, event.removed))
                .collect()
        };
        let wanted = |step: &str, removed| vec![(step.to_owned(), removed)];
        assert_eq!(told(vec![job("a", "waiting")]), wanted("waiting", false));
        let further = QueuedJob {
            progress: 0.6,
            ..job("a", "waiting")
        };
        assert_eq!(told(vec![further]), []);
        assert_eq!(told(vec![job("a", "ready")]), wanted("ready", false));
        assert_eq!(told(vec![]), wanted("ready", true));
        assert_eq!(told(vec![]), []);
    }

    #[test]
    fn a_line_of_attention_begins_and_is_over() {
        let mut seen = Seen::default();
        let line = Attention::new(AttentionKind::Port, "a", "taken", "");
        let of = |over| AttentionEvent {
            attention: line.clone(),
            over,
        };
        assert_eq!(seen.attention(vec![line.clone()]), [of(false)]);
        assert_eq!(seen.attention(vec![line.clone()]), []);
        assert_eq!(seen.attention(vec![]), [of(true)]);
    }
}
