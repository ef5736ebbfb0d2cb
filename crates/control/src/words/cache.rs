//! What `debridfs cache ls` prints.

use debridfs_base::ByteSize;
use jiff::Timestamp;

use crate::CachedLine;

/// A line for each file that the cache has something of.
pub fn cache(lines: &[CachedLine]) -> String {
    let mut out = format!(
        "{:>10}  {:>4}  {:<8}  {:<20}  FILE\n",
        "CACHED", "", "FOR", "LAST USED"
    );
    for line in lines {
        let share = line.cached.saturating_mul(100) / line.size.max(1);
        let used = i64::try_from(line.used).ok();
        let used = used.and_then(|used| Timestamp::from_second(used).ok());
        let used = used.map_or_else(String::new, |used| used.to_string());
        let path = match &line.path {
            Some(path) => path.clone(),
            None if line.archive => format!("(archive of a packed release) {:016x}", line.id),
            None => format!("(not shown) {:016x}", line.id),
        };
        let pinned = if line.pinned { "  [pinned]" } else { "" };
        let cached = ByteSize(line.cached);
        out += &format!(
            "{cached:>10}  {share:>3}%  {:<8}  {used:<20}  {path}{pinned}\n",
            line.class
        );
    }
    let all: u64 = lines.iter().map(|line| line.cached).sum();
    out + &format!("{:>10}  of {} files\n", ByteSize(all), lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_what_is_not_shown_any_more() {
        let line = CachedLine {
            path: Some("__all__/Film/film.mkv".into()),
            id: 7,
            archive: false,
            size: 4 << 20,
            cached: 1 << 20,
            class: "playback".into(),
            pinned: true,
            used: 1_800_000_000,
        };
        let gone = CachedLine {
            path: None,
            pinned: false,
            ..line.clone()
        };
        let archive = CachedLine {
            archive: true,
            ..gone.clone()
        };
        let text = cache(&[line, gone, archive]);
        assert!(
            text.contains(
                "1.0 MiB   25%  playback  2027-01-15T08:00:00Z  __all__/Film/film.mkv  [pinned]"
            ),
            "{text}"
        );
        assert!(text.contains("(not shown) 0000000000000007"), "{text}");
        assert!(
            text.contains("(archive of a packed release) 0000000000000007"),
            "{text}"
        );
        assert!(text.ends_with("3.0 MiB  of 3 files\n"), "{text}");
    }
}
