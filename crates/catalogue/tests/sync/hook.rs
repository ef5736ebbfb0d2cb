//! `on_library_update`, with a real program and real time.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use debridfs_catalogue::UpdateHook;

use crate::bench::{Bench, Run, known};
use crate::fake::{Fake, hash, torrent};

fn told(path: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

async fn until_told(path: &Path, wanted: &[&str]) {
    let waiting = async {
        while !wanted.iter().all(|line| told(path).contains(*line)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .is_err()
    {
        panic!("told only {:?}", told(path));
    }
}

async fn start(bench: &Bench, hook: UpdateHook) -> Run {
    let mut config = bench.config();
    config.poll_every = Duration::from_millis(50);
    config.publish_every = Duration::from_millis(50);
    config.on_library_update = Some(hook);
    bench.start_with(config).await
}

fn shell(script: &str, file: &Path) -> UpdateHook {
    let mut hook = UpdateHook::new(
        "/bin/sh",
        vec!["-c".into(), script.into(), file.as_os_str().to_owned()],
    );
    hook.debounce = Duration::from_millis(50);
    hook
}

#[tokio::test]
async fn changed_paths_are_told_but_not_those_of_the_first_sync() {
    let bench = Bench::new(Fake::with(5));
    let file = bench.dir.path().join("told");
    let run = start(&bench, shell(r#"printf '%s\n' "$@" >> "$0""#, &file)).await;
    run.until_complete().await;
    bench.fake.add(torrent(7, 1));
    until_told(&file, &["__all__/Release 000007", "rd/Release 000007"]).await;
    bench.fake.remove(2);
    until_told(&file, &["__all__/Release 000002"]).await;
    assert!(!told(&file).contains("__all__/Release 000001"));
    run.stop().await;
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_and_the_next_change_told() {
    let bench = Bench::new(Fake::with(5));
    let file = bench.dir.path().join("told");
    let script = r#"printf '%s\n' "$@" >> "$0"; exec sleep 600"#;
    let mut hook = shell(script, &file);
    hook.time_limit = Duration::from_millis(300);
    let run = start(&bench, hook).await;
    run.until_complete().await;
    bench.fake.add(torrent(7, 1));
    until_told(&file, &["__all__/Release 000007"]).await;
    bench.fake.add(torrent(8, 1));
    run.until("shown", |library| known(library, hash(8))).await;
    until_told(&file, &["__all__/Release 000008"]).await;
    run.stop().await;
}
