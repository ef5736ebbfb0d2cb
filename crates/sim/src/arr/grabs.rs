//! What an arr grabs, and what it does about failures.

use std::collections::BTreeSet;

use super::{ArrError, Dialect, Item, ItemStatus};

/// What became of an attempt to grab one of several releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grab {
    /// The client took it; the number of the release, and the id that is kept of it.
    Taken(usize, String),
    /// The client failed, and everything of its protocol waits.
    PutOff,
    /// There was none that the client took.
    None,
}

/// The grab history and the blocklist of an arr.
#[derive(Debug, Default)]
pub struct Grabs {
    grabbed: BTreeSet<String>,
    blocklist: BTreeSet<String>,
}

impl Grabs {
    /// Keeps a grab in the history.
    pub fn note(&mut self, download_id: &str) {
        self.grabbed.insert(download_id.to_owned());
    }

    /// Judges the clients' answers to what was tried in turn: an id, none (the client passed over that release), or an error.
    pub fn attempt(
        &mut self,
        dialect: Dialect,
        answers: impl IntoIterator<Item = Result<Option<String>, ArrError>>,
    ) -> Grab {
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(Some(id)) => {
                    self.note(&id);
                    return Grab::Taken(number, id);
                }
                Ok(None) => {}
                Err(_) if dialect.puts_off_after_failure() => return Grab::PutOff,
                Err(_) => {}
            }
        }
        Grab::None
    }

    /// Failed download handling: what a client says has failed and was grabbed here is blocklisted, to be removed from the client, and
    /// searched again. What was not grabbed here is left alone, and what only has a warning as well.
    pub fn handle(&mut self, items: &[Item]) -> Vec<Item> {
        let failed = items.iter().filter(|item| {
            item.status == ItemStatus::Failed
                && self.grabbed.contains(&item.download_id)
                && !self.blocklist.contains(&item.download_id)
        });
        let failed: Vec<Item> = failed.cloned().collect();
        self.blocklist
            .extend(failed.iter().map(|item| item.download_id.clone()));
        failed
    }

    /// Ids of what is not to be grabbed again.
    pub fn blocklist(&self) -> &BTreeSet<String> {
        &self.blocklist
    }
}
