//! The book of holds, in SQL.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::Sqlite;
use super::tasks::signed;
use crate::call::{Hold, Timestamp};
use crate::judge::hold::{HoldBook, HoldBookError, HoldRow};

impl HoldBook for Sqlite {
    fn keep(&self, row: HoldRow) -> BoxFuture<'_, Result<(), HoldBookError>> {
        let HoldRow { hold, card } = row;
        let json = match serde_json::to_string(&hold) {
            Ok(json) => json,
            Err(error) => return std::future::ready(Err(HoldBookError(error.to_string()))).boxed(),
        };
        let told = self.ask(move |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO holds (id, task, state, since, hold, card)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    hold.id.to_string(),
                    hold.task.to_string(),
                    hold.state.as_str(),
                    signed(hold.since),
                    json,
                    card
                ])
                .map(drop)
        });
        done(told).boxed()
    }

    fn load_holds(&self, since: Timestamp) -> Result<Vec<HoldRow>, HoldBookError> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let _nobody_waits = self.ask(move |connection| {
            let read = (|| {
                connection.execute(
                    "DELETE FROM holds WHERE state NOT IN ('waiting', 'approved') AND since < ?1",
                    [signed(since)],
                )?;
                all(connection)
            })();
            drop(tell.send(read));
            Ok(())
        });
        let rows = told.recv().map_err(|_| gone())?.map_err(failed)?;
        let rows = rows.into_iter().map(|(json, card)| {
            let hold: Hold = serde_json::from_str(&json)
                .map_err(|error| HoldBookError(format!("a hold in it cannot be read ({error})")))?;
            Ok(HoldRow { hold, card })
        });
        rows.collect()
    }
}

/// Oldest first: ids sort by the time of asking.
fn all(connection: &Connection) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    let mut all = connection.prepare("SELECT hold, card FROM holds ORDER BY id")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

async fn done(told: oneshot::Receiver<rusqlite::Result<()>>) -> Result<(), HoldBookError> {
    told.await.map_err(|_| gone())?.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: rusqlite::Error) -> HoldBookError {
    HoldBookError(error.to_string())
}

fn gone() -> HoldBookError {
    HoldBookError("it is closed".into())
}
