//! Releases that cannot be read: listed, checked, treated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_catalogue::Layout;
use debridfs_provider::InfoHash;
use debridfs_repair::{Checked, Finding, Repair, RepairStatus};
use debridfs_tree::FoundFile;
use hyper::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// A check asks the provider for links, behind all other calls.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug, Serialize, Deserialize)]
struct What {
    path: Option<String>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The release.
    pub name: String,
    /// How it stands.
    pub found: Found,
    /// Why, for people.
    pub words: Option<String>,
}

/// How a release that was checked stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// It can be read.
    Well,
    /// It is not in the library any more.
    Gone,
    /// It cannot be read.
    Bad,
    /// Nothing can be told.
    Unclear,
}

impl Found {
    /// The word in the answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Gone => "gone",
            Self::Bad => "bad",
            Self::Unclear => "unclear",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Approved {
    approved: u64,
}

impl Client {
    /// What is known to be bad, or said to be; refused when repair is turned off.
    pub async fn repair(&self) -> Result<RepairStatus, CallError> {
        self.call(Method::GET, "/repair", LIMIT).await
    }

    /// Looks now whether a file or release can be read; refused when there is no such path.
    pub async fn check(&self, path: &str) -> Result<Check, CallError> {
        let path = Some(path.to_owned());
        let path = with_arguments("/repair/check", &What { path });
        self.call(Method::POST, &path, LIMIT).await
    }

    /// Lets a release, or all that are listed, be treated although many are suspects; how many were not before; refused when there is no such path, or nothing is known against it.
    pub async fn approve(&self, path: Option<String>) -> Result<u64, CallError> {
        let path = with_arguments("/repair/run", &What { path });
        let answer: Approved = self.call(Method::POST, &path, LIMIT).await?;
        Ok(answer.approved)
    }
}

/// `GET /repair`, `POST /repair/check?path=…` and `POST /repair/run[?path=…]`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/repair", get(list))
        .route("/repair/check", post(check))
        .route("/repair/run", post(run))
}

impl RunningEngine {
    fn open_repair(&self) -> Result<&Repair, Refused> {
        let repair = &self.parts.repair;
        repair
            .get()
            .map(|repair| &**repair)
            .ok_or_else(|| match repair.is_expected() {
                true => Refused::new(
                    RefusalKind::Unavailable,
                    "repair is not open; `debridfs status` says why",
                ),
                false => Refused::new(
                    RefusalKind::NotConfigured,
                    "nothing is repaired: `repair.enabled` is false",
                ),
            })
    }

    /// What `path` names.
    pub(crate) fn find(&self, path: &str) -> Result<Finding, Refused> {
        let nothing = |words: &str| Refused::new(RefusalKind::NotFound, words);
        let found = self.parts.tree.explain(&self.info.mount, path);
        let found = found.map_err(|error| nothing(&error.to_string()))?;
        let release = found
            .release
            .ok_or_else(|| nothing("a directory of releases; name a release or a file"))?;
        let hash: InfoHash = release.hash.parse().map_err(|_| nothing("no release"))?;
        let file = match &found.files[..] {
            [one] => self.path_in(hash, one),
            _ => None,
        };
        Ok(Finding {
            hash,
            name: release.name,
            file,
            providers: release.providers,
            broken: BTreeSet::new(),
            words: "somebody asked".to_owned(),
        })
    }

    /// Repair names files as the torrent does, whatever the layout shows.
    fn path_in(&self, hash: InfoHash, found: &FoundFile) -> Option<String> {
        let library = self.parts.catalogue.library().borrow().clone();
        let tree = library.release(hash)?.release.tree()?;
        let file = tree.files.iter().find(|file| file.id == found.id)?;
        Some(tree.path_of(Layout::Tree, file))
    }
}

impl RunningEngine {
    /// What is known to be bad, or said to be.
    ///
    /// # Errors
    /// Repair is turned off, or not open.
    pub fn patients(&self) -> Result<RepairStatus, Refused> {
        Ok(self.open_repair()?.status())
    }

    /// Looks now whether the file or release at `path` can be read.
    ///
    /// # Errors
    /// There is no such path, or as [`Self::patients`].
    pub async fn check(&self, path: &str) -> Result<Check, Refused> {
        let repair = self.open_repair()?;
        let finding = self.find(path)?;
        let name = finding.name.clone();
        let (found, words) = match repair.check(finding).await {
            Checked::Well => (Found::Well, None),
            Checked::Spared { words, .. } => (Found::Well, Some(words)),
            Checked::Gone => (Found::Gone, None),
            Checked::Bad(words) | Checked::Blocked { words, .. } => (Found::Bad, Some(words)),
            Checked::Unclear(words) => (Found::Unclear, Some(words)),
        };
        Ok(Check { name, found, words })
    }

    /// Lets the release at `path`, or all that are listed, be treated although many are suspects; how
    /// many were not before.
    ///
    /// # Errors
    /// There is no such path, nothing is known against it, or as [`Self::patients`].
    pub async fn approve(&self, path: Option<&str>) -> Result<u64, Refused> {
        let repair = self.open_repair()?;
        let hash = match path {
            None => None,
            Some(path) => Some(self.find(path)?.hash),
        };
        if hash.is_some_and(|hash| repair.patient(hash).is_none()) {
            let words = "nothing is known against it; `debridfs repair check` looks";
            return Err(Refused::new(RefusalKind::Conflict, words));
        }
        Ok(repair.approve(hash).await as u64)
    }
}

async fn list(State(engine): Engine) -> Answer<RepairStatus> {
    Ok(Json(engine.patients()?))
}

async fn check(State(engine): Engine, Query(what): Query<What>) -> Answer<Check> {
    let path = what.path.unwrap_or_default();
    Ok(Json(engine.check(&path).await?))
}

async fn run(State(engine): Engine, Query(what): Query<What>) -> Answer<Approved> {
    let approved = engine.approve(what.path.as_deref()).await?;
    Ok(Json(Approved { approved }))
}
