//! What moving sees of the library and its accounts.

use std::sync::Arc;

use async_trait::async_trait;
use debridfs_catalogue::{File, Layout, ReleaseTree};
use debridfs_content::Ends;
use debridfs_provider::{InfoHash, Provider, Source, TorrentInfo};

use crate::{Again, Compared, LibraryWard, MoveWard, SourceCopy};

#[async_trait]
impl MoveWard for LibraryWard {
    fn provider(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.account(name).cloned()
    }

    async fn copies(&self, hash: InfoHash) -> Vec<SourceCopy> {
        let copies = self.catalogue.copies(hash).await;
        let copies = copies.iter().map(|copy| SourceCopy {
            provider: copy.provider.clone(),
            id: copy.id.clone(),
        });
        copies.collect()
    }

    async fn addition(&self, hash: InfoHash, provider: &str) -> Option<Again> {
        let account = self.provider(provider)?;
        self.addition_at(hash, &account).await
    }

    async fn told(&self, provider: &str, info: TorrentInfo) {
        self.catalogue.told(provider, info).await;
    }

    async fn compare(
        &self,
        hash: InfoHash,
        from: &[SourceCopy],
        to: &str,
        after: Option<&str>,
    ) -> Compared {
        let library = self.library();
        let release = library.release(hash).map(|entry| entry.release.clone());
        let Some(tree) = release.as_ref().and_then(|release| release.tree()) else {
            return Compared::NotNow("the library does not show its files yet".to_owned());
        };
        let at_target = |source: &Source| source.provider == to;
        if !tree
            .files
            .iter()
            .any(|file| tree.sources(file).any(|source| at_target(&source)))
        {
            return Compared::NotNow(format!("the library does not show the copy at {to} yet"));
        }
        let is_source = |source: &Source| {
            let mut from = from.iter();
            from.any(|copy| copy.provider == source.provider && copy.id == source.torrent)
        };
        let Some((path, file)) = next_file(tree, after, is_source) else {
            return Compared::Over;
        };
        let sources: Vec<Source> = tree.sources(file).collect();
        let (Some(given), Some(copied)) = (
            sources.iter().find(|one| is_source(one)),
            sources.iter().find(|one| at_target(one)),
        ) else {
            return Compared::Differs(format!("{to} does not have {path}"));
        };
        let (given, copied) = (
            self.content.ends(file.size, given).await,
            self.content.ends(file.size, copied).await,
        );
        match (given, copied) {
            (given @ Ends::Given { .. }, copied @ Ends::Given { .. }) => match given == copied {
                true => Compared::Same(path),
                false => Compared::Differs(format!("{path} has other bytes at {to}")),
            },
            (_, Ends::Refused(words)) => Compared::Differs(format!("{path}: {words}")),
            (_, Ends::Unclear(words)) | (Ends::Unclear(words), _) => {
                Compared::NotNow(format!("{path}: {words}"))
            }
            (Ends::Refused(words), _) => Compared::NoSource(format!("{path}: {words}")),
        }
    }
}

/// The first file that a source gives, in the order of paths and behind the path `after`.
fn next_file<'a>(
    tree: &'a ReleaseTree,
    after: Option<&str>,
    is_source: impl Fn(&Source) -> bool,
) -> Option<(String, &'a File)> {
    let given = tree
        .files
        .iter()
        .filter(|file| tree.sources(file).any(|source| is_source(&source)));
    let paths = given.map(|file| (tree.path_of(Layout::Tree, file), file));
    paths
        .filter(|(path, _)| after.is_none_or(|after| path.as_str() > after))
        .min_by(|a, b| a.0.cmp(&b.0))
}
