//! The build itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use debridfs_provider::ContentId;
use jiff::Timestamp;

use super::memory::{Memory, ShownRelease, ShownView, ViewChange};
use super::naming::{ShownNames, Wishes};
use super::rules::ViewRules;
use crate::contents::{Assembled, Before, assemble, biggest_only};
use crate::filters::{Subject, SubjectFile, Verdict};
use crate::ids::{IdOverride, IdTable};
use crate::learnt::LearntHashes;
use crate::{BadReason, Contents, Copy, Entry, Release, View};
use debridfs_base::NodeId;

/// Index of the first provider's view; 0 is `__all__`, 1 is `__bad__`.
const FIRST_PROVIDER: usize = 2;

/// What a build hands out.
#[derive(Debug)]
pub struct Built {
    /// The views in the order of the root; a view that did not change keeps its `entries` pointer.
    pub views: Vec<View>,
    /// To be stored, in place of what the hash had: [`Memory::releases`].
    pub newly_shown: Vec<ShownRelease>,
    /// To be added to [`Memory::ids`].
    pub new_ids: Vec<IdOverride>,
    /// To be applied to [`Memory::views`].
    pub view_changes: Vec<ViewChange>,
    /// Names that are gone, each with the directory that had it.
    pub retired: Vec<(NodeId, String)>,
    /// When to build again though no torrent changed (`last_added`, late links, removed releases).
    pub next_change: Option<Timestamp>,
}

/// Builds views, and remembers the last ones.
#[derive(Debug)]
pub struct ViewBuilder {
    rules: ViewRules,
    names: ShownNames,
    ids: IdTable,
    views: Vec<KnownView>,
    releases: HashMap<ContentId, Known>,
    /// Those that repair found to be unreadable.
    quarantined: BTreeMap<ContentId, BadReason>,
    /// Info-hashes of releases that were shown without one.
    learnt: LearntHashes,
    /// Views of the memory that are not configured any more, until the next build tells.
    dropped: Vec<KnownView>,
}

#[derive(Debug)]
struct KnownView {
    id: NodeId,
    name: String,
    /// `None`: never published.
    changed: Option<Timestamp>,
    members: HashSet<ContentId>,
    entries: Arc<Vec<Entry>>,
}

/// The torrents of one info-hash, by age.
struct Group {
    /// Whether it is new, its age, its hash.
    order: (bool, Timestamp, ContentId),
    records: Vec<Arc<Copy>>,
}

/// A release as last built.
#[derive(Debug)]
struct Known {
    records: Vec<Arc<Copy>>,
    /// The time after which it has to be built again.
    until: Option<Timestamp>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not shown; its name is asked for while it may still get ready.
    Hidden(Option<(String, Timestamp)>),
    /// In some views.
    Shown {
        name: Arc<str>,
        /// Each with the number of its view.
        entries: Box<[(usize, Entry)]>,
    },
}

impl ViewBuilder {
    /// A builder that goes on where `memory` was left.
    pub fn new(rules: ViewRules, memory: Memory) -> Self {
        let mut ids = IdTable::new(memory.ids);
        let mut remembered: HashMap<String, _> = memory
            .views
            .into_iter()
            .map(|view| (view.name.clone(), view))
            .collect();
        let views = rules
            .view_names()
            .map(|name| KnownView::new(&mut ids, name, remembered.remove(name)))
            .collect();
        let mut gone: Vec<ShownView> = remembered.into_values().collect();
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        let dropped = gone
            .into_iter()
            .map(|view| KnownView::new(&mut ids, &view.name.clone(), Some(view)))
            .collect();
        Self {
            rules,
            names: ShownNames::new(memory.releases),
            ids,
            views,
            releases: HashMap::new(),
            quarantined: BTreeMap::new(),
            learnt: LearntHashes::default(),
            dropped,
        }
    }

    /// See [`crate::Catalogue::quarantine`]; whether the next build is another one for it.
    pub fn quarantine(&mut self, releases: BTreeMap<ContentId, BadReason>) -> bool {
        if releases == self.quarantined {
            return false;
        }
        let either = releases.keys().chain(self.quarantined.keys());
        for hash in either.filter(|hash| releases.get(hash) != self.quarantined.get(hash)) {
            if let Some(known) = self.releases.get_mut(hash) {
                // Outdated, whatever the time is.
                known.until = Some(Timestamp::MIN);
            }
        }
        self.quarantined = releases;
        true
    }

