//! What a call brings along: each part that cannot be read is a [`Problem`].

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Json;
use debridfs_base::NodeId;
use debridfs_control::At;
use debridfs_listen::Caller;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::problem::Problem;

/// The arguments behind the path.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await?;
        Ok(Self(read.0))
    }
}

/// What stands in the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await?;
        Ok(Self(read.0))
    }
}

/// A body of JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Json::<T>::from_request(request, state).await?;
        Ok(Self(read.0))
    }
}

/// Names a node, by one of both.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Place {
    /// A path below the mount point, or relative to the root; the root itself when both are absent. For a login that sees a part of the library that part is the root.
    #[param(example = "__all__")]
    pub(crate) path: Option<String>,
    /// An id that was given before; not for a login that sees a part of the library.
    pub(crate) id: Option<String>,
}

/// The part of the library that the caller may see: [`Caller::root`].
#[derive(Debug)]
pub(crate) struct Root(pub(crate) String);

impl Root {
    /// Of those who see all of it.
    pub(crate) fn whole() -> Self {
        Self(String::new())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Root {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>();
        let words = "nobody has logged in";
        let caller =
            caller.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "forbidden", words))?;
        Ok(Self(caller.root.clone()))
    }
}

impl Place {
    /// What is named, below `root`.
    pub(crate) fn at(&self, root: &Root) -> Result<At, Problem> {
        match (&self.path, &self.id) {
            (Some(_), Some(_)) => Err(Problem::invalid("name `path` or `id`, not both")),
            // An id does not tell whether it is below the root.
            (None, Some(_)) if !root.0.is_empty() => {
                let words =
                    "this login sees a part of the library: name `path`, which begins there";
                Err(Problem::invalid(words))
            }
            (path, None) if !root.0.is_empty() => Ok(At::Below {
                root: root.0.clone(),
                path: path.clone().unwrap_or_default(),
            }),
            (path, None) => Ok(At::Path(path.clone().unwrap_or_default().into())),
            (None, Some(id)) => {
                let number = id.parse().map_err(|_| Problem::invalid("`id` is no id"))?;
                Ok(At::Id(NodeId(number)))
            }
        }
    }
}

/// Names a path.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct OnePath {
    /// Below the mount point, or relative to the root.
    #[schema(example = "__all__/Film.2024")]
    pub(crate) path: String,
}

/// Names a path, or all.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(crate) struct AnyPath {
    /// Below the mount point, or relative to the root; all when it is absent.
    #[serde(default)]
    pub(crate) path: Option<String>,
}
