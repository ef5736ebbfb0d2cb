//! `[nfs]` and `[nfs.export.NAME]`: files over NFS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use debridfs_base::{HumanDuration, list};
use debridfs_catalogue::{ALL, BAD};
use debridfs_nfs::{Export, Squash};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Config;

/// User and group `nobody`, in most systems.
const NOBODY: u32 = 65534;
/// How long a request may wait at most: clients take a call for lost after a minute.
const LONGEST_PATIENCE: Duration = Duration::from_secs(50);

/// `[nfs]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NfsSection {
    /// Address of NFS and MOUNT; not served when absent.
    pub listen: Option<SocketAddr>,
    /// File with the key that handles are made under, the same on every replica; one that is made in `state_dir` when absent.
    pub key_file: Option<PathBuf>,
    /// Whether NFS and MOUNT are registered with this machine's rpcbind, for clients that ask it for their port.
    pub rpcbind: bool,
    /// What is exported, by the name that clients mount.
    pub export: BTreeMap<String, ExportSection>,
}

/// `[nfs.export.NAME]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportSection {
    /// The directory, relative to the root of the library.
    pub path: String,
    /// Who may use it. A list; in a variable also text with commas between them.
    #[serde(deserialize_with = "list::deserialize")]
    pub networks: Vec<IpNet>,
    /// Whose requests are carried out as another user.
    pub squash: Squash,
    /// That user.
    pub squash_uid: u32,
    /// And its group.
    pub squash_gid: u32,
    /// Whether requests may come from unprivileged ports.
    pub insecure: bool,
    /// How long a request waits before its client is told to ask again.
    pub patience: HumanDuration,
    /// What `stat` shows, and handles are bound to; made of the name when absent.
    pub fsid: Option<u64>,
}

impl Default for ExportSection {
    fn default() -> Self {
        Self {
            path: "/".into(),
            networks: Vec::new(),
            squash: Squash::Root,
            squash_uid: NOBODY,
            squash_gid: NOBODY,
            insecure: false,
            patience: HumanDuration::from_secs(10),
            fsid: None,
        }
    }
}

impl NfsSection {
    /// The exports.
    pub fn exports(&self) -> Vec<Export> {
        let exports = self.export.iter();
        exports
            .map(|(name, section)| Export {
                name: name.clone(),
                path: section.path.trim_matches('/').to_owned(),
                fsid: section.fsid(name),
                networks: section.networks.clone(),
                squash: section.squash,
                anonymous: (section.squash_uid, section.squash_gid),
                insecure: section.insecure,
                patience: section.patience.0,
            })
            .collect()
    }
}

impl ExportSection {
    /// Its number, given or made of its `name`.
    pub fn fsid(&self, name: &str) -> u64 {
        self.fsid.unwrap_or_else(|| Export::default_fsid(name))
    }
}

/// What no single type can tell, as (path of the key, message, help).
pub(super) fn problems(config: &Config) -> Vec<(Vec<&str>, String, &'static str)> {
    let nfs = &config.nfs;
    let mut found = Vec::new();
    if nfs.listen.is_some() && nfs.export.is_empty() {
        found.push((
            vec!["nfs", "listen"],
            "`nfs.listen` is set, and nothing is exported".to_owned(),
            "add [nfs.export.NAME] with `networks`, such as [\"192.168.1.0/24\"]",
        ));
    }
    let mut by_fsid = BTreeMap::new();
    for (name, export) in &nfs.export {
        let mut wrong = |key: Option<&'static str>, words: String, help| {
            let path = ["nfs", "export", name].into_iter().chain(key);
            found.push((path.collect(), format!("`nfs.export.{name}` {words}"), help));
        };
        let is_name = !matches!(name.as_str(), "" | "." | "..") && name.len() <= 255;
        if !is_name || name.contains(['/', '\0']) {
            let help = "clients mount HOST:/NAME, so the name may not contain `/`";
            wrong(None, "has no name that can be mounted".into(), help);
        }
        if export.networks.is_empty() {
            wrong(
                None,
                "has no `networks`, so nobody could use it".into(),
                "list who may, such as networks = [\"192.168.1.0/24\", \"fd00::/8\"]; one address is \"192.168.1.7/32\"",
            );
        }
        if export
            .path
            .split('/')
            .any(|part| matches!(part, "." | ".."))
        {
            let words = format!("cannot export {:?}", export.path);
            let help =
                "write a directory relative to the root of the library, without `.` and `..`";
            wrong(Some("path"), words, help);
        }
        if export.patience.0.is_zero() || export.patience.0 > LONGEST_PATIENCE {
            let help = "write 1s to 50s: clients give up a call after a minute";
            wrong(Some("patience"), "has no `patience` of use".into(), help);
        }
        if let Some(other) = by_fsid.insert(export.fsid(name), name) {
            let words = format!("has the `fsid` of `nfs.export.{other}`");
            wrong(Some("fsid"), words, "give each export a number of its own");
        }
    }
    found
}

