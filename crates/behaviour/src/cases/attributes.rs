//! What is told of files and directories.

use std::collections::BTreeMap;

use super::{Context, Verdict, expect, must};
use crate::Kind;

pub(super) fn sizes_and_kinds_are_told(context: &Context<'_>) -> Verdict {
    for file in context
        .expected
        .files
        .iter()
        .filter(|file| file.path.contains("/Edges"))
    {
        let stat = must(&file.path, context.front.stat(&file.path))?;
        expect(&file.path, (stat.kind, stat.size), (Kind::File, file.size))?;
    }
    Ok(())
}

pub(super) fn attributes_do_not_change(context: &Context<'_>) -> Verdict {
    let path = &context.film().path;
    let stat = || must(path, context.front.stat(path));
    let first = stat()?;
    must(path, context.front.read(path, 0, 1 << 20))?;
    expect(path, stat()?, first)
}

pub(super) fn times_are_those_of_the_release(context: &Context<'_>) -> Verdict {
    let files = context.expected.some().filter(|file| !file.has_signs());
    for file in files {
        if let Some(stat) = context.stat(file)? {
            expect(&file.path, stat.modified, Some(context.expected.modified))?;
        }
    }
    Ok(())
}

pub(super) fn link_counts_are_right(context: &Context<'_>) -> Verdict {
    for path in context.expected.directories() {
        let mut below = 0;
        for name in context.expected.names(&path) {
            let inside = format!("{path}/{name}");
            let stat = must(&inside, context.front.stat(&inside))?;
            match stat.kind {
                Kind::Directory => below += 1,
                _ => expect(&inside, stat.links, Some(1))?,
            }
        }
        let stat = must(&path, context.front.stat(&path))?;
        expect(&path, stat.links, Some(2 + below))?;
    }
    Ok(())
}

pub(super) fn nobody_may_write(context: &Context<'_>) -> Verdict {
    let film = context.film().path.as_str();
    for (path, right) in [
        ("__all__", 0o555),
        ("__all__/Edges.2024", 0o555),
        (film, 0o444),
    ] {
        let stat = must(path, context.front.stat(path))?;
        expect(
            path,
            stat.mode.map(|mode| format!("{mode:o}")),
            Some(format!("{right:o}")),
        )?;
    }
    Ok(())
}

pub(super) fn inode_numbers_are_those_of_the_content(context: &Context<'_>) -> Verdict {
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    let files = context.expected.files.iter();
    for file in files.filter(|file| !file.has_signs()) {
        let stat = must(&file.path, context.front.stat(&file.path))?;
        let inode = stat
            .inode
            .ok_or_else(|| format!("{}: no number", file.path))?;
        if let Some(other) = seen.insert(inode, file.path.clone()) {
            return Err(format!("{} and {other} are both {inode}", file.path));
        }
        // In the provider's own view it is the same file.
        let path = file.path.replacen("__all__", "rd", 1);
        let there = must(&path, context.front.stat(&path))?;
        expect(&path, there.inode, Some(inode))?;
    }
    Ok(())
}
