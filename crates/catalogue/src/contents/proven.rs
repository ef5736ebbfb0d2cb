//! Which files the links of a torrent give that has not one for each, by what the provider says of them.
//!
//! A link is a file's if name and size say so and could be no other file's, nor the file another link's.
//! All else stays without a link: a guess would serve wrong bytes.

use std::collections::HashMap;

use super::packed::packed;
use crate::Copy;

/// For each selected file of `record` the number of its link, where that is certain; `None` if nobody
/// looked, or if there is a link for each.
pub(super) fn proven(record: &Copy) -> Option<Vec<Option<usize>>> {
    let named = record.named()?;
    let files = &record.detail.as_ref()?.files;
    let base = |path: &str| packed(path.rsplit('/').next().unwrap_or(path));
    let keys = files.iter().filter(|file| file.selected);
    let keys: Vec<(String, u64)> = keys.map(|file| (base(&file.path), file.bytes)).collect();
    if keys.len() == named.len() {
        return None;
    }
    let mut links: HashMap<(String, u64), Vec<usize>> = HashMap::new();
    for (number, link) in named.iter().enumerate().filter(|(_, link)| link.size > 0) {
        let key = (base(&link.name), link.size);
        links.entry(key).or_default().push(number);
    }
    let mut alike: HashMap<&(String, u64), u32> = HashMap::new();
    for key in &keys {
        *alike.entry(key).or_default() += 1;
    }
    let link = |key: &(String, u64)| match links.get(key).map(Vec::as_slice) {
        Some([link]) if alike[key] == 1 => Some(*link),
        _ => None,
    };
    Some(keys.iter().map(link).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use debridfs_provider::HosterLink;

    use super::*;
    use crate::testing::known;
    use crate::{Archive, Findings, Named};

    /// Files of 100, 101, … bytes, and links that give what is said.
    fn found(paths: &[&str], links: &[(&str, u64)]) -> Copy {
        let mut record = known(1, "x", paths);
        let link = |number: usize| HosterLink(format!("l{number}"));
        record.links = (0..links.len()).map(link).collect();
        let named = links
            .iter()
            .enumerate()
            .map(|(number, (name, size))| Named {
                link: link(number),
                name: (*name).to_owned(),
                size: *size,
            });
        record.archive = Some(Arc::new(Archive {
            link: link(0),
            findings: Findings::Named(named.collect()),
        }));
        record
    }

    #[test]
    fn only_name_and_size_together_tell_whose_a_link_is() {
        /// What links give, and the link of each file.
        type Case<'a> = (&'a [(&'a str, u64)], [Option<usize>; 3]);
        let paths = ["/S/a.mkv", "/S/b: 1.mkv", "/S/c.mkv"];
        let table: [Case<'_>; 6] = [
            (&[("c.mkv", 102), ("a.mkv", 100)], [Some(1), None, Some(0)]),
            (&[("b_ 1.mkv", 101), ("x.mkv", 100)], [None, Some(0), None]),
            (&[("a.mkv", 99), ("a.mkv", 0)], [None; 3]),
            (&[("", 100), ("b", 101)], [None; 3]),
            // Two links that say the same.
            (&[("a.mkv", 100), ("a.mkv", 100)], [None; 3]),
            (&[("a.mkv", 100)], [Some(0), None, None]),
        ];
        for (links, files) in table {
            assert_eq!(proven(&found(&paths, links)).unwrap(), files, "{links:?}");
        }
        // Two files that nobody can tell apart.
        let mut twins = found(
            &["/1/a.mkv", "/2/a.mkv", "/b.mkv"],
            &[("a.mkv", 100), ("b.mkv", 102)],
        );
        twins.detail.as_mut().unwrap().files[1].bytes = 100;
        assert_eq!(proven(&twins).unwrap(), [None, None, Some(1)]);
    }

    #[test]
    fn what_was_said_holds_for_these_links_alone() {
        let mut record = found(&["/a", "/b", "/c"], &[("a", 100), ("b", 101)]);
        record.links[1].0.push('x');
        assert_eq!(proven(&record), None);
        // The missing one is there.
        record.links = known(1, "x", &["/a", "/b", "/c"]).links;
        assert_eq!(proven(&record), None);
    }
}