    /// Takes all info-hashes that were told of releases which were shown without one.
    pub(crate) fn learnt(&mut self, hashes: &LearntHashes) {
        self.learnt.clone_from(hashes);
    }

    /// What was shown without an info-hash stays what it was, with all copies of that hash. The hash has no entry of its own, unless it had one before.
    fn show_as_before(&self, groups: &mut HashMap<ContentId, Vec<&Arc<Copy>>>) {
        let was_shown = |content: &ContentId| self.names.get(content).is_some();
        let mut shown_so = HashSet::new();
        for (shown, learnt) in self.learnt.iter().filter(|(shown, _)| was_shown(shown)) {
            if let Some(copies) = groups.get(&learnt.hash).cloned() {
                groups.entry(*shown).or_default().extend(copies);
                shown_so.insert(learnt.hash);
            }
        }
        groups.retain(|content, _| was_shown(content) || !shown_so.contains(content));
    }

    /// Builds the views of `records`: every torrent the store keeps, removed ones as well, in any order. A record that did not change is best given as the
    /// same `Arc`. Not-ready torrents are not shown; a release stays where it was shown (see [`crate::BadReason`]).
    pub fn build<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Arc<Copy>>,
        now: Timestamp,
    ) -> Built {
        let mut groups: HashMap<ContentId, Vec<&Arc<Copy>>> = HashMap::new();
        for record in records {
            groups.entry(record.content).or_default().push(record);
        }
        self.show_as_before(&mut groups);
        let mut retired = Vec::new();
        let gone = self
            .releases
            .extract_if(|hash, _| !groups.contains_key(hash));
        gone.for_each(|(_, known)| known.forget_ids(&mut self.ids));

        let mut stale = Vec::new();
        for (content, mut group) in groups {
            group.sort_by(|a, b| (a.added, &a.provider, &a.id).cmp(&(b.added, &b.provider, &b.id)));
            if self.learnt.is_joined(content) {
                group.sort_by_key(|copy| self.learnt.standing(content, copy));
            }
            let fresh = self.releases.get(&content).is_some_and(|known| {
                known.until.is_none_or(|until| now < until)
                    && known.records.len() == group.len()
                    && known.records.iter().zip(&group).all(|(a, b)| same(a, b))
            });
            if !fresh {
                let order = (self.names.get(&content).is_none(), group[0].added, content);
                let records = group.into_iter().cloned().collect();
                stale.push(Group { order, records });
            }
        }
        // Those shown before first, then by age: so ids and names come out the same whatever order torrents came in.
        stale.sort_by_key(|group| group.order);

        let mut newly_shown = Vec::new();
        if !stale.is_empty() {
            self.renew(stale, now, &mut newly_shown, &mut retired);
        }
        let mut order: Vec<&Known> = self.releases.values().collect();
        order.retain(|known| matches!(known.state, State::Shown { .. }));
        order.sort_unstable_by_key(|known| known.name());

        let mut view_changes = Vec::new();
        for (index, view) in self.views.iter_mut().enumerate() {
            let entries = || {
                order
                    .iter()
                    .filter_map(|known| known.entry(index))
                    .collect::<Vec<&Entry>>()
            };
            view.publish(
                &entries(),
                now,
                &self.names,
                &mut view_changes,
                &mut retired,
            );
        }
        for view in self.dropped.drain(..) {
            retired.push((NodeId::ROOT, view.name.clone()));
            view_changes.push(ViewChange {
                view: view.name,
                changed: now,
                joined: Vec::new(),
                left: view.members.into_iter().collect(),
                dropped: true,
            });
        }
        Built {
            views: self.views.iter().map(|view| view.view(now)).collect(),
            newly_shown,
            new_ids: self.ids.take_new(),
            view_changes,
            retired,
            next_change: self
                .releases
                .values()
                .filter_map(|known| known.until)
                .filter(|until| *until > now)
                .min(),
        }
    }

    /// Builds the releases of `stale` again, in that order.
    fn renew(
        &mut self,
        stale: Vec<Group>,
        now: Timestamp,
        newly_shown: &mut Vec<ShownRelease>,
        retired: &mut Vec<(NodeId, String)>,
    ) {
        let mut ready = Vec::new();
        for Group {
            order: (.., content),
            records,
        } in stale
        {
            let shown = self.names.get(&content);
            let before = Before {
                shown: shown.is_some(),
                good: shown.is_some_and(|shown| shown.good),
                added: shown.map(|shown| shown.added),
            };
            let providers = &self.rules.providers;
            let rank = |name: &str| {
                providers
                    .iter()
                    .position(|known| known == name)
                    .unwrap_or(usize::MAX)
            };
            let mut assembled = assemble(content, &records, before, rank, now, &mut self.ids);
            if let (Some(assembled), Some(added), true) =
                (&mut assembled, before.added, self.learnt.is_joined(content))
            {
                Arc::make_mut(&mut assembled.release).added = added;
            }
            // The oldest torrent of those still held names the release.
            let held = |record: &&Arc<Copy>| record.removed.is_none();
            let plain = records
                .iter()
                .find_map(|record| held(&record).then(|| self.rules.folder_naming.name(record))?)
                .or_else(|| shown.map(|shown| shown.name.to_string()));
            match (assembled, plain) {
                (Some(assembled), Some(plain)) => ready.push((content, records, assembled, plain)),
                (_, plain) => {
                    let wish = records
                        .iter()
                        .any(|record| held(&record))
                        .then_some(records[0].added);
                    let wish = plain.zip(wish);
                    let before = self.releases.insert(
                        content,
                        Known {
                            records,
                            until: None,
                            state: State::Hidden(wish),
                        },
                    );
                    if let Some(before) = before {
                        before.forget_ids(&mut self.ids);
                    }
                }
            }
        }

        let mut wishes = Wishes::default();
        for (content, known) in &self.releases {
            if let State::Hidden(Some((name, added))) = &known.state {
                wishes.add(name.clone(), *added, *content);
            }
        }
        for (content, records, mut assembled, plain) in ready {
            if let Some(reason) = self.quarantined.get(&content) {
                assembled.quarantine(*reason);
            }
            let Assembled {
                release, in_all, ..
            } = &assembled;
            let news = self
                .names
                .show(content, &plain, release.added, *in_all, &wishes);
            newly_shown.extend(news);
            let name = match self.names.get(&content) {
                Some(shown) => shown.name.clone(),
                None => plain.into(),
            };
            let known = self.place(name, records, assembled, now);
            if let Some(old) = self.releases.get(&content) {
                old.retire_files(&known, retired);
            }
            self.releases.insert(content, known);
        }
    }

    /// Decides which views have the release.
    fn place(
        &mut self,
        name: Arc<str>,
        records: Vec<Arc<Copy>>,
        assembled: Assembled,
        now: Timestamp,
    ) -> Known {
        let Assembled {
            release,
            in_all,
            in_bad,
            mut until,
        } = assembled;
        let mut entries = Vec::new();
        let mut put = |index: usize, release: &Arc<Release>| {
            let entry = Entry {
                name: name.clone(),
                dir_ids: dir_ids(&mut self.ids, &self.views[index].name, release),
                release: release.clone(),
            };
            entries.push((index, entry));
        };
        if in_bad {
            put(1, &release);
        }
        if in_all {
            put(0, &release);
            for (index, provider) in self.rules.providers.iter().enumerate() {
                if release.is_held_by(provider) {
                    put(FIRST_PROVIDER + index, &release);
                }
            }
            let files: Option<Vec<SubjectFile<'_>>> = match &release.contents {
                Contents::Unknown => None,
                Contents::Known(tree) => Some(
                    tree.files
                        .iter()
                        .map(|file| SubjectFile {
                            dir: &tree.dirs[file.dir as usize],
                            name: &file.name,
                            size: file.size,
                        })
                        .collect(),
                ),
            };
            let subject = Subject {
                name: &name,
                bytes: release.bytes,
                added: release.added,
                files: files.as_deref(),
            };
            let first_folder = FIRST_PROVIDER + self.rules.providers.len();
            for group in &self.rules.groups {
                for &index in group {
                    let folder = &self.rules.folders[index];
                    let (verdict, change) = folder.filter.check(&subject, now);
                    until = [until, change].into_iter().flatten().min();
                    match verdict {
                        Verdict::No => continue,
                        Verdict::Yes if folder.only_biggest => {
                            if let Some(biggest) = biggest_only(&release) {
                                put(first_folder + index, &biggest);
                            }
                        }
                        Verdict::Yes => put(first_folder + index, &release),
                        // A later folder of the group must not show it and then lose it to this one.
                        Verdict::Unknown => {}
                    }
                    break;
                }
            }
        }
        Known {
            records,
            until,
            state: State::Shown {
                name,
                entries: entries.into(),
            },
        }
    }
}

