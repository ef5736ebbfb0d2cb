//! `tls_cert` and `tls_key` of the sections that listen.

use std::path::PathBuf;

use debridfs_listen::TlsFiles;

use super::Config;

/// The files of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSetting {
    /// The setting of the certificate.
    pub setting: &'static str,
    /// What is served there with it.
    pub files: TlsFiles,
}

impl Config {
    /// TLS of files over HTTP.
    pub fn http_tls(&self) -> Option<TlsSetting> {
        let http = &self.http;
        both(
            "http.tls_cert",
            http.tls_cert.as_ref(),
            http.tls_key.as_ref(),
        )
    }

    /// TLS of health, metrics and pages.
    pub fn web_tls(&self) -> Option<TlsSetting> {
        let web = &self.web;
        both("web.tls_cert", web.tls_cert.as_ref(), web.tls_key.as_ref())
    }

    /// TLS of the qBittorrent API.
    pub fn qbittorrent_tls(&self) -> Option<TlsSetting> {
        let section = &self.qbittorrent;
        let (cert, key) = (section.tls_cert.as_ref(), section.tls_key.as_ref());
        both("qbittorrent.tls_cert", cert, key)
    }

    /// TLS of the SABnzbd API.
    pub fn sabnzbd_tls(&self) -> Option<TlsSetting> {
        let section = &self.sabnzbd;
        let (cert, key) = (section.tls_cert.as_ref(), section.tls_key.as_ref());
        both("sabnzbd.tls_cert", cert, key)
    }

    /// All of them.
    pub fn tls(&self) -> Vec<TlsSetting> {
        let all = [
            self.http_tls(),
            self.web_tls(),
            self.qbittorrent_tls(),
            self.sabnzbd_tls(),
        ];
        all.into_iter().flatten().collect()
    }
}

fn both(
    setting: &'static str,
    cert: Option<&PathBuf>,
    key: Option<&PathBuf>,
) -> Option<TlsSetting> {
    let (cert, key) = (cert?.clone(), key?.clone());
    let files = TlsFiles { cert, key };
    Some(TlsSetting { setting, files })
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let sections = [
        ("http", &config.http.tls_cert, &config.http.tls_key),
        ("web", &config.web.tls_cert, &config.web.tls_key),
        (
            "qbittorrent",
            &config.qbittorrent.tls_cert,
            &config.qbittorrent.tls_key,
        ),
        ("sabnzbd", &config.sabnzbd.tls_cert, &config.sabnzbd.tls_key),
    ];
    let halves = sections.into_iter().filter_map(|(section, cert, key)| {
        let (set, missing) = match (cert, key) {
            (Some(_), None) => ("tls_cert", "tls_key"),
            (None, Some(_)) => ("tls_key", "tls_cert"),
            _ => return None,
        };
        let words = format!("`{section}.{set}` is set, and `{section}.{missing}` is not");
        let help = "set both: PEM files of the certificate with its chain, and of its key";
        Some((vec![section, set], words, help))
    });
    halves.collect()
}

#[cfg(test)]
mod tests {
    use crate::{ConfigError, Environment, load};

    #[test]
    fn a_certificate_has_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("debridfs.toml");
        let loaded = |text: &str| {
            std::fs::write(&file, text).unwrap();
            load(Some(&file), &Environment::of([]))
        };
        let all = ["http", "web", "qbittorrent", "sabnzbd"];
        let whole = all.map(|name| format!("[{name}]\ntls_cert = \"/c\"\ntls_key = \"/k\"\n"));
        let config = loaded(&whole.concat()).unwrap().config;
        let settings: Vec<_> = config.tls().iter().map(|one| one.setting).collect();
        assert_eq!(settings, all.map(|name| format!("{name}.tls_cert")));
        for name in all {
            for half in ["tls_cert", "tls_key"] {
                let error = loaded(&format!("[{name}]\n{half} = \"/c\"\n")).unwrap_err();
                let ConfigError::Invalid { problems, .. } = error else {
                    panic!("{error}");
                };
                assert!(problems[0].message.contains("is not"), "{problems:?}");
            }
        }
        assert!(loaded("").unwrap().config.tls().is_empty());
    }
}
