//! What is refused.

use rustix::io::Errno;

use super::{Context, Verdict, expect_error, must};
use crate::Write;

/// What a client may find out by asking for access before it asks for the change itself.
const OPENING: [Write; 2] = [Write::Open, Write::Truncate];

pub(super) fn nothing_can_be_changed(context: &Context<'_>) -> Verdict {
    let film = &context.film().path;
    let tried = Write::IN_DIRECTORY
        .iter()
        .map(|what| (*what, "__all__/Edges.2024"));
    let of_file = Write::OF_FILE.iter().filter(|what| !OPENING.contains(what));
    for (what, path) in tried.chain(of_file.map(|what| (*what, film.as_str()))) {
        let refused = context.front.write(what, path);
        expect_error(&format!("{what:?} {path}"), refused, &[Errno::ROFS])?;
    }
    must(film, context.front.stat(film)).map(drop)
}

pub(super) fn nothing_can_be_opened_for_writing(context: &Context<'_>) -> Verdict {
    let film = &context.film().path;
    OPENING.iter().try_for_each(|what| {
        let refused = context.front.write(*what, film);
        expect_error(&format!("{what:?} {film}"), refused, &[Errno::ROFS])
    })
}

pub(super) fn what_is_no_link_points_nowhere(context: &Context<'_>) -> Verdict {
    for path in ["__all__", &context.film().path] {
        expect_error(path, context.front.read_link(path), &[Errno::INVAL])?;
    }
    expect_error(
        "missing",
        context.front.read_link("missing"),
        &[Errno::NOENT],
    )
}
