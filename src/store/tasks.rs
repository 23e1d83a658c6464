//! The book of tasks, in SQL.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use tokio::sync::oneshot;

use super::Sqlite;
use crate::call::{SpiffeId, Task, TaskId, Timestamp};
use crate::intent::{BookError, Kept, KeptTask, Registration, TaskBook, TaskEnd};

impl TaskBook for Sqlite {
    fn open<'a>(&'a self, task: &'a Task) -> BoxFuture<'a, Result<(), BookError>> {
        let row = Row::of(task);
        async move {
            let row = row?;
            done(self.ask(move |connection| row.insert(connection))).await
        }
        .boxed()
    }

    fn end<'a>(
        &'a self,
        tasks: &'a [(TaskId, TaskEnd)],
        at: Timestamp,
    ) -> BoxFuture<'a, Result<(), BookError>> {
        let ends: Vec<_> = tasks.iter().map(|(task, why)| (task.to_string(), why.as_str())).collect();
        done(self.ask(move |connection| end(connection, &ends, signed(at)))).boxed()
    }

    fn quarantine<'a>(
        &'a self,
        agent: &'a SpiffeId,
        since: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), BookError>> {
        let (agent, since) = (agent.as_str().to_owned(), since.map(signed));
        let write = move |connection: &mut Connection| match since {
            // Since when it is there already stays.
            Some(since) => connection
                .execute(
                    "INSERT INTO quarantine (agent, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    params![agent, since],
                )
                .map(drop),
            None => connection.execute("DELETE FROM quarantine WHERE agent = ?1", [agent]).map(drop),
        };
        done(self.ask(write)).boxed()
    }

    fn register<'a>(
        &'a self,
        agent: &'a SpiffeId,
        registration: Option<&'a Registration>,
    ) -> BoxFuture<'a, Result<(), BookError>> {
        let agent = agent.as_str().to_owned();
        let json = registration.map(serde_json::to_string).transpose();
        async move {
            let json = json.map_err(|error| BookError(error.to_string()))?;
            let write = move |connection: &mut Connection| match json {
                Some(json) => connection
                    .execute(
                        "INSERT OR REPLACE INTO agents (agent, registration) VALUES (?1, ?2)",
                        [agent, json],
                    )
                    .map(drop),
                None => connection.execute("DELETE FROM agents WHERE agent = ?1", [agent]).map(drop),
            };
            done(self.ask(write)).await
        }
        .boxed()
    }

    fn load(&self, ended: usize) -> Result<Kept, BookError> {
        let keep = i64::try_from(ended).unwrap_or(i64::MAX);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let _nobody_waits = self.ask(move |connection| {
            let read = forget(connection, keep)
                .and_then(|()| Ok((tasks(connection)?, quarantined(connection)?, registered(connection)?)));
            drop(tell.send(read));
            Ok(())
        });
        let (tasks, quarantined, agents) = told.recv().map_err(|_| gone())?.map_err(failed)?;
        let tasks = tasks.into_iter().map(Stored::kept).collect::<Result<_, _>>()?;
        let quarantined = quarantined.into_iter().map(|(agent, since)| {
            let agent = SpiffeId::parse(&agent).map_err(|error| BookError(error.to_string()))?;
            Ok((agent, unsigned(since)))
        });
        let agents = agents.into_iter().map(|(agent, json)| {
            let agent = SpiffeId::parse(&agent).map_err(|error| BookError(error.to_string()))?;
            let registration = serde_json::from_str(&json);
            Ok((
                agent,
                registration
                    .map_err(|error| BookError(format!("an agent in it cannot be read ({error})")))?,
            ))
        });
        let (quarantined, agents) =
            (quarantined.collect::<Result<_, BookError>>()?, agents.collect::<Result<_, BookError>>()?);
        Ok(Kept { tasks, quarantined, agents })
    }
}

