//! The header `Range` (RFC 9110, section 14).

use std::ops::Range;

use crate::conditions::Part;

/// Ranges of one request, at most. Players ask for one or two; each costs a read at a place of its
/// own.
pub(crate) const MOST: usize = 16;

/// The part that a `Range` means of a file of `size` bytes. What cannot be understood means the whole
/// file, as the RFC wants it, and so do ranges that come to more than the file. More than [`MOST`]
/// ranges are refused: the whole file is not what such a caller wants.
pub(crate) fn part_of(range: &str, size: u64) -> Part {
    // An empty file has no part to refuse: players ask for "bytes=0-" whatever they play, and RFC 9110, 14.2 lets a server pass over it.
    if size == 0 {
        return Part::Whole;
    }
    let Some((unit, set)) = range.split_once('=') else {
        return Part::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    // A list may have empty elements (RFC 9110, 5.6.1.2), and is a list only if it has another one.
    let elements = || {
        set.split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    if elements().count() > MOST {
        return Part::Unsatisfiable;
    }
    let mut ranges = Vec::new();
    for element in elements() {
        match one(element, size) {
            One::Satisfiable(range) => ranges.push(range),
            One::Beyond => {}
            One::Invalid => return Part::Whole,
        }
    }
    if elements().next().is_none() {
        return Part::Whole;
    }
    // None is empty, and no sum of 16 file sizes that a file system can have is too large.
    let total = ranges.iter().fold(0_u64, |sum, range| {
        sum.saturating_add(range.end - range.start)
    });
    match ranges.len() {
        0 => Part::Unsatisfiable,
        1 => ranges.pop().map_or(Part::Whole, Part::Range),
        _ if total > size => Part::Whole,
        _ => Part::Several(ranges),
    }
}

/// What one element of the list means.
enum One {
    /// This part of the file, at least one byte.
    Satisfiable(Range<u64>),
    /// No byte of the file.
    Beyond,
    /// It is no range.
    Invalid,
}

fn one(element: &str, size: u64) -> One {
    let Some((first, last)) = element.split_once('-') else {
        return One::Invalid;
    };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match number(last) {
            None => One::Invalid,
            Some(0) => One::Beyond,
            Some(count) => One::Satisfiable(size.saturating_sub(count)..size),
        };
    }
    let Some(first) = number(first) else {
        return One::Invalid;
    };
    let end = match last {
        "" => size,
        last => match number(last) {
            Some(last) if last >= first => last.saturating_add(1).min(size),
            _ => return One::Invalid,
        },
    };
    match first < size {
        true => One::Satisfiable(first..end),
        false => One::Beyond,
    }
}

/// Digits alone; one that is too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table_of_ranges() {
        for (range, part) in [
            ("bytes=0-0", Part::Range(0..1)),
            ("bytes=10-19", Part::Range(10..20)),
            ("Bytes = 10-", Part::Range(10..1000)),
            ("bytes=-1", Part::Range(999..1000)),
            ("bytes=-5000", Part::Range(0..1000)),
            ("bytes=999-99999999999999999999999", Part::Range(999..1000)),
            ("bytes=1000-", Part::Unsatisfiable),
            ("bytes=99999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=20-10", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=,", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(part_of(range, 1000), part, "{range}");
        }
        assert_eq!(part_of("bytes=0-", 0), Part::Whole);
        assert_eq!(part_of("bytes=-5", 0), Part::Whole);
    }

    #[test]
    fn table_of_several_ranges() {
        let several = |ranges: &[Range<u64>]| Part::Several(ranges.to_vec());
        for (range, part) in [
            ("bytes=0-1,5-6", several(&[0..2, 5..7])),
            ("bytes=0-1, ,5-6,", several(&[0..2, 5..7])),
            ("bytes=500-,0-1", several(&[500..1000, 0..2])),
            ("bytes=0-99,-1", several(&[0..100, 999..1000])),
            // Overlaps are sent as they are asked for, if they come to no more than the file.
            ("bytes=0-99,50-149", several(&[0..100, 50..150])),
            ("bytes=0-,-1", Part::Whole),
            ("bytes=0-1,2000-3000", Part::Range(0..2)),
            ("bytes=2000-,3000-", Part::Unsatisfiable),
            ("bytes=0-1,x", Part::Whole),
            ("bytes=0-1,6-5", Part::Whole),
        ] {
            assert_eq!(part_of(range, 1000), part, "{range}");
        }
        let so_many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(part_of(&so_many(MOST), 1000), several(&vec![0..1; MOST]));
        assert_eq!(part_of(&so_many(MOST + 1), 1000), Part::Unsatisfiable);
        assert_eq!(part_of(&so_many(10_000), 1 << 40), Part::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn no_range_leads_out_of_the_file(text in "\\PC{0,40}", size in 0u64..2000) {
            for text in [text.clone(), format!("bytes={text}")] {
                let ranges = match part_of(&text, size) {
                    Part::Range(range) => vec![range],
                    Part::Several(ranges) => ranges,
                    _ => Vec::new(),
                };
                for range in ranges {
                    prop_assert!(range.start < range.end && range.end <= size);
                }
            }
        }

        #[test]
        fn lists_of_ranges_mean_what_each_of_them_means(
            list in proptest::collection::vec((0u64..120, 0u64..120, 0u8..3), 1..MOST),
            size in 1u64..100,
        ) {
            let bytes: Vec<u64> = (0..size).collect();
            let texts = list.iter().map(|&(a, b, kind)| match kind {
                0 => format!("{}-{}", a.min(b), a.max(b)),
                1 => format!("{a}-"),
                _ => format!("-{a}"),
            });
            let range = format!("bytes={}", texts.collect::<Vec<_>>().join(","));
            // What a slice gives for each of them.
            let expected: Vec<Vec<u64>> = list.iter().map(|&(a, b, kind)| {
                let is_in = |at: u64| match kind {
                    0 => (a.min(b)..=a.max(b)).contains(&at),
                    1 => at >= a,
                    _ => at + a >= size,
                };
                bytes.iter().copied().filter(|at| is_in(*at)).collect()
            }).filter(|part: &Vec<u64>| !part.is_empty()).collect();
            let cut = |range: &Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
            match part_of(&range, size) {
                Part::Range(range) => prop_assert_eq!(vec![cut(&range)], expected),
                Part::Several(ranges) => {
                    prop_assert_eq!(ranges.iter().map(cut).collect::<Vec<_>>(), expected);
                }
                Part::Unsatisfiable => prop_assert!(expected.is_empty()),
                Part::Whole => prop_assert!(expected.iter().map(Vec::len).sum::<usize>() as u64 > size),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
