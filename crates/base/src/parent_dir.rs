//! The directory in which one is to be made.

use std::io;
use std::path::Path;

/// Whether the directory is there in which `dir` is to be made. One that is missing is the mount point of a disk that is not mounted: what
/// was made in its place would fill another one, and hide that.
///
/// # Errors
/// [`io::ErrorKind::NotFound`]: it is not, in words that say what to do.
pub fn require_parent(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().unwrap_or(dir);
    if parent.is_dir() {
        return Ok(());
    }
    let shown = parent.display();
    let words = format!("{shown} is missing: mount its disk, or make it (`mkdir -p {shown}`)");
    Err(io::Error::new(io::ErrorKind::NotFound, words))
}
