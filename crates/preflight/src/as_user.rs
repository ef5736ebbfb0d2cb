//! What the engine will need (files, directories, addresses to listen on), tried as the user that it will be: `doctor`, `config check`
//! and `serve` judge by this.

mod trial;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use debridfs_doctor::Check;
use debridfs_keeper::Owner;
use debridfs_listen::{Place, holder};
use serde::{Deserialize, Serialize};

use crate::helper::Helper;
use debridfs_config::{Config, KeeperMode};

pub use trial::{Kind, TryAsUserArgs, run};

/// What came of a trial.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What was seen.
    pub seen: String,
    /// What to do about it; nothing when all is well.
    pub fix: Option<String>,
    /// It can wait.
    #[serde(default)]
    pub mild: bool,
}

/// One thing to try.
#[derive(Debug)]
pub struct Trial {
    kind: Kind,
    /// The setting that names it.
    key: String,
    what: OsString,
    /// The key that belongs to a certificate.
    tls_key: Option<PathBuf>,
    /// The socket of this instance's keeper, where it matters whose instance it is.
    keeper: Option<PathBuf>,
}

impl Trial {
    fn new(kind: Kind, key: impl Into<String>, what: impl Into<OsString>) -> Self {
        Self {
            kind,
            key: key.into(),
            what: what.into(),
            tls_key: None,
            keeper: None,
        }
    }
}

/// Whether these are the settings of a keeper alone, which has no account.
fn is_keepers(config: &Config) -> bool {
    config.keeper.mode == KeeperMode::Attached && config.provider.is_empty()
}

/// The files that the settings name, and the downloads folder.
pub fn named(config: &Config) -> Vec<Trial> {
    let mut trials = Vec::new();
    if !is_keepers(config) {
        let files = config.named_files().into_iter();
        trials.extend(files.map(|(key, file)| Trial::new(Kind::Read, key, file)));
        let pairs = config.tls().into_iter().map(|tls| Trial {
            tls_key: Some(tls.files.key),
            ..Trial::new(Kind::Certificate, tls.setting, tls.files.cert)
        });
        trials.extend(pairs);
    }
    if let Some(dir) = &config.acquire.downloads {
        trials.push(Trial::new(Kind::Shared, DOWNLOADS, dir));
    }
    trials
}

/// The directories that are the engine's own.
pub fn own(config: &Config) -> Vec<Trial> {
    let mut trials = vec![Trial::new(Kind::Own, "runtime_dir", &config.runtime_dir)];
    if !is_keepers(config) {
        trials.push(Trial::new(Kind::Own, "state_dir", &config.state_dir));
        if config.content.cache.enabled {
            trials.push(Trial::new(Kind::Own, CACHE, &config.cache_dir));
        }
    }
    trials
}

/// The directories that no other instance may have.
pub fn alone(config: &Config) -> Vec<Trial> {
    if is_keepers(config) {
        return Vec::new();
    }
    let cache = config.content.cache.enabled.then_some(&*config.cache_dir);
    let folders = config.acquire.folders().into_iter();
    let all = [("state_dir", &*config.state_dir)]
        .into_iter()
        .chain(cache.map(|dir| (CACHE, dir)))
        .chain(folders.map(|dir| (DOWNLOADS, dir)));
    let trials = all.map(|(key, dir): (&str, &Path)| Trial {
        keeper: Some(config.keeper_socket()),
        ..Trial::new(Kind::Alone, key, dir)
    });
    trials.collect()
}

/// What downloads are put in.
const DOWNLOADS: &str = "acquire.downloads";

/// Without it there is a library all the same.
const CACHE: &str = "cache_dir";

/// What comes of `trials`, in their order, within a few seconds. As root they are made by the user that the engine will be, `owner`.
pub fn checks(trials: &[Trial], owner: Option<Owner>) -> Vec<Check> {
    let started: Vec<_> = trials.iter().map(|trial| start(trial, owner)).collect();
    let ended = started.into_iter().map(|helper| helper.and_then(end));
    let checks = trials.iter().zip(ended);
    checks.map(|(trial, ended)| judged(trial, ended)).collect()
}

fn judged(trial: &Trial, ended: io::Result<Tried>) -> Check {
    let key = trial.key.as_str();
    match ended {
        Ok(Tried {
            seen, fix: None, ..
        }) => Check::ok(key, seen),
        Ok(Tried {
            seen,
            fix: Some(fix),
            mild,
        }) if mild || key == CACHE && trial.kind == Kind::Own => Check::warning(key, seen, fix),
        Ok(Tried {
            seen,
            fix: Some(fix),
            ..
        }) => Check::failed(key, seen, fix),
        Err(error) => {
            let seen = format!("{}: {error}", trial.what.display());
            Check::warning(key, seen, "see whether its volume answers")
        }
    }
}

fn start(trial: &Trial, owner: Option<Owner>) -> io::Result<Helper> {
    let kind = format!("--kind={}", trial.kind.word());
    let key = format!("--key={}", trial.key);
    let mut arguments: Vec<OsString> = vec!["try-as-user".into(), kind.into(), key.into()];
    if let Some(keeper) = &trial.keeper {
        arguments.extend(["--keeper".into(), keeper.into()]);
    }
    if let Some(tls_key) = &trial.tls_key {
        arguments.extend(["--tls-key".into(), tls_key.into()]);
    }
    arguments.push(trial.what.clone());
    Helper::start(arguments, owner)
}

