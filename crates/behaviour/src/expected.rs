//! The account that the suite is run over, and what is expected of it.

use debridfs_sim::{FileSpec, LibrarySpec, LinkMode, ReleaseSpec, content};
use jiff::Timestamp;

/// When each release was added, so that times can be compared.
const ADDED: &str = "2024-01-02T03:04:05Z";
/// How many files the largest directory has.
const MANY: usize = 300;

/// A file that has to be there.
#[derive(Debug, Clone)]
pub struct ExpectedFile {
    /// Its path below a view, with the release.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Its content ([`content::fill`]).
    pub key: u64,
    /// Whether the provider has lost it: it is there, and cannot be read.
    pub dead: bool,
}

impl ExpectedFile {
    /// Whether its name has signs that POSIX allows, and other systems do not.
    pub(crate) fn has_signs(&self) -> bool {
        self.path.contains("Signs of POSIX")
    }

    /// The right bytes of a part of it, fewer than `length` at its end.
    pub fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left).map_or(length, |left| left.min(length));
        let mut bytes = vec![0; length];
        content::fill(self.key, offset, &mut bytes);
        bytes
    }
}

/// What the library has to show.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its files.
    pub files: Vec<ExpectedFile>,
    /// Modification time of all of them, in seconds since 1970.
    pub modified: i64,
}

impl Expected {
    /// What [`library`] has to be shown as.
    pub fn new() -> Self {
        let mut files = Vec::new();
        for release in library().releases {
            let hash = release.hash.as_deref().unwrap_or_default();
            let last = release.files.len() - 1;
            for (number, file) in release.files.iter().enumerate() {
                files.push(ExpectedFile {
                    path: format!("__all__/{}{}", release.name, file.path),
                    size: file.bytes.unwrap_or_default(),
                    key: content::key(hash, &file.path),
                    dead: release.links != LinkMode::OneEach && number == last,
                });
            }
        }
        let added: Timestamp = ADDED.parse().expect("a time");
        Self {
            files,
            modified: added.as_second(),
        }
    }

    /// The file of this base name.
    ///
    /// # Panics
    /// If there is none.
    pub fn file(&self, name: &str) -> &ExpectedFile {
        let found = self
            .files
            .iter()
            .find(|file| file.path.ends_with(&format!("/{name}")));
        found.unwrap_or_else(|| panic!("no file {name}"))
    }

    /// The files, of the largest directory one in twenty alone: each that is read needs a link, of which accounts make some 250 a minute, and some fronts
    /// start a program for each.
    pub(crate) fn some(&self) -> impl Iterator<Item = &ExpectedFile> {
        let many = |file: &&ExpectedFile| file.path.starts_with(MANY_FILES);
        let few = self.files.iter().filter(move |file| !many(file));
        few.chain(self.files.iter().filter(many).step_by(20))
    }

    /// All directories below the root that hold files, directly or further below.
    pub fn directories(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for file in &self.files {
            let mut path = file.path.as_str();
            while let Some((above, _)) = path.rsplit_once('/') {
                all.push(above.to_owned());
                path = above;
            }
        }
        all.sort();
        all.dedup();
        all
    }

    /// The names in a directory of [`Self::directories`], sorted.
    pub fn names(&self, directory: &str) -> Vec<String> {
        let start = format!("{directory}/");
        let below = self
            .files
            .iter()
            .filter_map(|file| file.path.strip_prefix(&start));
        let mut names: Vec<String> = below
            .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Default for Expected {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest film, read at its edges.
pub(crate) const FILM: &str = "Film of the edges.mkv";
/// A directory of [`MANY`] files.
pub(crate) const MANY_FILES: &str = "__all__/Many.2024";
/// A file whose link the provider has lost.
pub(crate) const DEAD: &str = "third.mkv";

/// The account: names of every kind, files of every size, one that cannot be read.
pub fn library() -> LibrarySpec {
    let file = |path: &str, bytes| FileSpec::generated(path, bytes);
    let long = format!("/{}.mkv", "l".repeat(251));
    let mut releases = vec![
        release(
            1,
            "Edges.2024",
            vec![
                file(&format!("/{FILM}"), (5 << 20) + 17),
                file("/Small/one byte.mkv", 1),
                file("/Small/a page.mkv", 4096),
                file("/Small/Deep/er/page and a byte.mkv", 4097),
                file("/Small/empty.nfo", 0),
            ],
        ),
        release(
            2,
            "Ünïcödé 東京 2024",
            vec![
                file("/Ünïcödé 🎬.mkv", 3000),
                file("/u\u{308}nicode, decomposed.mkv", 3001),
                file("/Кино و فيلم.mkv", 3002),
            ],
        ),
        release(
            3,
            "Signs & 'Wonders' [2024] #1 100%",
            vec![
                file("/-rf.mkv", 4000),
                file(
                    "/semi;colon & $HOME `x` 'y' (z) {a} ~ ! @ # % ^ + =.mkv",
                    4001,
                ),
                file("/two  spaces.mkv", 4003),
            ],
        ),
        release(4, &"L".repeat(250), vec![file(&long, 5000)]),
        release(
            5,
            "Many.2024",
            (0..MANY)
                .map(|n| file(&format!("/part {n:03}.mkv"), 100 + n as u64))
                .collect(),
        ),
        release(
            6,
            "Signs of POSIX",
            vec![
                file("/back\\slash.mkv", 6000),
                file("/colon: and? <quoted> \"name\" | *.mkv", 6001),
                file("/ends with a dot.mkv.", 6002),
            ],
        ),
    ];
    let lost = [
        ("/first.mkv", 70_000),
        ("/second.mkv", 70_001),
        ("/third.mkv", 70_002),
    ];
    let mut dead = release(
        7,
        "Lost.2024",
        lost.map(|(path, bytes)| file(path, bytes)).into(),
    );
    dead.links = LinkMode::Missing(1);
    releases.push(dead);
    LibrarySpec {
        releases,
        ..LibrarySpec::default()
    }
}

/// A release of the account; its hash is made of `number`.
pub(crate) fn release(number: u32, name: &str, files: Vec<FileSpec>) -> ReleaseSpec {
    let mut release = ReleaseSpec::new(name, files);
    release.hash = Some(format!("{number:040x}"));
    release.added = Some(ADDED.parse().expect("a time"));
    release
}
