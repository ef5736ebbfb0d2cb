//! Which files of a torrent the members of its archive are.
//!
//! A member is a file of the torrent if name and size say so; then it has that file's path, and so the same path and number as if nothing had been packed.
//! The provider replaces characters in names, and may add or drop the torrent's own directory. A member that is no file of the torrent goes by its own name;
//! one that has the name of a file and another size is left out, as nobody can tell which of the two is right.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::Copy;
use crate::archive::Member;

/// A member of a torrent's archive with its place in the release: path, and how many of that path came before.
pub(super) struct Placed<'a> {
    /// Index of the member.
    pub(super) index: usize,
    pub(super) path: &'a str,
    pub(super) occurrence: u32,
    pub(super) size: u64,
    /// It is no file of the torrent.
    pub(super) own: bool,
}

/// The members of the torrent's archive that are shown; empty if there is none, or nothing in it can be read.
pub(super) fn placed(record: &Copy) -> Vec<Placed<'_>> {
    let Some((members, _)) = record.members() else {
        return Vec::new();
    };
    let files: Vec<(&str, u32, u64)> = {
        // Those selected come first: they are what was packed.
        let (selected, others): (Vec<_>, Vec<_>) = record
            .numbered_paths()
            .partition(|(.., file)| file.selected);
        selected
            .into_iter()
            .chain(others)
            .map(|(path, occurrence, file)| (path, occurrence, file.bytes))
            .collect()
    };
    let paired = pair(members, &files);

    let names: HashSet<String> = files.iter().map(|(path, ..)| packed(path)).collect();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut placed = Vec::with_capacity(members.len());
    for (index, (member, file)) in members.iter().zip(paired).enumerate() {
        let (path, occurrence, own) = match file {
            Some(file) => (files[file].0, files[file].1, false),
            None if names.contains(&packed(&member.path)) => continue,
            None => {
                let count = seen.entry(&member.path).or_insert(0);
                *count += 1;
                (member.path.as_str(), *count - 1, true)
            }
        };
        placed.push(Placed {
            index,
            path,
            occurrence,
            size: member.size,
            own,
        });
    }
    placed
}

/// The file that each member is.
fn pair(members: &[Member], files: &[(&str, u32, u64)]) -> Vec<Option<usize>> {
    let mut paired = vec![None; members.len()];
    let mut taken = vec![false; files.len()];
    let whole = |path: &str| Some(packed(path));
    let inner = |path: &str| Some(packed(path.split_once('/')?.1));
    let base = |path: &str| path.rsplit('/').next().map(packed);
    type Part<'a> = &'a dyn Fn(&str) -> Option<String>;
    let steps: [(Part<'_>, Part<'_>); 4] = [
        (&whole, &whole),
        (&inner, &whole),
        (&whole, &inner),
        (&base, &base),
    ];
    for (step, (of_member, of_file)) in steps.into_iter().enumerate() {
        let mut open: HashMap<(String, u64), VecDeque<usize>> = HashMap::new();
        for (index, (path, _, size)) in files.iter().enumerate() {
            if let (false, Some(name)) = (taken[index], of_file(path)) {
                open.entry((name, *size)).or_default().push_back(index);
            }
        }
        let mut asking: HashMap<(String, u64), u32> = HashMap::new();
        let key = |member: &Member| Some((of_member(&member.path)?, member.size));
        let unpaired = |paired: &[Option<usize>], index: usize| paired[index].is_none();
        for (index, member) in members.iter().enumerate() {
            if unpaired(&paired, index)
                && let Some(key) = key(member)
            {
                *asking.entry(key).or_default() += 1;
            }
        }
        for (index, member) in members.iter().enumerate() {
            let Some(key) = key(member).filter(|_| unpaired(&paired, index)) else {
                continue;
            };
            let Some(found) = open.get_mut(&key) else {
                continue;
            };
            // With less than the whole path, only what cannot be mistaken counts.
            if step > 0 && (found.len() > 1 || asking.get(&key) != Some(&1)) {
                continue;
            }
            if let Some(file) = found.pop_front() {
                paired[index] = Some(file);
                taken[file] = true;
            }
        }
    }
    paired
}

/// A path as the provider writes it in an archive: characters that Windows forbids are replaced (field notes, Real-Debrid).
pub(super) fn packed(path: &str) -> String {
    path.trim_start_matches('/')
        .replace(['|', '"', '\\', '?', '*', ':', '<', '>'], "_")
}
