//! What the control socket says of repair, and what it may ask of it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use debridfs_catalogue::Catalogue;
use debridfs_provider::InfoHash;
use debridfs_repair::{Checked, Finding, Repair};
use debridfs_tree::{FoundFile, Tree};
use serde::Deserialize;
use serde_json::json;

use super::parts::Parts;
use super::ward::PATHS;

/// Answers for repair.
pub struct RepairDesk {
    repair: Option<Arc<Repair>>,
    tree: Arc<Tree>,
    catalogue: Arc<Catalogue>,
    mount: PathBuf,
}

type Desk = State<Arc<RepairDesk>>;

#[derive(Deserialize)]
struct Asked {
    path: Option<String>,
}

impl RepairDesk {
    /// `GET /repair`, `POST /repair/check?path=…` and `POST /repair/run[?path=…]`.
    pub fn router(repair: Option<Arc<Repair>>, parts: &Parts, mount: PathBuf) -> Router {
        let desk = Self {
            repair,
            tree: parts.tree.clone(),
            catalogue: parts.catalogue.clone(),
            mount,
        };
        Router::new()
            .route("/repair", get(list))
            .route("/repair/check", post(check))
            .route("/repair/run", post(run))
            .with_state(Arc::new(desk))
    }

    /// What somebody means who names `path`.
    fn find(&self, path: &str) -> Result<Finding, String> {
        let found = self.tree.explain(&self.mount, path);
        let found = found.map_err(|error| error.to_string())?;
        let release = found
            .release
            .ok_or("a directory of releases; name a release or a file")?;
        let hash: InfoHash = release.hash.parse().map_err(|_| "no release")?;
        let file = match &found.files[..] {
            [one] => self.path_in(hash, one),
            _ => None,
        };
        Ok(Finding {
            hash,
            name: release.name,
            file,
            providers: release.providers,
            words: "somebody asked".to_owned(),
        })
    }

    fn path_in(&self, hash: InfoHash, found: &FoundFile) -> Option<String> {
        let library = self.catalogue.library().borrow().clone();
        let tree = library.release(hash)?.release.tree()?;
        let file = tree.files.iter().find(|file| file.id == found.id)?;
        Some(tree.path_of(PATHS, file))
    }
}

fn refused(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "error": words }))).into_response()
}

fn turned_off() -> Response {
    let words = "nothing is repaired: `repair.enabled` is false";
    refused(StatusCode::CONFLICT, words)
}

async fn list(State(desk): Desk) -> Response {
    let Some(repair) = &desk.repair else {
        return turned_off();
    };
    let status = repair.status();
    let said = json!({
        "patients": status.patients,
        "quiet": status.quiet,
        "held": status.held,
        "spent": status.spent,
        "per_hour": status.per_hour,
        "healed": status.healed,
    });
    Json(said).into_response()
}

async fn check(State(desk): Desk, Query(asked): Query<Asked>) -> Response {
    let Some(repair) = &desk.repair else {
        return turned_off();
    };
    let finding = match desk.find(asked.path.as_deref().unwrap_or_default()) {
        Ok(finding) => finding,
        Err(words) => return refused(StatusCode::NOT_FOUND, &words),
    };
    let name = finding.name.clone();
    let (found, words) = match repair.check(finding).await {
        Checked::Well => ("well", None),
        Checked::Gone => ("gone", None),
        Checked::Bad(words) => ("bad", Some(words)),
        Checked::Unclear(words) => ("unclear", Some(words)),
    };
    Json(json!({ "name": name, "found": found, "words": words })).into_response()
}

async fn run(State(desk): Desk, Query(asked): Query<Asked>) -> Response {
    let Some(repair) = &desk.repair else {
        return turned_off();
    };
    let hash = match asked.path.as_deref().map(|path| desk.find(path)) {
        None => None,
        Some(Ok(finding)) => Some(finding.hash),
        Some(Err(words)) => return refused(StatusCode::NOT_FOUND, &words),
    };
    if let Some(hash) = hash
        && repair.patient(hash).is_none()
    {
        let words = "nothing is known against it; `debridfs repair check` looks";
        return refused(StatusCode::CONFLICT, words);
    }
    let approved = repair.approve(hash).await;
    Json(json!({ "approved": approved })).into_response()
}
