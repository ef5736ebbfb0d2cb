//! The pages for people: rendered here, with a little script that only fetches them again.
//!
//! What they show and do is decided behind [`PageSource`] and [`Instance`]; who may see them in `gate`. Everything that came from
//! outside (names of releases above all) is escaped by the templates, and a browser is told to run no script but ours.

mod changes;
mod engine_source;
mod gate;
mod shown;
mod source;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use debridfs_api::Problem;
use debridfs_control::Instance;
use debridfs_listen::{Attempts, FrontName, Logins, peer};

pub use engine_source::EngineSource;
pub use gate::Login;
pub use source::{Changing, PageSource, QueueChange};

use gate::{Gate, Refusal, Visitor};

/// A form is a magnet link at most.
const LONGEST_BODY: usize = 64 << 10;
/// A `.torrent` with a piece for each 16 KiB of a season in full quality.
const LONGEST_TORRENT: usize = 16 << 20;
/// Only what we serve ourselves: whatever came from outside can at worst look odd.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                              form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/page.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// What the pages are made of.
pub struct Pages {
    /// How the instance does.
    pub instance: Arc<dyn Instance>,
    /// Library, queue, cache and log.
    pub source: Arc<dyn PageSource>,
    /// What is asked of whoever wants to see them.
    pub login: Login,
    /// Whether only this machine reaches the server: without a login nobody else is let in.
    pub loopback: bool,
    /// Where failed logins are counted.
    pub attempts: Arc<Attempts>,
    /// The API, which is called with the same login or by one of `logins`.
    pub api: Router,
    /// Users and tokens.
    pub logins: Logins,
}

/// What the handlers share.
struct House {
    instance: Arc<dyn Instance>,
    source: Arc<dyn PageSource>,
    gate: Gate,
    logins: Logins,
}

type Home = State<Arc<House>>;

/// `/`, `/library`, `/release`, `/queue`, `/accounts`, `/cache`, `/log`, logging in, and the API. To be served by
/// [`debridfs_listen::Front::serve`], which tells the peer's address: by that guessing is slowed down.
///
/// # Errors
/// The system gives no random numbers.
pub fn pages_router(pages: Pages) -> Result<Router, std::io::Error> {
    let gate = Gate::new(pages.login, pages.loopback, pages.attempts)?;
    let house = Arc::new(House {
        instance: pages.instance,
        source: pages.source,
        gate,
        logins: pages.logins,
    });
    let api = pages
        .api
        .layer(from_fn_with_state(house.clone(), guard_api))
        .layer(from_fn(secure))
        .route_layer(from_fn(name));
    let guarded = Router::new()
        .route("/", get(shown::overview))
        .route("/library", get(shown::library))
        .route("/release", get(shown::release))
        .route("/queue", get(shown::queue))
        .route("/queue/add", post(changes::add))
        .route(
            "/queue/upload",
            post(changes::upload).layer(DefaultBodyLimit::max(LONGEST_TORRENT)),
        )
        .route("/queue/stop", post(changes::stop))
        .route("/queue/start", post(changes::start))
        .route("/queue/again", post(changes::again))
        .route("/queue/remove", post(changes::remove))
        .route("/accounts", get(shown::accounts))
        .route("/cache", get(shown::cache))
        .route("/log", get(shown::log))
        .route("/logout", post(changes::log_out))
        .layer(from_fn_with_state(house.clone(), guard));
    Ok(Router::new()
        .route("/login", get(shown::login).post(changes::log_in))
        .route("/assets/style.css", get(|| asset(STYLE, "text/css")))
        .route("/assets/page.js", get(|| asset(SCRIPT, "text/javascript")))
        .route("/assets/icon.svg", get(|| asset(ICON, "image/svg+xml")))
        .merge(guarded)
        .layer(from_fn_with_state(house.clone(), check_origin))
        .layer(from_fn(secure))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(house)
        .merge(api))
}

