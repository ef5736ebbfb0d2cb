//! Hands a release to the provider: the one step that costs something and must not be done twice.

use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{Addition, Error as ProviderError, Priority};

use crate::job::AtProvider;
use crate::shared::Shared;
use crate::store::Change;
use crate::trash::Deletion;
use crate::{Error, Job, JobId, Source, Step};

/// Why nothing was added, or it is not known that something was.
pub(crate) enum AddError {
    Provider(ProviderError),
    Store(Error),
}

/// Hands the release to the provider and stores what it became; with `only_cached` only if it has it already.
pub(crate) async fn add(
    shared: &Arc<Shared>,
    id: JobId,
    source: Source,
    only_cached: bool,
) -> Result<(), AddError> {
    let provider = &shared.provider;
    let urgency = Priority::Import;
    let torrent = match source {
        Source::Magnet(magnet) if only_cached => {
            let what = Addition::Magnet(magnet);
            provider.add_cached(urgency, what).await
        }
        Source::Torrent(bytes) if only_cached => {
            let what = Addition::Torrent(bytes);
            provider.add_cached(urgency, what).await
        }
        Source::Magnet(magnet) => provider.add_magnet(urgency, &magnet).await,
        Source::Torrent(bytes) => provider.add_torrent(urgency, bytes).await,
    };
    let torrent = torrent.map_err(AddError::Provider)?;
    shared.at("added");
    let (name, now) = (provider.name().to_owned(), shared.now());
    shared
        .transact(move |memory| {
            let change = match memory.jobs.get(&id) {
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
                    });
                    Change::Job(Box::new(job))
                }
                // Removed in the meantime: nobody wants what was just added.
                None => {
                    let at = (name, torrent);
                    Change::Owed(Deletion::new(at, id.hash, Duration::ZERO, now))
                }
            };
            Ok((vec![change], ()))
        })
        .await
        .map_err(AddError::Store)?;
    shared.at("add-stored");
    Ok(())
}
