//! Which jobs are being worked on with all their files, for the next engine: one that is in hand at
//! two deaths of an engine is not begun a third time, as a request of the kernel is not.
//!
//! The notes lie in a small file that is written without a sync: it has to outlive the process, not
//! the machine, whose end is no job's fault. Where jobs wait for their turn they are not in hand.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debridfs_base::state_file;
use debridfs_provider::InfoHash;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Deaths with a job in hand that are believed to be its fault.
const DEATHS: u32 = 2;

/// The jobs in hand.
#[derive(Debug)]
pub(crate) struct InHand {
    /// Where the notes are; without, there are none.
    path: Option<PathBuf>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    jobs: BTreeMap<String, Note>,
    /// The engine ends in order: what is cut off now is nobody's fault.
    ending: bool,
    told: bool,
}

/// What is known of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Pieces of work under way.
    in_hand: u32,
    /// Deaths in a row that it was in hand at.
    deaths: u32,
}

impl InHand {
    /// What an earlier engine left at `path`: those jobs of it that were in hand at two deaths, which
    /// are forgotten, and the notes to go on with.
    #[allow(
        clippy::disallowed_methods,
        reason = "in memory, as the control socket is"
    )]
    pub(crate) fn load(path: Option<&Path>, now: Timestamp) -> (Self, Vec<InfoHash>) {
        let load = |path| state_file::load_json::<BTreeMap<String, Note>>(path, now);
        let left = path.map(load).transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "which downloads were in hand is forgotten");
            None
        });
        let mut jobs = left.flatten().unwrap_or_default();
        let mut guilty = Vec::new();
        jobs.retain(|hash, note| {
            note.deaths += u32::from(std::mem::take(&mut note.in_hand) > 0);
            let is_guilty = note.deaths >= DEATHS;
            guilty.extend(hash.parse::<InfoHash>().ok().filter(|_| is_guilty));
            note.deaths > 0 && !is_guilty
        });
        let noted = Noted {
            jobs,
            ..Noted::default()
        };
        let in_hand = Self {
            path: path.map(Path::to_owned),
            noted: Mutex::new(noted),
        };
        in_hand.change(|_| {});
        (in_hand, guilty)
    }

    /// Notes that `hash` is in hand until the answer is dropped. Writes a file.
    pub(crate) fn take(self: &Arc<Self>, hash: InfoHash) -> Held {
        self.change(|jobs| jobs.entry(hash.to_string()).or_default().in_hand += 1);
        Held {
            in_hand: self.clone(),
            hash,
        }
    }

    /// What holds the work on `hash` up is not its fault, so it does not count as in hand.
    pub(crate) fn put_down(&self, hash: InfoHash) {
        self.change(|jobs| {
            jobs.remove(&hash.to_string());
        });
    }

    /// The engine ends in order.
    pub(crate) fn end(&self) {
        self.change(BTreeMap::clear);
        self.noted.lock().ending = true;
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Note>)) {
        let mut noted = self.noted.lock();
        if noted.ending {
            return;
        }
        change(&mut noted.jobs);
        let Some(path) = &self.path else { return };
        if let Err(error) = write(path, &noted.jobs)
            && !std::mem::replace(&mut noted.told, true)
        {
            tracing::warn!(path = %path.display(), %error, "which downloads are in hand cannot be noted");
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "in memory, as the control socket is"
)]
fn write(path: &Path, jobs: &BTreeMap<String, Note>) -> io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(jobs)?)?;
    std::fs::rename(fresh, path)
}

/// A job in hand.
#[derive(Debug)]
pub(crate) struct Held {
    in_hand: Arc<InHand>,
    hash: InfoHash,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_hand.change(|jobs| {
            let hash = self.hash.to_string();
            // It went well, so what was before is no sign any more.
            let left = jobs
                .get(&hash)
                .map_or(0, |note| note.in_hand.saturating_sub(1));
            jobs.remove(&hash);
            if left > 0 {
                let note = Note {
                    in_hand: left,
                    deaths: 0,
                };
                jobs.insert(hash, note);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn hash(number: u32) -> InfoHash {
        format!("{number:040x}").parse().unwrap()
    }

    /// The next engine, after one that ended without a word.
    fn load(path: &Path) -> (Arc<InHand>, Vec<InfoHash>) {
        let (in_hand, guilty) = InHand::load(Some(path), NOW);
        (Arc::new(in_hand), guilty)
    }

    #[test]
    fn a_job_in_hand_at_two_deaths_in_a_row_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in-hand.json");
        let (first, guilty) = load(&path);
        assert!(guilty.is_empty());
        std::mem::forget(first.take(hash(1)));
        drop(first.take(hash(2)));
        let (second, guilty) = load(&path);
        assert!(guilty.is_empty(), "once may be chance");
        std::mem::forget(second.take(hash(1)));
        std::mem::forget(second.take(hash(2)));
        let (third, guilty) = load(&path);
        assert_eq!(guilty, [hash(1)]);
        // Begun anew by somebody, it has its two tries again.
        std::mem::forget(third.take(hash(1)));
        assert_eq!(load(&path).1, []);
    }

    #[test]
    fn what_went_well_and_what_was_ended_in_order_is_no_sign() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in-hand.json");
        let (first, _) = load(&path);
        std::mem::forget(first.take(hash(1)));
        let (second, _) = load(&path);
        drop(second.take(hash(1)));
        std::mem::forget(second.take(hash(1)));
        let (third, guilty) = load(&path);
        assert!(guilty.is_empty(), "it went well in between");
        std::mem::forget(third.take(hash(1)));
        third.put_down(hash(1));
        std::mem::forget(third.take(hash(2)));
        third.end();
        drop(third.take(hash(3)));
        let (_, guilty) = load(&path);
        assert!(guilty.is_empty());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
    }
}
