//! The book of tasks, in SQL.

use std::collections::HashSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, named_params, params};
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
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let _nobody_waits = self.ask(move |connection| {
            let read = (|| Ok((tasks(connection)?, quarantined(connection)?, registered(connection)?)))();
            drop(tell.send(read));
            Ok(())
        });
        let (tasks, quarantined, agents) = told.recv().map_err(|_| gone())?.map_err(failed)?;
        let mut tasks = tasks.into_iter().map(Stored::kept).collect::<Result<Vec<_>, _>>()?;
        let forgotten: HashSet<_> = forgotten(&tasks, ended).into_iter().collect();
        tasks.retain(|one| !forgotten.contains(&one.task.id));
        // If it fails they are looked at again at the next start.
        let _nobody_waits = self.ask(move |connection| forget(connection, &forgotten));
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

/// Ended tasks that nobody can ask for any more, and that nothing rests on: what they did is counted again at a start in
/// the tasks that they were done for, so they stay while one of those is open. `tasks` has parents before their children.
fn forgotten(tasks: &[KeptTask], keep: usize) -> Vec<TaskId> {
    let mut ends: Vec<_> = tasks.iter().filter_map(|one| Some(one.ended?.1)).collect();
    ends.sort_unstable_by(|a, b| b.cmp(a));
    let (Some(newest), Some(oldest)) = (ends.first(), ends.get(keep)) else { return Vec::new() };
    let mut needed = HashSet::new();
    for KeptTask { task, ended } in tasks {
        let handed = task.terms.handed.as_ref();
        let above = task.terms.parent.into_iter().chain(handed.map(|handed| handed.task));
        // It is later than the newest end by now, so this errs to keeping.
        let lent =
            handed.and_then(|handed| handed.links.last()).is_some_and(|link| link.task.deadline > *newest);
        if ended.is_none() || lent || above.into_iter().any(|up| needed.contains(&up)) {
            needed.insert(task.id);
        }
    }
    let old =
        |one: &&KeptTask| one.ended.is_some_and(|(_, at)| at <= *oldest) && !needed.contains(&one.task.id);
    tasks.iter().filter(old).map(|one| one.task.id).collect()
}

fn forget(connection: &mut Connection, tasks: &HashSet<TaskId>) -> rusqlite::Result<()> {
    let all = connection.transaction()?;
    for task in tasks {
        all.prepare_cached("DELETE FROM tasks WHERE id = ?1")?.execute([task.to_string()])?;
    }
    all.commit()
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
pub(super) fn signed(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ns()).unwrap_or(i64::MAX)
}

fn unsigned(at: i64) -> Timestamp {
    Timestamp::from_unix_ns(u64::try_from(at).unwrap_or_default())
}
