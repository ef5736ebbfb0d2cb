//! Bytes, at every edge of a file.

use rustix::io::Errno;

use super::{Context, Verdict, expect, expect_error, must};
use crate::expected::DEAD;

pub(super) fn every_file_is_read_right(context: &Context<'_>) -> Verdict {
    let sound = context.expected.some().filter(|file| !file.dead);
    let mut sound = sound.filter(|file| !file.has_signs());
    sound.try_for_each(|file| {
        let size = usize::try_from(file.size).map_err(|_| "too large".to_owned())?;
        context.reads_right(file, 0, size)
    })
}

/// Of those with signs that POSIX alone allows in names.
pub(super) fn files_with_signs_of_posix_are_read_right(context: &Context<'_>) -> Verdict {
    let files = context.expected.files.iter();
    let mut files = files.filter(|file| file.has_signs());
    files.try_for_each(|file| context.reads_right(file, 0, 10_000))
}

pub(super) fn an_empty_file_is_empty(context: &Context<'_>) -> Verdict {
    let file = context.expected.file("empty.nfo");
    context.reads_right(file, 0, 4096)?;
    let stat = must(&file.path, context.front.stat(&file.path))?;
    expect(&file.path, stat.size, 0)
}

pub(super) fn a_read_of_nothing_is_empty(context: &Context<'_>) -> Verdict {
    let film = context.film();
    [0, 1, film.size]
        .iter()
        .try_for_each(|offset| context.reads_right(film, *offset, 0))
}

pub(super) fn reads_at_the_end_are_short(context: &Context<'_>) -> Verdict {
    for name in [
        crate::expected::FILM,
        "one byte.mkv",
        "a page.mkv",
        "page and a byte.mkv",
    ] {
        let file = context.expected.file(name);
        for before in [0, 1, 2, 511, 4095, 4096, 4097, 131_071] {
            let offset = file.size.saturating_sub(before);
            for length in [1, 4096, 131_072] {
                context.reads_right(file, offset, length)?;
            }
        }
    }
    Ok(())
}

pub(super) fn reads_beyond_the_end_are_empty(context: &Context<'_>) -> Verdict {
    let film = context.film();
    let beyond = [film.size + 1, film.size + 4096, 1 << 32, 1 << 40];
    beyond
        .iter()
        .try_for_each(|offset| context.reads_right(film, *offset, 4096))
}

pub(super) fn unaligned_reads_are_right(context: &Context<'_>) -> Verdict {
    let film = context.film();
    for offset in [
        1,
        511,
        513,
        4095,
        4097,
        65_535,
        131_073,
        (1 << 20) - 1,
        (4 << 20) + 3,
    ] {
        for length in [1, 13, 512, 4095, 4097, 100_003] {
            context.reads_right(film, offset, length)?;
        }
    }
    Ok(())
}

pub(super) fn large_reads_are_right(context: &Context<'_>) -> Verdict {
    let film = context.film();
    for (offset, length) in [(0, 4 << 20), (1, 3 << 20), (1 << 20, 4 << 20), (0, 8 << 20)] {
        context.reads_right(film, offset, length)?;
    }
    Ok(())
}

pub(super) fn readers_beside_each_other_read_right(context: &Context<'_>) -> Verdict {
    let film = context.film();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4_u64)
            .map(|reader| {
                scope.spawn(move || {
                    (0..8).try_for_each(|round| {
                        let offset = (reader * 1_234_567 + round * 654_321) % film.size;
                        context.reads_right(film, offset, 50_000)
                    })
                })
            })
            .collect();
        let mut outcomes = readers.into_iter().map(|reader| match reader.join() {
            Ok(outcome) => outcome,
            Err(_) => Err("a reader panicked".into()),
        });
        outcomes.try_for_each(|outcome| outcome)
    })
}

/// It is there, with its size; the others of its release can be read.
pub(super) fn what_the_provider_lost_is_an_error(context: &Context<'_>) -> Verdict {
    let dead = context.expected.file(DEAD);
    if let Some(stat) = context.stat(dead)? {
        expect(&dead.path, stat.size, dead.size)?;
    }
    for _ in 0..2 {
        expect_error(
            &dead.path,
            context.front.read(&dead.path, 0, 4096),
            &[Errno::IO],
        )?;
    }
    context.reads_right(context.expected.file("first.mkv"), 0, 70_000)
}

pub(super) fn a_directory_cannot_be_read(context: &Context<'_>) -> Verdict {
    expect_error(
        "__all__",
        context.front.read("__all__", 0, 4096),
        &[Errno::ISDIR],
    )
}