fn end(helper: Helper) -> io::Result<Tried> {
    let (status, said) = helper.end()?;
    serde_json::from_str(&said).map_err(|_| io::Error::other(format!("not tried: {status} {said}")))
}

/// Whether the addresses are free that the engine would listen on, in the words that it would use.
pub fn listeners(config: &Config, owner: Option<Owner>) -> Vec<Check> {
    if is_keepers(config) {
        return Vec::new();
    }
    let places = places(config);
    let trial = |place: &Place| Trial::new(Kind::Listen, place.setting, place.address.to_string());
    let trials: Vec<Trial> = places.iter().map(trial).collect();
    let checks = checks(&trials, owner).into_iter().zip(&places);
    checks
        .map(|(check, place)| in_words(check, place))
        .collect()
}

/// The number of an error is put into words here: root sees who has the address.
fn in_words(check: Check, place: &Place) -> Check {
    let Some(errno) = check.fix.as_deref().and_then(|text| text.parse().ok()) else {
        return check;
    };
    let by = holder(place.address.port());
    let trouble = place.trouble(&io::Error::from_raw_os_error(errno), by.as_deref());
    Check::failed(place.setting, trouble.words, trouble.help)
}

fn places(config: &Config) -> Vec<Place> {
    let acquires = config.acquire.downloads.is_some();
    let qbittorrent = acquires.then_some(config.qbittorrent.listen);
    let sabnzbd = config.sabnzbd.listen.filter(|_| acquires);
    let all: [(&str, &str, Option<SocketAddr>); 5] = [
        (
            "pages, health and metrics",
            "server.listen",
            Some(config.server.listen),
        ),
        ("qBittorrent API", "qbittorrent.listen", qbittorrent),
        ("SABnzbd API", "sabnzbd.listen", sabnzbd),
        ("files over HTTP", "http.listen", config.http.listen),
        ("NFS", "nfs.listen", config.nfs.listen),
    ];
    let places = all.into_iter().filter_map(|(what, setting, address)| {
        Some(Place {
            what,
            setting,
            address: address?,
        })
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use debridfs_doctor::Outcome;

    use super::*;

    #[test]
    fn only_the_cache_can_be_done_without_and_a_silent_volume_is_waited_for() {
        let tried = || {
            let (seen, fix) = ("no".to_owned(), Some("mend it".to_owned()));
            let mild = false;
            Ok(Tried { seen, fix, mild })
        };
        let outcome = |kind, key: &str, ended| judged(&Trial::new(kind, key, "/x"), ended).outcome;
        assert_eq!(outcome(Kind::Own, "state_dir", tried()), Outcome::Failed);
        assert_eq!(outcome(Kind::Own, CACHE, tried()), Outcome::Warning);
        assert_eq!(outcome(Kind::Alone, CACHE, tried()), Outcome::Failed);
        let silent = || Err(io::ErrorKind::TimedOut.into());
        assert_eq!(outcome(Kind::Own, "state_dir", silent()), Outcome::Warning);
        let (seen, fix) = ("yes".to_owned(), None);
        let mild = true;
        let waits = tried().map(|tried| Tried { mild, ..tried });
        let soon = outcome(Kind::Certificate, "http.tls_cert", waits);
        assert_eq!(soon, Outcome::Warning);
        let mild = false;
        let well = Ok(Tried { seen, fix, mild });
        assert_eq!(outcome(Kind::Own, "state_dir", well), Outcome::Ok);
    }

    #[test]
    fn who_has_an_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place {
            what: "NFS",
            setting: "nfs.listen",
            address: taken.local_addr().unwrap(),
        };
        let errno = rustix::io::Errno::ADDRINUSE.raw_os_error().to_string();
        let told = in_words(Check::failed("nfs.listen", "taken", errno), &place);
        assert_eq!(told.outcome, Outcome::Failed);
        let pid = std::process::id().to_string();
        assert!(told.seen.contains(&pid), "{told}");
        assert!(told.fix.unwrap().contains("nfs.listen"));
        let free = Check::ok("nfs.listen", "free");
        assert_eq!(in_words(free.clone(), &place), free);
    }

    #[test]
    fn a_keeper_without_an_account_is_asked_for_nothing_of_an_engines() {
        let mut config = Config::default();
        let keys = |trials: Vec<Trial>| trials.into_iter().map(|one| one.key).collect::<Vec<_>>();
        assert_eq!(keys(own(&config)), ["runtime_dir", "state_dir", CACHE]);
        assert_eq!(keys(alone(&config)), ["state_dir", CACHE]);
        config.content.cache.enabled = false;
        assert_eq!(keys(own(&config)), ["runtime_dir", "state_dir"]);
        assert_eq!(keys(alone(&config)), ["state_dir"]);
        config.keeper.mode = KeeperMode::Attached;
        assert_eq!(keys(own(&config)), ["runtime_dir"]);
        assert_eq!(keys(alone(&config)), [""; 0]);
        config.acquire.downloads = Some("/downloads".into());
        assert_eq!(keys(named(&config)), [DOWNLOADS]);
        assert_eq!(listeners(&config, None), []);
    }
}
