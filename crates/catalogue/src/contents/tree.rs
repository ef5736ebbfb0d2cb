//! Directories and files of a release, out of the paths its torrents tell.
//!
//! A path is taken as the first copy's provider writes it, without its leading slashes: no component is added or dropped for looking like the release's name. Names are
//! given to all files of the torrent, selected or not and in the provider's order, so that selecting another file later changes no path.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use debridfs_provider::{ContentId, PathsBegin, canonical_path};

use super::packed::placed;
use super::proven::proven;
use crate::ids::IdTable;
use crate::names::{NameSet, legal};
use crate::{Copy, File, Place, ReleaseTree};

/// A file of the torrent or of its archive, by its path and how many of that path came before.
struct Slot<'a> {
    path: &'a str,
    occurrence: u32,
    /// Its size as the first copy told it.
    told: u64,
    /// Set once the file is shown.
    size: Option<u64>,
    places: Vec<Place>,
    dir: String,
    name: String,
    flat: String,
}

/// The tree of the release that is shown as `content`: of the selected files of the torrents `of`, with their links if `linked`. `all` holds every torrent of the release, by age.
pub(super) fn build(
    content: ContentId,
    all: &[Arc<Copy>],
    of: &[&Arc<Copy>],
    linked: bool,
    ids: &mut IdTable,
) -> ReleaseTree {
    let (mut slots, index) = slots(all);
    for (copy, record) in of.iter().enumerate() {
        for (link, path, occurrence, bytes) in linked_files(record, linked) {
            // Of what is doubtful a copy is no source.
            let Some(slot) = index.get(&(path, occurrence)) else {
                continue;
            };
            let slot = &mut slots[*slot];
            let size = *slot.size.get_or_insert(bytes);
            // Another size means other bytes: not a source of the same file.
            if let Some(link) = link.filter(|_| linked && size == bytes) {
                slot.places.push(Place {
                    copy: copy as u32,
                    link: link as u32,
                });
            }
        }
    }
    name(&mut slots);

    let mut dirs = BTreeMap::from([(String::new(), 0u32)]);
    for slot in slots.iter().filter(|slot| slot.size.is_some()) {
        let ends = slot.dir.match_indices('/').map(|(at, _)| at);
        for end in ends.chain((!slot.dir.is_empty()).then_some(slot.dir.len())) {
            if !dirs.contains_key(&slot.dir[..end]) {
                dirs.insert(slot.dir[..end].to_owned(), 0);
            }
        }
    }
    for (number, dir) in dirs.values_mut().enumerate() {
        *dir = number as u32;
    }

    let mut shown: Vec<(u32, Slot<'_>)> = slots
        .into_iter()
        .filter(|slot| slot.size.is_some())
        .map(|slot| (dirs[&slot.dir], slot))
        .collect();
    shown.sort_by(|(dir, slot), (other_dir, other)| {
        dir.cmp(other_dir).then_with(|| slot.name.cmp(&other.name))
    });
    let mut places = Vec::with_capacity(shown.len());
    let mut files: Vec<File> = shown
        .into_iter()
        .map(|(dir, slot)| {
            let start = places.len() as u32;
            places.extend(slot.places);
            File {
                id: ids.file(content, slot.path, slot.occurrence),
                dir,
                flat_name: (slot.flat != slot.name).then(|| slot.flat.into()),
                name: slot.name.into(),
                size: slot.size.unwrap_or(0),
                places: (start, places.len() as u32),
            }
        })
        .collect();
    // It was made in the memory of the slots, which are larger.
    files.shrink_to_fit();
    let mut dirs: Vec<String> = dirs.into_keys().collect();
    dirs.shrink_to_fit();
    ReleaseTree {
        dirs,
        files,
        copies: if linked {
            of.iter().copied().cloned().collect()
        } else {
            Vec::new()
        },
        places,
    }
}

/// What of a torrent is shown: number of its link or archive's member, if that is known, path, occurrence, size. If it is not to be read, that is what was
/// selected.
fn linked_files(record: &Copy, linked: bool) -> Vec<(Option<usize>, &str, u32, u64)> {
    if linked && record.members().is_some() {
        return placed(record)
            .into_iter()
            .map(|member| {
                (
                    Some(member.index),
                    member.path,
                    member.occurrence,
                    member.size,
                )
            })
            .collect();
    }
    let proven = proven(record);
    let link = |number: usize| match &proven {
        Some(links) => links[number],
        None => Some(number),
    };
    record
        .numbered_paths()
        .filter(|(.., file)| file.selected)
        .enumerate()
        .map(|(number, (path, occurrence, file))| (link(number), path, occurrence, file.bytes))
        .collect()
}

/// All files that any copy tells of, each once, in the order of the oldest copy, and then what
/// archives hold besides; and the file of each path that a copy tells.
///
/// A file goes by the path of the first copy that told it. Another copy's file is the same one if
/// its path is the same, or else if that is so in the form that all vendors share, or else if its
/// base name and size are those of one file alone. Where several could be meant nobody guesses: it
/// is none of them, and is left out.
fn slots(all: &[Arc<Copy>]) -> (Vec<Slot<'_>>, HashMap<(&str, u32), usize>) {
    let mut slots = Slots::default();
    for (number, copy) in all.iter().enumerate() {
        let exact = copy
            .numbered_paths()
            .map(|(path, occurrence, _)| (path, occurrence));
        let mut taken: HashSet<usize> = exact
            .filter_map(|path| slots.index.get(&path).copied())
            .collect();
        let mut strange = Vec::new();
        for (path, occurrence, file) in copy.numbered_paths() {
            if slots.index.contains_key(&(path, occurrence)) {
                continue;
            }
            let same = if number == 0 {
                Some(slots.add(path, occurrence, file.bytes))
            } else {
                slots.named_alike(path, &taken)
            };
            match same {
                Some(slot) => {
                    slots.index.insert((path, occurrence), slot);
                    taken.insert(slot);
                }
                None => strange.push((path, occurrence, file.bytes)),
            }
        }
        for (path, occurrence, slot) in slots.judge(&strange, &taken) {
            slots.index.insert((path, occurrence), slot);
        }
    }
    let besides = all.iter().flat_map(|copy| placed(copy));
    for member in besides.filter(|member| member.own) {
        let path = (member.path, member.occurrence);
        if !slots.index.contains_key(&path) {
            let slot = slots.add(member.path, member.occurrence, member.size);
            slots.index.insert(path, slot);
        }
    }
    (slots.all, slots.index)
}

#[derive(Default)]
struct Slots<'a> {
    all: Vec<Slot<'a>>,
    index: HashMap<(&'a str, u32), usize>,
    /// By canonical path, as far as somebody asked.
    canonical: HashMap<Cow<'a, str>, Vec<usize>>,
    /// How many of `all` are in there.
    named: usize,
}

/// Path, occurrence and size of a file whose path no other copy has.
type Strange<'a> = (&'a str, u32, u64);

