//! Looks what the links of releases give: one that the provider packed into one RAR is shown once its
//! headers have been read, and of one with fewer links than files, or more, the provider is asked what
//! each link gives.
//!
//! One archive at a time, each once: the catalogue keeps what was found. Only headers are fetched, a
//! few KiB for each file in the archive. After a failure the archive is tried again, less and less
//! often; until then its release stays in `__bad__`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_base::Client;
use debridfs_catalogue::{BadReason, Catalogue, Findings, Named, Unexamined};
use debridfs_content::{Content, FileRef, HandleOwner, ReadRequest};
use debridfs_provider::{DirectLink, HosterLink, Part, Priority, Provider, Source};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::header_id::header_id;
use crate::rar::{RarProgress, RarReader, RarRefusal};

/// What one read of headers may take.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Pauses between attempts.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(6 * 3600));

/// Looks into what the catalogue has not been told of.
pub struct Examiner {
    catalogue: Arc<Catalogue>,
    content: Arc<Content>,
    providers: Vec<Arc<dyn Provider>>,
}

/// Attempts that failed, and when the next one is due.
struct Failed {
    times: u32,
    next: Instant,
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no provider {0:?}")]
    NoProvider(String),
    #[error("no link: {0}")]
    NoLink(#[from] debridfs_provider::Error),
    #[error("the provider does not tell its size")]
    NoSize,
    #[error(transparent)]
    Content(#[from] debridfs_content::ContentError),
}

impl Examiner {
    /// One that reads the archives of `catalogue` through `content`; `providers` tell how large they are.
    pub fn new(
        catalogue: Arc<Catalogue>,
        content: Arc<Content>,
        providers: Vec<Arc<dyn Provider>>,
    ) -> Self {
        Self {
            catalogue,
            content,
            providers,
        }
    }

    /// Examines them as they come, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.examine_all() => {}
        }
    }

    async fn examine_all(&self) {
        let mut library = self.catalogue.library();
        let mut failed: HashMap<Unexamined, Failed> = HashMap::new();
        loop {
            library.borrow_and_update();
            let owed = self.catalogue.unexamined().await;
            failed.retain(|archive, _| owed.contains(archive));
            let now = Instant::now();
            let due =
                |archive: &&Unexamined| failed.get(archive).is_none_or(|failed| failed.next <= now);
            let Some(archive) = owed.iter().find(due) else {
                let next = failed.values().map(|failed| failed.next).min();
                tokio::select! {
                    () = until(next) => {}
                    changed = library.changed() => if changed.is_err() {
                        return;
                    },
                }
                continue;
            };
            match self.examine(archive).await {
                Ok(findings) => {
                    failed.remove(archive);
                    tell(archive, &findings);
                    self.catalogue.examined(archive, findings).await;
                }
                Err(error) => {
                    let failed = failed.entry(archive.clone()).or_insert(Failed {
                        times: 0,
                        next: now,
                    });
                    failed.times = failed.times.saturating_add(1);
                    let pause = PAUSES.after(failed.times);
                    failed.next = Instant::now() + pause;
                    self.catalogue.not_examined(archive);
                    let Unexamined { provider, name, .. } = archive;
                    tracing::warn!(provider, name, %error, ?pause, "what its links give could not be found out; trying again");
                }
            }
        }
    }

    async fn examine(&self, archive: &Unexamined) -> Result<Findings, Trouble> {
        if archive.links.len() != 1 {
            return self.names(archive).await;
        }
        let size = self.size(archive).await?;
        let mut reader = RarReader::new(size);
        let mut progress = reader.start();
        loop {
            let range = match progress {
                RarProgress::Need(range) => range,
                RarProgress::Complete(members) => return Ok(Findings::Members { size, members }),
            };
            let bytes = self.read(archive, &range, size).await?;
            match reader.advance(range.start, &bytes) {
                Ok(next) => progress = next,
                // The only link that is left of several.
                Err(RarRefusal::NotRar) => return self.names(archive).await,
                Err(refusal) => {
                    tracing::debug!(name = archive.name, %refusal, "an archive is refused");
                    return Ok(Findings::Refused(reason(refusal)));
                }
            }
        }
    }

