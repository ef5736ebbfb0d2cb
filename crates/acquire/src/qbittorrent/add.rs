//! `torrents/add`.

use axum::http::StatusCode;

use super::{Answer, Refused, failure, text};
use crate::params::Params;
use crate::{Acquire, AddOptions, Error, Release, ReleaseError, ShareLimits};

/// Takes all links and files of one call in. "Ok." when one of them was taken, "Fails." otherwise; nothing is decided about what
/// the provider will say, as an arr would not understand the answer.
pub(super) async fn add(acquire: &Acquire, params: &Params) -> Answer {
    let options = options(params)?;
    let links = params.get("urls").unwrap_or_default().lines();
    let links = links.map(str::trim).filter(|link| !link.is_empty());
    let mut releases: Vec<Result<Release, ReleaseError>> = links.map(Release::from_link).collect();
    for file in &params.files {
        releases.push(Acquire::read_torrent(file.clone()).await);
    }
    let mut taken = 0;
    let mut bad_file = None;
    for release in releases {
        let release = match release {
            Ok(release) => release,
            Err(error) => {
                tracing::warn!(%error, "a release was not taken");
                let of_file = match error {
                    ReleaseError::NotATorrent => Some("not a valid torrent file.".to_owned()),
                    ReleaseError::TooLarge(_)
                    | ReleaseError::TooManyValues
                    | ReleaseError::TooManyFiles => Some(error.to_string()),
                    _ => None,
                };
                bad_file = bad_file.or(of_file);
                continue;
            }
        };
        let (hash, name) = (release.hash, release.name.clone());
        match acquire.add(release, options.clone()).await {
            Ok(added) => {
                taken += 1;
                tracing::info!(%hash, name, category = options.category, ?added, "taken in");
            }
            // The next one would fail as well.
            Err(error @ Error::Store { .. }) => return Err(failure(error)),
            Err(error) => tracing::warn!(%hash, name, %error, "a release was not taken"),
        }
    }
    match taken {
        0 => match bad_file {
            Some(why) => Err(Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("Error: {why}"),
            )),
            None => Ok(text(StatusCode::OK, "Fails.")),
        },
        _ => Ok(text(StatusCode::OK, "Ok.")),
    }
}

fn options(params: &Params) -> Result<AddOptions, Refused> {
    let name = params.get("rename").map(str::trim);
    let save_path = params.get("savepath").map(str::trim);
    let limits = ShareLimits::default();
    Ok(AddOptions {
        // No state of a qBittorrent makes an arr search again.
        reads_failures: false,
        category: params.get("category").unwrap_or_default().trim().to_owned(),
        owner: params.viewer.arr.as_deref().map(str::to_owned),
        tags: params.words("tags", ','),
        name: name.filter(|name| !name.is_empty()).map(str::to_owned),
        // `paused` before API 2.11.0.
        stopped: params
            .flag("stopped")
            .or_else(|| params.flag("paused"))
            .unwrap_or(false),
        forced: params.flag("forced").unwrap_or(false),
        first: params.flag("addToTopOfQueue").unwrap_or(false),
        save_path: save_path.filter(|path| !path.is_empty()).map(Into::into),
        limits: ShareLimits {
            ratio: params.ratio("ratioLimit")?.unwrap_or(limits.ratio),
            seeding_time: params
                .minutes("seedingTimeLimit")?
                .unwrap_or(limits.seeding_time),
            inactive_seeding_time: params
                .minutes("inactiveSeedingTimeLimit")?
                .unwrap_or(limits.inactive_seeding_time),
        },
        sequential: params.flag("sequentialDownload").unwrap_or(false),
        first_last: params.flag("firstLastPiecePrio").unwrap_or(false),
    })
}
