//! Failed grabs and dead releases through the whole program: `docs/arrs.md`, `docs/repair.md`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use debridfs_sim::arr::Arr;
use debridfs_sim::arr_program::{ArrProgram, Offer, Program};
use debridfs_sim::{Clip, FileSpec, Outcome, ReleaseSpec, content};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ENGINE_USER, Instance, Server, Settings, Simulator, film, run, until};

const BAD: &str = "00112233445566778899aabbccddeeff00112233";
const GOOD: &str = "33221100ffeeddccbbaa99887766554433221100";
const KEY: &str = "key-of-the-arr";

/// A place for a server that nobody else has.
fn address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// An instance with downloads, and a whole arr that it knows and that knows it.
struct Household {
    instance: Instance,
    arr: ArrProgram,
    dir: TempDir,
    serving: Server,
}

impl Household {
    fn new(simulator: &Simulator) -> Self {
        Self::with(simulator, "")
    }

    /// With more lines of `[acquire]`.
    fn with(simulator: &Simulator, acquire: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-healing-")
            .tempdir()
            .expect("directory");
        let owned = dir.path().to_str().expect("text");
        run("chown", &[ENGINE_USER, owned]);
        let client = address();
        let arr = ArrProgram::new(
            Program::Sonarr,
            KEY,
            Arr::new(client, "arr", "secret", "tv"),
        );
        let serving = Server::start(arr.router());
        let toml = format!(
            "[acquire]\ndownloads = \"{}/downloads\"\n{acquire}\n\
             [qbittorrent]\nlisten = \"{client}\"\nuser = \"arr\"\npassword = \"secret\"\n\
             [arr.sonarr]\nurl = \"http://{}\"\napi_key = \"{KEY}\"\n\
             [repair]\napart = \"1s\"\n",
            dir.path().display(),
            serving.address
        );
        let settings = Settings {
            toml,
            ..Settings::default()
        };
        Self {
            instance: Instance::start(simulator, settings),
            arr,
            dir,
            serving,
        }
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("library")
    }

    /// Imports whatever is complete, until there is a file.
    fn imported(&self) -> PathBuf {
        let mut found = None;
        until("an import", Duration::from_secs(300), || {
            // Nothing is there before the client listens.
            let imported = self
                .serving
                .runtime
                .block_on(self.arr.import(&self.library()));
            found = imported.ok().and_then(|files| files.into_iter().next());
            found.is_some()
        });
        PathBuf::from(found.expect("just seen").path)
    }

    fn grab(&self) {
        let offers = vec![Offer::new("Bad", BAD), Offer::new("Good", GOOD)];
        let wanted = self.arr.want(offers);
        until("the grab", Duration::from_secs(60), || {
            self.serving
                .runtime
                .block_on(self.arr.search(wanted))
                .is_ok()
        });
    }

    /// What `debridfs repair ls --json` prints.
    fn repairs(&self) -> Value {
        let said = self.repair(&["ls", "--json"]);
        serde_json::from_str(&said).expect("JSON")
    }

    /// `debridfs repair …`.
    fn repair(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .arg("repair")
            .args(arguments)
            .arg("--socket")
            .arg(self.instance.runtime().join("control.sock"))
            .output()
            .expect("debridfs repair runs");
        String::from_utf8(output.stdout).expect("text")
    }

    fn film(&self, name: &str) -> PathBuf {
        let all = self.instance.mount().join("__all__");
        all.join(name).join(format!("{name}.mkv"))
    }
}

fn episode(hash: &str, name: &str) -> ReleaseSpec {
    let files = vec![FileSpec::clip(format!("/{name}.mkv"), Clip::Episode)];
    ReleaseSpec {
        hash: Some(hash.to_owned()),
        copies: 0,
        ..ReleaseSpec::new(name, files)
    }
}

fn read(path: &Path) -> std::io::Result<()> {
    fs::File::open(path)?.read_exact_at(&mut [0; 4096], 0)
}

#[test]
fn a_dead_grab_is_blocklisted_and_another_one_is_imported_through_the_mount() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    simulator.add_spec(ReleaseSpec {
        outcome: Outcome::Dead,
        cached: false,
        ..episode(BAD, "Bad")
    });
    simulator.add_spec(episode(GOOD, "Good"));
    simulator.download_quickly();
    let household = Household::new(&simulator);
    household.grab();
    let imported = household.imported();
    let target = fs::read_link(&imported).expect("a link");
    assert_eq!(target, household.film("Good"));
    read(&imported).expect("it plays");
    assert_eq!(household.arr.blocklist(), [BAD.to_uppercase()]);
}

