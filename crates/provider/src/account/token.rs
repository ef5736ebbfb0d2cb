//! Where a key's token comes from.
#![allow(clippy::disallowed_methods, reason = "read before anything is served")]

use std::path::Path;

use debridfs_base::Secret;

use super::config::{AccountConfig, ConfigError};

/// A token file is a line; anything beyond this is a mistake.
const LONGEST_TOKEN: usize = 4096;

impl AccountConfig {
    /// The token, from `token` or `token_file`.
    ///
    /// # Errors
    /// None or both are given, the file cannot be read, or it holds no token.
    pub fn load_token(&self) -> Result<Secret, ConfigError> {
        match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => Err(self.error("token", "give token or token_file, not both")),
            (None, None) => Err(self.error(
                "token",
                format!(
                    "no token: get one at {} and give it as token or in token_file",
                    self.kind.token_page
                ),
            )),
            (Some(token), None) => self.clean("token", token.expose()),
            (None, Some(path)) => self.read_token(path),
        }
    }

    fn read_token(&self, path: &Path) -> Result<Secret, ConfigError> {
        let text = std::fs::read(path)
            .map_err(|error| self.error("token_file", format!("{}: {error}", path.display())))?;
        let text = String::from_utf8(text)
            .map_err(|_| self.error("token_file", format!("{}: not text", path.display())))?;
        self.clean("token_file", &text)
    }

    fn clean(&self, key: &'static str, text: &str) -> Result<Secret, ConfigError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(self.error(key, "the token is empty"));
        }
        if text.len() > LONGEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.error(
                key,
                "not a token: it must be one word of letters and digits",
            ));
        }
        Ok(Secret::new(text))
    }
}
