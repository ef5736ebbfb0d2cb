//! Directories that are listed.

use rustix::io::Errno;

use super::{Context, Verdict, expect, expect_error, must};
use crate::Kind;
use crate::expected::MANY_FILES;

/// The names in a directory, sorted; those that come twice are there twice.
pub(super) fn names(context: &Context<'_>, path: &str) -> Result<Vec<String>, String> {
    let entries = must(path, context.front.list(path))?;
    let mut names: Vec<String> = entries.into_iter().map(|(name, _)| name).collect();
    names.sort();
    Ok(names)
}

pub(super) fn the_root_has_its_views(context: &Context<'_>) -> Verdict {
    expect(
        "the root",
        names(context, "")?,
        ["__all__", "__bad__", "rd", "version.txt"]
            .map(str::to_owned)
            .into(),
    )
}

/// Lists the directories that hold files, those with signs that POSIX alone allows in names or all others.
fn listed(context: &Context<'_>, posix: bool) -> Verdict {
    let directories = context.expected.directories().into_iter();
    for path in directories.filter(|path| path.contains("Signs of POSIX") == posix) {
        expect(&path, names(context, &path)?, context.expected.names(&path))?;
        for (name, kind) in must(&path, context.front.list(&path))? {
            let inside = format!("{path}/{name}");
            let is_file = context
                .expected
                .files
                .iter()
                .any(|file| file.path == inside);
            let right = if is_file { Kind::File } else { Kind::Directory };
            if let Some(kind) = kind {
                expect(&inside, kind, right)?;
            }
        }
    }
    Ok(())
}

pub(super) fn every_directory_is_listed_in_full(context: &Context<'_>) -> Verdict {
    listed(context, false)
}

pub(super) fn names_with_signs_of_posix_are_listed(context: &Context<'_>) -> Verdict {
    listed(context, true)
}

pub(super) fn a_large_directory_is_listed_in_full(context: &Context<'_>) -> Verdict {
    expect(
        MANY_FILES,
        names(context, MANY_FILES)?,
        context.expected.names(MANY_FILES),
    )
}

pub(super) fn a_listing_is_the_same_twice(context: &Context<'_>) -> Verdict {
    let list = || must(MANY_FILES, context.front.list(MANY_FILES));
    expect(MANY_FILES, list()?, list()?)
}

pub(super) fn a_file_cannot_be_listed(context: &Context<'_>) -> Verdict {
    let path = &context.film().path;
    expect_error(path, context.front.list(path), &[Errno::NOTDIR])
}

pub(super) fn a_missing_directory_cannot_be_listed(context: &Context<'_>) -> Verdict {
    let path = "__all__/missing";
    expect_error(path, context.front.list(path), &[Errno::NOENT])
}
