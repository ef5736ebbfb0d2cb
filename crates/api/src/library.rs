//! The library: how it does, what is in it, where a file plays.

use std::time::Duration;

use axum::extract::State;
use axum::response::Json;
use debridfs_control::{
    Instance, LONGEST_URL, Listing, MOST_LINES, Node, Playable, Search, Status, UrlKind, ViewLine,
    WhyReport,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ask::{Place, Query, Root};
use crate::problem::{Problem, Problems};
use crate::{Home, House};

/// Lines of a part that says no number.
const LINES: usize = 100;
/// How long an address is good that says no time.
const GOOD_FOR: Duration = Duration::from_secs(6 * 3600);

pub(crate) fn routes() -> OpenApiRouter<Home> {
    OpenApiRouter::new()
        .routes(routes!(get_status))
        .routes(routes!(get_why))
        .routes(routes!(list_views))
        .routes(routes!(browse))
        .routes(routes!(stat))
        .routes(routes!(search))
        .routes(routes!(resolve))
        .routes(routes!(accept_loss))
        .routes(routes!(get_log))
}

/// How the instance does
///
/// The form of `debridfs status --json`: fields are added, never renamed.
#[utoipa::path(get, path = "/status", tag = "instance",
    responses((status = 200, description = "What was asked for", body = Status), Problems))]
async fn get_status(State(house): State<Home>) -> Json<Status> {
    Json(house.engine.status())
}

/// The end of the log.
#[derive(Debug, Serialize, ToSchema)]
struct LogLines {
    /// Lines, the oldest first.
    lines: Vec<String>,
}

/// The last lines of the log
#[utoipa::path(get, path = "/log", tag = "instance",
    responses((status = 200, description = "What was asked for", body = LogLines), Problems))]
async fn get_log(State(house): State<Home>) -> Json<LogLines> {
    let lines = (house.log)();
    Json(LogLines { lines })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct What {
    /// A path below the mount point or relative to the root, an info-hash, a name or a part of one.
    #[param(example = "Film.2024")]
    path: String,
}

/// Why a file or release cannot be read, and what to do
#[utoipa::path(get, path = "/why", tag = "library", params(What),
    responses((status = 200, description = "What was asked for", body = WhyReport), Problems))]
async fn get_why(
    State(house): State<Home>,
    Query(what): Query<What>,
) -> Result<Json<WhyReport>, Problem> {
    Ok(Json(why(&house, &what.path)?))
}

pub(crate) fn why(house: &House, path: &str) -> Result<WhyReport, Problem> {
    let report = house.engine.why_like(path);
    report.map_err(|words| Problem::new(axum::http::StatusCode::NOT_FOUND, "not-found", words))
}

/// The directories of the root.
#[derive(Debug, Serialize, ToSchema)]
struct Views {
    /// In the order of the root.
    views: Vec<ViewLine>,
}

/// The views: the directories of the root
#[utoipa::path(get, path = "/views", tag = "library",
    responses((status = 200, description = "What was asked for", body = Views), Problems))]
async fn list_views(State(house): State<Home>) -> Json<Views> {
    let views = house.engine.views();
    Json(Views { views })
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// `next` of the part before; the beginning when it is absent.
    pub(crate) cursor: Option<String>,
    /// Lines at most; 100 when it is absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
}

impl Part {
    pub(crate) fn lines(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(LINES),
            Some(limit) if (1..=MOST_LINES).contains(&limit) => Ok(limit),
            Some(_) => {
                let words = format!("`limit` is a number from 1 to {MOST_LINES}");
                Err(Problem::invalid(words))
            }
        }
    }
}

/// A part of a directory
#[utoipa::path(get, path = "/browse", tag = "library", params(Place, Part),
    responses((status = 200, description = "What was asked for", body = Listing), Problems))]
async fn browse(
    State(house): State<Home>,
    root: Root,
    Query(place): Query<Place>,
    Query(part): Query<Part>,
) -> Result<Json<Listing>, Problem> {
    Ok(Json(list(&house, &root, &place, &part).await?))
}

