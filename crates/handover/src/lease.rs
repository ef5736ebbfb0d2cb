use std::os::fd::{AsFd, OwnedFd};

use crate::journal::Journal;
use crate::{Descriptors, HandoverError, LeaseTerms};

/// The connection as lent to one engine.
#[derive(Debug)]
pub struct Lease {
    /// What the keeper told with it.
    pub terms: LeaseTerms,
    /// Its descriptors.
    pub fds: Descriptors,
    /// Its shared memory, mapped.
    pub journal: Journal,
}

impl Lease {
    /// Checks what came with the terms.
    pub(crate) fn new(terms: LeaseTerms, fds: Vec<OwnedFd>) -> Result<Lease, HandoverError> {
        let (count, clones) = (fds.len(), terms.layout.slots);
        let fds = Descriptors::from_order(fds, clones).ok_or_else(|| {
            let text = format!("{count} descriptors with a lease of {clones} threads");
            HandoverError::Message(text)
        })?;
        let journal = Journal::map(fds.journal.as_fd(), terms.layout)?;
        Ok(Lease {
            terms,
            fds,
            journal,
        })
    }
}