#[test]
fn a_broken_link_is_healed_at_the_same_path_with_the_same_id() {
    let simulator = Simulator::start(vec![film("Ill.2024", 1 << 20), film("Well.2024", 1 << 20)]);
    let household = Household::new(&simulator);
    let (path, well) = (household.film("Ill.2024"), household.film("Well.2024"));
    let before = fs::metadata(&path).expect("it is there");
    let old = simulator.id("Ill.2024");
    simulator.break_links("Ill.2024", 19);
    // A player gives up long before the deadline; the read goes on in the program all the same.
    let reader = std::thread::spawn({
        let path = path.clone();
        move || read(&path)
    });
    until("it is added again", Duration::from_secs(120), || {
        simulator.ids("Ill.2024").len() == 2
    });
    let first = reader.join().expect("the reader ends");
    until("it plays again", Duration::from_secs(60), || {
        read(&path).is_ok()
    });
    drop(first);
    let (_, key) = simulator.file("Ill.2024.mkv");
    let (mut bytes, mut expected) = (vec![0; 4096], vec![0; 4096]);
    let file = fs::File::open(&path).expect("it opens");
    file.read_exact_at(&mut bytes, 8192).expect("it plays");
    content::fill(key, 8192, &mut expected);
    assert_eq!(bytes, expected);
    let after = fs::metadata(&path).expect("it is there");
    assert_eq!(after.ino(), before.ino());
    assert!(
        simulator.ids("Ill.2024").contains(&old),
        "nothing is deleted"
    );
    until("it is discharged", Duration::from_secs(60), || {
        let said = household.repairs();
        said["patients"].as_array().is_some_and(Vec::is_empty) && said["healed"] == 1
    });
    read(&well).expect("the other one as ever");
    let bad = household.instance.mount().join("__bad__/Ill.2024");
    until("it left __bad__", Duration::from_secs(60), || !bad.exists());
    let said = household.repair(&["check", "Ill.2024"]);
    assert_eq!(said, "Ill.2024: well\n");
}

#[test]
fn a_dead_release_goes_to_the_arr_which_imports_another_one() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    simulator.add_spec(episode(BAD, "Bad"));
    simulator.add_spec(episode(GOOD, "Good"));
    let household = Household::new(&simulator);
    household.grab();
    let imported = household.imported();
    assert_eq!(
        fs::read_link(&imported).expect("a link"),
        household.film("Bad")
    );
    // What is there of it is broken, and it is not taken again.
    simulator.refuse_next_magnet();
    simulator.break_links("Bad", 24);
    // Nothing bad is believed of a provider so soon after a start.
    until("the provider is believed", Duration::from_secs(60), || {
        let said = household.repairs();
        said["quiet"].as_array().is_some_and(Vec::is_empty)
    });
    // Its bytes may still be in memory; a check makes links anew.
    let said = household.repair(&["check", "Bad"]);
    assert!(said.starts_with("Bad: bad: "), "{said}");
    let replaced = household.imported();
    assert_eq!(
        fs::read_link(&replaced).expect("a link"),
        household.film("Good")
    );
    assert!(
        fs::symlink_metadata(&imported).is_err(),
        "the dead one is gone"
    );
    assert_eq!(household.arr.blocklist(), [BAD.to_uppercase()]);
    assert_eq!(simulator.torrents_of(BAD), 1, "the account keeps it");
    let bad = household.instance.mount().join("__bad__/Bad");
    assert!(
        bad.exists() && household.film("Bad").exists(),
        "in both views"
    );
    let said = household.repairs();
    assert_eq!(said["patients"][0]["stage"], "replaced", "{said}");
}

#[test]
fn a_replaced_release_leaves_the_account_as_configured_once_its_replacement_is_whole() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    simulator.add_spec(episode(BAD, "Bad"));
    simulator.add_spec(episode(GOOD, "Good"));
    let household = Household::with(&simulator, "delete = \"provider\"");
    household.grab();
    household.imported();
    simulator.refuse_next_magnet();
    simulator.break_links("Bad", 24);
    // A check before the provider is believed counts for nothing.
    until("the provider is believed", Duration::from_secs(60), || {
        household.repairs()["quiet"]
            .as_array()
            .is_some_and(Vec::is_empty)
    });
    let said = household.repair(&["check", "Bad"]);
    assert!(said.starts_with("Bad: bad: "), "{said}");
    // The arr grabs another one, and nothing of that is imported yet.
    until("it is not let go", Duration::from_secs(120), || {
        household
            .repairs()
            .to_string()
            .contains("has not all of another one yet")
    });
    assert_eq!(simulator.torrents_of(BAD), 1, "it is all that there is");
    assert_eq!(household.repairs()["patients"][0]["stage"], "replaced");
    let replaced = household.imported();
    assert_eq!(
        fs::read_link(&replaced).expect("a link"),
        household.film("Good")
    );
    until("it left the account", Duration::from_secs(120), || {
        simulator.torrents_of(BAD) == 0
    });
    read(&replaced).expect("the other one plays");
    assert_eq!(simulator.torrents_of(GOOD), 1);
    assert!(household.film("First.2024").exists());
}
