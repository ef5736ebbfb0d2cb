//! How soon a copy would give bytes, by what is known without asking anybody.

use debridfs_provider::{DifferingCopy, Priority, Source};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Links;
use crate::error::Cause;

/// How ready a source is; the readiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ready {
    /// Its link is known.
    Kept,
    /// Its link takes a call, or a look into the store.
    Call,
    /// It was refused just now.
    Paused,
    /// Its provider, or that one's CDN, is in trouble or has no traffic.
    Away,
}

impl Links {
    /// How ready `source` is for a caller of this urgency.
    pub(crate) fn ready(&self, source: &Source, priority: Priority) -> Ready {
        let Some(account) = self.accounts.get(&source.provider) else {
            return Ready::Paused;
        };
        let provider = &account.provider;
        if account.standing.is_away() || provider.room_for(priority).is_err() {
            return Ready::Away;
        }
        let key = (source.provider.clone(), source.link.clone());
        if let Some(entry) = self.entries.known(&key) {
            let state = entry.lock();
            if let Some(current) = &state.current {
                let traffic = provider.key_traffic(&current.link.key);
                if traffic.is_none_or(|traffic| traffic.check(priority).is_ok()) {
                    return Ready::Kept;
                }
            }
            if (state.pause.as_ref()).is_some_and(|(until, _)| *until > Instant::now()) {
                return Ready::Paused;
            }
        }
        match account.gate.is_closed() {
            true => Ready::Away,
            false => Ready::Call,
        }
    }

    /// The host that the known link of `source` leads to, if it is in memory.
    pub(crate) fn host(&self, source: &Source) -> Option<(String, u16)> {
        let account = self.accounts.get(&source.provider)?;
        let key = (source.provider.clone(), source.link.clone());
        let link = {
            let entry = self.entries.known(&key)?;
            let state = entry.lock();
            state.current.as_ref()?.link.clone()
        };
        account.source.host(&link.url).ok()
    }

    /// `source` is never to be used for `file` again, also by later processes.
    pub(crate) fn differs(&self, file: u64, source: &Source) {
        self.store.differs(DifferingCopy {
            file,
            provider: source.provider.clone(),
            torrent: source.torrent.clone(),
        });
    }

    /// A reader left the provider, which is in trouble.
    pub(crate) fn fell(&self, provider: &str) {
        if let Some(account) = self.accounts.get(provider)
            && account.standing.fell()
        {
            self.standings.send_replace(());
        }
    }

    /// Whether readers left the provider, which is in trouble.
    pub(crate) fn is_away(&self, provider: &str) -> bool {
        (self.accounts.get(provider)).is_some_and(|account| account.standing.is_away())
    }

    /// Tells when a provider falls into trouble or recovers.
    pub(crate) fn standings(&self) -> watch::Receiver<()> {
        self.standings.subscribe()
    }

    /// The provider gives no link within the time that a reader has.
    pub(crate) fn is_late(&self, provider: &str, cause: &Cause) {
        if let Some(account) = self.accounts.get(provider) {
            account.gate.close(cause.clone());
        }
    }

    /// Bytes of the provider came.
    pub(crate) fn came(&self, provider: &str) {
        if let Some(account) = self.accounts.get(provider)
            && account.standing.came()
        {
            self.standings.send_replace(());
        }
    }

    /// Whether the caller is to look if the provider, which is in trouble, is well again.
    pub(crate) fn is_due(&self, provider: &str) -> bool {
        (self.accounts.get(provider)).is_some_and(|account| account.standing.is_due())
    }

    /// Where what outlives a fetch runs.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
