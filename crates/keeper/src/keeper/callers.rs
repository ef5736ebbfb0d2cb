use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use super::clients::{Client, Listener, Said, Waiting};

/// Clients that haven't said who they are, and engines that wait: no more of each.
pub(super) const MAX_CLIENTS: usize = 32;

/// All who talk to the keeper and have no lease.
#[derive(Debug)]
pub(super) struct Callers {
    listener: Listener,
    /// They haven't said who they are.
    pub clients: Vec<Client>,
    /// Engines that wait for a lease, in the order in which they came.
    pub waiting: VecDeque<Waiting>,
}

impl Callers {
    pub fn new(listener: Listener) -> Callers {
        Callers {
            listener,
            clients: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Readable when a client comes or says something.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let waiting = self.waiting.iter().map(|waiting| &waiting.client);
        let sockets = self.clients.iter().chain(waiting).map(Client::socket);
        std::iter::once(self.listener.fd()).chain(sockets)
    }

    /// Lets new clients in; the oldest that hasn't said who it is makes room.
    pub fn let_in(&mut self) {
        while let Some(client) = self.listener.accept() {
            if self.clients.len() >= MAX_CLIENTS {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
    }

    /// Forgets engines that wait no longer.
    pub fn let_go(&mut self) {
        self.waiting
            .retain(|waiting| matches!(waiting.client.receive(false), Said::Nothing));
    }

    pub fn too_many_wait(&self) -> bool {
        self.waiting.len() >= MAX_CLIENTS
    }

    /// An engine waits that the one that serves has to end for.
    pub fn replacement_waits(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.replace)
    }

    /// The engine that gets the next lease: a replacement, or the one that has waited longest.
    pub fn next(&mut self) -> Option<Waiting> {
        let replacement = self.waiting.iter().position(|waiting| waiting.replace);
        self.waiting.remove(replacement.unwrap_or(0))
    }

    /// The same of those that serve something without a mount.
    pub fn next_without_mount(&mut self) -> Option<Waiting> {
        let fits =
            |replace: bool| move |one: &Waiting| one.without_mount && (one.replace || !replace);
        let replacement = self.waiting.iter().position(fits(true));
        let place = replacement.or_else(|| self.waiting.iter().position(fits(false)))?;
        self.waiting.remove(place)
    }
}
