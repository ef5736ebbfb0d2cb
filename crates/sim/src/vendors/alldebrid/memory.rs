//! What AllDebrid remembers of an account's calls.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Map, Value, json};

/// Conversations, links that are being made, and calls counted.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sessions: HashMap<u64, Session>,
    /// Links that are being made: when they are ready, and what they are then.
    pub(super) delayed: Vec<(i64, String)>,
    /// Links unlocked.
    pub(super) unlocks: u64,
    second: VecDeque<i64>,
}

/// What was told in a session so far.
#[derive(Debug, Default)]
struct Session {
    counter: u64,
    told: BTreeMap<u64, Value>,
}

impl Memory {
    /// Counts a call; whether there were less than `limit` in the second before.
    pub(super) fn admit(&mut self, now_ms: i64, limit: u32) -> bool {
        while self.second.front().is_some_and(|at| now_ms - at >= 1000) {
            self.second.pop_front();
        }
        let admitted = limit == 0 || self.second.len() < limit as usize;
        if admitted {
            self.second.push_back(now_ms);
        }
        admitted
    }

    /// What has changed since the answer `counter` of `session`, or everything if that was not the last one.
    pub(super) fn changes(
        &mut self,
        session: u64,
        counter: u64,
        now: BTreeMap<u64, Value>,
    ) -> Value {
        let session = self.sessions.entry(session).or_default();
        let follows = counter > 0 && counter == session.counter;
        session.counter += 1;
        let told = std::mem::replace(&mut session.told, now);
        if !follows {
            let magnets: Vec<_> = session.told.values().rev().collect();
            return json!({ "magnets": magnets, "counter": session.counter, "fullsync": true });
        }
        let gone = told.keys().filter(|id| !session.told.contains_key(id));
        let gone = gone.map(|id| json!({ "id": id, "deleted": true }));
        let changed = session
            .told
            .iter()
            .filter_map(|(id, magnet)| match told.get(id) {
                None => Some(magnet.clone()),
                Some(before) if before == magnet => None,
                Some(before) => Some(difference(before, magnet)),
            });
        let magnets: Vec<_> = changed.chain(gone).collect();
        json!({ "magnets": magnets, "counter": session.counter })
    }
}

/// The id, and the fields of `magnet` that are not as `before`.
fn difference(before: &Value, magnet: &Value) -> Value {
    let fields = magnet.as_object().into_iter().flatten();
    let changed = fields.filter(|(key, value)| *key == "id" || before.get(key) != Some(value));
    let changed = changed.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(changed.collect::<Map<_, _>>())
}
