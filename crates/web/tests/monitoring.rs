//! Every metric and label that a dashboard or an alert of `deploy/monitoring` names exists, in the list that a test holds to what is
//! scraped.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use debridfs_web::{METRICS, MetricInfo, MetricKind};
use serde_json::Value;

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/monitoring")
}

/// A metric in a query, and the labels that it is chosen by.
#[derive(Debug, PartialEq, Eq)]
struct Selector {
    metric: String,
    labels: Vec<String>,
}

/// What a query is made of, strings left out: names, and other signs one by one.
fn tokens(query: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = query.chars().peekable();
    while let Some(sign) = rest.next() {
        if sign == '"' {
            while rest.next().is_some_and(|inner| inner != '"') {}
        } else if sign.is_alphabetic() || sign == '_' {
            let mut name = String::from(sign);
            while let Some(more) = rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                name.push(more);
            }
            tokens.push(name);
        } else if !sign.is_whitespace() {
            tokens.push(sign.to_string());
        }
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The names up to the next `end`.
fn names_until(tokens: &[String], end: &str) -> Vec<String> {
    let inside = tokens.iter().take_while(|token| *token != end);
    inside.filter(|token| is_name(token)).cloned().collect()
}

fn selectors(query: &str) -> Vec<Selector> {
    let tokens = tokens(query);
    let metrics = tokens.iter().enumerate();
    let metrics = metrics.filter(|(_, token)| token.starts_with("debridfs_"));
    metrics
        .map(|(at, metric)| Selector {
            metric: metric.clone(),
            labels: match tokens.get(at + 1).map(String::as_str) {
                Some("{") => names_until(&tokens[at + 2..], "}"),
                _ => Vec::new(),
            },
        })
        .collect()
}

/// Labels that results are grouped or matched by.
fn grouped(query: &str) -> Vec<String> {
    let tokens = tokens(query);
    let words = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    let grouping = tokens.windows(2).enumerate();
    let grouping = grouping.filter(|(_, two)| words.contains(&&*two[0]) && two[1] == "(");
    grouping
        .flat_map(|(at, _)| names_until(&tokens[at + 2..], ")"))
        .collect()
}

fn known(series: &str) -> Option<&'static MetricInfo> {
    let of = |name: &str| METRICS.iter().find(|metric| metric.name == name);
    let parts = ["_bucket", "_sum", "_count"];
    let histogram = parts.iter().find_map(|part| of(series.strip_suffix(part)?));
    // A histogram has no series of its own name.
    let plain = of(series).filter(|metric| metric.kind() != MetricKind::Histogram);
    histogram
        .filter(|metric| metric.kind() == MetricKind::Histogram)
        .or(plain)
}

/// What is wrong with a query whose results are shown by `shown` labels.
fn wrong(query: &str, shown: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut all: BTreeSet<&str> = ADDED.into();
    for Selector { metric, labels } in selectors(query) {
        let Some(info) = known(&metric) else {
            wrong.push(format!("there is no metric {metric}"));
            continue;
        };
        all.extend(info.labels);
        all.extend(metric.ends_with("_bucket").then_some("le"));
        let has = |label: &&String| info.labels.contains(&&***label) || ADDED.contains(&&***label);
        let unknown = labels.iter().filter(|label| !has(label));
        wrong.extend(unknown.map(|label| format!("{metric} has no label {label}")));
    }
    let by = grouped(query);
    let unknown = by.iter().chain(shown);
    let unknown = unknown.filter(|label| !all.contains(&***label));
    wrong.extend(unknown.map(|label| format!("no metric of it has the label {label}")));
    wrong
}

/// The names in `{{NAME}}` of a legend.
fn legend(text: &str) -> Vec<String> {
    let parts = text.split("{{").skip(1);
    parts
        .filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned()))
        .collect()
}

/// All queries below a JSON value, with their legends.
fn queries(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str);
            if let Some(expr) = text("expr") {
                let legend = text("legendFormat").unwrap_or_default();
                found.push((expr.to_owned(), legend.to_owned()));
            }
            if let Some(definition) = text("definition") {
                found.push((definition.to_owned(), String::new()));
            }
            members.values().for_each(|value| queries(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn dashboards_name_what_is_scraped() {
    let mut all = 0;
    for file in fs::read_dir(monitoring().join("dashboards")).unwrap() {
        let path = file.unwrap().path();
        let board = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut found = Vec::new();
        queries(&board, &mut found);
        assert!(!found.is_empty());
        for (query, shown) in &found {
            let wrong = wrong(query, &legend(shown));
            assert!(wrong.is_empty(), "{}: {query}: {wrong:?}", path.display());
        }
        all += found.len();
    }
    assert!(all > 100, "{all} queries");
}

#[test]
fn alerts_name_what_is_scraped() {
    // The form of the file is checked by promtool; `expr` is always a block, and nothing else is indented as deep.
    let rules = fs::read_to_string(monitoring().join("rules.yaml")).unwrap();
    let blocks = rules.split("        expr: |\n").skip(1);
    let mut all = 0;
    for block in blocks {
        let lines = block
            .lines()
            .take_while(|line| line.starts_with("          "));
        let query = lines.collect::<Vec<_>>().join("\n");
        let rule = block.split("      - alert:").next().unwrap();
        let shown: Vec<String> = rule
            .split("$labels.")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next().map(str::to_owned))
            .collect();
        let wrong = wrong(&query, &shown);
        assert!(wrong.is_empty(), "{query}: {wrong:?}");
        all += usize::from(!selectors(&query).is_empty());
    }
    assert!(all > 30, "{all} alerts");
}

#[test]
fn what_does_not_exist_is_seen() {
    let good =
        "sum by (provider) (rate(debridfs_provider_calls_total{job=\"x{debridfs_no}\"}[5m]))";
    assert_eq!(wrong(good, &["provider".into()]), [""; 0]);
    for (query, shown, words) in [
        (
            "debridfs_provider_cals_total",
            "",
            "no metric debridfs_provider_cals_total",
        ),
        (
            "rate(debridfs_provider_calls_total{kind=\"a\"}[5m])",
            "",
            "no label kind",
        ),
        ("sum by (le) (debridfs_healthy)", "", "label le"),
        ("debridfs_healthy", "provider", "label provider"),
        (
            "debridfs_healthy_bucket",
            "",
            "no metric debridfs_healthy_bucket",
        ),
        ("debridfs_http_request_duration_seconds", "", "no metric"),
    ] {
        let shown: Vec<String> = [shown.to_owned()]
            .into_iter()
            .filter(|one| !one.is_empty())
            .collect();
        let wrong = wrong(query, &shown);
        assert!(
            wrong.len() == 1 && wrong[0].contains(words),
            "{query}: {wrong:?}"
        );
    }
}
