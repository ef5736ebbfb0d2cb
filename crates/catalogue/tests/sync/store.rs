//! The store in trouble.

use std::path::Path;
use std::time::Duration;

use debridfs_provider::{DirectLink, HosterLink, KeyId};
use jiff::SignedDuration;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::bench::{Bench, all, known, pass};
use crate::fake::{Fake, hash, torrent};

async fn outside(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

async fn filled() -> Bench {
    let bench = Bench::new(Fake::with(20));
    let run = bench.start().await;
    run.until_complete().await;
    run.stop().await;
    bench
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_file_is_moved_aside_and_the_library_comes_back_with_the_same_ids() {
    let bench = filled().await;
    let before = bench.open().await.library().borrow().clone();
    let size = std::fs::metadata(bench.path()).unwrap().len() as usize;
    std::fs::write(bench.path(), vec![b'x'; size]).unwrap();
    let run = bench.start().await;
    let trouble = run.catalogue.status().store_trouble.unwrap();
    assert!(
        trouble.message.contains("corrupt") && !trouble.in_memory,
        "{trouble:?}"
    );
    assert!(!run.library().listed);
    run.until_complete().await;
    run.until("all", |library| all(library).len() == 20).await;
    let after = run.library();
    for (old, new) in before.views.iter().zip(&after.views) {
        assert_eq!((old.id, &old.name), (new.id, &new.name));
        for (old, new) in old.entries.iter().zip(new.entries.iter()) {
            assert_eq!((&old.name, &old.dir_ids), (&new.name, &new.dir_ids));
        }
    }
    run.stop().await;
    let aside = std::fs::read_dir(bench.dir.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains(".corrupt-")
        })
        .count();
    assert!(aside >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_torn_page_is_noticed() {
    let bench = filled().await;
    let mut bytes = std::fs::read(bench.path()).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(bench.path(), bytes).unwrap();
    let run = bench.start().await;
    run.until_complete().await;
    run.until("all", |library| all(library).len() == 20).await;
    run.stop().await;
}

/// What a later version of the program would leave behind: a migration that this one does not know.
async fn newer(path: &std::path::Path) -> sqlx::SqliteConnection {
    let mut connection = outside(path).await;
    for statement in [
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', 1, x'00', 0)",
        "ALTER TABLE torrents ADD COLUMN later INTEGER NOT NULL DEFAULT 7",
        "CREATE TABLE much_later (a INTEGER)",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_version_added_is_no_obstacle_after_a_downgrade() {
    let bench = filled().await;
    drop(newer(&bench.path()).await);
    bench.fake.add(torrent(20, 1));
    let run = bench.start().await;
    run.until("the new one as well", |library| all(library).len() == 21)
        .await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_this_version_cannot_read_is_left_alone_and_the_library_served_from_memory() {
    let bench = filled().await;
    let mut connection = newer(&bench.path()).await;
    sqlx::query("PRAGMA user_version = 99")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let run = bench.start().await;
    let trouble = run.catalogue.status().store_trouble.unwrap();
    assert!(
        trouble.in_memory && trouble.message.contains("version 99"),
        "{trouble:?}"
    );
    run.until("all", |library| all(library).len() == 20).await;
    bench.fake.add(torrent(20, 1));
    run.until("the new one", |library| known(library, hash(20)))
        .await;
    run.stop().await;
    let mut connection = outside(&bench.path()).await;
    let torrents: i64 = sqlx::query_scalar("SELECT count(*) FROM torrents")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(torrents, 20);
}

type Spoil = fn(&Path);

/// Ways in which the file cannot be opened, each with whether the rows in it are shown at once.
const UNUSABLE: [(&str, Spoil, bool); 5] = [
    (
        "its log is a directory",
        |path| std::fs::create_dir(path.with_extension("db-wal")).unwrap(),
        true,
    ),
    (
        "its index is a pipe",
        |path| pipe(&path.with_extension("db-shm")),
        true,
    ),
    (
        "it is a directory",
        |path| instead(path, |path| std::fs::create_dir(path).unwrap()),
        false,
    ),
    ("it is a pipe", |path| instead(path, pipe), false),
    (
        "it is a link to nowhere",
        |path| {
            instead(path, |path| {
                std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap()
            })
        },
        false,
    ),
];

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

fn instead(path: &Path, make: impl Fn(&Path)) {
    std::fs::rename(path, path.with_extension("was")).unwrap();
    make(path);
}

#[tokio::test(start_paused = true)]
async fn the_library_is_served_whatever_is_in_the_place_of_its_file() {
    for (what, make, shown_at_once) in UNUSABLE {
        let bench = filled().await;
        // Closed on a thread of its own, which removes them at the end, and a pipe in their place as well.
        let begun = std::time::Instant::now();
        let companions = ["db-wal", "db-shm"].map(|ending| bench.path().with_extension(ending));
        while companions.iter().any(|path| path.exists()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{companions:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        make(&bench.path());
        let run = bench.start().await;
        assert_eq!(run.library().listed, shown_at_once, "{what}");
        run.until("all", |library| all(library).len() == 20).await;
        let trouble = run.catalogue.status().store_trouble;
        assert!(trouble.is_some(), "{what}");
        run.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_makes_no_sense_costs_itself_alone() {
    let bench = filled().await;
    let mut connection = outside(&bench.path()).await;
    for statement in [
        // Text that is none, a time beyond all calendars, and a number in place of text.
        "UPDATE torrents SET filename = CAST(x'ff' AS TEXT) WHERE id = (SELECT min(id) FROM torrents)",
        "UPDATE torrents SET added = 9223372036854775807 WHERE id = (SELECT max(id) FROM torrents)",
        "UPDATE shown SET name = x'00ff' WHERE hash = (SELECT min(hash) FROM shown)",
        "UPDATE counters SET value = -1",
        "INSERT INTO key_links VALUES ('rd', x'ff', '', 'u', 'f', 'many', 'once')",
        "INSERT INTO copy_verdicts VALUES ('rd', 'x', 1.5, x'ff', 'then')",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    drop(connection);
    let run = bench.start().await;
    assert_eq!(all(&run.library()).len(), 18);
    run.until("all", |library| all(library).len() == 20).await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_without_a_table_is_moved_aside() {
    let bench = filled().await;
    let mut connection = outside(&bench.path()).await;
    sqlx::query("DROP TABLE shown")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let run = bench.start().await;
    let trouble = run.catalogue.status().store_trouble.unwrap();
    assert!(
        !trouble.in_memory && trouble.message.contains("moved to"),
        "{trouble:?}"
    );
    run.until("all", |library| all(library).len() == 20).await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_is_told_and_made_up_for() {
    let bench = Bench::new(Fake::with(20));
    let run = bench.start().await;
    run.until_complete().await;
    let mut connection = outside(&bench.path()).await;
    sqlx::query(
        "CREATE TRIGGER no_room BEFORE INSERT ON torrents BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    bench.fake.add(torrent(20, 1));
    run.until("shown", |library| known(library, hash(20))).await;
    let trouble = run.catalogue.status().store_trouble.unwrap();
    assert!(
        trouble.in_memory && trouble.message.contains("no room"),
        "{trouble:?}"
    );
    pass(300).await;
    assert!(run.catalogue.status().store_trouble.is_some());
    sqlx::query("DROP TRIGGER no_room")
        .execute(&mut connection)
        .await
        .unwrap();
    pass(300).await;
    assert_eq!(run.catalogue.status().store_trouble, None);
    run.kill().await;
    let infos = bench.fake.inside().infos.len();
    let catalogue = bench.open().await;
    let library = catalogue.library().borrow().clone();
    assert!(known(&library, hash(20)));
    assert_eq!(bench.fake.inside().infos.len(), infos);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_for_long_is_forgotten_and_comes_back_with_its_ids() {
    let bench = filled().await;
    let before = bench.open().await.library().borrow().clone();
    let mut connection = outside(&bench.path()).await;
    let mut old = direct(&bench, 1);
    old.resolved_at = bench.clock.now() - SignedDuration::from_hours(24 * 91);
    {
        let links = bench.open().await.links();
        links.save("rd", &hoster(1), &old);
        links.save("rd", &hoster(2), &direct(&bench, 2));
        pass(1).await;
    }
    // Of hoster 3 there is a torrent; as if two others had been purged, one of them lately.
    let torrents = "SELECT hash, json_extract(links, '$[0]') FROM torrents ORDER BY hash";
    let rows: Vec<(String, String)> = sqlx::query_as(torrents)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let held = HosterLink(rows[2].1.clone());
    bench.open().await.links().save("rd", &held, &old);
    pass(1).await;
    for (at, row) in rows.iter().take(2).enumerate() {
        sqlx::query("DELETE FROM torrents WHERE hash = ?")
            .bind(&row.0)
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query("DELETE FROM history WHERE hash = ? AND ? = 0")
            .bind(&row.0)
            .bind(at as i64)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    drop(bench.open().await);
    let shown: Vec<String> = sqlx::query_scalar("SELECT hash FROM shown ORDER BY hash")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(shown.len(), 19, "one was purged long ago");
    assert!(!shown.contains(&rows[0].0) && shown.contains(&rows[1].0));
    let mut kept = [hoster(2).0, held.0];
    kept.sort_unstable();
    assert_eq!(stored(&mut connection).await, kept);

    // Both come back, as the account still holds them.
    let run = bench.start().await;
    run.until("all", |library| all(library).len() == 20).await;
    run.until_complete().await;
    let after = run.library();
    for (old, new) in before.views.iter().zip(&after.views) {
        for (old, new) in old.entries.iter().zip(new.entries.iter()) {
            assert_eq!((&old.name, &old.dir_ids), (&new.name, &new.dir_ids));
        }
    }
    run.stop().await;
}

fn hoster(number: u32) -> HosterLink {
    HosterLink(format!("https://real-debrid.com/d/{number}"))
}

fn direct(bench: &Bench, number: u32) -> DirectLink {
    DirectLink {
        url: format!("https://1.download.real-debrid.com/d/X/{number}.mkv"),
        filename: format!("{number}.mkv"),
        bytes: None,
        resolved_at: bench.clock.now(),
        key: KeyId::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn links_outlive_a_restart_and_are_private() {
    use std::os::unix::fs::PermissionsExt;

    let bench = Bench::new(Fake::with(1));
    let link = DirectLink {
        bytes: Some(u64::MAX),
        ..direct(&bench, 1)
    };
    let of_key = |token: &str| DirectLink {
        key: KeyId::of_token(token),
        ..link.clone()
    };
    let (one, two) = (of_key("ONE"), of_key("TWO"));
    {
        let links = bench.open().await.links();
        links.save("rd", &hoster(1), &link);
        for link in [&one, &two, &one] {
            links.save("rd", &hoster(2), link);
        }
        links.forget("rd", &hoster(2), &one.key);
        assert_eq!(
            links.load("rd", &hoster(2)).await.unwrap(),
            std::slice::from_ref(&two)
        );
        links.save("rd", &hoster(3), &link);
        links.forget("rd", &hoster(3), &link.key);
        pass(1).await;
    }
    let catalogue = bench.open().await;
    let links = catalogue.links();
    assert_eq!(links.load("rd", &hoster(1)).await.unwrap(), [link]);
    assert_eq!(links.load("rd", &hoster(2)).await.unwrap(), [two]);
    assert_eq!(links.load("rd", &hoster(3)).await.unwrap(), []);
    assert_eq!(links.load("other", &hoster(1)).await.unwrap(), []);
    let mode = std::fs::metadata(bench.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = format!("{catalogue:?} {:?}", catalogue.status());
    assert!(!shown.contains("download.real-debrid"));
}

#[tokio::test(start_paused = true)]
async fn links_that_could_not_be_written_are_written_later() {
    let bench = Bench::new(Fake::with(1));
    let link = direct(&bench, 1);
    {
        let catalogue = bench.open().await;
        let links = catalogue.links();
        links.save("rd", &hoster(1), &link);
        pass(1).await;
        let mut connection = outside(&bench.path()).await;
        for sql in [
            "CREATE TRIGGER no_room BEFORE INSERT ON key_links BEGIN SELECT RAISE(ABORT, 'no room'); END",
            "CREATE TRIGGER no_hole BEFORE DELETE ON key_links BEGIN SELECT RAISE(ABORT, 'no room'); END",
        ] {
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
        links.forget("rd", &hoster(1), &link.key);
        for number in [2, 3] {
            links.save("rd", &hoster(number), &link);
        }
        pass(1).await;
        assert_eq!(stored(&mut connection).await, [hoster(1).0]);
        // In memory all is as it was asked.
        assert_eq!(links.load("rd", &hoster(1)).await.unwrap(), []);
        for sql in ["DROP TRIGGER no_room", "DROP TRIGGER no_hole"] {
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
        pass(60).await;
    }
    let links = bench.open().await.links();
    assert_eq!(links.load("rd", &hoster(1)).await.unwrap(), []);
    for number in [2, 3] {
        let stored = links.load("rd", &hoster(number)).await.unwrap();
        assert_eq!(stored, std::slice::from_ref(&link));
    }
}

/// The hosters whose links are in the file.
async fn stored(connection: &mut SqliteConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT hoster FROM key_links ORDER BY hoster")
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_holds_up_no_link_and_loses_none() {
    let bench = Bench::new(Fake::with(1));
    let [one, two, three] = [1, 2, 3].map(|number| direct(&bench, number));
    {
        let catalogue = bench.open().await;
        let links = catalogue.links();
        let mut connection = outside(&bench.path()).await;
        let busy = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        links.save("rd", &hoster(1), &one);
        links.save("rd", &hoster(2), &two);
        links.forget("rd", &hoster(1), &one.key);
        // The writer is at the file, and waits for it.
        tokio::task::yield_now().await;
        links.save("rd", &hoster(1), &three);
        links.save("rd", &hoster(3), &three);
        links.forget("rd", &hoster(3), &three.key);
        let found = links.load("rd", &hoster(1)).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&three));
        let found = links.load("rd", &hoster(2)).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&two));
        assert_eq!(links.load("rd", &hoster(3)).await.unwrap(), []);
        busy.rollback().await.unwrap();
        pass(1).await;
        let expected = [hoster(1).0, hoster(2).0];
        assert_eq!(stored(&mut connection).await, expected);
    }
    let links = bench.open().await.links();
    assert_eq!(links.load("rd", &hoster(1)).await.unwrap(), [three]);
    assert_eq!(links.load("rd", &hoster(2)).await.unwrap(), [two]);
}

/// A tmpfs of two megabytes; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "debridfs-test"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(status.success(), "a small disk needs root");
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_at_the_start() {
    let disk = SmallDisk::new();
    let mut bench = Bench::new(Fake::with(20));
    bench.dir = tempfile::tempdir_in(disk.0.path()).unwrap();
    let run = bench.start().await;
    run.until_complete().await;
    run.stop().await;
    let mut filler = std::fs::File::create(bench.dir.path().join("filler")).unwrap();
    while std::io::Write::write(&mut filler, &[0; 512]).is_ok_and(|written| written > 0) {}
    let run = bench.start().await;
    assert_eq!(all(&run.library()).len(), 20);
    let trouble = run.catalogue.status().store_trouble;
    bench.fake.add(torrent(20, 40));
    run.until("shown", |library| known(library, hash(20))).await;
    println!(
        "at the start {trouble:?}, then {:?}",
        run.catalogue.status().store_trouble
    );
    assert!(run.catalogue.status().store_trouble.unwrap().in_memory);
    run.stop().await;
}