pub(crate) async fn list(
    house: &House,
    root: &Root,
    place: &Place,
    part: &Part,
) -> Result<Listing, Problem> {
    let (at, limit) = (place.at(root)?, part.lines()?);
    let listed = house.engine.browse(&at, part.cursor.as_deref(), limit);
    Ok(listed.await?)
}

/// What a path or id is
#[utoipa::path(get, path = "/stat", tag = "library", params(Place),
    responses((status = 200, description = "What was asked for", body = Node), Problems))]
async fn stat(
    State(house): State<Home>,
    root: Root,
    Query(place): Query<Place>,
) -> Result<Json<Node>, Problem> {
    Ok(Json(house.engine.stat(&place.at(&root)?).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Words that the name holds, all of them, in any case; or an info-hash. All releases when it is empty.
    #[serde(default)]
    #[param(example = "film 2024")]
    q: String,
    /// The view that is searched; `__all__` when it is absent. A login that sees a part of the library names it from there, and searches that part when it is absent and a view.
    view: Option<String>,
}

/// Releases by words of their names or by info-hash
#[utoipa::path(get, path = "/search", tag = "library", params(Wanted, Part),
    responses((status = 200, description = "What was asked for", body = Search), Problems))]
async fn search(
    State(house): State<Home>,
    root: Root,
    Query(wanted): Query<Wanted>,
    Query(part): Query<Part>,
) -> Result<Json<Search>, Problem> {
    let limit = part.lines()?;
    let engine = house.engine.clone();
    // It looks at every name; that is nothing for the threads that answer readers.
    let found = tokio::task::spawn_blocking(move || {
        let Wanted { q, view } = &wanted;
        engine.search(&root.0, view.as_deref(), q, part.cursor.as_deref(), limit)
    });
    let found = found.await.map_err(|error| {
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            error,
        )
    })?;
    Ok(Json(found?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Playing {
    /// Whose address is wanted; `own` when it is absent. `provider` has to be allowed by `web.provider_links`.
    #[serde(default)]
    by: UrlKind,
    /// For how many seconds an own address is good; six hours when it is absent, a week at most.
    #[param(minimum = 1, maximum = 604800)]
    seconds: Option<u64>,
}

/// An address that plays a file
///
/// An own address is signed: it opens this one file until it expires. `DELETE /tokens/signed-urls` ends all of them at once.
#[utoipa::path(get, path = "/resolve", tag = "library", params(Place, Playing),
    responses((status = 200, description = "What was asked for", body = Playable), Problems))]
async fn resolve(
    State(house): State<Home>,
    root: Root,
    Query(place): Query<Place>,
    Query(playing): Query<Playing>,
) -> Result<Json<Playable>, Problem> {
    let at = place.at(&root)?;
    let lasts = playing.seconds.map_or(GOOD_FOR, Duration::from_secs);
    if lasts.is_zero() || lasts > LONGEST_URL {
        let words = format!("`seconds` is a number from 1 to {}", LONGEST_URL.as_secs());
        return Err(Problem::invalid(words));
    }
    let playable = match playing.by {
        UrlKind::Own => house.engine.own_url(&at, lasts).await?,
        UrlKind::Provider if house.provider_links => house.engine.provider_url(&at).await?,
        UrlKind::Provider => {
            let words = "providers' links are not given away: `web.provider_links` is false";
            return Err(Problem::new(
                axum::http::StatusCode::FORBIDDEN,
                "forbidden",
                words,
            ));
        }
    };
    Ok(Json(playable))
}

/// What was accepted.
#[derive(Debug, Serialize, ToSchema)]
struct Accepted {
    /// Releases that are let go; 0 when no loss was held.
    accepted: u64,
}

/// Accept the losses that the shrink guard holds
#[utoipa::path(post, path = "/library/accept", tag = "library",
    responses((status = 200, description = "What was asked for", body = Accepted), Problems))]
async fn accept_loss(State(house): State<Home>) -> Json<Accepted> {
    let accepted = house.engine.accept_loss().await;
    Json(Accepted { accepted })
}