impl<'a> Slots<'a> {
    fn add(&mut self, path: &'a str, occurrence: u32, told: u64) -> usize {
        self.all.push(Slot {
            path,
            occurrence,
            told,
            size: None,
            places: Vec::new(),
            dir: String::new(),
            name: String::new(),
            flat: String::new(),
        });
        self.all.len() - 1
    }

    /// A file that is not `taken` and has the path in canonical form.
    fn named_alike(&mut self, path: &'a str, taken: &HashSet<usize>) -> Option<usize> {
        let canonical = |path| canonical_path(path, PathsBegin::BelowTop);
        for (number, slot) in self.all.iter().enumerate().skip(self.named) {
            let alike = self.canonical.entry(canonical(slot.path)).or_default();
            alike.push(number);
        }
        self.named = self.all.len();
        let alike = self.canonical.get(&canonical(path))?;
        alike.iter().copied().find(|slot| !taken.contains(slot))
    }

    /// Which files the `strange` ones of a copy are, by base name and size, its others being `taken`: one that was known, or a
    /// new one. Those that may be several are left out.
    fn judge(
        &mut self,
        strange: &[Strange<'a>],
        taken: &HashSet<usize>,
    ) -> Vec<(&'a str, u32, usize)> {
        if strange.is_empty() {
            return Vec::new();
        }
        let mut known: HashMap<(String, u64), Vec<usize>> = HashMap::new();
        for (number, slot) in self.all.iter().enumerate() {
            if taken.contains(&number) {
                continue;
            }
            let alike = known.entry((base_name(slot.path), slot.told)).or_default();
            alike.push(number);
        }
        let mut alike: HashMap<(String, u64), u32> = HashMap::new();
        for (path, _, size) in strange {
            *alike.entry((base_name(path), *size)).or_default() += 1;
        }
        let mut judged = Vec::new();
        for (path, occurrence, size) in strange {
            let key = (base_name(path), *size);
            let slot = match known.get(&key).map(Vec::as_slice) {
                None => self.add(path, *occurrence, *size),
                Some([slot]) if alike[&key] == 1 => *slot,
                Some(_) => continue,
            };
            judged.push((*path, *occurrence, slot));
        }
        judged
    }
}

/// The last part of `path` as all vendors share it.
fn base_name(path: &str) -> String {
    let path = canonical_path(path, PathsBegin::BelowTop);
    path.rsplit('/').next().unwrap_or(&path).to_owned()
}

/// Gives every slot its directory and names. Directories come first: a file that would stand in the place of one gets a number.
fn name(slots: &mut [Slot<'_>]) {
    let mut taken: HashMap<String, NameSet> = HashMap::new();
    let mut bases = Vec::with_capacity(slots.len());
    for slot in slots.iter_mut() {
        let mut parts = slot
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .peekable();
        let mut base = "";
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                base = part;
                break;
            }
            let part = legal(part);
            let parent = slot.dir.len();
            if parent > 0 {
                slot.dir.push('/');
            }
            slot.dir.push_str(&part);
            if !taken.contains_key(&slot.dir) {
                taken.insert(slot.dir.clone(), NameSet::default());
                taken
                    .entry(slot.dir[..parent].to_owned())
                    .or_default()
                    .claim(&part, false);
            }
        }
        bases.push(legal(base).into_owned());
    }
    let mut flat = NameSet::default();
    for (slot, base) in slots.iter_mut().zip(bases) {
        slot.name = match taken.get_mut(&slot.dir) {
            Some(names) => names.claim(&base, true),
            None => taken
                .entry(slot.dir.clone())
                .or_default()
                .claim(&base, true),
        };
        slot.flat = flat.claim(&base, true);
    }
}

/// `tree` with its largest file only: of several of that size the first.
pub(super) fn biggest(tree: &ReleaseTree) -> Option<ReleaseTree> {
    let file = tree.files.iter().min_by_key(|file| Reverse(file.size))?;
    let path = &tree.dirs[file.dir as usize];
    let is_ancestor = |dir: &str| {
        dir.is_empty()
            || path
                .strip_prefix(dir)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let dirs: Vec<String> = tree
        .dirs
        .iter()
        .filter(|dir| is_ancestor(dir))
        .cloned()
        .collect();
    let places = tree.places_of(file).to_vec();
    let file = File {
        dir: dirs.len() as u32 - 1,
        places: (0, places.len() as u32),
        ..file.clone()
    };
    Some(ReleaseTree {
        dirs,
        files: vec![file],
        copies: tree.copies.clone(),
        places,
    })
}
