//! The table of what tries debridfs against each setting of a vendor.

use std::collections::BTreeSet;
use std::path::Path;

use debridfs_sim::Settings;

const VENDORS: [&str; 5] = [
    "realdebrid",
    "torbox",
    "alldebrid",
    "debridlink",
    "premiumize",
];

#[test]
fn every_setting_of_a_vendor_is_in_the_table_with_files_that_name_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/simulator.md")).unwrap();
    let settings = serde_json::to_value(Settings::default()).unwrap();
    let of = |vendor: &str| settings[vendor].as_object().unwrap().clone();
    let keys = VENDORS.iter().flat_map(|vendor| {
        let keys = of(vendor).into_iter();
        keys.map(move |(key, _)| format!("{vendor}.{key}"))
    });
    let mut missing: BTreeSet<String> = keys.collect();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    for row in rows {
        let Some((key, files)) = row.split_once("` | ") else {
            continue;
        };
        let Some((_, name)) = key.split_once('.') else {
            continue;
        };
        assert!(
            missing.remove(key),
            "{key} is no setting, or is there twice"
        );
        let paths: Vec<&str> = files.split('`').skip(1).step_by(2).collect();
        assert!(!paths.is_empty(), "{key} has no file");
        for path in paths {
            let test = std::fs::read_to_string(root.join(path));
            let test = test.unwrap_or_else(|error| panic!("{key}: {path}: {error}"));
            let switches = !files.starts_with("on by default") && !files.starts_with("none");
            assert!(
                !switches || test.contains(name),
                "{path} does not set {key}"
            );
        }
    }
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
