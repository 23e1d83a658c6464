//! The book of leases, in SQL.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::Sqlite;
use super::tasks::signed;
use crate::call::{Lease, LeaseId, Timestamp};
use crate::lease::{Kept, LeaseBook, LeaseBookError, Row};

impl LeaseBook for Sqlite {
    fn keep(&self, row: Row) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        let Row { lease, entry, sealed } = row;
        let json = match serde_json::to_string(&lease) {
            Ok(json) => json,
            Err(error) => return std::future::ready(Err(LeaseBookError(error.to_string()))).boxed(),
        };
        // Asked for here and not when somebody waits: rows are written in the order of their changes.
        let told = self.ask(move |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO leases (id, task, entry, state, since, lease, sealed)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    lease.id.to_string(),
                    lease.task.to_string(),
                    &*entry,
                    lease.state.as_str(),
                    signed(lease.since),
                    json,
                    sealed
                ])
                .map(drop)
        });
        done(told).boxed()
    }

    fn forget(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        let told = self.ask(move |connection| {
            connection.execute("DELETE FROM leases WHERE id = ?1", [lease.to_string()]).map(drop)
        });
        done(told).boxed()
    }

    fn keep_own(&self, entry: Arc<str>, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        let told = self.ask(move |connection| {
            connection
                .execute(
                    "INSERT OR REPLACE INTO provider_secrets (entry, sealed) VALUES (?1, ?2)",
                    params![&*entry, sealed],
                )
                .map(drop)
        });
        done(told).boxed()
    }

    fn load(&self, since: Timestamp) -> Result<Kept, LeaseBookError> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let _nobody_waits = self.ask(move |connection| {
            let read = (|| {
                connection.execute(
                    // What is lost stays until somebody has looked.
                    "DELETE FROM leases WHERE since < ?1 AND (state IN ('revoked', 'expired')
                         OR (state = 'lost' AND json_extract(lease, '$.seen') IS NOT NULL))",
                    [signed(since)],
                )?;
                Ok((leases(connection)?, own(connection)?))
            })();
            drop(tell.send(read));
            Ok(())
        });
        let (leases, own) = told.recv().map_err(|_| gone())?.map_err(failed)?;
        let leases = leases.into_iter().map(|(json, entry, sealed)| {
            let lease: Lease = serde_json::from_str(&json)
                .map_err(|error| LeaseBookError(format!("a lease in it cannot be read ({error})")))?;
            Ok(Row { lease, entry: entry.into(), sealed })
        });
        let own = own.into_iter().map(|(entry, sealed)| (entry.into(), sealed)).collect();
        Ok(Kept { leases: leases.collect::<Result<_, LeaseBookError>>()?, own })
    }
}

type Stored = (String, String, Option<Vec<u8>>);

/// Oldest first: ids sort by the time of asking.
fn leases(connection: &Connection) -> rusqlite::Result<Vec<Stored>> {
    let mut all = connection.prepare("SELECT lease, entry, sealed FROM leases ORDER BY id")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

fn own(connection: &Connection) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    let mut all = connection.prepare("SELECT entry, sealed FROM provider_secrets")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

async fn done(told: oneshot::Receiver<rusqlite::Result<()>>) -> Result<(), LeaseBookError> {
    told.await.map_err(|_| gone())?.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: rusqlite::Error) -> LeaseBookError {
    LeaseBookError(error.to_string())
}

fn gone() -> LeaseBookError {
    LeaseBookError("it is closed".into())
}
