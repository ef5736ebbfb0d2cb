//! `.strm` files, as downloads and in folders: somebody has to serve what they name.

use debridfs_catalogue::ShownAs;

use super::Config;

impl Config {
    /// Names of folders that show films as `.strm` files.
    pub fn strm_folders(&self) -> impl Iterator<Item = &str> {
        let folders = self.folders.iter();
        let folders = folders.filter(|(_, folder)| folder.shown_as == ShownAs::Strm);
        folders.map(|(name, _)| name.as_str())
    }

    /// Whether there are to be `.strm` files, in a folder or as downloads.
    pub fn makes_strm(&self) -> bool {
        self.acquire.makes_strm() || self.strm_folders().next().is_some()
    }
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let http = &config.http;
    if http.listen.is_some() && !http.url.is_empty() {
        return Vec::new();
    }
    let help =
        "set `http.listen`, and `http.url` as players reach it, such as \"http://debridfs:8284\"";
    let mut found = Vec::new();
    if config.acquire.makes_strm() {
        let message = "`action = \"strm\"` needs somebody who serves the files".into();
        found.push((vec!["acquire", "action"], message, help));
    }
    for name in config.strm_folders() {
        let message =
            format!("`folders.{name}`: `as = \"strm\"` needs somebody who serves the films");
        found.push((vec!["folders", name, "as"], message, help));
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::{loaded, mistakes};

    #[test]
    fn strm_files_need_an_address_to_name() {
        let folder = "[folders.kodi]\nfilters = { size_gt = 0 }\nas = \"strm\"\n";
        let listen = "[http]\nlisten = \"127.0.0.1:8284\"\n";
        for text in [folder.to_owned(), format!("{folder}{listen}")] {
            let words = mistakes(&text);
            assert!(
                words.contains("folders.kodi") && words.contains("serves the films"),
                "{words}"
            );
        }
        let text = format!("{folder}{listen}url = \"http://debridfs:8284\"\n");
        let config = loaded(&text, &[]).unwrap().config;
        assert_eq!(config.strm_folders().collect::<Vec<_>>(), ["kodi"]);
        assert!(config.makes_strm());
        let plain = folder.replace("strm", "files");
        assert!(!loaded(&plain, &[]).unwrap().config.makes_strm());
        assert!(!mistakes(&folder.replace("strm", "links")).is_empty());
    }
}
