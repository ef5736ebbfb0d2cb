//! Callers that are sent to a provider's own link to a film.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_vfs::NodeId;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// What a caller puts into the query to be sent there.
const ASKED: &str = "redirect=1";

/// Gives a provider's own link to a film, if one can be had now.
pub type LinkOf = dyn Fn(NodeId) -> BoxFuture<'static, Option<String>> + Send + Sync;

/// When callers are sent to a provider's own link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirect {
    /// Never: all bytes pass through here.
    #[default]
    Never,
    /// When they ask for it by `redirect=1` in the query.
    Asked,
    /// Always.
    Always,
}

/// Sends callers to providers' own links.
#[derive(Clone)]
pub struct Redirects {
    when: Redirect,
    link_of: Arc<LinkOf>,
}

impl Redirects {
    /// Sends them there `when` it is wanted, by what `link_of` gives; who gets no link is served from here.
    pub fn new(
        when: Redirect,
        link_of: impl Fn(NodeId) -> BoxFuture<'static, Option<String>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            when,
            link_of: Arc::new(link_of),
        }
    }

    /// The answer to `request` for the film `id`, if it is to be sent elsewhere.
    pub(crate) async fn answer(&self, request: &Parts, id: NodeId) -> Option<Response> {
        let query = request.uri.query().unwrap_or_default();
        let wanted = match self.when {
            Redirect::Never => false,
            Redirect::Asked => query.split('&').any(|part| part == ASKED),
            Redirect::Always => true,
        };
        if !wanted {
            return None;
        }
        let link = (self.link_of)(id).await?;
        let link = HeaderValue::try_from(link).ok()?;
        // It ends, and is often for one address alone.
        let headers = [
            (header::LOCATION, link),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Some((StatusCode::FOUND, headers).into_response())
    }
}

impl Default for Redirects {
    /// Sends nobody anywhere.
    fn default() -> Self {
        Self::new(Redirect::Never, |_| Box::pin(std::future::ready(None)))
    }
}