impl KnownView {
    fn new(ids: &mut IdTable, name: &str, before: Option<ShownView>) -> Self {
        Self {
            id: ids.view(name),
            name: name.to_owned(),
            changed: before.as_ref().map(|view| view.changed),
            members: before.into_iter().flat_map(|view| view.members).collect(),
            entries: Arc::default(),
        }
    }

    /// Takes new entries, and notes what came and went.
    fn publish(
        &mut self,
        entries: &[&Entry],
        now: Timestamp,
        names: &ShownNames,
        changes: &mut Vec<ViewChange>,
        retired: &mut Vec<(NodeId, String)>,
    ) {
        let unchanged = self.changed.is_some()
            && entries.len() == self.entries.len()
            && entries.len() == self.members.len()
            && entries.iter().zip(self.entries.iter()).all(|(new, old)| {
                Arc::ptr_eq(&new.release, &old.release) && Arc::ptr_eq(&new.dir_ids, &old.dir_ids)
            });
        if unchanged {
            return;
        }
        let members: HashSet<ContentId> = entries.iter().map(|entry| entry.release.id).collect();
        let joined: Vec<ContentId> = entries
            .iter()
            .map(|entry| entry.release.id)
            .filter(|content| !self.members.contains(content))
            .collect();
        let mut left: Vec<ContentId> = self.members.difference(&members).copied().collect();
        left.sort_unstable();
        retired.extend(
            left.iter()
                .filter_map(|content| names.get(content))
                .map(|gone| (self.id, gone.name.to_string())),
        );
        if self.changed.is_none() || !joined.is_empty() || !left.is_empty() {
            // A fresh library takes the time of its youngest release, the same on every node.
            let youngest = entries.iter().map(|entry| entry.release.added).max();
            let changed = match self.changed {
                None => youngest.unwrap_or(now),
                Some(_) => now,
            };
            self.changed = Some(changed);
            let view = self.name.clone();
            changes.push(ViewChange {
                view,
                changed,
                joined,
                left,
                dropped: false,
            });
        }
        self.members = members;
        self.entries = Arc::new(entries.iter().copied().cloned().collect());
    }

