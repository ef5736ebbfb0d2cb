//! What an arr does with what is completed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ArrError, Item, error};

/// Read from each file before it is imported, as a look for a sample does at least.
const HEAD: usize = 64 << 10;

/// Looks at each file with one of `extensions` and puts it below `library`: links are cloned as links, files are linked hard, or
/// copied where that cannot be. Gives what was made.
pub(super) fn import(
    item: &Item,
    library: &Path,
    extensions: &[&str],
) -> Result<Vec<PathBuf>, ArrError> {
    let output = item
        .output_path
        .as_deref()
        .filter(|path| path.is_absolute())
        .ok_or_else(|| error(format!("nothing to import: {item:?}")))?;
    let mut found = Vec::new();
    media(output, extensions, &mut found)
        .map_err(|why| error(format!("{}: {why}", output.display())))?;
    if found.is_empty() {
        return Err(error("no files found are eligible for import"));
    }
    let one = |path: PathBuf| {
        import_one(&path, library).map_err(|why| error(format!("{}: {why}", path.display())))
    };
    found.into_iter().map(one).collect()
}

fn media(path: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let wanted = extension.is_some_and(|extension| extensions.contains(&extension));
        // Through the link, as the arr stats it.
        let there = fs::metadata(&path)?;
        if there.is_dir() {
            media(&path, extensions, found)?;
        } else if wanted && there.len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

fn import_one(file: &Path, library: &Path) -> io::Result<PathBuf> {
    let mut head = vec![0; HEAD];
    // A file of one line is no sample, and nothing else is looked at in it.
    let is_text = file
        .extension()
        .is_some_and(|extension| extension == "strm");
    if !is_text && fs::File::open(file)?.read(&mut head)? == 0 {
        return Err(io::Error::other("unable to determine if file is a sample"));
    }
    fs::create_dir_all(library)?;
    let made = library.join(file.file_name().unwrap_or_default());
    if !fs::symlink_metadata(file)?.is_symlink() {
        return match fs::hard_link(file, &made) {
            Ok(()) => Ok(made),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::copy(file, &made).map(|_| made)
            }
            Err(error) => Err(error),
        };
    }
    let target = fs::read_link(file)?;
    if !target.is_absolute() {
        return Err(io::Error::other("a relative link breaks when it is moved"));
    }
    std::os::unix::fs::symlink(target, &made)?;
    Ok(made)
}
