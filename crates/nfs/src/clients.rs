//! Who asks, how much, and what each may have at one time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use debridfs_listen::Network;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Clients that are remembered: those that are not connected make room.
const REMEMBERED: usize = 256;
/// KiB of replies that one client may have under way: eight of the longest reads. Linux asks for 15 times its read size ahead,
/// and waits for the rest of them here.
pub(crate) const WINDOW: usize = 8 << 10;

/// Listings that one client may have under way, of at most [`DTPREF`](crate::nfs::DTPREF) bytes each: they wait for each other, and
/// not behind what is read ahead.
pub(crate) const LISTINGS: usize = 16;

/// One client, by its address (of IPv6, its /64).
#[derive(Debug)]
pub(crate) struct Client {
    /// The address it was last seen at.
    address: Mutex<IpAddr>,
    pub(crate) network: Network,
    pub(crate) window: Arc<Semaphore>,
    pub(crate) listings: Arc<Semaphore>,
    connections: AtomicUsize,
    requests: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    delayed: AtomicU64,
    last: Mutex<Instant>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With what was asked for, or with a plain no (there is no such name).
    Well,
    /// The client has to ask again.
    Delayed,
    /// With an error.
    Failed,
}

/// Figures of one client since it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientReport {
    /// Where it is.
    pub address: IpAddr,
    /// Connections now.
    pub connections: usize,
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of files that were sent.
    pub bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Requests that have to be asked again.
    pub delayed: u64,
    /// Time since its last request.
    pub idle: Duration,
}

impl Client {
    fn new(address: IpAddr, network: Network) -> Arc<Self> {
        Arc::new(Self {
            address: Mutex::new(address),
            network,
            window: Arc::new(Semaphore::new(WINDOW)),
            listings: Arc::new(Semaphore::new(LISTINGS)),
            connections: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
        })
    }

    /// Counts a request.
    pub(crate) fn count(&self, ended: Ended, bytes: u64) {
        let add = |counter: &AtomicU64, more| counter.fetch_add(more, Ordering::Relaxed);
        add(&self.requests, 1);
        add(&self.bytes, bytes);
        match ended {
            Ended::Well => {}
            Ended::Delayed => {
                add(&self.delayed, 1);
            }
            Ended::Failed => {
                add(&self.errors, 1);
            }
        }
        *self.last.lock() = Instant::now();
    }

    fn report(&self) -> ClientReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClientReport {
            address: *self.address.lock(),
            connections: self.connections.load(Ordering::Relaxed),
            requests: read(&self.requests),
            bytes: read(&self.bytes),
            errors: read(&self.errors),
            delayed: read(&self.delayed),
            idle: self.last.lock().elapsed(),
        }
    }
}

/// A connection of a client; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Connected(pub(crate) Arc<Client>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All clients.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    table: Mutex<HashMap<Network, Arc<Client>>>,
}

impl Clients {
    /// A connection of the client at `address`.
    pub(crate) fn connect(&self, address: IpAddr) -> Connected {
        let address = address.to_canonical();
        let network = Network::of(address);
        let mut table = self.table.lock();
        if table.len() >= REMEMBERED && !table.contains_key(&network) {
            let gone = table
                .values()
                .filter(|client| client.connections.load(Ordering::Relaxed) == 0);
            let oldest = gone.min_by_key(|client| *client.last.lock());
            if let Some(oldest) = oldest.map(|client| client.network) {
                table.remove(&oldest);
            }
        }
        let client = table
            .entry(network)
            .or_insert_with(|| Client::new(address, network));
        *client.address.lock() = address;
        client.connections.fetch_add(1, Ordering::Relaxed);
        Connected(client.clone())
    }

    /// How each does: those that asked last come first.
    pub(crate) fn report(&self) -> Vec<ClientReport> {
        let mut all: Vec<_> = self
            .table
            .lock()
            .values()
            .map(|client| client.report())
            .collect();
        all.sort_by_key(|client| client.idle);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_are_gone_make_room_and_the_others_stay() {
        let clients = Clients::default();
        let at = |number: usize| IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
        let first = clients.connect(at(0));
        for number in 1..REMEMBERED {
            tokio::time::advance(Duration::from_secs(1)).await;
            drop(clients.connect(at(number)));
        }
        first.0.count(Ended::Failed, 7);
        drop(clients.connect(at(REMEMBERED)));
        let report = clients.report();
        assert_eq!(report.len(), REMEMBERED);
        let known = |number| report.iter().find(|client| client.address == at(number));
        let first = known(0).unwrap();
        assert_eq!((first.connections, first.requests), (1, 1));
        assert_eq!((first.bytes, first.errors, first.delayed), (7, 1, 0));
        assert!(known(1).is_none() && known(2).is_some());
    }
}
