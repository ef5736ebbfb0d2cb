//! What forms do. Each answers with a redirect, so that reloading a page does nothing twice.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use debridfs_listen::{Encrypted, Peer, same};

use super::gate::By;
use super::shown;
use super::{Home, House, QueueChange, Refusal, Visitor, refuse};

/// The fields of a form.
struct Fields(HashMap<String, String>);

impl Fields {
    fn read(body: &Bytes) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// Those of a form that we made for `visitor`; nothing of any other.
    fn of(visitor: &Visitor, body: &Bytes) -> Option<Self> {
        Self::read(body).if_of(visitor)
    }

    fn if_of(self, visitor: &Visitor) -> Option<Self> {
        // A token in a header is not sent by a browser behind its user's back.
        let ours = visitor.by == By::Token || bool::from(same(self.get("csrf"), &visitor.csrf));
        ours.then_some(self)
    }
}

/// The answer to a form that is not of the visitor's session.
fn not_ours() -> Response {
    let words = "debridfs: this form is not of the present session: go back, reload the page and try again\n";
    (StatusCode::FORBIDDEN, words).into_response()
}

/// `POST /login`.
pub(super) async fn log_in(
    State(house): Home,
    peer: Option<Extension<Peer>>,
    encrypted: Option<Extension<Encrypted>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::read(&body);
    if !house.gate.has_login() {
        return Redirect::to("/").into_response();
    }
    let peer = peer.map(|Extension(peer)| peer.0);
    let forwarded = headers.get("x-forwarded-proto");
    let secure = encrypted.is_some() || forwarded.is_some_and(|scheme| scheme == "https");
    let next = inside(fields.get("next"));
    match house
        .gate
        .log_in(fields.get("password"), peer, secure)
        .await
    {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response(),
        Err(Refusal::Wrong) => {
            let words = "That is not the password.";
            shown::login_page(&next, words, StatusCode::UNAUTHORIZED)
        }
        Err(Refusal::Busy) => {
            let words = "Too many attempts: try again in a minute.";
            shown::login_page(&next, words, StatusCode::TOO_MANY_REQUESTS)
        }
        Err(refusal) => refuse(refusal),
    }
}

/// A path of ours, whatever was asked for.
pub(super) fn inside(next: &str) -> String {
    // Two slashes, and for browsers a backslash as well, begin the name of another host.
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|byte| byte.is_ascii_graphic())
        && !next.starts_with("/login");
    if ours {
        next.to_owned()
    } else {
        "/".to_owned()
    }
}

/// `POST /logout`.
pub(super) async fn log_out(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if Fields::of(&visitor, &body).is_none() {
        return not_ours();
    }
    let gone = house.gate.log_out(&headers);
    ([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}

/// `POST /queue/add`.
pub(super) async fn add(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    change(&house, &visitor, &body, |fields| QueueChange::Add {
        link: fields.get("link").to_owned(),
        category: fields.get("category").to_owned(),
    })
    .await
}

/// `POST /queue/upload`: a form with a file.
pub(super) async fn upload(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    mut form: Multipart,
) -> Response {
    let mut fields = HashMap::new();
    let mut torrent = Bytes::new();
    loop {
        let read = match form.next_field().await {
            Ok(None) => break,
            Ok(Some(field)) => {
                let name = field.name().unwrap_or_default().to_owned();
                field.bytes().await.map(|bytes| (name, bytes))
            }
            Err(error) => Err(error),
        };
        match read {
            Ok((name, bytes)) if name == "torrent" => torrent = bytes,
            Ok((name, bytes)) => {
                fields.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
            Err(error) => return error.into_response(),
        }
    }
    let Some(fields) = Fields(fields).if_of(&visitor) else {
        return not_ours();
    };
    let category = fields.get("category").to_owned();
    carry_out(&house, &visitor, QueueChange::Upload { torrent, category }).await
}

/// `POST /queue/stop`.
pub(super) async fn stop(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let of = |fields: &Fields| QueueChange::Stop(fields.get("hash").to_owned());
    change(&house, &visitor, &body, of).await
}

/// `POST /queue/start`.
pub(super) async fn start(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let of = |fields: &Fields| QueueChange::Start(fields.get("hash").to_owned());
    change(&house, &visitor, &body, of).await
}

/// `POST /queue/again`.
pub(super) async fn again(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let of = |fields: &Fields| QueueChange::Again(fields.get("hash").to_owned());
    change(&house, &visitor, &body, of).await
}

/// `POST /queue/remove`.
pub(super) async fn remove(
    State(house): Home,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    change(&house, &visitor, &body, |fields| QueueChange::Remove {
        hash: fields.get("hash").to_owned(),
        files: fields.get("files") == "true",
    })
    .await
}

async fn change(
    house: &House,
    visitor: &Visitor,
    body: &Bytes,
    of: impl FnOnce(&Fields) -> QueueChange,
) -> Response {
    let Some(fields) = Fields::of(visitor, body) else {
        return not_ours();
    };
    carry_out(house, visitor, of(&fields)).await
}

async fn carry_out(house: &House, visitor: &Visitor, change: QueueChange) -> Response {
    match house.source.change_queue(change).await {
        Ok(()) => Redirect::to("/queue").into_response(),
        // Shown at once: words in an address could be put there by anybody.
        Err(words) => shown::refused_change(house, visitor, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for path in ["/", "/library?view=__all__&q=a%20b", "/queue"] {
            assert_eq!(inside(path), path);
        }
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/login?next=/login",
        ] {
            assert_eq!(inside(path), "/", "{path}");
        }
    }
}
