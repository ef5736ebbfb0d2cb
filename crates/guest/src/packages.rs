//! The unpacked Debian packages.

use std::fs;
use std::path::{Path, PathBuf};

use crate::GuestError;

/// Where `scripts/setup.sh` puts them, below the workspace.
const PLACE: &str = "target/tools/guest";

/// The kernel, its modules and programs, unpacked below one directory as they would be installed below `/`.
#[derive(Debug, Clone)]
pub struct Packages {
    root: PathBuf,
    release: String,
}

impl Packages {
    /// Those of this workspace.
    ///
    /// # Errors
    /// [`GuestError::NotSetUp`] if they are not there.
    pub fn find() -> Result<Self, GuestError> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Self::below(&workspace.join(PLACE))
    }

    /// Those below `root`.
    ///
    /// # Errors
    /// [`GuestError::NotSetUp`] if there is no kernel with its modules.
    pub fn below(root: &Path) -> Result<Self, GuestError> {
        let missing = || GuestError::NotSetUp(root.to_owned());
        let mut kernels = fs::read_dir(root.join("lib/modules")).map_err(|_| missing())?;
        let kernel = kernels.next().ok_or_else(missing)?.map_err(|_| missing())?;
        let release = kernel.file_name().into_string().map_err(|_| missing())?;
        let packages = Self {
            root: root.to_owned(),
            release,
        };
        if packages.kernel().exists() {
            Ok(packages)
        } else {
            Err(missing())
        }
    }

    /// What `uname -r` says in the guest.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The kernel's image.
    pub fn kernel(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The directory of the kernel's modules.
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// A file of the packages, by the path that it has when they are installed.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The directories of their libraries.
    pub(crate) fn libraries(&self) -> [PathBuf; 2] {
        ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|path| self.root.join(path))
    }
}