/// What is worth telling though it is no mistake.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let nfs = &config.nfs;
    let mut notes = Vec::new();
    if nfs.listen.is_none() && !nfs.export.is_empty() {
        notes.push("[nfs.export] without effect: `nfs.listen` is not set".to_owned());
    }
    let views = [ALL, BAD].into_iter();
    let views = views.chain(config.provider.keys().map(String::as_str));
    let views: Vec<_> = views
        .chain(config.folders.keys().map(String::as_str))
        .collect();
    for (name, export) in &nfs.export {
        let view = export.path.split('/').find(|name| !name.is_empty());
        if let Some(view) = view.filter(|view| !views.contains(view)) {
            notes.push(format!(
                "nfs.export.{name} exports {:?}, but the library has no view {view:?}, so clients cannot mount it. It has {}",
                export.path,
                views.join(", ")
            ));
        }
        if export
            .networks
            .iter()
            .any(|network| network.prefix_len() == 0)
        {
            notes.push(format!(
                "nfs.export.{name} admits every address: NFS has no passwords and no encryption, so anyone who reaches the port can read the library"
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use crate::testing::{loaded, mistakes};

    #[test]
    fn an_export_has_networks_a_name_and_a_number_of_its_own() {
        let text = "[nfs]\nlisten = \"[::]:2049\"\n\
                    [nfs.export.media]\npath = \"/films/\"\nnetworks = [\"10.0.0.0/8\", \"fd00::/8\"]\n\
                    [nfs.export.all]\nfsid = 7\n";
        let networks = [(
            "DEBRIDFS__NFS__EXPORT__ALL__NETWORKS",
            "10.1.0.0/16, 10.2.0.0/16",
        )];
        let config = loaded(text, &networks).unwrap().config;
        let exports = config.nfs.exports();
        assert_eq!((exports[0].name.as_str(), exports[0].fsid), ("all", 7));
        assert_eq!(exports[0].networks.len(), 2);
        assert_eq!(
            (exports[1].path.as_str(), exports[1].networks.len()),
            ("films", 2)
        );
        // Handles hold it, so it may not change with the program.
        assert_eq!(exports[1].fsid, 4_111_305_504_367_670_596);
    }

    #[test]
    fn what_nobody_could_use_or_tell_apart_is_refused() {
        let words = mistakes;
        let listen = "[nfs]\nlisten = \"[::]:2049\"\n";
        assert!(words(listen).contains("nothing is exported"));
        let export = |keys: &str| words(&format!("{listen}[nfs.export.a]\n{keys}"));
        assert!(export("").contains("`nfs.export.a` has no `networks`"));
        let any = "networks = [\"10.0.0.0/8\"]\n";
        assert!(export(&format!("{any}path = \"a/../b\"")).contains("cannot export"));
        for patience in ["0s", "51s"] {
            assert!(export(&format!("{any}patience = \"{patience}\"")).contains("`patience`"));
        }
        let two = format!("{any}fsid = 1\n[nfs.export.b]\n{any}fsid = 1");
        assert!(export(&two).contains("`nfs.export.b` has the `fsid` of `nfs.export.a`"));
        assert!(words(&format!("{listen}[nfs.export.\"a/b\"]\n{any}")).contains("no name"));
    }

    #[test]
    fn exports_to_everybody_and_to_nobody_are_told_of() {
        let text = "[nfs.export.a]\nnetworks = [\"0.0.0.0/0\"]\n";
        let notes = loaded(text, &[]).unwrap().notes.join("\n");
        assert!(notes.contains("`nfs.listen` is not set"), "{notes}");
        assert!(
            notes.contains("nfs.export.a admits every address"),
            "{notes}"
        );
    }

    #[test]
    fn an_export_of_no_view_is_told_of() {
        let exports = |path: &str| {
            let text = format!(
                "[folders.films]\nfilters = {{ include = 'x' }}\n[nfs]\nlisten = \"127.0.0.1:0\"\n\
                 [nfs.export.a]\nnetworks = [\"10.0.0.0/8\"]\npath = \"{path}\"\n"
            );
            loaded(&text, &[]).unwrap().notes.join("\n")
        };
        for path in ["", "/", "/films/", "films/Film.2024", "__all__"] {
            assert_eq!(exports(path), "", "{path:?}");
        }
        let notes = exports("/moives/x");
        assert!(notes.contains("no view \"moives\""), "{notes}");
        assert!(notes.contains("__all__, __bad__, films"), "{notes}");
    }
}
