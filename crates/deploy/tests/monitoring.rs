//! Alerts, dashboards and the scrape configuration of `deploy/monitoring`, checked by Debian's promtool (`make setup` unpacks it).
//! Whether the program has the metrics that they name is tested in `crates/web`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Value {
    let text = read(&format!("deploy/monitoring/{name}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn promtool(arguments: &[&str]) {
    let said = Command::new("promtool")
        .args(arguments)
        .current_dir(root().join("deploy/monitoring"))
        .output()
        .expect("promtool: make setup unpacks it into target/tools/bin");
    let words = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(said.status.success(), "{arguments:?}: {}", words.join("\n"));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All alerts of the rules.
fn alerts() -> Vec<Value> {
    let rules = yaml("rules.yaml");
    let groups = list(&rules["groups"]).iter();
    groups
        .flat_map(|group| list(&group["rules"]).to_vec())
        .collect()
}

#[test]
fn rules_and_the_scrape_configuration_are_well_formed() {
    promtool(&["check", "rules", "rules.yaml"]);
    promtool(&["check", "config", "--lint=all", "prometheus.yaml"]);
}

#[test]
fn each_alert_fires_when_it_should_and_not_otherwise() {
    promtool(&["test", "rules", "rules.test.yaml"]);
    let tests = yaml("rules.test.yaml");
    let outcomes = |case: &str, alert: &str| -> Vec<usize> {
        let tests = list(&tests["tests"]).iter();
        tests
            .filter(|test| text(&test["name"]) == case)
            .flat_map(|test| list(&test["alert_rule_test"]))
            .filter(|test| text(&test["alertname"]) == alert)
            .map(|test| list(&test["exp_alerts"]).len())
            .collect()
    };
    assert!(!alerts().is_empty());
    for alert in alerts() {
        let name = text(&alert["alert"]);
        let fires = outcomes(&format!("{name} fires"), name);
        assert_eq!(fires, [1], "{name} has a case in which it fires");
        let quiet = outcomes(&format!("{name} is quiet"), name);
        assert_eq!(quiet, [0], "{name} has a case in which it does not");
    }
}

#[test]
fn each_alert_says_what_it_means_and_where_help_is() {
    let page = read("docs/monitoring.md");
    let headings: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = text(&alert["alert"]).to_owned();
        let severity = text(&alert["labels"]["severity"]);
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
        let notes = &alert["annotations"];
        assert!(!text(&notes["summary"]).is_empty(), "{name}");
        assert!(text(&notes["description"]).ends_with('.'), "{name}");
        let anchor = text(&notes["runbook_url"]).rsplit_once("/docs/monitoring.md#");
        let expected = name.to_lowercase();
        assert_eq!(anchor.map(|(_, anchor)| anchor), Some(&*expected), "{name}");
        assert!(
            headings.contains(&*name),
            "docs/monitoring.md has no {name}"
        );
        assert!(names.insert(name.clone()), "{name} comes twice");
    }
    let described: BTreeSet<String> = headings.into_iter().map(str::to_owned).collect();
    assert_eq!(
        described, names,
        "docs/monitoring.md describes these alerts"
    );
}

#[test]
fn the_operator_gets_the_same_rules() {
    let rule = yaml("prometheusrule.yaml");
    assert_eq!(rule["spec"]["groups"], yaml("rules.yaml")["groups"]);
}

#[test]
fn dashboards_have_their_form() {
    let dir = root().join("deploy/monitoring/dashboards");
    let mut uids = BTreeSet::new();
    for file in std::fs::read_dir(dir).expect("dashboards") {
        let path = file.expect("an entry").path();
        let json = std::fs::read_to_string(&path).expect("text");
        let board: Value = serde_json::from_str(&json).expect("JSON");
        let name = path.display();
        assert!(uids.insert(text(&board["uid"]).to_owned()), "{name}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(&board["panels"]) {
            let title = text(&panel["title"]);
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {title}");
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            assert!(at("x") + at("w") <= 24, "{name}: {title}");
            for cell in (at("y")..at("y") + at("h"))
                .flat_map(|y| (at("x")..at("x") + at("w")).map(move |x| (x, y)))
            {
                assert!(taken.insert(cell), "{name}: {title} lies over another one");
            }
            if text(&panel["type"]) == "row" {
                continue;
            }
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{name}: {title}"
            );
            let targets = list(&panel["targets"]);
            assert!(!targets.is_empty(), "{name}: {title}");
            for target in targets {
                let expr = text(&target["expr"]);
                assert!(
                    expr.contains("instance=~\"$instance\""),
                    "{name}: {title}: {expr}"
                );
                let legend = text(&target["legendFormat"]);
                assert!(targets.len() == 1 || !legend.is_empty(), "{name}: {title}");
            }
        }
    }
    assert!(uids.len() >= 4, "{uids:?}");
}
