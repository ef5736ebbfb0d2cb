//! The REST API and the MCP server by clients that others wrote: what the OpenAPI document promises is what a running engine
//! answers.

use std::path::Path;
use std::process::Command;

use debridfs_sim::{Clip, FileSpec, Kind, ReleaseSpec};

use crate::support::{ENGINE_USER, Instance, Settings, Simulator, film, free_address, run};

/// What the simulated account has when it is added.
const HASH: &str = "00112233445566778899aabbccddeeff00112233";
const OTHER: &str = "11112233445566778899aabbccddeeff00112233";
/// What it holds.
const FIRST: &str = "22222233445566778899aabbccddeeff00112233";
const SECOND: &str = "33332233445566778899aabbccddeeff00112233";
/// The token of the pages.
const TOKEN: &str = "a token of the pages";

/// Runs a script of this test with a Python that has its clients.
fn python(script: &str, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/tools/api/bin/python");
    let script = root.join("tests/mounted/api").join(script);
    let done = Command::new(&python).arg(script).args(arguments).output();
    let done = done.unwrap_or_else(|error| {
        panic!(
            "{}: {error} (scripts/setup.sh test makes it)",
            python.display()
        )
    });
    assert!(
        done.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A film with the same info-hash at each account.
fn known(name: &str, hash: &str) -> ReleaseSpec {
    ReleaseSpec {
        hash: Some(hash.to_owned()),
        ..film(name, 1 << 20)
    }
}

/// An account at TorBox, which has `Second` as well, and is long in downloading `First.2024`.
fn other_account() -> Simulator {
    let torbox = Simulator::of(Kind::TorBox, vec![known("Second", SECOND)]);
    torbox.add_spec(ReleaseSpec {
        copies: 0,
        cached: false,
        ..known("First.2024", FIRST)
    });
    torbox.download_slowly();
    torbox
}

/// An instance with downloads, a cache, repair and files over HTTP, and with further `providers`.
fn start(simulator: &Simulator, downloads: &Path, providers: &str) -> Instance {
    for hash in [HASH, OTHER] {
        let files = vec![FileSpec::clip("/Grabbed.2024.mkv", Clip::Film)];
        simulator.know(hash, "Grabbed.2024", files);
    }
    run("chown", &[ENGINE_USER, downloads.to_str().expect("text")]);
    let http = free_address();
    let toml = format!(
        "[web]\ntoken = \"{TOKEN}\"\nprovider_links = true\n\
         [http]\nlisten = \"{http}\"\nurl = \"http://{http}\"\n\
         [acquire]\ndownloads = \"{}\"\n{providers}",
        downloads.display()
    );
    let settings = Settings {
        toml,
        cache: true,
        ..Settings::default()
    };
    let instance = Instance::start(simulator, settings);
    instance.wait_synced();
    instance
}

#[test]
fn each_operation_does_what_the_document_says() {
    let films = vec![known("First.2024", FIRST), known("Second", SECOND)];
    let (simulator, torbox) = (Simulator::start(films), other_account());
    let downloads = tempfile::tempdir().expect("directory");
    let providers = format!(
        "[provider.tb]\nkind = \"torbox\"\ntoken = \"{}\"\napi_url = \"{}\"\n",
        torbox.token(),
        torbox.api_url()
    );
    let instance = start(&simulator, downloads.path(), &providers);
    let status = instance.status();
    let site = status["engine"]["listen"].as_str().expect("it listens");
    let site = format!("http://{site}");
    python("operations.py", &[&site, TOKEN, HASH, OTHER]);
    let log = instance.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn language_models_ask_over_http_and_over_standard_input() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let downloads = tempfile::tempdir().expect("directory");
    let instance = start(&simulator, downloads.path(), "");
    let status = instance.status();
    let site = status["engine"]["listen"].as_str().expect("it listens");
    let endpoint = format!("http://{site}/mcp");
    let program = env!("CARGO_BIN_EXE_debridfs");
    let config = instance.config();
    let config = config.to_str().expect("text");
    python("models.py", &[&endpoint, TOKEN, program, config]);
}
