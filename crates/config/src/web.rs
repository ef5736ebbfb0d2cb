//! `[web]`: who may see the pages.

use std::path::PathBuf;

use debridfs_base::Secret;
use debridfs_listen::HashedPassword;
use debridfs_web::Login;
use serde::{Deserialize, Serialize};

use super::Unusable;
use super::acquire::secret;

/// `[web]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSection {
    /// Hash of the password, as `debridfs config hash-password` prints it.
    pub password_hash: Option<Secret>,
    /// File that holds that hash.
    pub password_hash_file: Option<PathBuf>,
    /// Token for `Authorization: Bearer`, which also logs in in place of the password.
    pub token: Option<Secret>,
    /// File that holds the token.
    pub token_file: Option<PathBuf>,
    /// Whether the API gives providers' own links away.
    pub provider_links: bool,
    /// File of the certificate that TLS is served with, in PEM; plain HTTP when absent.
    pub tls_cert: Option<PathBuf>,
    /// File of its key.
    pub tls_key: Option<PathBuf>,
}

impl WebSection {
    /// Whether somebody has to log in.
    pub fn has_login(&self) -> bool {
        let password = self.password_hash.is_some() || self.password_hash_file.is_some();
        password || self.token.is_some() || self.token_file.is_some()
    }

    /// Reads the files of secrets.
    ///
    /// # Errors
    /// [`Unusable`]: the file that cannot be read, or a hash that is none.
    pub fn login(&self) -> Result<Login, Unusable> {
        let file = self.password_hash_file.as_deref();
        let password = match secret(self.password_hash.as_ref(), file)? {
            None => None,
            Some(hash) => {
                let hash = HashedPassword::parse(hash.expose());
                Some(hash.map_err(|error| format!("`web.password_hash`: {error}"))?)
            }
        };
        let token = secret(self.token.as_ref(), self.token_file.as_deref())?;
        Ok(Login::new(
            password,
            token.as_ref().map(|token| token.expose()),
        ))
    }
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &super::Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let mut found = Vec::new();
    let hash = config.web.password_hash.as_ref();
    if let Some(Err(error)) = hash.map(|hash| HashedPassword::parse(hash.expose())) {
        found.push((
            vec!["web", "password_hash"],
            format!("`web.password_hash`: {error}"),
            "`debridfs config hash-password` makes one; the password itself is not stored",
        ));
    }
    let server = &config.server;
    for (key, value) in [
        ("connections", server.connections),
        ("connections_per_address", server.connections_per_address),
    ] {
        if value == 0 {
            let message = format!("`server.{key}` cannot be 0");
            let help = "remove it for the default; to serve no callers, remove `listen` of the other sections";
            found.push((vec!["server", key], message, help));
        }
    }
    found
}

/// What is worth telling though it is no mistake.
pub(super) fn note(config: &super::Config) -> Option<String> {
    let closed = !config.server.listen.ip().is_loopback() && !config.web.has_login();
    closed.then(|| {
        format!(
            "server.listen is {} and no login is set: health and metrics are served, but the pages are not ([web] in docs/configuration.md)",
            config.server.listen
        )
    })
}
