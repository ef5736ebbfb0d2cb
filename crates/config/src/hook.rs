//! `[hook.NAME]` and `library.on_library_update`: who is told what changed in the library.

use std::path::PathBuf;
use std::sync::Arc;

use debridfs_base::Secret;
use debridfs_services::{Hook, HookKind, UpdateProgram, network};
use serde::{Deserialize, Serialize};

use super::acquire::secret;
use super::{Config, LibraryConfig, Unusable};

/// `[hook.NAME]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HookSection {
    /// Who it is.
    pub kind: HookKind,
    /// Where it is. Of Discord, and of some webhooks, the address is itself a secret.
    pub url: Option<Secret>,
    /// File that holds the address.
    pub url_file: Option<PathBuf>,
    /// Its token.
    pub token: Option<Secret>,
    /// File that holds the token.
    pub token_file: Option<PathBuf>,
    /// The views it is told of; all but `__bad__` when empty.
    #[serde(default)]
    pub views: Vec<String>,
}

impl Config {
    /// The hooks; reads the files of their secrets.
    ///
    /// # Errors
    /// [`Unusable`]: the file that cannot be read, or what is missing.
    pub fn hooks(&self) -> Result<Vec<Hook>, Unusable> {
        if self.hook.is_empty() {
            return Ok(Vec::new());
        }
        let network: Arc<_> = network(None)?;
        let mut hooks = Vec::new();
        for (name, hook) in &self.hook {
            let url = secret(hook.url.as_ref(), hook.url_file.as_deref())?;
            let url = url.ok_or_else(|| format!("`hook.{name}` has no `url`"))?;
            let token = secret(hook.token.as_ref(), hook.token_file.as_deref())?;
            let made = Hook::new(name, hook.kind, &url, token, network.clone());
            hooks.push(made.with_views(hook.views.clone()));
        }
        Ok(hooks)
    }
}

impl LibraryConfig {
    /// The program that is told, if there is one.
    pub fn update_program(&self) -> Option<UpdateProgram> {
        let (program, first) = self.on_library_update.0.split_first()?;
        let first = first.iter().map(Into::into).collect();
        Some(UpdateProgram::new(program, first))
    }
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let mut found = Vec::new();
    for (name, hook) in &config.hook {
        if hook.url.is_none() && hook.url_file.is_none() {
            let message = format!("`hook.{name}` needs `url` or `url_file`");
            found.push((
                vec!["hook", name],
                message,
                "where it is, such as \"http://plex:32400\"",
            ));
        }
        let has_token = hook.token.is_some() || hook.token_file.is_some();
        let needs_token = matches!(
            hook.kind,
            HookKind::Plex | HookKind::Jellyfin | HookKind::Emby
        );
        if needs_token && !has_token {
            let message = format!("`hook.{name}` needs `token` or `token_file`");
            let help = "an API key of the media server (of Plex, the X-Plex-Token)";
            found.push((vec!["hook", name], message, help));
        }
    }
    found
}
