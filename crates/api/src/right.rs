//! What a caller may do. Who the caller is, the server in front of the routes decides: it puts a [`Caller`] into the
//! request's extensions. A request without one is refused. A caller who sees a part of the library may ask what is answered
//! for that part alone; all other answers tell of the whole.

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use debridfs_listen::{Caller, Right};

use crate::PREFIX;
use crate::problem::Problem;

/// What is answered for the part of the library that a caller sees.
const OF_A_PART: [&str; 4] = ["/browse", "/stat", "/search", "/resolve"];

/// Whether a caller who sees a part of the library may ask it, below that part.
fn is_of_a_part(method: &Method, path: &str) -> bool {
    let operation = path.strip_prefix(PREFIX);
    matches!(*method, Method::GET | Method::HEAD)
        && operation.is_some_and(|operation| OF_A_PART.contains(&operation))
}

/// What an operation wants. A recording that is taken is gone for the one who began it.
pub(crate) fn needed(method: &Method, path: &str) -> Right {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || path == "/mcp";
    match reads && !path.contains("/traces") {
        true => Right::Read,
        false => Right::Manage,
    }
}

/// Whether `caller` may do what an operation wants: who may manage may read as well.
fn may(caller: &Caller, needed: Right) -> bool {
    caller.may(Right::Manage) || caller.may(needed)
}

/// Lets nobody do what their rights do not include.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let needed = needed(method, path);
    let words = match request.extensions().get::<Caller>() {
        Some(caller) if !caller.root.is_empty() && !is_of_a_part(method, path) => {
            let operations = OF_A_PART.join(", ");
            format!("this login sees a part of the library, and may ask {operations} there")
        }
        Some(caller) if may(caller, needed) => return next.run(request).await,
        _ => format!("it takes the right `{}`", needed.word()),
    };
    Problem::new(StatusCode::FORBIDDEN, "forbidden", words).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_for_readers_and_the_rest_for_those_who_manage() {
        for (method, path, right) in [
            (Method::GET, "/api/v1/queue", Right::Read),
            (Method::HEAD, "/api/v1/queue", Right::Read),
            (Method::POST, "/mcp", Right::Read),
            (Method::POST, "/api/v1/queue", Right::Manage),
            (Method::DELETE, "/api/v1/tokens/x", Right::Manage),
            (Method::GET, "/api/v1/traces/1", Right::Manage),
        ] {
            assert_eq!(needed(&method, path), right, "{method} {path}");
        }
        for (method, path, is) in [
            (Method::GET, "/api/v1/browse", true),
            (Method::HEAD, "/api/v1/resolve", true),
            (Method::POST, "/api/v1/browse", false),
            (Method::GET, "/api/v1/browse/", false),
            (Method::GET, "/api/v1/%62rowse", false),
            (Method::GET, "/api/v1/status", false),
            (Method::GET, "/api/v1", false),
            (Method::POST, "/mcp", false),
        ] {
            assert_eq!(is_of_a_part(&method, path), is, "{method} {path}");
        }
        let caller = |may: &[Right]| Caller {
            name: "x".to_owned(),
            root: String::new(),
            may: may.to_vec(),
        };
        assert!(may(&caller(&[Right::Manage]), Right::Read));
        assert!(!may(&caller(&[Right::Read]), Right::Manage));
        assert!(!may(&caller(&[]), Right::Read));
    }
}
