//! What is written down of links: in the order in which it happened, while readers go on. A slow disk holds up no read and loses no link.

use std::sync::Arc;

use debridfs_provider::{DirectLink, HosterLink, KeyId, LinkStore, Source};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// The way to the store. What was sent is written even when this is dropped.
pub(super) struct Written(mpsc::UnboundedSender<Line>);

struct Line {
    provider: String,
    hoster: HosterLink,
    what: What,
}

enum What {
    Made(Arc<DirectLink>),
    Refused(KeyId),
}

impl Written {
    pub(super) fn new(store: Arc<dyn LinkStore>, runtime: &Handle) -> Self {
        // As many lines as calls were made for links: the provider's limit of calls bounds them.
        let (sender, mut lines) = mpsc::unbounded_channel();
        runtime.spawn(async move {
            while let Some(line) = lines.recv().await {
                write(&*store, &line).await;
            }
        });
        Self(sender)
    }

    /// A new link of `source`.
    pub(super) fn made(&self, source: &Source, link: Arc<DirectLink>) {
        self.send(source, What::Made(link));
    }

    /// The link of `source` that was made with `key` is of no use any more.
    pub(super) fn refused(&self, source: &Source, key: KeyId) {
        self.send(source, What::Refused(key));
    }

    fn send(&self, source: &Source, what: What) {
        // Nobody takes it when the runtime ends, and the process with it.
        let _ = self.0.send(Line {
            provider: source.provider.clone(),
            hoster: source.link.clone(),
            what,
        });
    }
}

async fn write(store: &dyn LinkStore, line: &Line) {
    let Line {
        provider,
        hoster,
        what,
    } = line;
    let (done, lost) = match what {
        What::Made(link) => (
            store.save(provider, hoster, link).await,
            "a new link was not stored",
        ),
        What::Refused(key) => (
            store.forget(provider, hoster, key).await,
            "a refused link stays in the store",
        ),
    };
    if let Err(error) = done {
        tracing::warn!(provider, %error, "{lost}");
    }
}