    /// What the provider calls that which each link gives, and how large it is. What it does not give at
    /// all is nothing that a file could be known by.
    async fn names(&self, torrent: &Unexamined) -> Result<Findings, Trouble> {
        let mut named = Vec::with_capacity(torrent.links.len());
        for link in &torrent.links {
            let (name, size) = match self.direct(&torrent.provider, link).await {
                Ok(direct) => (direct.filename, direct.bytes.unwrap_or(0)),
                Err(Trouble::NoLink(error)) if error.is_final() => (String::new(), 0),
                Err(error) => return Err(error),
            };
            let link = link.clone();
            named.push(Named { link, name, size });
        }
        Ok(Findings::Named(named))
    }

    /// A new direct link of `link`. It is kept where reading finds it, so that it is made once, and behind all other calls.
    async fn direct(&self, provider: &str, link: &HosterLink) -> Result<DirectLink, Trouble> {
        let found = self.providers.iter().find(|one| one.name() == provider);
        let account = found.ok_or_else(|| Trouble::NoProvider(provider.to_owned()))?;
        let direct = account.unrestrict(Priority::Probe, link).await?;
        self.catalogue.links().save(provider, link, &direct);
        Ok(direct)
    }

    /// Size of the archive, as told with its direct link.
    async fn size(&self, archive: &Unexamined) -> Result<u64, Trouble> {
        let (provider, link) = (&archive.provider, &archive.links[0]);
        let stored = self.catalogue.links().load(provider, link).await;
        let stored = stored.unwrap_or_default();
        if let Some(size) = stored.iter().find_map(|direct| direct.bytes) {
            return Ok(size);
        }
        let direct = self.direct(provider, link).await?;
        direct.bytes.ok_or(Trouble::NoSize)
    }

    /// Reads `range` as if it were a file of its own, so that nothing ahead of it is fetched.
    async fn read(
        &self,
        archive: &Unexamined,
        range: &Range<u64>,
        container: u64,
    ) -> Result<Vec<u8>, Trouble> {
        let id = header_id(&archive.provider, &archive.links[0], range);
        let handle = HandleOwner::Archive.handle(id);
        let length = range.end - range.start;
        let part = Part {
            offset: range.start,
            container,
        };
        let file = FileRef {
            id,
            size: length,
            sources: Arc::new([Source {
                provider: archive.provider.clone(),
                torrent: archive.torrent.clone(),
                link: archive.links[0].clone(),
                part: Some(part),
            }]),
        };
        let request = ReadRequest {
            handle,
            offset: 0,
            // Headers are below 2 MiB.
            size: u32::try_from(length).unwrap_or(u32::MAX),
            deadline: READ_LIMIT,
            client: Client::Own,
        };
        let bytes = self.content.read(&file, &request).await;
        self.content.release(handle);
        Ok(bytes?.concat())
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}

fn tell(archive: &Unexamined, findings: &Findings) {
    let Unexamined { provider, name, .. } = archive;
    match findings {
        Findings::Members { members, .. } => {
            tracing::info!(provider, name, files = members.len(), "looked into its RAR");
        }
        Findings::Named(links) => {
            tracing::info!(
                provider,
                name,
                links = links.len(),
                "asked what its links give"
            );
        }
        Findings::Refused(reason) => {
            let reason = reason.as_str();
            tracing::warn!(provider, name, reason, "its RAR cannot be served");
        }
    }
}

fn reason(refusal: RarRefusal) -> BadReason {
    match refusal {
        RarRefusal::Compressed => BadReason::RarCompressed,
        RarRefusal::Encrypted => BadReason::RarEncrypted,
        RarRefusal::Solid => BadReason::RarSolid,
        RarRefusal::Split => BadReason::RarSplit,
        RarRefusal::NotRar | RarRefusal::Damaged(_) | RarRefusal::TooLarge => BadReason::RarDamaged,
    }
}
