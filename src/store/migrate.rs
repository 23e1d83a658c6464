//! Numbered migrations, forward only: each runs once, in one transaction with the number that says so.

use rusqlite::{Connection, Transaction};

/// In their order; the first is number 1. What stands here has run somewhere and is never changed.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_tasks.sql"),
    include_str!("migrations/0002_agents.sql"),
    include_str!("migrations/0003_leases.sql"),
    include_str!("migrations/0004_holds.sql"),
];

/// The version after all migrations.
pub(super) fn latest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version that a database has; 0 for a new one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Runs what has not run yet.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let from = version(connection)?;
    for (number, sql) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > from) {
        let step = connection.transaction()?;
        run(&step, number, sql)?;
        step.commit()?;
    }
    Ok(())
}

fn run(step: &Transaction<'_>, number: i64, sql: &str) -> rusqlite::Result<()> {
    step.execute_batch(sql)?;
    step.pragma_update(None, "user_version", number)
}
