//! What a file holds, and how an older one comes to hold it.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection};

use crate::Failure;

/// The tables of a store.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Every change ever made, the oldest first: number, name, statements. They only ever add, so that
    /// the version before can still use the file after a downgrade. One that cannot has to set
    /// `PRAGMA user_version` to its own number: programs that do not know it leave the file alone.
    pub migrations: &'static [(i64, &'static str, &'static str)],
    /// Statements `CREATE TABLE IF NOT EXISTS`, run each time. For stores of which an older program
    /// refuses a file with a migration that it does not know.
    pub tables: &'static [&'static str],
}

impl Schema {
    /// Brings `connection` to it.
    pub(crate) async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let known = self.migrations.last().map_or(0, |(version, ..)| *version);
        let least: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *connection)
            .await?;
        if least > known {
            return Err(Failure::Newer(least, known));
        }
        self.migrate(connection).await?;
        for table in self.tables {
            sqlx::query(*table).execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Whether the file had the last of the migrations. Whatever cannot be asked was not.
    pub(crate) async fn is_applied(&self, connection: &mut SqliteConnection) -> bool {
        let sql = "SELECT max(version) FROM _sqlx_migrations WHERE success";
        let last: sqlx::Result<Option<i64>> = sqlx::query_scalar(sql).fetch_one(connection).await;
        let wanted = self.migrations.last().map(|(version, ..)| *version);
        last.is_ok_and(|last| last >= wanted)
    }

    async fn migrate(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let migrations = self.migrations.iter().map(|&(version, name, sql)| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        // What a later version added is not ours to judge.
        migrator.set_ignore_missing(true);
        match migrator.run_direct(None, connection, false).await {
            Ok(()) => Ok(()),
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                Err(error.into())
            }
            // No version ever wrote that.
            Err(error @ (MigrateError::VersionMismatch(_) | MigrateError::Dirty(_))) => {
                Err(Failure::Corrupt(error.to_string()))
            }
            Err(error) => Err(Failure::Other(error.to_string())),
        }
    }
}
