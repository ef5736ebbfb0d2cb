//! Programs of the household that are called: those in `[arr.NAME]`.

use std::sync::Arc;

use debridfs_services::{Arr, network};

use super::acquire::secret;
use super::{Config, Unusable};

impl Config {
    /// The arrs that are told what became of their grabs; reads the files of their keys.
    ///
    /// # Errors
    /// [`Unusable`]: the file that cannot be read.
    pub fn arrs(&self) -> Result<Vec<Arc<Arr>>, Unusable> {
        if self.arr.is_empty() {
            return Ok(Vec::new());
        }
        let network = network(None)?;
        let mut arrs = Vec::new();
        for (name, arr) in &self.arr {
            let key = secret(arr.api_key.as_ref(), arr.api_key_file.as_deref())?;
            let key = key.ok_or_else(|| format!("`arr.{name}` has no key"))?;
            arrs.push(Arc::new(Arr::new(name, &arr.url, key, network.clone())));
        }
        Ok(arrs)
    }
}
