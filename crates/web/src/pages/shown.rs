//! The pages themselves: what is asked for, and the template that shows it.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use debridfs_base::ByteSize;
use debridfs_control::{
    CachedLine, DOWNLOADS, KeyStatus, QueuedJob, ReleaseList, ReleaseQuery, Status, ViewLine,
    WhyReport, WhyState,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::gate::By;
use super::{Home, House, Visitor};

/// Releases on one page.
const PAGE: usize = 100;
/// Downloads and cached files shown; the pages are for looking, `debridfs queue ls` and `cache ls` are complete.
const MOST_LINES: usize = 500;

/// What every page has.
struct Frame {
    /// The path of the page in the navigation.
    here: &'static str,
    csrf: String,
    /// Whether the visitor can log out.
    session: bool,
    healthy: bool,
    version: String,
}

impl Frame {
    fn new(here: &'static str, visitor: &Visitor, status: &Status) -> Self {
        Self {
            here,
            csrf: visitor.csrf.clone(),
            session: visitor.by == By::Session,
            healthy: status.healthy,
            version: status.version.clone(),
        }
    }

    fn links(&self) -> [(&'static str, &'static str); 6] {
        [
            ("/", "Overview"),
            ("/library", "Library"),
            ("/queue", "Queue"),
            ("/accounts", "Accounts"),
            ("/cache", "Cache"),
            ("/log", "Log"),
        ]
    }

    fn is_here(&self, path: &str) -> bool {
        path == self.here
    }
}

fn page(template: &impl Template, code: StatusCode) -> Response {
    match template.render() {
        Ok(html) => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (code, kind, html).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A moment for people: UTC, to the second.
fn moment(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn size(bytes: &u64) -> String {
    ByteSize(*bytes).to_string()
}

/// `part` of `whole` in percent.
fn share(part: &u64, whole: &u64) -> String {
    match whole {
        0 => "0".to_owned(),
        whole => format!("{:.0}", *part as f64 * 100.0 / *whole as f64),
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    status: Status,
}

pub(super) async fn overview(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let status = house.instance.status();
    let frame = Frame::new("/", &visitor, &status);
    page(&Overview { frame, status }, StatusCode::OK)
}

#[derive(Deserialize)]
pub(super) struct LibraryQuery {
    view: Option<String>,
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    page: Option<usize>,
}

#[derive(Template)]
#[template(path = "library.html")]
struct LibraryPage {
    frame: Frame,
    views: Vec<ViewLine>,
    query: ReleaseQuery,
    list: ReleaseList,
    /// From 1.
    number: usize,
    pages: usize,
    /// What is not shown yet, and why.
    waits: Vec<String>,
}

impl LibraryPage {
    /// Addresses of other pages of the same list, with what they are called and their relation to this one.
    fn others(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut others = Vec::new();
        if self.number > 1 {
            others.push(("first", "First", self.at(1)));
            others.push(("prev", "Previous", self.at(self.number - 1)));
        }
        if self.number < self.pages {
            others.push(("next", "Next", self.at(self.number + 1)));
            others.push(("last", "Last", self.at(self.pages)));
        }
        others
    }

    fn at(&self, number: usize) -> String {
        let sort = if self.query.newest_first {
            "added"
        } else {
            "name"
        };
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("view", &self.query.view)
            .append_pair("q", &self.query.text)
            .append_pair("sort", sort)
            .append_pair("page", &number.to_string())
            .finish();
        format!("/library?{query}")
    }

    fn release(&self, name: &str) -> String {
        let path = format!("{}/{name}", self.query.view);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("path", &path)
            .finish();
        format!("/release?{query}")
    }
}

pub(super) async fn library(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<LibraryQuery>,
) -> Response {
    let status = house.instance.status();
    let frame = Frame::new("/library", &visitor, &status);
    let views = house.source.views();
    let first = views.first().map(|view| view.name.clone());
    let Some(view) = asked.view.filter(|view| !view.is_empty()).or(first) else {
        return nothing(frame, "The library has no views yet.");
    };
    let number = asked.page.unwrap_or(1).max(1);
    let query = ReleaseQuery {
        view,
        text: asked.q.trim().to_owned(),
        newest_first: asked.sort == "added",
        skip: (number - 1).saturating_mul(PAGE),
        limit: PAGE,
    };
    let source = house.source.clone();
    let wanted = query.clone();
    // A search looks at every name; that is nothing for the threads that answer readers.
    let found = tokio::task::spawn_blocking(move || source.releases(&wanted)).await;
    let Some(list) = found.ok().flatten() else {
        return nothing(frame, "There is no such view.");
    };
    let waits = status
        .library
        .map_or_else(Vec::new, |library| library.waits());
    let pages = list.total.div_ceil(PAGE).max(1);
    let shown = LibraryPage {
        frame,
        views,
        query,
        list,
        number,
        pages,
        waits,
    };
    page(&shown, StatusCode::OK)
}

#[derive(Template)]
#[template(path = "nothing.html")]
struct Nothing {
    frame: Frame,
    words: String,
}

fn nothing(frame: Frame, words: &str) -> Response {
    let words = words.to_owned();
    page(&Nothing { frame, words }, StatusCode::NOT_FOUND)
}

#[derive(Deserialize)]
pub(super) struct ReleaseAsked {
    path: String,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    frame: Frame,
    report: WhyReport,
}

impl ReleasePage {
    fn word(&self, state: &WhyState) -> &'static str {
        match state {
            WhyState::Quiet => "nothing noted",
            WhyState::Fine => "fine",
            WhyState::NotKnownYet => "not known yet",
            WhyState::Trouble => "trouble",
            WhyState::Bad => "bad",
        }
    }

    fn class(&self, state: &WhyState) -> &'static str {
        match state {
            WhyState::Quiet | WhyState::Fine => "fine",
            WhyState::NotKnownYet => "waits",
            WhyState::Trouble | WhyState::Bad => "wrong",
        }
    }
}

pub(super) async fn release(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<ReleaseAsked>,
) -> Response {
    let frame = Frame::new("/library", &visitor, &house.instance.status());
    match house.instance.why(&asked.path) {
        Ok(report) => page(&ReleasePage { frame, report }, StatusCode::OK),
        Err(words) => nothing(frame, &words),
    }
}

#[derive(Deserialize)]
pub(super) struct QueueAsked {
    #[serde(default)]
    category: String,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    wrong: Option<String>,
    /// Whether downloads are configured and open.
    configured: bool,
    /// Why they are not open, if they are configured.
    closed: Option<String>,
    jobs: Vec<QueuedJob>,
    omitted: usize,
    /// Jobs by category, of all.
    counts: BTreeMap<String, usize>,
    categories: Vec<String>,
    /// The category that is shown; all when empty.
    category: String,
}

impl QueuePage {
    fn shows(&self, category: &str) -> bool {
        category == self.category
    }

    fn percent(&self, job: &QueuedJob) -> String {
        format!("{:.0}", job.progress.clamp(0.0, 1.0) * 100.0)
    }

    fn class(&self, job: &QueuedJob) -> &'static str {
        match job.step.as_str() {
            "failed" => "wrong",
            "complete" => "fine",
            _ if job.reason.is_some() => "wrong",
            _ => "waits",
        }
    }
}

pub(super) async fn queue(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<QueueAsked>,
) -> Response {
    let shown = queue_page(&house, &visitor, asked.category, None);
    page(&shown, StatusCode::OK)
}

/// The queue, and why a change of it was not made.
pub(super) fn refused_change(house: &House, visitor: &Visitor, words: String) -> Response {
    let shown = queue_page(house, visitor, String::new(), Some(words));
    page(&shown, StatusCode::CONFLICT)
}

fn queue_page(
    house: &House,
    visitor: &Visitor,
    category: String,
    wrong: Option<String>,
) -> QueuePage {
    let status = house.instance.status();
    let frame = Frame::new("/queue", visitor, &status);
    let closed = status.down.iter().find(|down| down.part == DOWNLOADS);
    let jobs = house.source.queue();
    let configured = jobs.is_some();
    let mut jobs = jobs.unwrap_or_default();
    let mut counts = BTreeMap::new();
    for job in &jobs {
        *counts.entry(job.category.clone()).or_insert(0) += 1;
    }
    if !category.is_empty() {
        jobs.retain(|job| job.category == category);
    }
    let omitted = jobs.len().saturating_sub(MOST_LINES);
    jobs.truncate(MOST_LINES);
    QueuePage {
        frame,
        wrong,
        configured,
        closed: closed.map(ToString::to_string),
        jobs,
        omitted,
        counts,
        categories: house.source.categories(),
        category,
    }
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    frame: Frame,
    status: Status,
}

impl AccountsPage {
    fn state(&self, key: &KeyStatus) -> &'static str {
        match key {
            KeyStatus { used_up: true, .. } => "used up",
            KeyStatus {
                refused: Some(_), ..
            } => "refused",
            KeyStatus {
                playback_only: true,
                ..
            } => "playback only",
            _ => "in use",
        }
    }
}

pub(super) async fn accounts(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let status = house.instance.status();
    let frame = Frame::new("/accounts", &visitor, &status);
    page(&AccountsPage { frame, status }, StatusCode::OK)
}

#[derive(Template)]
#[template(path = "cache.html")]
struct CachePage {
    frame: Frame,
    status: Status,
    /// Why there is nothing to show.
    refused: Option<String>,
    lines: Vec<CachedLine>,
    omitted: usize,
}

impl CachePage {
    fn used(&self, line: &CachedLine) -> String {
        let at = i64::try_from(line.used)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        at.map_or_else(String::new, |at| moment(&at))
    }
}

pub(super) async fn cache(State(house): Home, Extension(visitor): Extension<Visitor>) -> Response {
    let status = house.instance.status();
    let frame = Frame::new("/cache", &visitor, &status);
    let (mut lines, refused) = match list_cache(&house).await {
        Ok(lines) => (lines, None),
        Err(words) => (Vec::new(), Some(words)),
    };
    lines.sort_by_key(|line| std::cmp::Reverse(line.used));
    let omitted = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let shown = CachePage {
        frame,
        status,
        refused,
        lines,
        omitted,
    };
    page(&shown, StatusCode::OK)
}

/// As `library`: a large cache is a long list.
async fn list_cache(house: &House) -> Result<Vec<CachedLine>, String> {
    let source = house.source.clone();
    let listed = tokio::task::spawn_blocking(move || source.cached()).await;
    listed.map_err(|error| error.to_string())?
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    frame: Frame,
    lines: Vec<String>,
}

pub(super) async fn log(State(house): Home, Extension(visitor): Extension<Visitor>) -> Response {
    let frame = Frame::new("/log", &visitor, &house.instance.status());
    let mut lines = house.source.log();
    // The newest is what is looked for.
    lines.reverse();
    page(&LogPage { frame, lines }, StatusCode::OK)
}

#[derive(Deserialize)]
pub(super) struct LoginAsked {
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    next: &'a str,
    wrong: &'a str,
}

pub(super) async fn login(State(house): Home, Query(asked): Query<LoginAsked>) -> Response {
    if !house.gate.has_login() {
        return Redirect::to("/").into_response();
    }
    let next = super::changes::inside(&asked.next);
    login_page(&next, "", StatusCode::OK)
}

/// The form to log in; `wrong` says why that did not go well, if it did not.
pub(super) fn login_page(next: &str, wrong: &str, code: StatusCode) -> Response {
    page(&LoginPage { next, wrong }, code)
}
