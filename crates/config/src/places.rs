//! Files and addresses that the settings name, to be tried before anything is started.

use std::io;
use std::path::PathBuf;

use debridfs_base::instance_lock::Instance;
use figment::value::Value;

use super::Config;

impl Config {
    /// Every file that the engine reads because a setting names it, with the setting: all keys that end in `_file` or `_files`, and
    /// those of TLS.
    pub fn named_files(&self) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        // Whatever can be shown can be walked; what could not be would be no setting.
        if let Ok(all) = Value::serialize(self) {
            collect("", &all, &mut found);
        }
        found
    }

    /// This instance, as its directories are locked for it.
    ///
    /// # Errors
    /// The directory of the keeper's socket is not there.
    pub fn instance(&self) -> io::Result<Instance> {
        Instance::of(&self.keeper_socket(), &self.mount.path)
    }
}

/// Keys of files that do not end in `_file`.
const TLS: [&str; 2] = ["tls_cert", "tls_key"];

fn collect(path: &str, value: &Value, found: &mut Vec<(String, PathBuf)>) {
    let Value::Dict(_, dict) = value else {
        return;
    };
    for (key, value) in dict {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match value {
            Value::String(_, file) if key.ends_with("_file") || TLS.contains(&key.as_str()) => {
                found.push((path, file.into()))
            }
            Value::Array(_, files) if key.ends_with("_files") => {
                let files = files.iter().filter_map(Value::as_str);
                found.extend(files.map(|file| (path.clone(), file.into())));
            }
            other => collect(&path, other, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Environment, load};

    #[test]
    fn every_file_that_a_setting_names_is_found_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("debridfs.toml");
        let text = "[provider.rd]\ntoken_file = \"/1\"\ndownload_token_files = [\"/2\", \"/3\"]\nca_file = \"/4\"\n\
                    [acquire]\ndownloads = \"/d\"\n[qbittorrent]\npassword_file = \"/5\"\napi_key_file = \"/6\"\n\
                    [sabnzbd]\napi_key_file = \"/7\"\npassword_file = \"/8\"\n\
                    [arr.sonarr]\nurl = \"http://sonarr:8989\"\napi_key_file = \"/9\"\n\
                    [hook.plex]\nkind = \"plex\"\nurl_file = \"/10\"\ntoken_file = \"/11\"\n\
                    [web]\npassword_hash_file = \"/12\"\ntoken_file = \"/13\"\n\
                    [user.anna]\npassword_file = \"/14\"\n\
                    [http]\ntls_cert = \"/15\"\ntls_key = \"/16\"\n";
        std::fs::write(&file, text).unwrap();
        let config = load(Some(&file), &Environment::of([])).unwrap().config;
        let found = config.named_files();
        for number in 1..=16 {
            let path = std::path::PathBuf::from(format!("/{number}"));
            let there = found.iter().any(|(_, file)| *file == path);
            assert!(there, "{} in {found:?}", path.display());
        }
        assert_eq!(found.len(), 16, "{found:?}");
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        for key in [
            "provider.rd.token_file",
            "hook.plex.url_file",
            "arr.sonarr.api_key_file",
        ] {
            assert!(keys.contains(&key), "{key} in {keys:?}");
        }
    }

    #[test]
    fn folders_of_downloads_are_told_without_those_in_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("debridfs.toml");
        let text = "[acquire]\ndownloads = \"/d\"\n[acquire.category.tv]\nfolder = \"/d/tv\"\n\
                    [acquire.category.films]\nfolder = \"/f\"\n[acquire.category.d2]\nfolder = \"/d2\"\n";
        std::fs::write(&file, text).unwrap();
        let acquire = load(Some(&file), &Environment::of([]))
            .unwrap()
            .config
            .acquire;
        assert_eq!(acquire.folders(), ["/d", "/d2", "/f"].map(Path::new));
    }
}
