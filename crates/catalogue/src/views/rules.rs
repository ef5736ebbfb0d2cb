//! Which views there are.

use std::collections::BTreeMap;

use crate::filters::{Filter, FilterError, FolderConfig};
use crate::library::{ALL, BAD, VERSION_FILE};
use crate::names::legal;
use crate::naming::FolderNaming;

/// A view's name or rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The name is one of ours.
    #[error("folder {0:?}: the name is reserved")]
    Reserved(String),
    /// The name is not a legal directory name.
    #[error("folder {0:?}: not a usable directory name")]
    IllegalName(String),
    /// The provider's name cannot be that of its view.
    #[error("provider {0:?}: not a usable directory name, as its view is called so")]
    Provider(String),
    /// Its filters are wrong.
    #[error("folder {folder:?}: filters: {source}")]
    Filter {
        /// The folder.
        folder: String,
        /// What is wrong.
        source: FilterError,
    },
}

/// Which views there are, checked.
#[derive(Debug)]
pub struct ViewRules {
    pub(super) folder_naming: FolderNaming,
    /// In the order of preference.
    pub(super) providers: Vec<String>,
    /// In the order of their names.
    pub(super) folders: Vec<Folder>,
    /// Indices in `folders`: each group in its order; a folder without one is alone.
    pub(super) groups: Vec<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct Folder {
    pub name: String,
    pub filter: Filter,
    pub only_biggest: bool,
}

impl ViewRules {
    /// Checks and prepares. `providers` in the order of preference: the first one's links are tried first.
    ///
    /// # Errors
    /// A name that is reserved or not a legal directory name; filters that are no expression or empty.
    pub fn new(
        folder_naming: FolderNaming,
        providers: Vec<String>,
        folders: &BTreeMap<String, FolderConfig>,
    ) -> Result<Self, RulesError> {
        let reserved = |name: &str| [ALL, BAD, VERSION_FILE].contains(&name);
        for provider in &providers {
            if reserved(provider) || legal(provider) != provider.as_str() {
                return Err(RulesError::Provider(provider.clone()));
            }
        }
        let mut ready = Vec::new();
        let mut groups: BTreeMap<&str, Vec<(i64, usize)>> = BTreeMap::new();
        let mut alone = Vec::new();
        for (index, (name, config)) in folders.iter().enumerate() {
            if reserved(name) || providers.contains(name) {
                return Err(RulesError::Reserved(name.clone()));
            }
            if legal(name) != name.as_str() {
                return Err(RulesError::IllegalName(name.clone()));
            }
            let filter = Filter::new(&config.filters).map_err(|source| RulesError::Filter {
                folder: name.clone(),
                source,
            })?;
            ready.push(Folder {
                name: name.clone(),
                filter,
                only_biggest: config.only_show_the_biggest_file,
            });
            match &config.group {
                Some(group) => groups
                    .entry(group)
                    .or_default()
                    .push((config.group_order, index)),
                None => alone.push(vec![index]),
            }
        }
        let in_order = |mut group: Vec<(i64, usize)>| {
            group.sort_unstable();
            group.into_iter().map(|(_, index)| index).collect()
        };
        let groups = groups.into_values().map(in_order).chain(alone).collect();
        Ok(Self {
            folder_naming,
            providers,
            folders: ready,
            groups,
        })
    }

    pub(crate) fn folder_naming(&self) -> FolderNaming {
        self.folder_naming
    }

    /// Names of all views in the order of the root.
    pub fn view_names(&self) -> impl Iterator<Item = &str> {
        [ALL, BAD]
            .into_iter()
            .chain(self.providers.iter().map(String::as_str))
            .chain(self.folders.iter().map(|folder| folder.name.as_str()))
    }
}
