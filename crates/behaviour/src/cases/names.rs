//! Names that are looked up.

use rustix::io::Errno;

use super::{Context, Verdict, expect, expect_error};
use crate::Kind;

/// Looks up the files whose path has `part` in it.
fn found(context: &Context<'_>, part: &str) -> Verdict {
    let files = context.expected.some();
    let files = files.filter(|file| file.path.contains(part));
    for file in files {
        if let Some(stat) = context.stat(file)? {
            expect(&file.path, (stat.kind, stat.size), (Kind::File, file.size))?;
        }
    }
    Ok(())
}

pub(super) fn every_file_is_found(context: &Context<'_>) -> Verdict {
    ["Edges", "Many", "Lost"]
        .iter()
        .try_for_each(|part| found(context, part))
}

pub(super) fn unicode_names_are_found(context: &Context<'_>) -> Verdict {
    found(context, "Ünïcödé 東京")
}

pub(super) fn names_with_signs_are_found(context: &Context<'_>) -> Verdict {
    found(context, "Signs & 'Wonders'")
}

pub(super) fn names_with_signs_of_posix_are_found(context: &Context<'_>) -> Verdict {
    found(context, "Signs of POSIX")
}

pub(super) fn the_longest_names_are_found(context: &Context<'_>) -> Verdict {
    found(context, "LLLL")
}

pub(super) fn a_missing_name_is_not_found(context: &Context<'_>) -> Verdict {
    let longest = format!("__all__/Edges.2024/{}", "m".repeat(255));
    let missing = [
        "missing",
        "__all__/missing",
        "__all__/missing/either",
        "__all__/Edges.2024/missing.mkv",
        "__all__/Edges.2024/Small/Deep/er/missing.mkv",
        &longest,
    ];
    missing
        .iter()
        .try_for_each(|path| expect_error(path, context.front.stat(path), &[Errno::NOENT]))
}

pub(super) fn another_case_is_not_found(context: &Context<'_>) -> Verdict {
    let others = [
        "__ALL__",
        "__all__/edges.2024",
        "__all__/Many.2024/PART 001.mkv",
    ];
    others
        .iter()
        .try_for_each(|path| expect_error(path, context.front.stat(path), &[Errno::NOENT]))
}

pub(super) fn another_normal_form_is_not_found(context: &Context<'_>) -> Verdict {
    let release = "__all__/Ünïcödé 東京 2024";
    for name in [
        "U\u{308}ni\u{308}co\u{308}de\u{301} 🎬.mkv",
        "ünicode, decomposed.mkv",
    ] {
        let path = format!("{release}/{name}");
        expect_error(&path, context.front.stat(&path), &[Errno::NOENT])?;
    }
    Ok(())
}

pub(super) fn a_name_that_is_too_long_is_told_so(context: &Context<'_>) -> Verdict {
    let path = format!("__all__/Edges.2024/{}", "m".repeat(256));
    expect_error(
        "a name of 256 bytes",
        context.front.stat(&path),
        &[Errno::NAMETOOLONG],
    )
}

pub(super) fn a_file_has_no_names_in_it(context: &Context<'_>) -> Verdict {
    let path = format!("{}/name", context.film().path);
    expect_error(&path, context.front.stat(&path), &[Errno::NOTDIR])
}
