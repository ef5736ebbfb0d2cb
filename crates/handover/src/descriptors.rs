use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Every descriptor of a connection, as keeper and engine both hold them.
#[derive(Debug)]
pub struct Descriptors {
    /// Fd 0, `O_NONBLOCK`: read by the stand-in alone; an engine answers on it what the stand-in
    /// noted.
    pub main: OwnedFd,
    /// The journal's shared memory.
    pub journal: OwnedFd,
    /// Fds 1 to N, blocking; `clones[i]` is read into slot `i`.
    pub clones: Vec<OwnedFd>,
}

impl Descriptors {
    /// Knows them again by the order in which they are sent. `None` if a journal with `slots` slots
    /// comes with more or fewer.
    pub fn from_order(fds: Vec<OwnedFd>, slots: u32) -> Option<Descriptors> {
        let mut fds = fds.into_iter();
        let (main, journal) = (fds.next()?, fds.next()?);
        let clones: Vec<OwnedFd> = fds.collect();
        (clones.len() == slots as usize).then_some(Descriptors {
            main,
            journal,
            clones,
        })
    }

    /// In the order in which they are sent: main, journal, clones.
    pub fn in_order(&self) -> Vec<BorrowedFd<'_>> {
        let first = [&self.main, &self.journal];
        first
            .into_iter()
            .chain(&self.clones)
            .map(AsFd::as_fd)
            .collect()
    }

    /// Those of the connection: all but the journal.
    pub fn of_connection(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(&self.main)
            .chain(&self.clones)
            .map(AsFd::as_fd)
    }

    /// The fd with the index that the journal notes (0 is the main fd).
    pub fn get(&self, index: u32) -> Option<BorrowedFd<'_>> {
        match index.checked_sub(1) {
            None => Some(self.main.as_fd()),
            Some(clone) => self.clones.get(clone as usize).map(AsFd::as_fd),
        }
    }

    /// Copies of all of them.
    ///
    /// # Errors
    /// When the process may not open as many.
    pub fn try_clone(&self) -> io::Result<Descriptors> {
        Ok(Descriptors {
            main: self.main.try_clone()?,
            journal: self.journal.try_clone()?,
            clones: self
                .clones
                .iter()
                .map(OwnedFd::try_clone)
                .collect::<io::Result<_>>()?,
        })
    }
}
