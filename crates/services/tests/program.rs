//! `on_library_update` over a simulated account, with a real program and real time.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Secret, SystemClock};
use debridfs_catalogue::{Catalogue, CatalogueConfig, FolderNaming, ViewRules};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount, Provider};
use debridfs_services::UpdateProgram;
use debridfs_sim::{ApiFault, FileSpec, InProcess, LibrarySpec, ReleaseSpec, Sim};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A catalogue of five releases, and a program that is told what changes in it.
struct Bed {
    dir: TempDir,
    sim: Sim,
    catalogue: Arc<Catalogue>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

fn release(number: u8) -> ReleaseSpec {
    let name = format!("Release {number:06}");
    let film = FileSpec::generated(format!("/{name}.mkv"), 1 << 30);
    ReleaseSpec::new(name, vec![film])
}

impl Bed {
    /// `script` gets the file of [`Bed::told`] as `$0` and the paths as `$@`.
    async fn new(script: &str, time_limit: Duration) -> Self {
        let library = LibrarySpec {
            seed: 1,
            releases: (0..5).map(release).collect(),
        };
        let sim = Sim::new(&library).unwrap();
        sim.configure(|settings| settings.calls_per_minute = 0);
        Self::over(tempfile::tempdir().unwrap(), sim, script, time_limit).await
    }

    async fn over(dir: TempDir, sim: Sim, script: &str, time_limit: Duration) -> Self {
        let account = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new(sim.token())),
            calls_per_minute: 100_000,
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let transport = Arc::new(InProcess::new(sim.router()));
        let account = DebridAccount::with_transport(account, transport, Arc::new(SystemClock));
        let account: Arc<dyn Provider> = Arc::new(account.unwrap());
        let views = ViewRules::new(
            FolderNaming::default(),
            vec!["rd".to_owned()],
            &BTreeMap::new(),
        );
        let mut config = CatalogueConfig::new(dir.path().join("catalogue.db"), views.unwrap());
        config.poll_every = Duration::from_millis(50);
        config.publish_every = Duration::from_millis(50);
        let catalogue = Catalogue::open(config, vec![account]).await.unwrap();
        let file = dir.path().join("told").into_os_string();
        let program = UpdateProgram {
            debounce: Duration::from_millis(50),
            time_limit,
            ..UpdateProgram::new("/bin/sh", vec!["-c".into(), script.into(), file])
        };
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(program.follow(catalogue.clone(), shutdown.clone()));
        tasks.spawn(catalogue.clone().run(shutdown.clone()));
        Self {
            dir,
            sim,
            catalogue,
            shutdown,
            tasks,
        }
    }

    async fn until_complete(&self) {
        while !self.catalogue.status().complete {
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("told")
    }

    async fn until_told(&self, wanted: &[&str]) {
        let waiting = async {
            while !wanted.iter().all(|line| told(&self.file()).contains(*line)) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .is_err()
        {
            panic!("told only {:?}", told(&self.file()));
        }
    }

    fn remove(&self, name: &str) {
        let torrents = self.sim.torrents(0).unwrap();
        let torrent = torrents.iter().find(|one| one.filename == name).unwrap();
        self.sim.remove_torrent(0, &torrent.id).unwrap();
    }

    /// The store and the account, for another run.
    async fn stop(mut self) -> (TempDir, Sim) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
        (self.dir, self.sim)
    }
}

fn told(path: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn changed_paths_are_told_but_not_those_of_the_first_sync() {
    let script = r#"printf '%s\n' "$@" >> "$0""#;
    let bed = Bed::new(script, Duration::from_secs(60)).await;
    bed.until_complete().await;
    bed.sim.add_release(0, &release(7)).unwrap();
    bed.until_told(&["__all__/Release 000007", "rd/Release 000007"])
        .await;
    bed.remove("Release 000002");
    bed.until_told(&["__all__/Release 000002"]).await;
    assert!(!told(&bed.file()).contains("__all__/Release 000001"));
    bed.stop().await;
}

#[tokio::test]
async fn what_is_left_of_the_first_sync_is_not_told_after_a_restart() {
    let (script, limit) = (r#"printf '%s\n' "$@" >> "$0""#, Duration::from_secs(60));
    let bed = Bed::new(script, limit).await;
    let silent = ApiFault {
        endpoint: Some("torrents/info".to_owned()),
        status: Some(503),
        ..ApiFault::default()
    };
    let silent = bed.sim.fail_api(silent);
    while !bed.catalogue.status().listed {
        sleep(Duration::from_millis(20)).await;
    }
    let (dir, sim) = bed.stop().await;
    sim.clear_fault(silent).unwrap();
    let bed = Bed::over(dir, sim, script, limit).await;
    assert!(bed.catalogue.status().listed && !bed.catalogue.status().complete);
    bed.until_complete().await;
    bed.sim.add_release(0, &release(7)).unwrap();
    bed.until_told(&["__all__/Release 000007"]).await;
    let told = told(&bed.file());
    assert!(told.iter().all(|path| path.ends_with('7')), "{told:?}");
    bed.stop().await;
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_and_the_next_change_told() {
    let script = r#"printf '%s\n' "$@" >> "$0"; exec sleep 600"#;
    let bed = Bed::new(script, Duration::from_millis(300)).await;
    bed.until_complete().await;
    bed.sim.add_release(0, &release(7)).unwrap();
    bed.until_told(&["__all__/Release 000007"]).await;
    bed.sim.add_release(0, &release(8)).unwrap();
    bed.until_told(&["__all__/Release 000008"]).await;
    bed.stop().await;
}

#[tokio::test]
#[ignore = "started by the next test, with variables of its own"]
async fn the_environment_of_a_program() {
    let bed = Bed::new(r#"env > "$0""#, Duration::from_secs(60)).await;
    bed.until_complete().await;
    bed.sim.add_release(0, &release(7)).unwrap();
    bed.until_told(&["PLEX_TOKEN=mine"]).await;
    let told = told(&bed.file());
    let ours = told.iter().find(|line| line.starts_with("DEBRIDFS_"));
    assert_eq!(ours, None);
    bed.stop().await;
}

#[test]
fn a_program_is_not_handed_our_tokens() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_environment_of_a_program", "--ignored"])
        .env("DEBRIDFS__PROVIDER__RD__TOKEN", "secret")
        .env("PLEX_TOKEN", "mine")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
async fn a_program_that_never_stops_talking_is_ended_and_the_next_change_told() {
    let script = r#"printf '%s\n' "$@" >> "$0"; exec yes"#;
    let bed = Bed::new(script, Duration::from_millis(300)).await;
    bed.until_complete().await;
    bed.sim.add_release(0, &release(7)).unwrap();
    bed.until_told(&["__all__/Release 000007"]).await;
    bed.sim.add_release(0, &release(8)).unwrap();
    bed.until_told(&["__all__/Release 000008"]).await;
    bed.stop().await;
}
