//! The volume that `debridfs mounts` prints for Kubernetes, checked against its type.

use std::path::Path;
use std::time::Duration;

use debridfs_nfs::{Export, Squash, client_lines};
use serde_json::Value;

use crate::kustomize::{list, wrong};

fn volume(name: &str, host: &str) -> Value {
    let export = Export {
        name: name.to_owned(),
        path: String::new(),
        fsid: 1,
        networks: vec!["10.0.0.0/8".parse().expect("a network")],
        squash: Squash::Root,
        anonymous: (65_534, 65_534),
        insecure: false,
        patience: Duration::from_secs(10),
    };
    let text = client_lines(&export, host, 2049, Path::new("/mnt/dfs"));
    let (_, rest) = text.split_once("# Kubernetes").expect("a volume");
    let (_, rest) = rest.split_once('\n').expect("lines");
    let (manifest, _) = rest.split_once("\n# ").expect("another client");
    serde_saphyr::from_str(manifest).expect("YAML")
}

#[test]
fn the_printed_volume_is_one_that_kubernetes_takes() {
    for (name, host) in [
        ("media", "192.168.1.10"),
        ("my films", "fd00::1"),
        ("1e3", "[fd00::1]"),
        ("\u{e4}", "10.0.0.1"),
        ("a: \"b\" #", "10.0.0.1"),
    ] {
        let volume = volume(name, host);
        assert_eq!(wrong(&volume), Vec::<String>::new(), "{name:?}");
        let object = volume["metadata"]["name"].as_str().expect("text");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        assert!(object.chars().all(|c| is_plain(c) || c == '-'), "{object}");
        assert!(object.ends_with(is_plain), "{object}");
        let spec = &volume["spec"];
        assert_eq!(spec["nfs"]["path"], format!("/{name}"));
        assert_eq!(spec["nfs"]["server"], host.trim_matches(['[', ']']));
        assert_eq!(
            (&spec["nfs"]["readOnly"], &spec["accessModes"][0]),
            (&true.into(), &"ReadOnlyMany".into())
        );
        let options = list(&spec["mountOptions"]);
        assert!(options.contains(&"nolock".into()) && options.contains(&"hard".into()));
    }
}
