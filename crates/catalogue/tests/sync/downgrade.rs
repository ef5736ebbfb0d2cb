//! The version before copies opens what this one stored, changes it, and gives it back.
//!
//! Its list of migrations and its statements are copied here; they never change.

use std::path::Path;

use debridfs_catalogue::Library;
use debridfs_provider::{Error, Source, Verdict};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqlSafeStr, SqliteConnection};

use crate::bench::{Bench, pass};
use crate::fake::{Fake, hash, id};

/// Version, description, statements, and the SHA-384 that stores remember of those.
const MIGRATIONS: [(i64, &str, &str, &str); 3] = [
    (
        1,
        "first",
        include_str!("../../migrations/0001_first.sql"),
        "c4c85fc88645cbd1e4a636b735bda7f79f9fddebe8cd5bfdadc63f83d88ba77260928ce5bd5a201645b029735d9aa780",
    ),
    (
        2,
        "link keys",
        include_str!("../../migrations/0002_link_keys.sql"),
        "dac11c65088e0382cefeceaefb810cdd9697f6d9fc8a5f8abdaba30af656febcb2ea0d6aa55b5a5080d8bf3b734041ad",
    ),
    (
        3,
        "archives",
        include_str!("../../migrations/0003_archives.sql"),
        "cf1573e00d8e33525420d4b702bbb01794163f8c5a206b1559108cfa40ce1ee15e41c44b7ad586e871afa8e86f280c3b",
    ),
];

/// What it reads at its start, each with the number of rows that the test's library has.
const READS: [(&str, usize); 10] = [
    (
        "SELECT provider, id, hash, filename, bytes, status, added, ended, links, original_filename, files, removed, list_print, \
         info_due, ready_seen, archive FROM torrents",
        20,
    ),
    (
        "SELECT provider, hoster, url, filename, bytes, resolved_at, key FROM key_links",
        0,
    ),
    ("SELECT value FROM counters WHERE name = 'generation'", 1),
    ("SELECT hash, name, added, good FROM shown", 20),
    ("SELECT node, id FROM id_overrides", 0),
    ("SELECT view, hash FROM view_members", 40),
    ("SELECT name, changed FROM views", 3),
    ("SELECT at, parent, name FROM retired ORDER BY at, rowid", 0),
    (
        "SELECT provider, torrent, since, confirmations FROM held",
        0,
    ),
    (
        "SELECT provider, listed, last_full, held_counted FROM sync_state",
        1,
    ),
];

const WRITE_TORRENT: &str = "INSERT OR REPLACE INTO torrents (provider, id, hash, filename, bytes, status, added, ended, links, original_filename, \
     files, removed, list_print, info_due, ready_seen, archive) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Opens the store as the version before does.
