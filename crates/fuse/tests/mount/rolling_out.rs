//! Broken backends on a mount: rolled back by themselves, and nothing wrong is left in the kernel's caches.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::engine::BROKEN_BACKEND;
use super::library::content;
use super::small_keeper::{Shape, SmallKeeper};
use super::until;

/// Name, node, size.
const SMALL: (&str, u64, u64) = ("one.txt", 2, 5000);

/// A reader that keeps its file open, so that the kernel keeps what it has of it.
struct Reader {
    root: PathBuf,
    file: File,
}

impl Reader {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            file: File::open(root.join(SMALL.0)).unwrap(),
        }
    }

    /// What is wrong: by path, and in what is kept for the open file and the directory.
    fn wrong(&self) -> io::Result<Option<&'static str>> {
        let (name, node, size) = SMALL;
        for meta in [fs::metadata(self.root.join(name))?, self.file.metadata()?] {
            if (meta.ino(), meta.nlink(), meta.len()) != (node, 1, size) {
                return Ok(Some("attributes"));
            }
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, 0)?;
        if bytes != content(node, 0, size as usize) {
            return Ok(Some("bytes"));
        }
        let names =
            fs::read_dir(self.root.join("a"))?.map(|line| line.map(|line| line.file_name()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        Ok((names != ["b"]).then_some("names"))
    }

    /// Reads as one who opens the file anew, whatever comes of it.
    fn read_again(&self) {
        let mut bytes = [0; 100];
        let again = File::open(self.root.join(SMALL.0));
        let _ = again.and_then(|file| file.read_at(&mut bytes, 0));
    }
}

pub fn broken_backends_are_rolled_back() {
    for (fault, wrong, reason) in [
        ("nlink", Some("attributes"), "differ"),
        ("size", Some("attributes"), "differ"),
        ("dropped-entry", Some("names"), "differ"),
        ("byte", Some("bytes"), "differ"),
        ("errno", None, "fail"),
        ("slow", None, "longer"),
    ] {
        let mut keeper = SmallKeeper::serve(Shape {
            env: vec![(BROKEN_BACKEND, fault.to_owned())],
            ..Shape::default()
        });
        // Before anything is looked at: what the kernel knows from the old backend it does not ask for again.
        keeper.engine().ask("roll-out 100%:1h");
        let reader = Reader::new(&keeper.point());
        let mut seen = None;
        let mut decision = String::new();
        until("rolled back", || {
            seen = reader.wrong().unwrap_or(None).or(seen);
            reader.read_again();
            decision = keeper.engine().ask("decision");
            decision.starts_with("rolled-back")
        });
        assert!(decision.contains(reason), "{fault}: {decision}");
        assert_eq!(seen, wrong, "{fault}: {decision}");
        // The kernel is told by another process.
        until("the kernel forgets", || reader.wrong().unwrap().is_none());
        assert_eq!(
            Reader::new(&keeper.point()).wrong().unwrap(),
            None,
            "{fault}"
        );
    }
}
