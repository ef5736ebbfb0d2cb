//! Hands a release to the provider: the one step that costs something and must not be done twice.

use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{self as provider, Error as ProviderError, Priority, Provider};

use crate::job::AtProvider;
use crate::shared::Shared;
use crate::store::Change;
use crate::trash::Deletion;
use crate::{Chosen, Error, Job, JobId, Source, Step};

/// Why nothing was added, or it is not known that something was.
pub(crate) enum AddError {
    Provider(ProviderError),
    Store(Error),
}

/// What is to be added, and where.
pub(crate) struct Addition {
    pub(crate) id: JobId,
    pub(crate) source: Source,
    pub(crate) provider: Arc<dyn Provider>,
    /// Only if the provider has it already, where it can be asked so.
    pub(crate) only_cached: bool,
    /// Why it goes there.
    pub(crate) chosen: Chosen,
}

/// Hands the release to the provider and stores what it became.
pub(crate) async fn add(shared: &Arc<Shared>, addition: Addition) -> Result<(), AddError> {
    let Addition {
        id,
        source,
        provider,
        only_cached,
        chosen,
    } = addition;
    let urgency = Priority::Import;
    let what = match source {
        Source::Magnet(magnet) => provider::Addition::Magnet(magnet),
        Source::Torrent(bytes) => provider::Addition::Torrent(bytes),
    };
    let torrent = match what {
        what if only_cached => provider.add_cached(urgency, what).await,
        provider::Addition::Magnet(magnet) => provider.add_magnet(urgency, &magnet).await,
        provider::Addition::Torrent(bytes) => provider.add_torrent(urgency, bytes).await,
    };
    let torrent = torrent.map_err(AddError::Provider)?;
    shared.at("added");
    let (name, now) = (provider.name().to_owned(), shared.now());
    shared
        .transact(move |memory| {
            let mut changes = Vec::new();
            match memory.jobs.get(&id) {
                Some(job) => {
                    let mut job = Job::clone(job);
                    job.step = Step::Waiting;
                    job.changed = now;
                    // This torrent never was.
                    job.completed = None;
                    job.at = Some(AtProvider {
                        provider: name,
                        torrent,
                        ours: true,
                        given: true,
                        chosen: Some(chosen),
                    });
                    changes.extend(job.let_kept_go(memory, now));
                    changes.push(Change::Job(Box::new(job)));
                }
                // Removed in the meantime: nobody wants what was just added.
                None => {
                    let at = (name, torrent);
                    let gone = Deletion::new(at, id.hash, Duration::ZERO, now);
                    changes.push(Change::Owed(gone));
                }
            }
            Ok((changes, ()))
        })
        .await
        .map_err(AddError::Store)?;
    shared.at("add-stored");
    Ok(())
}
