//! Libraries for tests, built by the catalogue out of torrents, and readers for their files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use debridfs_base::Secret;
use debridfs_catalogue::{
    Copy, CopyDetail, FolderConfig, FolderNaming, Layout, Library, Memory, ViewBuilder, ViewRules,
};
use debridfs_content::{Content, ContentConfig};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{
    AccountConfig, ContentId, DebridAccount, HosterLink, InfoHash, NoLinks, Provider, TorrentFile,
    TorrentId, TorrentStatus,
};
use debridfs_sim::{
    FileSpec, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, TorrentView, serve,
};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;

use crate::TreeConfig;

pub(crate) fn config(layout: Layout) -> TreeConfig {
    TreeConfig {
        uid: 1000,
        gid: 1001,
        umask: 0o022,
        layout,
        version: "debridfs 0.0".into(),
        orders: Default::default(),
        strm: Default::default(),
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + seconds)
}

pub(crate) fn hash(n: u32) -> ContentId {
    let mut bytes = [0xab; 20];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    InfoHash(bytes).into()
}

/// A ready torrent; `paths` of all its files, or `None` while unknown.
pub(crate) fn torrent(n: u32, filename: &str, paths: Option<&[&str]>) -> Copy {
    let links = paths.map_or(1, <[_]>::len);
    Copy {
        provider: "rd".into(),
        id: TorrentId(format!("T{n}")),
        content: hash(n),
        filename: filename.into(),
        bytes: 1000,
        status: TorrentStatus::Downloaded,
        added: at(i64::from(n)),
        ended: Some(at(i64::from(n))),
        links: (0..links)
            .map(|i| HosterLink(format!("https://host/d/{n:08}-{i}")))
            .collect(),
        detail: paths.map(|paths| CopyDetail {
            original_filename: filename.into(),
            files: (1u32..)
                .zip(paths)
                .map(|(id, path)| TorrentFile {
                    id,
                    path: (*path).into(),
                    bytes: u64::from(id) * 100,
                    selected: true,
                })
                .collect(),
        }),
        archive: None,
        removed: None,
    }
}

/// A catalogue without a store.
pub(crate) struct Shelf {
    builder: ViewBuilder,
    generation: u64,
    now: i64,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self::with_folders(&BTreeMap::new())
    }

    pub(crate) fn with_folders(folders: &BTreeMap<String, FolderConfig>) -> Self {
        let providers = vec!["rd".to_owned()];
        let rules = ViewRules::new(FolderNaming::Filename, providers, folders).unwrap();
        let builder = ViewBuilder::new(rules, Memory::default());
        Self {
            builder,
            generation: 0,
            now: 1_000_000,
        }
    }

    pub(crate) fn library<'a>(
        &mut self,
        torrents: impl IntoIterator<Item = &'a Arc<Copy>>,
    ) -> Arc<Library> {
        self.generation += 1;
        self.now += 60;
        let views = self.builder.build(torrents, at(self.now)).views;
        Arc::new(Library::new(self.generation, true, views))
    }

    /// A library of these torrents alone.
    pub(crate) fn of(&mut self, torrents: Vec<Copy>) -> Arc<Library> {
        let torrents: Vec<_> = torrents.into_iter().map(Arc::new).collect();
        self.library(&torrents)
    }
}

/// A simulated account with a film of 100 bytes, another one of that path and size, and its reader.
pub(crate) struct Account {
    pub(crate) content: Arc<Content>,
    served: Served,
}

impl Account {
    pub(crate) async fn new() -> Self {
        // An error is a second installation, by another test of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let film = FileSpec::generated("/Film.mkv", 100);
        let library = LibrarySpec {
            seed: 1,
            releases: vec![
                ReleaseSpec::new("Film", vec![film.clone()]),
                ReleaseSpec::new("Other", vec![film]),
            ],
        };
        let sim = Sim::new(&library).unwrap();
        let served = serve(sim, ServeOptions::default()).await.unwrap();
        let config = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new(served.token())),
            api_url: served.api_url(),
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let provider = Arc::new(DebridAccount::new(config).unwrap());
        Self {
            content: content_of(vec![provider]),
            served,
        }
    }

    fn torrent(&self, filename: &str) -> TorrentView {
        let torrents = self.served.sim().torrents(0).unwrap();
        let mut torrents = torrents.into_iter();
        torrents.find(|one| one.filename == filename).unwrap()
    }

    /// The film as a torrent `n`, with the account's link.
    pub(crate) fn film(&self, n: u32) -> Copy {
        self.film_of(n, "Film")
    }

    /// The other film in its place.
    pub(crate) fn other(&self, n: u32) -> Copy {
        self.film_of(n, "Other")
    }

    fn film_of(&self, n: u32, filename: &str) -> Copy {
        let links = self.torrent(filename).links;
        let links = links.into_iter().map(HosterLink).collect();
        Copy {
            links,
            ..torrent(n, "Film", Some(&["/Film.mkv"]))
        }
    }

    /// These bytes of the film.
    pub(crate) fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let torrent = self.torrent("Film");
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let key = torrent.files[0].key.unwrap();
        debridfs_sim::content::fill(key, range.start, &mut bytes);
        bytes
    }
}

fn content_of(providers: Vec<Arc<dyn Provider>>) -> Arc<Content> {
    // Requests are counted: no time limit is met, however long the machine pauses.
    let config = ContentConfig {
        first_byte_timeout_ms: 60_000,
        stall_timeout_ms: 60_000,
        idle_connection_ms: 600_000,
        idle_memory_ms: 600_000,
        ..ContentConfig::default()
    };
    let links = Arc::new(NoLinks);
    Content::new(config, providers, links, Handle::current())
}

/// A reader that has no account to read from.
pub(crate) fn no_account() -> Arc<Content> {
    content_of(Vec::new())
}

/// Nobody may ask for files.
pub(crate) fn nobody(release: ContentId) -> BoxFuture<'static, debridfs_catalogue::Result<()>> {
    panic!("files of {release} were asked for")
}
