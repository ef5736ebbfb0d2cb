//! JSON of torrents, made once for each state of a job: a list of ten thousand is put together from what was made before.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::view::{TorrentInfo, seeding_time, time_active};
use crate::{Job, JobId};

/// A torrent's fields as of the revision of its job, without the braces around them: some 2 KiB.
#[derive(Debug)]
struct Card {
    revision: u64,
    fields: Arc<str>,
}

/// The cards of all jobs that were asked for.
#[derive(Debug, Default)]
pub(super) struct Cards(Mutex<HashMap<JobId, Card>>);

impl Cards {
    fn made(&self) -> MutexGuard<'_, HashMap<JobId, Card>> {
        self.0.lock()
    }

    fn fields(&self, job: &Job) -> Arc<str> {
        let revision = job.live.revision;
        if let Some(card) = self.made().get(&job.id())
            && card.revision == revision
        {
            return card.fields.clone();
        }
        // A struct of texts and numbers can always be written.
        let object = serde_json::to_string(&TorrentInfo::of(job)).unwrap_or_default();
        let fields = object
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let fields: Arc<str> = fields.unwrap_or_default().into();
        let card = Card {
            revision,
            fields: fields.clone(),
        };
        self.made().insert(job.id(), card);
        fields
    }

    /// Writes the object of `job` at `now` (Unix time), `rank` being its place among those that are not done, from 1; 0 when it is done.
    pub(super) fn write(&self, text: &mut String, job: &Job, rank: i64, now: i64) {
        let (seeding, active) = (seeding_time(job, now), time_active(job, now));
        let fields = self.fields(job);
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "{{\"hash\":\"{}\",\"priority\":{rank},\"seeding_time\":{seeding},\"time_active\":{active},{fields}}}",
            job.hash
        );
    }

    /// Forgets those that are not among `jobs`, which are all there are.
    pub(super) fn forget_others(&self, jobs: &[Arc<Job>]) {
        let mut made = self.made();
        if made.len() > jobs.len() {
            let there: HashSet<JobId> = jobs.iter().map(|job| job.id()).collect();
            made.retain(|id, _| there.contains(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::job::Live;

    fn job(number: u64) -> Arc<Job> {
        let job = json!({
            "hash": format!("{number:040x}"), "name": "Some \"{Name}\"}", "category": "tv",
            "added": "2026-01-01T00:00:00Z", "changed": "2026-01-01T00:00:00Z", "step": "waiting",
            "save_path": "/downloads/tv", "action": "symlink", "uncached": "wait",
        });
        let mut job: Job = serde_json::from_value(job).unwrap();
        job.live = Live {
            revision: 7,
            ..Live::default()
        };
        Arc::new(job)
    }

    fn shown(cards: &Cards, job: &Job) -> Value {
        let mut text = String::new();
        cards.write(&mut text, job, 3, 1_767_225_610);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_has_not_changed_is_not_made_again() {
        let cards = Cards::default();
        let mut jobs: Vec<Arc<Job>> = (0..1000).map(job).collect();
        let before: Vec<Arc<str>> = jobs.iter().map(|job| cards.fields(job)).collect();
        Arc::make_mut(&mut jobs[5]).live.revision = 8;
        Arc::make_mut(&mut jobs[5]).category = "films".into();
        for (at, (job, before)) in jobs.iter().zip(&before).enumerate() {
            let same = Arc::ptr_eq(&cards.fields(job), before);
            assert_eq!(same, at != 5, "{at}");
        }
        assert_eq!(shown(&cards, &jobs[5])["category"], "films");
        // And what is gone takes no room.
        cards.forget_others(&jobs[..10]);
        assert_eq!(cards.made().len(), 10);
    }

    #[test]
    fn a_card_and_the_moment_are_one_object() {
        let shown = shown(&Cards::default(), &job(1));
        assert_eq!(shown["hash"], format!("{:040x}", 1));
        assert_eq!(shown["name"], "Some \"{Name}\"}");
        assert_eq!(
            (&shown["priority"], &shown["time_active"]),
            (&json!(3), &json!(10))
        );
        assert_eq!(shown["upspeed"], 0);
    }
}
