use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::journal::Journal;
use crate::{HandoverError, LeaseTerms};

/// The connection as lent to one engine.
#[derive(Debug)]
pub struct Lease {
    /// What the keeper told with it.
    pub terms: LeaseTerms,
    /// Fd 0, `O_NONBLOCK`: read by the stand-in alone; an engine answers on it what the stand-in
    /// noted.
    pub main: OwnedFd,
    /// Fds 1 to N, blocking; `clones[i]` is read into slot `i`.
    pub clones: Vec<OwnedFd>,
    /// The shared memory.
    pub journal_fd: OwnedFd,
    /// The same, mapped.
    pub journal: Journal,
}

impl Lease {
    /// Checks what came with the terms: main fd, journal and a clone for each thread.
    pub(crate) fn new(terms: LeaseTerms, fds: Vec<OwnedFd>) -> Result<Lease, HandoverError> {
        let clones = terms.layout.slots as usize;
        if fds.len() != clones + 2 {
            let text = format!("{} descriptors with a lease of {clones} threads", fds.len());
            return Err(HandoverError::Message(text));
        }
        let mut fds = fds.into_iter();
        let (Some(main), Some(memory)) = (fds.next(), fds.next()) else {
            return Err(HandoverError::Message("a lease without descriptors".into()));
        };
        let journal = Journal::map(memory.as_fd(), terms.layout)?;
        Ok(Lease {
            terms,
            main,
            clones: fds.collect(),
            journal_fd: memory,
            journal,
        })
    }

    /// The fd with the index that the journal notes (0 is the main fd).
    pub fn fd(&self, index: u32) -> Option<BorrowedFd<'_>> {
        match index.checked_sub(1) {
            None => Some(self.main.as_fd()),
            Some(clone) => self.clones.get(clone as usize).map(AsFd::as_fd),
        }
    }
}