pub async fn open_before(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    let least: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(least <= 3, "it would leave the store alone");
    let migrations = MIGRATIONS.map(|(version, name, sql, checksum)| {
        let kind = MigrationType::Simple;
        let migration = Migration::new(version, name.into(), kind, sql.into_sql_str(), false);
        let own = migration.checksum.iter();
        let own: String = own.map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(own, checksum, "migration {version} has changed");
        migration
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    migrator.set_ignore_missing(true);
    let opened = migrator.run_direct(None, &mut connection, false).await;
    opened.expect("the version before opens it");
    connection
}

async fn rows(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Vec<sqlx::sqlite::SqliteRow> {
    sqlx::query(sql).fetch_all(connection).await.expect(sql)
}

/// Writes torrent number `from` once more as number `to` with the id and hash of that one.
async fn write_before(connection: &mut SqliteConnection, from: u32, to: u32) {
    let all = rows(connection, READS[0].0).await;
    let row = all.iter().find(|row| row.get::<String, _>(1) == id(from).0);
    let row = row.unwrap();
    let text = |column: usize| row.get::<Option<String>, _>(column);
    let number = |column: usize| row.get::<Option<i64>, _>(column);
    sqlx::query(WRITE_TORRENT)
        .bind(text(0))
        .bind(id(to).0)
        .bind(hash(to).to_string())
        .bind(text(3))
        .bind(number(4))
        .bind(text(5))
        .bind(number(6))
        .bind(number(7))
        .bind(text(8))
        .bind(text(9))
        .bind(text(10))
        .bind(number(11))
        .bind(number(12))
        .bind(number(13))
        .bind(number(14))
        .bind(text(15))
        .execute(connection)
        .await
        .unwrap();
}

/// View, name, numbers of directories, numbers and names of files.
type Shown = (String, String, Vec<u64>, Vec<(u64, String)>);

/// Names and numbers of all that is shown.
fn outline(library: &Library) -> Vec<Shown> {
    let entries = library.views.iter().flat_map(|view| {
        let entries = view.entries.iter();
        entries.map(move |entry| {
            let tree = entry.release.tree();
            let files = tree.into_iter().flat_map(|tree| &tree.files);
            (
                view.name.clone(),
                entry.name.to_string(),
                entry.dir_ids.iter().map(|id| id.0).collect(),
                files
                    .map(|file| (file.id.0, file.name.to_string()))
                    .collect(),
            )
        })
    });
    entries.collect()
}

#[tokio::test(start_paused = true)]
async fn the_version_before_reads_and_writes_what_this_one_stored() {
    let bench = Bench::new(Fake::with(20));
    let run = bench.start().await;
    run.until_complete().await;
    let copy = run.catalogue.copies(hash(3)).await.remove(0);
    let source = Source {
        provider: "rd".into(),
        torrent: id(3),
        link: copy.links[0].clone(),
        part: None,
    };
    let refusal = Error {
        provider: "rd".into(),
        verdict: Verdict::LinkBroken,
        http_status: None,
        code: None,
        retry_after: None,
        message: "no more".into(),
    };
    run.catalogue.links().asked(&source, Err(&refusal));
    pass(1).await;
    let shown = outline(&run.library());
    let said = run.catalogue.report_of(&copy).verdict;
    assert!(said.is_some());
    run.stop().await;

    let mut before = open_before(&bench.path()).await;
    for (sql, count) in READS {
        assert_eq!(rows(&mut before, sql).await.len(), count, "{sql}");
    }
    for row in rows(&mut before, READS[0].0).await {
        let hash: String = row.get(2);
        assert!(hash.len() == 40 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
    // It changes one, takes in one, and purges one.
    write_before(&mut before, 3, 3).await;
    write_before(&mut before, 4, 20).await;
    sqlx::query("DELETE FROM torrents WHERE provider = 'rd' AND id = ?")
        .bind(id(5).0)
        .execute(&mut before)
        .await
        .unwrap();
    before.close().await.unwrap();

    let again = bench.open().await;
    let library = again.library().borrow().clone();
    let release = |number| library.release(hash(number));
    assert!(release(20).is_some() && release(5).is_none());
    let back: Vec<_> = outline(&library);
    for line in &back {
        let mut known = shown.iter().any(|before| before == line);
        known |= line.1.contains(&format!("[{}", &hash(20).to_string()[..8]));
        assert!(known, "{line:?} is new, or has other numbers");
    }
    assert_eq!(back.len(), shown.len());
    assert_eq!(again.report_of(&copy).verdict, said);
}

#[tokio::test(start_paused = true)]
async fn a_store_of_the_version_before_is_taken_over() {
    let fresh = Bench::new(Fake::with(20));
    let run = fresh.start().await;
    run.until_complete().await;
    let shown = outline(&run.library());
    run.stop().await;
    // The same account, stored by statements of the version before.
    let old = Bench::new(Fake::with(20));
    let from = open_before(&fresh.path()).await;
    let mut to = open_before(&old.path()).await;
    let table = "SELECT count(*) FROM sqlite_master WHERE name = 'copy_verdicts'";
    let count: i64 = sqlx::query_scalar(table).fetch_one(&mut to).await.unwrap();
    assert_eq!(count, 0);
    let path = fresh.path().display().to_string();
    from.close().await.unwrap();
    sqlx::query("ATTACH DATABASE ? AS fresh")
        .bind(path)
        .execute(&mut to)
        .await
        .unwrap();
    for table in [
        "torrents",
        "shown",
        "views",
        "view_members",
        "sync_state",
        "counters",
    ] {
        let copy = format!("INSERT INTO main.{table} SELECT * FROM fresh.{table}");
        let copy = sqlx::AssertSqlSafe(copy);
        sqlx::query(copy).execute(&mut to).await.unwrap();
    }
    to.close().await.unwrap();
    let taken = old.open().await;
    assert_eq!(outline(&taken.library().borrow()), shown);
    let infos = old.fake.inside().infos.len();
    assert_eq!(infos, 0, "nothing is asked for that was stored");
}
