//! The list of torrents as it is known, kept true by asking for what changed (the vendor's "live mode"): an idle
//! account costs less than a kilobyte a call, however large it is.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use super::decode::{self, Changes};
use super::{LARGEST_LIST, STATUS, asking};
use crate::account::call::Call;
use crate::account::caller::Api;
use crate::account::decode::Fields;
use crate::account::json;
use crate::{Result, Verdict};

/// Sessions stay below this.
const LARGEST_SESSION: u64 = 1 << 31;

/// What the vendor told so far.
#[derive(Default)]
pub(super) struct Live {
    /// Our name for this conversation.
    session: u64,
    /// What the last answer is called; `None`: the next one is to be the whole list.
    counter: Option<u64>,
    pub(super) magnets: BTreeMap<u64, Fields>,
    pub(super) unreadable: Vec<String>,
}

impl Live {
    /// Asks for what changed, or with `whole` for everything.
    pub(super) async fn refresh(&mut self, api: &Api<'_>, whole: bool) -> Result<()> {
        if whole {
            self.counter = None;
        }
        for _ in 0..2 {
            if self.counter.is_none() {
                self.session = 1 + RandomState::new().build_hasher().finish() % LARGEST_SESSION;
            }
            let session = self.session.to_string();
            let counter = self.counter.unwrap_or(0).to_string();
            let fields = [("session", &*session), ("counter", &*counter)];
            let call = Call {
                max_body: LARGEST_LIST,
                ..asking("listing torrents", STATUS, &fields)
            };
            let changes = api
                .call(&call, |answer| decode::changes(&answer.body))
                .await?;
            if self.take(changes) {
                return Ok(());
            }
            self.counter = None;
        }
        let words = "changes came where the whole list was asked for";
        Err(api.error("listing torrents", Verdict::Malformed, words))
    }

    /// Takes what was told; `false` if it does not follow from what is known.
    fn take(&mut self, changes: Changes) -> bool {
        if changes.whole {
            let follows = changes.counter.is_some() || self.counter.is_none();
            if follows {
                self.magnets = changes.magnets.into_iter().collect();
                self.unreadable = changes.unreadable;
                self.counter = changes.counter;
            }
            return follows;
        }
        if self.counter.is_none() || !changes.unreadable.is_empty() {
            return false;
        }
        for (number, fields) in changes.magnets {
            let deleted = fields.get("deleted").and_then(json::integer) == Some(1);
            if deleted {
                self.magnets.remove(&number);
            } else if let Some(known) = self.magnets.get_mut(&number) {
                known.extend(fields);
            } else if fields.contains_key("hash") {
                self.magnets.insert(number, fields);
            } else {
                return false;
            }
        }
        self.counter = changes.counter;
        true
    }
}
