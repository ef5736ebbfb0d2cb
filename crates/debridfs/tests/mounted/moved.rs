//! Somebody moves in from another program: what their symlinks led to is there, at the same path.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use debridfs_sim::{FileSpec, ReleaseSpec};
use serde_json::Value;

use crate::support::{Instance, Settings, Simulator, film};

/// `[library]` of what `debridfs import` makes of `theirs`.
fn library(kind: &str, name: &str, theirs: &str) -> String {
    let dir = tempfile::tempdir().expect("directory");
    fs::write(dir.path().join(name), theirs).expect("written");
    let made = dir.path().join("made.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["import", kind])
        .arg(dir.path())
        .arg("--write")
        .arg(&made)
        .output()
        .expect("debridfs runs");
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(made).expect("written");
    let made: toml::Table = toml::from_str(&text).expect("TOML");
    toml::to_string(&made["library"]).expect("TOML")
}

fn check_links(instance: &Instance, farm: &Path) -> (bool, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["import", "check-links", "--json", "--socket"])
        .arg(instance.runtime().join("control.sock"))
        .arg(farm)
        .output()
        .expect("debridfs runs");
    let said = serde_json::from_slice(&output.stdout);
    (
        output.status.success(),
        said.unwrap_or_else(|error| panic!("{error}: {output:?}")),
    )
}

#[test]
fn symlinks_made_with_the_old_layout_lead_to_the_same_files() {
    let mut season = ReleaseSpec::new(
        "Show.S01.renamed",
        vec![
            FileSpec::generated("/Season 1/Show.S01E01.mkv", 1 << 20),
            FileSpec::generated("/Season 1/Extras/Show.S01E02.mkv", 2 << 20),
        ],
    );
    season.original_name = Some("Show.S01.1080p.mkv".into());
    let simulator = Simulator::start(vec![film("Film.2024", 3 << 20), season]);
    let rules = [
        // Base names alone, and the name of the torrent file without its extension.
        (
            library(
                "decypharr",
                "config.json",
                r#"{ "debrids": [{ "name": "realdebrid", "api_key": "t" }], "mount": { "mount_path": "/mnt/d" } }"#,
            ),
            "Show.S01.1080p",
        ),
        // The provider's name.
        (
            library(
                "zurg",
                "config.yml",
                "token: t\nretain_rd_torrent_name: true\nretain_folder_name_extension: true\nmount_path: /mnt/z\n",
            ),
            "Show.S01.renamed",
        ),
    ];
    for (library, show) in rules {
        let settings = Settings {
            library,
            ..Settings::default()
        };
        let instance = Instance::start(&simulator, settings);
        instance.wait_synced();
        let farm = tempfile::tempdir().expect("directory");
        let all = instance.mount().join("__all__");
        fs::create_dir(farm.path().join("tv")).expect("directory");
        for (link, target, bytes) in [
            ("film.mkv", "Film.2024/Film.2024.mkv", 3 << 20),
            ("tv/e1.mkv", &format!("{show}/Show.S01E01.mkv"), 1 << 20),
            ("tv/e2.mkv", &format!("{show}/Show.S01E02.mkv"), 2 << 20),
        ] {
            let link = farm.path().join(link);
            symlink(all.join(target), &link).expect("a link");
            let found = fs::metadata(&link).unwrap_or_else(|error| panic!("{target}: {error}"));
            assert_eq!(found.len(), bytes, "{target}");
        }
        symlink("/etc/hostname", farm.path().join("other")).expect("a link");
        let (good, said) = check_links(&instance, farm.path());
        assert!(good, "{said:#}");
        assert_eq!(
            (&said["resolve"], &said["others"]),
            (&3.into(), &1.into()),
            "{said:#}"
        );

        let gone = all.join("Gone.2020/Gone.2020.mkv");
        symlink(&gone, farm.path().join("tv/gone.mkv")).expect("a link");
        // As the old program had it, mounted elsewhere.
        let elsewhere = "/mnt/old/place/__all__/Film.2024/Film.2024.mkv";
        symlink(elsewhere, farm.path().join("old.mkv")).expect("a link");
        let (good, said) = check_links(&instance, farm.path());
        assert!(!good, "{said:#}");
        let dangling = said["dangling"].as_array().expect("a list");
        assert_eq!(dangling.len(), 1, "{said:#}");
        assert_eq!(dangling[0][1], gone.to_str().expect("text"));
        assert_eq!(said["mounted_elsewhere"]["/mnt/old/place"], 1, "{said:#}");
    }
}
