//! Which modules a kernel has to load, and in which order.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::GuestError;

/// The modules of one kernel, by `modules.dep` and `modules.builtin`.
#[derive(Debug)]
pub(crate) struct Modules {
    directory: PathBuf,
    /// Path of each, relative to `directory`, with those it needs, in the order in which depmod wrote them: the last one is loaded first.
    needs: HashMap<String, (String, Vec<String>)>,
    built_in: Vec<String>,
}

/// The name that `modprobe` knows it by: `-` and `_` are the same.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split(".ko").next().unwrap_or(file);
    stem.replace('-', "_")
}

impl Modules {
    pub(crate) fn read(directory: &Path) -> Result<Self, GuestError> {
        let file = directory.join("modules.dep");
        let text = fs::read_to_string(&file).map_err(GuestError::of(&file))?;
        let mut needs = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((path, others)) = line.split_once(':') else {
                let line = number + 1;
                return Err(GuestError::BadModulesDep { file, line });
            };
            let others = others.split_whitespace().map(str::to_owned).collect();
            needs.insert(name(path), (path.to_owned(), others));
        }
        let file = directory.join("modules.builtin");
        let text = fs::read_to_string(&file).map_err(GuestError::of(&file))?;
        Ok(Self {
            directory: directory.to_owned(),
            needs,
            built_in: text.lines().map(name).collect(),
        })
    }

    /// The files of the modules of these names and of all they need, each after what it needs and once. What is built in needs no file.
    pub(crate) fn in_order(&self, names: &[&str]) -> Result<Vec<PathBuf>, GuestError> {
        let mut order = Vec::new();
        for wanted in names {
            let wanted = name(wanted);
            if !self.built_in.contains(&wanted) {
                self.add(&wanted, &mut order)?;
            }
        }
        Ok(order
            .iter()
            .map(|name| self.directory.join(&self.needs[name].0))
            .collect())
    }

    fn add(&self, wanted: &str, order: &mut Vec<String>) -> Result<(), GuestError> {
        if order.iter().any(|there| there == wanted) {
            return Ok(());
        }
        let Some((_, needed)) = self.needs.get(wanted) else {
            return Err(GuestError::NoModule(wanted.to_owned()));
        };
        // depmod writes all that is needed, also indirectly, what is needed most last; there are no circles.
        for path in needed.iter().rev() {
            let needed = name(path);
            if !order.contains(&needed) {
                if !self.needs.contains_key(&needed) {
                    return Err(GuestError::NoModule(needed));
                }
                order.push(needed);
            }
        }
        order.push(wanted.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> (tempfile::TempDir, Modules) {
        let directory = tempfile::tempdir().expect("a directory");
        let dep = "kernel/net/sunrpc/sunrpc.ko:\n\
                   kernel/fs/lockd/lockd.ko: kernel/fs/nfs_common/grace.ko kernel/net/sunrpc/sunrpc.ko\n\
                   kernel/fs/nfs_common/grace.ko:\n\
                   kernel/fs/nfs/nfs.ko: kernel/fs/lockd/lockd.ko kernel/fs/nfs_common/grace.ko kernel/net/sunrpc/sunrpc.ko\n\
                   kernel/fs/nfs/nfs-v3.ko: kernel/fs/nfs/nfs.ko kernel/fs/lockd/lockd.ko kernel/fs/nfs_common/grace.ko kernel/net/sunrpc/sunrpc.ko\n";
        fs::write(directory.path().join("modules.dep"), dep).expect("written");
        let built_in = "kernel/fs/ext4/ext4.ko\n";
        fs::write(directory.path().join("modules.builtin"), built_in).expect("written");
        let modules = Modules::read(directory.path()).expect("makes sense");
        (directory, modules)
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        let text = paths.iter().map(|path| path.to_str().expect("text"));
        text.map(name).collect()
    }

    #[test]
    fn each_comes_once_and_after_what_it_needs() {
        let (_directory, modules) = modules();
        let order = modules.in_order(&["nfs_v3", "ext4", "lockd"]);
        let order = names(&order.expect("known"));
        assert_eq!(order, ["sunrpc", "grace", "lockd", "nfs", "nfs_v3"]);
    }

    #[test]
    fn an_unknown_module_is_named() {
        let (_directory, modules) = modules();
        let error = modules.in_order(&["nfsd"]).expect_err("not there");
        assert!(matches!(error, GuestError::NoModule(name) if name == "nfsd"));
    }
}
