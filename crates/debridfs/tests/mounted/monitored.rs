//! Debian's Prometheus scrapes the whole program while every front is used: each query of each dashboard gives a series, and what
//! others read of the program's metrics is well-formed.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use debridfs_sim::Kind;
use serde_json::Value;
use tempfile::TempDir;

use crate::behaviour::{nfs_section, token};
use crate::support::{Household, Settings, Simulator, broken, film, free_address, run, until};

/// Time between two scrapes.
const SCRAPE: Duration = Duration::from_millis(250);
/// What the last scrape, and what is answered later, may take.
const LIMIT: Duration = Duration::from_secs(30);
/// What Grafana would put for the length of time of a rate.
const RATE: &str = "30s";

/// A Prometheus that scrapes one engine; ended when dropped.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let dir = TempDir::new().expect("directory");
        let config = format!(
            "scrape_configs:\n  - job_name: debridfs\n    scrape_interval: {0}ms\n    scrape_timeout: {0}ms\n    \
             static_configs:\n      - targets: [\"{target}\"]\n",
            SCRAPE.as_millis()
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).expect("written");
        let address = free_address();
        let log = fs::File::create(dir.path().join("log")).expect("log");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}/tsdb", dir.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus: make setup unpacks it into target/tools/bin");
        Self {
            process,
            address,
            _dir: dir,
        }
    }

    /// The answers to `queries`, now, in their order.
    fn ask(&self, queries: &[String]) -> Vec<Value> {
        let url = format!("http://{}/api/v1/query", self.address);
        let mut arguments = Vec::new();
        for query in queries {
            if !arguments.is_empty() {
                arguments.push("--next".to_owned());
            }
            arguments.extend(["-s", "-G", "-w", "\\n", "--data-urlencode"].map(str::to_owned));
            arguments.extend([format!("query={query}"), url.clone()]);
        }
        let said = Command::new("curl").args(arguments).output().expect("curl");
        let text = String::from_utf8(said.stdout).expect("text");
        // While it starts it says in plain text that it does.
        let answers = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_default());
        answers.collect()
    }

    /// How many engines it reaches.
    fn reached(&self) -> usize {
        let answers = self.ask(&["up{job=\"debridfs\"} == 1".to_owned()]);
        answers.first().map_or(0, |answer| series(answer).len())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn series(answer: &Value) -> &[Value] {
    let result = answer["data"]["result"].as_array();
    result.map_or(&[], Vec::as_slice)
}

/// Whether one series has a number: a quantile of nothing is none.
fn has_a_number(answer: &Value) -> bool {
    let values = series(answer).iter();
    let mut values = values.filter_map(|one| one["value"][1].as_str()?.parse::<f64>().ok());
    values.any(|value| !value.is_nan())
}

/// Title and query of each panel's targets, as Grafana would ask.
fn queries() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/monitoring/dashboards");
    let mut all = Vec::new();
    for file in fs::read_dir(dir).expect("dashboards") {
        let path = file.expect("an entry").path();
        let board: Value =
            serde_json::from_str(&fs::read_to_string(&path).expect("text")).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let title = format!("{}: {}", board["title"], panel["title"]);
                let query = target["expr"].as_str().expect("a query");
                let query = query.replace("$instance", ".*");
                let query = query.replace("$__rate_interval", RATE);
                assert!(!query.contains('$'), "{query}");
                all.push((title, query));
            }
        }
    }
    all
}

/// Asks the program, whatever it answers.
fn fetch(url: &str) {
    run("curl", &["-s", "-o", "/dev/null", url]);
}

#[test]
fn every_query_of_every_dashboard_gives_a_series() {
    let simulator = Simulator::start(vec![
        film("One.2001.1080p", 4 << 20),
        film("Two.2002.1080p", 4 << 20),
        broken("Lost.2003"),
    ]);
    let other = Simulator::of(Kind::Premiumize, vec![film("Three.2003.1080p", 1 << 20)]);
    let nfs = free_address();
    let settings = Settings {
        cache: true,
        provider: "daily_traffic = \"1 TiB\"\n".into(),
        toml: format!(
            "[fuse]\nshadow_percent = 100.0\n{}\
             [provider.pm]\nkind = \"premiumize\"\ntoken = \"{}\"\napi_url = \"{}\"\n",
            nfs_section(nfs),
            other.token(),
            other.api_url()
        ),
        ..Settings::default()
    };
    let household = Household::with(&simulator, "", settings);
    let instance = &household.instance;
    instance.wait_synced();
    let status = instance.status();
    let listen = status["engine"]["listen"].as_str().expect("an address");
    let prometheus = Prometheus::start(listen);
    until("it is scraped", Duration::from_secs(60), || {
        prometheus.reached() == 1
    });

    let token = token(instance);
    let magnet = format!("magnet:?xt=urn:btih:{}&dn=Grabbed", "ab".repeat(20));
    household.patiently("a grab", || household.arr.grab_magnet(&magnet));
    let all = instance.mount().join("__all__");
    let port = nfs.port();
    // Rates want a change between two scrapes, of every counter.
    for round in ["One.2001.1080p", "Two.2002.1080p", "One.2001.1080p"] {
        let path = format!("{round}/{round}.mkv");
        fs::read(all.join(&path)).expect("a film");
        assert!(fs::metadata(all.join("missing")).is_err());
        assert!(fs::read(all.join("Lost.2003/three.mkv")).is_err());
        let url = format!(
            "nfs://127.0.0.1/library/__all__/{path}?version=3&nfsport={port}&mountport={port}"
        );
        let read = Command::new("nfs-cat")
            .arg(&url)
            .stdout(Stdio::null())
            .status();
        assert!(read.expect("nfs-cat").success());
        for path in [
            "__all__/One.2001.1080p/One.2001.1080p.mkv",
            "__all__/Lost.2003/three.mkv",
            "none",
        ] {
            fetch(&format!("http://{}/files/{token}/{path}", household.http));
        }
        fetch(&format!("http://suite:{token}@{}/dav/", household.http));
        fetch(&format!("http://{listen}/api/v1/openapi.json"));
        sleep(SCRAPE * 2);
    }

    let queries = queries();
    assert!(queries.len() > 100);
    let asked: Vec<String> = queries.iter().map(|(_, query)| query.clone()).collect();
    let begun = Instant::now();
    loop {
        let answers = prometheus.ask(&asked);
        assert_eq!(answers.len(), queries.len());
        let empty = queries.iter().zip(&answers);
        let empty = empty.filter(|(_, answer)| !has_a_number(answer));
        let empty: Vec<String> = empty
            .map(|((title, query), answer)| format!("{title}: {query}: {}", answer["error"]))
            .collect();
        if empty.is_empty() {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "no series: {empty:#?}");
        sleep(SCRAPE);
    }
    let metrics = format!("http://{listen}/metrics");
    assert_well_formed(&run("curl", &["-s", "-H", "Accept: text/plain", &metrics]));
}

/// `promtool check metrics` reads the text format and knows the conventions for names.
fn assert_well_formed(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    let mut input = promtool.stdin.take().expect("piped");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    let said = promtool.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.is_empty(), "{words}\n{text}");
}
