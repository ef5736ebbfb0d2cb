//! Addresses of files, with a token in them, for what plays `.strm` files.

use std::path::Path;
use std::sync::Arc;

use debridfs_listen::Tokens;

use crate::files::address;

/// Why a file has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Files are not served over HTTP, or nothing says where players reach them.
    #[error("`http.listen` and `http.url` are not configured")]
    NotServed,
    /// The token that goes into the addresses is missing.
    #[error("there is no token for .strm files: restart the engine")]
    NoToken,
}

/// Makes addresses.
#[derive(Debug, Clone)]
pub struct Addresses {
    base: String,
    tokens: Arc<Tokens>,
}

impl Addresses {
    /// Addresses that begin with `base`, which has no slash at its end; none are made when it is empty.
    pub fn new(base: String, tokens: Arc<Tokens>) -> Self {
        Self { base, tokens }
    }

    /// The address of the file at `path` below the mount.
    ///
    /// # Errors
    /// [`NoAddress`].
    pub fn of(&self, path: &Path) -> Result<String, NoAddress> {
        if self.base.is_empty() {
            return Err(NoAddress::NotServed);
        }
        let token = self.tokens.own().ok_or(NoAddress::NoToken)?;
        let path = address(&token, &path.to_string_lossy());
        Ok(format!("{}{path}", self.base))
    }
}
