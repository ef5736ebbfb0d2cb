//! What is stored is read again, whatever was given, and whatever became of it.

use std::path::PathBuf;

use debridfs_acquire::{Error, Selection, ShareLimits, Step};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::support::{HASH, World, cached, hash, in_category, magnet};

const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";

fn file(world: &World) -> PathBuf {
    world.dir.path().join("state/jobs.db")
}

async fn run(world: &World, statements: &[&'static str]) {
    let options = SqliteConnectOptions::new().filename(file(world));
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    for statement in statements {
        let done = sqlx::query(*statement).execute(&mut connection).await;
        done.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_no_number_is_refused_and_changes_nothing() {
    let mut world = World::new(vec![]).await;
    let api = world.api();
    let link = format!("magnet:?xt=urn:btih:{HASH}&dn=Film");
    for bad in [
        "NaN",
        "inf",
        "-inf",
        "1e400",
        "-3",
        "-0.5",
        "4294967296",
        "x",
    ] {
        let form = [("urls", &*link), ("ratioLimit", bad)];
        let said = api.post("torrents/add", &form).await;
        assert_eq!(said.status, 400, "{bad}: {said:?}");
        assert!(
            said.text.contains("ratioLimit") && said.text.contains("-2"),
            "{said:?}"
        );
    }
    assert!(world.acquire.jobs().is_empty());
    for (given, kept) in [
        ("-2", -2.0),
        ("-1", -1.0),
        ("0", 0.0),
        ("2147483647", 2_147_483_647.0),
    ] {
        let form = [("urls", &*link), ("ratioLimit", given), ("stopped", "true")];
        assert_eq!(api.post("torrents/add", &form).await.text, "Ok.");
        assert_eq!(world.acquire.job(hash(HASH)).unwrap().limits.ratio, kept);
        world.acquire.remove(Selection::All, false).await.unwrap();
    }
    world
        .acquire
        .add(magnet(HASH, "Film"), in_category("tv"))
        .await
        .unwrap();
    for (name, bad) in [
        ("ratioLimit", "nan"),
        ("seedingTimeLimit", "9223372036854775807"),
        ("seedingTimeLimit", "1.5"),
        ("inactiveSeedingTimeLimit", "-9223372036854775808"),
    ] {
        let mut form = vec![
            ("hashes", HASH),
            ("ratioLimit", "1"),
            ("seedingTimeLimit", "1"),
            ("inactiveSeedingTimeLimit", "1"),
        ];
        form.iter_mut()
            .filter(|field| field.0 == name)
            .for_each(|field| field.1 = bad);
        let said = api.post("torrents/setShareLimits", &form).await;
        assert!(said.status == 400 && said.text.contains(name), "{said:?}");
    }
    world.restart(|_| {}).await;
    let job = world.acquire.job(hash(HASH)).unwrap();
    assert_eq!(job.limits, ShareLimits::default());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_again_is_not_stored() {
    let mut world = World::new(vec![]).await;
    world
        .acquire
        .add(magnet(HASH, "Film"), in_category("tv"))
        .await
        .unwrap();
    let edited = world
        .acquire
        .edit(Selection::All, |job| job.limits.ratio = f64::NAN);
    assert!(matches!(edited.await, Err(Error::Store { .. })));
    world.restart(|_| {}).await;
    assert_eq!(world.acquire.job(hash(HASH)).unwrap().limits.ratio, -2.0);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_is_a_failed_job_in_the_list() {
    let mut world = World::new(vec![cached(HASH, "Film")]).await;
    world.grab(HASH, "Film").await;
    world.grab(OTHER, "Other").await;
    world.complete(hash(HASH)).await;
    world.stop().await;
    let before = world.acquire.job(hash(HASH)).unwrap();
    run(
        &world,
        &[
            // As versions before stored a ratio that was no number.
            "UPDATE jobs SET job = json_set(job, '$.limits.ratio', NULL) WHERE hash LIKE '0123%'",
            "UPDATE jobs SET hash = CAST(x'ff00ff' AS TEXT) WHERE hash LIKE 'fedc%'",
            "INSERT INTO jobs VALUES ('3333333333333333333333333333333333333333', CAST(x'7bff' AS TEXT))",
            "INSERT INTO deletions VALUES ('rd', 'T', 'no hash', 'never')",
            "INSERT INTO tags VALUES (x'ff')",
        ],
    )
    .await;
    world.restart(|_| {}).await;
    let jobs = world.acquire.jobs();
    assert_eq!(jobs.len(), 3);
    for job in &jobs {
        let reason = job.reason.as_deref().unwrap_or_default();
        assert!(
            job.step == Step::Failed && reason.contains("cannot be read"),
            "{job:?}"
        );
        assert!(job.evidence.is_none(), "nothing speaks against the release");
    }
    let read = world.acquire.job(hash(HASH)).unwrap();
    assert_eq!((&read.name, &read.content), (&before.name, &before.content));
    let names: Vec<&str> = jobs.iter().map(|job| &*job.name).collect();
    assert!(names.contains(&"Other"), "{names:?}");
    let shown = world.api().get("torrents/info").await.json();
    assert_eq!(shown.as_array().unwrap().len(), 3);

    // Begun anew it is a job like any other, and what is removed does not come back.
    world
        .acquire
        .recheck(Selection::Some(vec![hash(HASH)]))
        .await
        .unwrap();
    world.complete(hash(HASH)).await;
    let others = jobs
        .iter()
        .map(|job| job.hash)
        .filter(|one| *one != hash(HASH));
    world
        .acquire
        .remove(Selection::Some(others.collect()), false)
        .await
        .unwrap();
    world.restart(|_| {}).await;
    assert_eq!(world.acquire.jobs().len(), 1);
    assert_eq!(world.acquire.job(hash(HASH)).unwrap().step, Step::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_newer_program_may_have_added_to_the_store_unless_it_says_otherwise() {
    let mut world = World::new(vec![]).await;
    world.grab(HASH, "Film").await;
    let later = [
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', 1, x'00', 0)",
        "ALTER TABLE jobs ADD COLUMN later INTEGER NOT NULL DEFAULT 7",
        "CREATE TABLE much_later (a INTEGER)",
    ];
    run(&world, &later).await;
    world.restart(|_| {}).await;
    world.grab(OTHER, "Other").await;
    world.restart(|_| {}).await;
    assert_eq!(world.acquire.jobs().len(), 2);

    run(&world, &["PRAGMA user_version = 99"]).await;
    let refused = world.open_in(world.dir.path()).await;
    assert!(
        matches!(refused, Err(Error::NewerSchema { .. })),
        "{refused:?}"
    );
    run(&world, &["PRAGMA user_version = 0"]).await;
    world.restart(|_| {}).await;
    assert_eq!(world.acquire.jobs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_opened_now_is_left_and_what_never_can_is_moved_aside() {
    let world = World::new(vec![]).await;
    world.grab(HASH, "Film").await;
    world.stop().await;
    run(&world, &["PRAGMA wal_checkpoint(TRUNCATE)"]).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let path = dir.path().join("state/jobs.db");
    std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
    let error = world.open_in(dir.path()).await.unwrap_err().to_string();
    assert!(error.contains("link to nowhere"), "{error}");
    assert!(path.is_symlink());
    std::fs::remove_file(&path).unwrap();
    std::fs::copy(file(&world), &path).unwrap();
    let wal = path.with_extension("db-wal");
    std::fs::create_dir(&wal).unwrap();
    let error = world.open_in(dir.path()).await.unwrap_err().to_string();
    let words = "db-wal: it is no file but a directory";
    assert!(error.contains(words), "{error}");
    std::fs::remove_dir(&wal).unwrap();
    let opened = world.open_in(dir.path()).await.unwrap();
    assert_eq!(opened.jobs().len(), 1, "once it can be opened all is there");

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state/jobs.db")).unwrap();
    let opened = world.open_in(dir.path()).await.unwrap();
    assert_eq!(opened.jobs().len(), 0);
    let aside = debridfs_base::state_file::moved_aside_in(&dir.path().join("state"));
    assert!(aside.len() == 1 && aside[0].is_dir(), "{aside:?}");
}

#[tokio::test(start_paused = true)]
async fn a_download_that_is_not_in_place_follows_a_corrected_folder() {
    let mut world = World::with(vec![cached(HASH, "Film")], |config| {
        config.downloads = config.downloads.with_file_name("missing-disk");
        // Nothing can be made there.
        std::fs::write(&config.downloads, "").unwrap();
    })
    .await;
    world.grab(HASH, "Film").await;
    let stuck = world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    assert!(stuck.save_path.ends_with("missing-disk/tv"), "{stuck:?}");
    world.restart(|_| {}).await;
    let job = world.complete(hash(HASH)).await;
    assert_eq!(job.save_path, world.downloads().join("tv"));
    assert!(world.downloads().join("tv/Film").is_dir());
    // What is in place stays where an arr imported it from.
    let elsewhere = world.dir.path().join("elsewhere");
    world.restart(|config| config.downloads = elsewhere).await;
    let job = world.acquire.job(hash(HASH)).unwrap();
    assert_eq!(job.save_path, world.downloads().join("tv"));
}