/// A task as it is written.
struct Row {
    id: String,
    parent: Option<String>,
    agent: String,
    opened: i64,
    deadline: i64,
    task: String,
}

impl Row {
    fn of(task: &Task) -> Result<Self, BookError> {
        Ok(Self {
            id: task.id.to_string(),
            parent: task.terms.parent.map(|parent| parent.to_string()),
            agent: task.agent.as_str().to_owned(),
            opened: signed(task.opened),
            deadline: signed(task.deadline),
            task: serde_json::to_string(task).map_err(|error| BookError(error.to_string()))?,
        })
    }

    fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { id, parent, agent, opened, deadline, task } = self;
        connection
            .prepare_cached(
                "INSERT INTO tasks (id, parent, agent, opened, deadline, task)
                 VALUES (:id, :parent, :agent, :opened, :deadline, :task)",
            )?
            .execute(named_params! {
                ":id": id, ":parent": parent, ":agent": agent, ":opened": opened, ":deadline": deadline, ":task": task,
            })
            .map(drop)
    }
}

/// A task as it is read.
struct Stored {
    task: String,
    ended: Option<(String, i64)>,
}

impl Stored {
    fn kept(self) -> Result<KeptTask, BookError> {
        let task: Task = serde_json::from_str(&self.task)
            .map_err(|error| BookError(format!("a task in it cannot be read ({error})")))?;
        let end = |(why, at): (String, i64)| {
            let why = TaskEnd::parse(&why).ok_or_else(|| BookError(format!("`{why}` ends no task")))?;
            Ok((why, unsigned(at)))
        };
        Ok(KeptTask { task, ended: self.ended.map(end).transpose()? })
    }
}

fn end(connection: &mut Connection, ends: &[(String, &str)], at: i64) -> rusqlite::Result<()> {
    let all = connection.transaction()?;
    {
        let mut one = all.prepare_cached(
            "UPDATE tasks SET ended_why = ?2, ended_at = ?3 WHERE id = ?1 AND ended_why IS NULL",
        )?;
        for (task, why) in ends {
            one.execute(params![task, why, at])?;
        }
    }
    all.commit()
}

/// Ended tasks that nobody can ask for any more.
fn forget(connection: &Connection, keep: i64) -> rusqlite::Result<()> {
    let oldest: Option<i64> = connection
        .query_row(
            "SELECT ended_at FROM tasks WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1 OFFSET ?1",
            [keep],
            |row| row.get(0),
        )
        .optional()?;
    let Some(oldest) = oldest else { return Ok(()) };
    connection.execute("DELETE FROM tasks WHERE ended_at <= ?1", [oldest]).map(drop)
}

/// Parents before their children: ids sort by the time of opening.
fn tasks(connection: &Connection) -> rusqlite::Result<Vec<Stored>> {
    let mut all = connection.prepare("SELECT task, ended_why, ended_at FROM tasks ORDER BY opened, id")?;
    let rows = all.query_map([], |row| {
        let (why, at): (Option<String>, Option<i64>) = (row.get(1)?, row.get(2)?);
        Ok(Stored { task: row.get(0)?, ended: why.zip(at) })
    })?;
    rows.collect()
}

fn quarantined(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut all = connection.prepare("SELECT agent, since FROM quarantine")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn registered(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut all = connection.prepare("SELECT agent, registration FROM agents")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

async fn done(told: oneshot::Receiver<rusqlite::Result<()>>) -> Result<(), BookError> {
    told.await.map_err(|_| gone())?.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: rusqlite::Error) -> BookError {
    BookError(error.to_string())
}

fn gone() -> BookError {
    BookError("it is closed".into())
}

/// The integers of `SQLite` are signed; the year 2262 is far enough.
fn signed(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ns()).unwrap_or(i64::MAX)
}

fn unsigned(at: i64) -> Timestamp {
    Timestamp::from_unix_ns(u64::try_from(at).unwrap_or_default())
}