    fn view(&self, now: Timestamp) -> View {
        View {
            id: self.id,
            name: self.name.clone(),
            entries: self.entries.clone(),
            changed: self.changed.unwrap_or(now),
        }
    }
}

impl Known {
    fn name(&self) -> &str {
        match &self.state {
            State::Hidden(_) => "",
            State::Shown { name, .. } => name,
        }
    }

    fn entry(&self, view: usize) -> Option<&Entry> {
        match &self.state {
            State::Hidden(_) => None,
            State::Shown { entries, .. } => {
                let found = entries.iter().find(|(index, _)| *index == view);
                found.map(|(_, entry)| entry)
            }
        }
    }

    /// It is not shown any more.
    fn forget_ids(&self, ids: &mut IdTable) {
        let State::Shown { entries, .. } = &self.state else {
            return;
        };
        for (_, entry) in entries {
            entry.dir_ids.iter().for_each(|id| ids.forget(*id));
            if let Some(tree) = entry.release.tree() {
                tree.files.iter().for_each(|file| ids.forget(file.id));
            }
        }
    }

    /// Notes the names of files that `new` does not have any more, in each view that goes on showing the release.
    fn retire_files(&self, new: &Self, retired: &mut Vec<(NodeId, String)>) {
        let State::Shown { entries, .. } = &self.state else {
            return;
        };
        for (view, old) in entries {
            let Some(new) = new.entry(*view) else {
                continue;
            };
            let (Contents::Known(had), Contents::Known(has)) =
                (&old.release.contents, &new.release.contents)
            else {
                continue;
            };
            let has: HashSet<NodeId> = has.files.iter().map(|file| file.id).collect();
            retired.extend(
                had.files
                    .iter()
                    .filter(|file| !has.contains(&file.id))
                    .map(|file| (old.dir_ids[file.dir as usize], file.name.to_string())),
            );
        }
    }
}

/// Whether it is the same torrent in the same state.
fn same(a: &Arc<Copy>, b: &Arc<Copy>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

fn dir_ids(ids: &mut IdTable, view: &str, release: &Release) -> Arc<[NodeId]> {
    match &release.contents {
        Contents::Unknown => Arc::new([ids.dir(view, release.id, "")]),
        Contents::Known(tree) => tree
            .dirs
            .iter()
            .map(|dir| ids.dir(view, release.id, dir))
            .collect(),
    }
}