/// Tells the API and MCP apart from the pages, for metrics.
async fn name(request: Request, next: Next) -> Response {
    let front = match request.uri().path() {
        "/mcp" => "mcp",
        _ => "api",
    };
    FrontName(front).mark(next.run(request).await)
}

async fn asset(text: &'static str, kind: &'static str) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What every answer tells a browser.
async fn secure(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // `no-referrer` would take the origin from our own forms as well.
        (header::REFERRER_POLICY, "same-origin"),
        // What is shown is true now, and nobody else's after logging out.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn check_origin(State(house): Home, request: Request, next: Next) -> Response {
    let gate = &house.gate;
    let mut checked = gate.check_origin(request.headers());
    if checked.is_ok() && *request.method() != Method::GET {
        checked = gate.check_change(request.headers());
    }
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal),
    }
}

/// Lets nobody in who may not see the pages.
async fn guard(State(house): Home, mut request: Request, next: Next) -> Response {
    let peer = peer(request.extensions());
    match house.gate.visitor(request.headers(), peer) {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        // A browser that goes somewhere; whatever else calls is told by the code.
        Err(Refusal::NoSession) if wants_page(request.method(), request.headers()) => {
            to_login(&request)
        }
        Err(refusal) => refuse(refusal),
    }
}

/// Lets nobody call the API who is not known, and no page of another site.
async fn guard_api(State(house): Home, mut request: Request, next: Next) -> Response {
    let (headers, gate) = (request.headers(), &house.gate);
    let peer = peer(request.extensions());
    let known = match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => gate.check_change(headers),
    };
    let known = match known {
        Ok(()) => gate.caller(headers, peer, &house.logins).await,
        Err(refusal) => Err(refusal),
    };
    match known {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(Refusal::NoSession) if wants_page(request.method(), headers) => to_login(&request),
        Err(refusal) => {
            let (code, words) = words_of(refusal);
            let kind = match code {
                StatusCode::UNAUTHORIZED => "login",
                StatusCode::TOO_MANY_REQUESTS => "too-many",
                _ => "forbidden",
            };
            with_hints(Problem::new(code, kind, words).into_response())
        }
    }
}

/// To the form, and from there to where somebody wanted to go.
fn to_login(request: &Request) -> Response {
    let asked = request.uri().path_and_query();
    let asked = asked.map_or("/", |asked| asked.as_str());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", asked)
        .finish();
    Redirect::to(&format!("/login?{query}")).into_response()
}

fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    *method == Method::GET
        && accept
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
}

fn refuse(refusal: Refusal) -> Response {
    let (code, words) = words_of(refusal);
    with_hints((code, format!("debridfs: {words}\n")).into_response())
}

fn words_of(refusal: Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::NoSession => (StatusCode::UNAUTHORIZED, "log in at /login"),
        Refusal::Wrong => (StatusCode::UNAUTHORIZED, "the token is wrong"),
        Refusal::Busy => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many attempts: try again in a minute",
        ),
        Refusal::Closed => (
            StatusCode::FORBIDDEN,
            "the pages need a login here, as `server.listen` can be reached from other machines: \
             `debridfs config hash-password` makes a `web.password_hash`",
        ),
        Refusal::Forwarded => (
            StatusCode::FORBIDDEN,
            "it comes by a proxy, and without a login whoever reaches that would be let in: \
             `debridfs config hash-password` makes a `web.password_hash`",
        ),
        Refusal::Name => (
            StatusCode::FORBIDDEN,
            "without a login only IP addresses and localhost are answered",
        ),
        Refusal::Foreign => (
            StatusCode::FORBIDDEN,
            "it comes from a page of another site (a proxy in between has to pass `Host` on)",
        ),
    }
}

/// `answer` with how to log in, or when to try again.
fn with_hints(mut answer: Response) -> Response {
    let code = answer.status();
    let headers = answer.headers_mut();
    match code {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        _ => {}
    }
    answer
}
